import { array, defineMessage, int32s, uuid } from '../schema.ts'

/** Value of key 7 of `__consumer_offsets`: the partitions that a member is to have (KIP-848). */
export const consumerGroupTargetAssignmentMemberValue = defineMessage({
  name: 'ConsumerGroupTargetAssignmentMemberValue',
  versions: '0',
  flexible: '0+',
  fields: {
    topicPartitions: array('0+', {
      topicId: uuid('0+'),
      partitions: int32s('0+'),
    }),
  },
})
