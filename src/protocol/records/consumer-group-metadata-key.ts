import { defineMessage, string } from '../schema.ts'

/** Key 3 of `__consumer_offsets`: a consumer group. */
export const consumerGroupMetadataKey = defineMessage({
  name: 'ConsumerGroupMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
