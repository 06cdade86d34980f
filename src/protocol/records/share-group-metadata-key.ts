import { defineMessage, string } from '../schema.ts'

/** Key 11 of `__consumer_offsets`: a share group. */
export const shareGroupMetadataKey = defineMessage({
  name: 'ShareGroupMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
