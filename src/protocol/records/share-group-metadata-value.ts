import { defineMessage, int32, int64 } from '../schema.ts'

export const shareGroupMetadataValue = defineMessage({
  name: 'ShareGroupMetadataValue',
  versions: '0',
  flexible: '0+',
  fields: {
    epoch: int32('0+'),
    metadataHash: int64('0+'),
  },
})
