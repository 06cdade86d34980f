import { defineMessage, int16 } from '../schema.ts'

export const snapshotFooterRecord = defineMessage({
  name: 'SnapshotFooterRecord',
  versions: '0',
  flexible: '0+',
  fields: {
    version: int16('0+'),
  },
})
