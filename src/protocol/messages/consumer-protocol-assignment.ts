import { array, bytes, defineMessage, int32s, string } from '../schema.ts'

/** What a classic consumer gets as its assignment in SyncGroup. An int16 with the version stands before it. */
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
