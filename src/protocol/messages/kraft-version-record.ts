import { defineMessage, int16 } from '../schema.ts'

/** Control record: the version of Kafka's metadata quorum (KIP-853). */
export const kRaftVersionRecord = defineMessage({
  name: 'KRaftVersionRecord',
  versions: '0',
  flexible: '0+',
  fields: {
    version: int16('0+'),
    kRaftVersion: int16('0+'),
  },
})
