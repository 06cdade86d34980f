import { array, defineMessage, int8, int32, int32s, uuid } from '../schema.ts'

const topicPartitions = {
  topicId: uuid('0+'),
  partitions: int32s('0+'),
}

/** Value of key 14 of `__consumer_offsets`: the partitions that a member has (KIP-932). */
export const shareGroupCurrentMemberAssignmentValue = defineMessage({
  name: 'ShareGroupCurrentMemberAssignmentValue',
  versions: '0',
  flexible: '0+',
  fields: {
    memberEpoch: int32('0+'),
    previousMemberEpoch: int32('0+'),
    state: int8('0+'),
    assignedPartitions: array('0+', topicPartitions),
  },
})
