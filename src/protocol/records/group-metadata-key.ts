import { defineMessage, string } from '../schema.ts'

export const groupMetadataKey = defineMessage({
  name: 'GroupMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    group: string('0'),
  },
})
