import { defineMessage, int16 } from '../schema.ts'

/** Control record: the end of a snapshot of Kafka's metadata (KIP-630). */
export const snapshotFooterRecord = defineMessage({
  name: 'SnapshotFooterRecord',
  versions: '0',
  flexible: '0+',
  fields: {
    version: int16('0+'),
  },
})
