import {
  array,
  defineApi,
  errorCode,
  int16,
  int32,
  string,
  struct,
  uint16,
  uuid,
} from '../schema.ts'

/**
 * A voter of the metadata quorum reports its endpoints and versions (KIP-853).
 *
 * Not served: LMQ's metadata log has no voters of its own.
 */
export const updateRaftVoter = defineApi({
  key: 82,
  name: 'UpdateRaftVoter',
  versions: '0',
  flexible: '0+',
  request: {
    clusterId: string('0+', { nullable: '0+' }),
    currentLeaderEpoch: int32('0+'),
    voterId: int32('0+'),
    voterDirectoryId: uuid('0+'),
    listeners: array('0+', {
      name: string('0+'),
      host: string('0+'),
      port: uint16('0+'),
    }),
    kRaftVersionFeature: struct('0+', {
      minSupportedVersion: int16('0+'),
      maxSupportedVersion: int16('0+'),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    currentLeader: struct(
      '0+',
      {
        leaderId: int32('0+', { default: -1 }),
        leaderEpoch: int32('0+', { default: -1 }),
        host: string('0+'),
        port: int32('0+'),
      },
      { tag: 0 },
    ),
  },
})
