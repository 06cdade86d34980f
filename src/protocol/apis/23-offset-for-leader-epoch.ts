import { array, defineApi, errorCode, int32, int64, string } from '../schema.ts'

/**
 * The end of a leader epoch in a log: how followers and consumers find where two logs part ways (KIP-101, KIP-279,
 * KIP-320).
 *
 * Added: v1 epoch of the answer; v2 leader epoch check, throttle time; v3 replica id; v4 compact form.
 *
 * Not served: v0-v1, which Kafka 4 dropped.
 */
export const offsetForLeaderEpoch = defineApi({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  versions: '0-4',
  flexible: '4+',
  request: {
    replicaId: int32('3+', { default: -2, ignorable: true }),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        partition: int32('0+'),
        currentLeaderEpoch: int32('2+', { default: -1, ignorable: true }),
        leaderEpoch: int32('0+'),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('2+', { default: 0, ignorable: true }),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        errorCode: errorCode('0+'),
        partition: int32('0+'),
        leaderEpoch: int32('1+', { default: -1, ignorable: true }),
        endOffset: int64('0+', { default: -1 }),
      }),
    }),
  },
})
