import { array, bool, defineApi, errorCode, int32, int64, string, uint16, uuid } from '../schema.ts'

/**
 * A candidate asks for votes in Kafka's metadata quorum (KIP-595).
 *
 * Added: v1 directory ids (KIP-853); v2 asks beforehand whether it could win (KIP-996).
 *
 * Not served: LMQ's metadata log has no voters of its own.
 */
export const vote = defineApi({
  key: 52,
  name: 'Vote',
  versions: '0-2',
  flexible: '0+',
  request: {
    clusterId: string('0+', { nullable: '0+', default: null }),
    voterId: int32('1+', { default: -1, ignorable: true }),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        replicaEpoch: int32('0+'),
        replicaId: int32('0+'),
        replicaDirectoryId: uuid('1+', { ignorable: true }),
        voterDirectoryId: uuid('1+', { ignorable: true }),
        lastOffsetEpoch: int32('0+'),
        lastOffset: int64('0+'),
        preVote: bool('2+'),
      }),
    }),
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
        voteGranted: bool('0+'),
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
