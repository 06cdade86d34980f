import {
  array,
  defineApi,
  errorCode,
  int8,
  int32,
  int32s,
  int64,
  records,
  string,
  struct,
  uuid,
} from '../schema.ts'

/**
 * A consumer or a follower reads record batches from given offsets on; long polling by `maxWaitMs` and `minBytes`.
 * Within a session only changes are named in either direction (KIP-227).
 *
 * Added: v1 throttle time; v3 bound for the whole answer (KIP-74); v4 isolation level, last stable offset and
 * aborted transactions (KIP-98); v5 log start offset (KIP-107); v7 sessions (KIP-227); v8 quota answers (KIP-219);
 * v9 leader epoch check (KIP-320); v10 zstd batches (KIP-110); v11 rack and preferred read replica (KIP-392); v12
 * compact form, diverging epochs (KIP-595); v13 topics by id (KIP-516); v14 tiered storage (KIP-405); v15 replica
 * epoch (KIP-903); v16 the current leader's address (KIP-951); v17 directory id (KIP-853); v18 the follower's high
 * watermark (KIP-1166).
 *
 * Not served: v0-v3, which Kafka 4 dropped.
 */
export const fetch = defineApi({
  key: 1,
  name: 'Fetch',
  versions: '0-18',
  flexible: '12+',
  request: {
    clusterId: string('12+', { nullable: '12+', tag: 0, default: null, ignorable: true }),
    replicaId: int32('0-14', { default: -1 }),
    replicaState: struct(
      '15+',
      {
        replicaId: int32('15+', { default: -1 }),
        replicaEpoch: int64('15+', { default: -1 }),
      },
      { tag: 1 },
    ),
    maxWaitMs: int32('0+'),
    minBytes: int32('0+'),
    maxBytes: int32('3+', { default: 2147483647, ignorable: true }),
    isolationLevel: int8('4+', { default: 0, ignorable: true }),
    sessionId: int32('7+', { default: 0, ignorable: true }),
    sessionEpoch: int32('7+', { default: -1, ignorable: true }),
    topics: array('0+', {
      topic: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }),
      partitions: array('0+', {
        partition: int32('0+'),
        currentLeaderEpoch: int32('9+', { default: -1, ignorable: true }),
        fetchOffset: int64('0+'),
        lastFetchedEpoch: int32('12+', { default: -1 }),
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        partitionMaxBytes: int32('0+'),
        replicaDirectoryId: uuid('17+', { tag: 0, ignorable: true }),
        highWatermark: int64('18+', { tag: 1, default: 9007199254740991, ignorable: true }),
      }),
    }),
    forgottenTopicsData: array('7+', {
      topic: string('7-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }),
      partitions: int32s('7+'),
    }),
    rackId: string('11+', { default: '', ignorable: true }),
  },
  response: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: errorCode('7+', { ignorable: true }),
    sessionId: int32('7+', { default: 0 }),
    responses: array('0+', {
      topic: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: errorCode('0+'),
        highWatermark: int64('0+'),
        lastStableOffset: int64('4+', { default: -1, ignorable: true }),
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        divergingEpoch: struct(
          '12+',
          {
            epoch: int32('12+', { default: -1 }),
            endOffset: int64('12+', { default: -1 }),
          },
          { tag: 0 },
        ),
        currentLeader: struct(
          '12+',
          {
            leaderId: int32('12+', { default: -1 }),
            leaderEpoch: int32('12+', { default: -1 }),
          },
          { tag: 1 },
        ),
        snapshotId: struct(
          '12+',
          {
            endOffset: int64('0+', { default: -1 }),
            epoch: int32('0+', { default: -1 }),
          },
          { tag: 2 },
        ),
        abortedTransactions: array(
          '4+',
          {
            producerId: int64('4+'),
            firstOffset: int64('4+'),
          },
          { nullable: '4+', ignorable: true },
        ),
        preferredReadReplica: int32('11+', { default: -1 }),
        records: records('0+', { nullable: '0+' }),
      }),
    }),
    nodeEndpoints: array(
      '16+',
      {
        nodeId: int32('16+'),
        host: string('16+'),
        port: int32('16+'),
        rack: string('16+', { nullable: '16+', default: null }),
      },
      { tag: 0 },
    ),
  },
})
