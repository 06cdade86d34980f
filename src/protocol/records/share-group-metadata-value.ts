import { defineMessage, int32, int64 } from '../schema.ts'

/** Value of key 11 of `__consumer_offsets`: the epoch of a share group (KIP-932). */
export const shareGroupMetadataValue = defineMessage({
  name: 'ShareGroupMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    epoch: int32('0+'),
    metadataHash: int64('0+'),
  },
})
