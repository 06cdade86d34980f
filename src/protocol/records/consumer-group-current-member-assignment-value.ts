import { array, defineMessage, int8, int32, int32s, uuid } from '../schema.ts'

const topicPartitions = {
  topicId: uuid('0+'),
  partitions: int32s('0+'),
  assignmentEpochs: int32s('0+', { nullable: '0+', tag: 0, default: null }),
}

/**
 * Value of key 8 of `__consumer_offsets`: the partitions that a member has, and those it still has to give up
 * (KIP-848).
 */
export const consumerGroupCurrentMemberAssignmentValue = defineMessage({
  name: 'ConsumerGroupCurrentMemberAssignmentValue',
  versions: '0',
  flexible: '0+',
  fields: {
    memberEpoch: int32('0+'),
    previousMemberEpoch: int32('0+'),
    state: int8('0+'),
    assignedPartitions: array('0+', topicPartitions),
    partitionsPendingRevocation: array('0+', topicPartitions),
  },
})
