import { defineMessage, string } from '../schema.ts'

export const shareGroupMetadataKey = defineMessage({
  name: 'ShareGroupMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0'),
  },
})
