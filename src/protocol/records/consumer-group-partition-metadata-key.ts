import { defineMessage, string } from '../schema.ts'

/** Key 4 of `__consumer_offsets`: a consumer group. */
export const consumerGroupPartitionMetadataKey = defineMessage({
  name: 'ConsumerGroupPartitionMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
