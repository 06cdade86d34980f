import { array, defineMessage, int16, int32, string, struct, uint16, uuid } from '../schema.ts'

/** Control record: the voters of Kafka's metadata quorum with their endpoints (KIP-853). */
export const votersRecord = defineMessage({
  name: 'VotersRecord',
  versions: '0',
  flexible: '0+',
  fields: {
    version: int16('0+'),
    voters: array('0+', {
      voterId: int32('0+'),
      voterDirectoryId: uuid('0+'),
      endpoints: array('0+', {
        name: string('0+'),
        host: string('0+'),
        port: uint16('0+'),
      }),
      kRaftVersionFeature: struct('0+', {
        minSupportedVersion: int16('0+'),
        maxSupportedVersion: int16('0+'),
      }),
    }),
  },
})
