import {
  array,
  defineApi,
  errorCode,
  int16,
  int32,
  int64,
  records,
  string,
  struct,
  uuid,
} from '../schema.ts'

/**
 * A producer hands over record batches, for each partition one; the broker answers with the offset that the first
 * record got. With `acks` 0 there is no answer.
 *
 * Added: v1 throttle time; v2 append time; v3 magic-2 batches only and the transactional id (KIP-98); v4
 * KAFKA_STORAGE_ERROR (KIP-112); v5 log start offset; v7 zstd batches (KIP-110); v8 the faulty records by index
 * (KIP-467); v9 compact form; v10 the current leader on NOT_LEADER_OR_FOLLOWER (KIP-951); v11 newer transaction
 * errors; v12 adds partitions to a transaction by itself (KIP-890); v13 topics by id (KIP-516).
 *
 * Not served: v0-v2, which Kafka 4 dropped. Advertised from v0 all the same: librdkafka before 2.11.1 turns
 * compression off otherwise.
 */
export const produce = defineApi({
  key: 0,
  name: 'Produce',
  versions: '0-13',
  flexible: '9+',
  request: {
    transactionalId: string('3+', { nullable: '3+', default: null }),
    acks: int16('0+'),
    timeoutMs: int32('0+'),
    topicData: array('0+', {
      name: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }),
      partitionData: array('0+', {
        index: int32('0+'),
        records: records('0+', { nullable: '0+' }),
      }),
    }),
  },
  response: {
    responses: array('0+', {
      name: string('0-12', { ignorable: true }),
      topicId: uuid('13+', { ignorable: true }),
      partitionResponses: array('0+', {
        index: int32('0+'),
        errorCode: errorCode('0+'),
        baseOffset: int64('0+'),
        logAppendTimeMs: int64('2+', { default: -1, ignorable: true }),
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        recordErrors: array(
          '8+',
          {
            batchIndex: int32('8+'),
            batchIndexErrorMessage: string('8+', { nullable: '8+', default: null }),
          },
          { ignorable: true },
        ),
        errorMessage: string('8+', { nullable: '8+', default: null, ignorable: true }),
        currentLeader: struct(
          '10+',
          {
            leaderId: int32('10+', { default: -1 }),
            leaderEpoch: int32('10+', { default: -1 }),
          },
          { tag: 0 },
        ),
      }),
    }),
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    nodeEndpoints: array(
      '10+',
      {
        nodeId: int32('10+'),
        host: string('10+'),
        port: int32('10+'),
        rack: string('10+', { nullable: '10+', default: null }),
      },
      { tag: 0 },
    ),
  },
})
