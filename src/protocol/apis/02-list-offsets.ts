import { array, defineApi, errorCode, int8, int32, int64, int64s, string } from '../schema.ts'

/**
 * Finds offsets by time, and the ends of a log: -1 latest, -2 earliest, -3 the offset of the largest timestamp, -4
 * earliest local, -5 latest tiered, -6 earliest waiting to be tiered.
 *
 * Added: v1 one offset instead of many (KIP-79); v2 isolation level and throttle time (KIP-98); v4 leader epochs
 * (KIP-320); v6 compact form; v7 largest timestamp (KIP-734); v8 earliest local offset (KIP-405); v9 latest tiered
 * offset (KIP-1005); v10 time-out for remote reads (KIP-1075); v11 earliest offset that waits to be tiered
 * (KIP-1023).
 *
 * Not served: v0, which Kafka 4 dropped.
 */
export const listOffsets = defineApi({
  key: 2,
  name: 'ListOffsets',
  versions: '0-11',
  flexible: '6+',
  request: {
    replicaId: int32('0+'),
    isolationLevel: int8('2+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        currentLeaderEpoch: int32('4+', { default: -1, ignorable: true }),
        timestamp: int64('0+'),
        maxNumOffsets: int32('0', { default: 1 }),
      }),
    }),
    timeoutMs: int32('10+', { ignorable: true }),
  },
  response: {
    throttleTimeMs: int32('2+', { default: 0, ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: errorCode('0+'),
        oldStyleOffsets: int64s('0'),
        timestamp: int64('1+', { default: -1 }),
        offset: int64('1+', { default: -1 }),
        leaderEpoch: int32('4+', { default: -1 }),
      }),
    }),
  },
})
