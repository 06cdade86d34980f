import { array, bytes, defineMessage, int32s, string } from '../schema.ts'

export const consumerProtocolAssignment = defineMessage({
  name: 'ConsumerProtocolAssignment',
  versions: '0-3',
  flexible: 'none',
  fields: {
    assignedPartitions: array('0+', {
      topic: string('0+'),
      partitions: int32s('0+'),
    }),
    userData: bytes('0+', { nullable: '0+', default: null }),
  },
})
