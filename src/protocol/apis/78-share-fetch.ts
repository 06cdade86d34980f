import {
  array,
  bool,
  defineApi,
  errorCode,
  int8,
  int8s,
  int16,
  int32,
  int32s,
  int64,
  records,
  string,
  struct,
  uuid,
} from '../schema.ts'

/**
 * A member of a share group acquires records and acknowledges earlier ones; in sessions, as Fetch (KIP-932). v0 was
 * unstable and is gone.
 *
 * Added: v2 how much to acquire (KIP-1206), renewed locks (KIP-1222).
 *
 * Not served yet.
 */
export const shareFetch = defineApi({
  key: 78,
  name: 'ShareFetch',
  versions: '1-2',
  flexible: '0+',
  request: {
    groupId: string('0+', { nullable: '0+', default: null }),
    memberId: string('0+', { nullable: '0+' }),
    shareSessionEpoch: int32('0+'),
    maxWaitMs: int32('0+'),
    minBytes: int32('0+'),
    maxBytes: int32('0+', { default: 2147483647 }),
    maxRecords: int32('1+'),
    batchSize: int32('1+'),
    shareAcquireMode: int8('2+', { default: 0, ignorable: true }),
    isRenewAck: bool('2+', { default: false }),
    topics: array('0+', {
      topicId: uuid('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        partitionMaxBytes: int32('0'),
        acknowledgementBatches: array('0+', {
          firstOffset: int64('0+'),
          lastOffset: int64('0+'),
          acknowledgeTypes: int8s('0+'),
        }),
      }),
    }),
    forgottenTopicsData: array('0+', {
      topicId: uuid('0+'),
      partitions: int32s('0+'),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    acquisitionLockTimeoutMs: int32('1+'),
    responses: array('0+', {
      topicId: uuid('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: errorCode('0+'),
        errorMessage: string('0+', { nullable: '0+', default: null }),
        acknowledgeErrorCode: int16('0+'),
        acknowledgeErrorMessage: string('0+', { nullable: '0+', default: null }),
        currentLeader: struct('0+', {
          leaderId: int32('0+'),
          leaderEpoch: int32('0+'),
        }),
        records: records('0+', { nullable: '0' }),
        acquiredRecords: array('0+', {
          firstOffset: int64('0+'),
          lastOffset: int64('0+'),
          deliveryCount: int16('0+'),
        }),
      }),
    }),
    nodeEndpoints: array('0+', {
      nodeId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: string('0+', { nullable: '0+', default: null }),
    }),
  },
})
