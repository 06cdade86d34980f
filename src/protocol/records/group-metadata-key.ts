import { defineMessage, string } from '../schema.ts'

/** Key 2 of `__consumer_offsets`: a classic group. */
export const groupMetadataKey = defineMessage({
  name: 'GroupMetadataKey',
  versions: '0',
  flexible: 'none',
  fields: {
    group: string('0'),
  },
})
