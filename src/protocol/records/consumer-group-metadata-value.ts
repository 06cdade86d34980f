import { defineMessage, int32, int64 } from '../schema.ts'

/** Value of key 3 of `__consumer_offsets`: the epoch of a consumer group (KIP-848). */
export const consumerGroupMetadataValue = defineMessage({
  name: 'ConsumerGroupMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    epoch: int32('0+'),
    metadataHash: int64('0+', { tag: 0, default: 0 }),
  },
})
