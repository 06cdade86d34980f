import { array, defineApi, errorCode, int32, int32s, string, uint16, uuid } from '../schema.ts'

/**
 * A leader of the metadata quorum steps down and names who could follow (KIP-595).
 *
 * Added: v1 compact form, directory ids, endpoints (KIP-853).
 *
 * Not served: LMQ's metadata log has no voters of its own.
 */
export const endQuorumEpoch = defineApi({
  key: 54,
  name: 'EndQuorumEpoch',
  versions: '0-1',
  flexible: '1+',
  request: {
    clusterId: string('0+', { nullable: '0+', default: null }),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+'),
        preferredSuccessors: int32s('0', { ignorable: true }),
        preferredCandidates: array(
          '1+',
          {
            candidateId: int32('1+'),
            candidateDirectoryId: uuid('1+'),
          },
          { ignorable: true },
        ),
      }),
    }),
    leaderEndpoints: array(
      '1+',
      {
        name: string('1+'),
        host: string('1+'),
        port: uint16('1+'),
      },
      { ignorable: true },
    ),
  },
  response: {
    errorCode: errorCode('0+'),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: errorCode('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+'),
      }),
    }),
    nodeEndpoints: array(
      '1+',
      {
        nodeId: int32('1+'),
        host: string('1+'),
        port: uint16('1+'),
      },
      { tag: 0 },
    ),
  },
})
