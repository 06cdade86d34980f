import { defineMessage, int16, int64 } from '../schema.ts'

/** Control record: the beginning of a snapshot of Kafka's metadata (KIP-630). */
export const snapshotHeaderRecord = defineMessage({
  name: 'SnapshotHeaderRecord',
  versions: '0',
  flexible: '0+',
  fields: {
    version: int16('0+'),
    lastContainedLogTimestamp: int64('0+'),
  },
})
