import { array, defineMessage, int32s, uuid } from '../schema.ts'

export const shareGroupTargetAssignmentMemberValue = defineMessage({
  name: 'ShareGroupTargetAssignmentMemberValue',
  versions: '0',
  flexible: '0+',
  fields: {
    topicPartitions: array('0+', {
      topicId: uuid('0+'),
      partitions: int32s('0+'),
    }),
  },
})
