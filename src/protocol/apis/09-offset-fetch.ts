import { array, bool, defineApi, errorCode, int32, int32s, int64, string, uuid } from '../schema.ts'

/**
 * What a group has committed. Null topics mean all.
 *
 * Added: v1 offsets from the internal topic, no longer ZooKeeper; v2 all topics, error for the group; v3 throttle
 * time; v5 leader epoch (KIP-320); v6 compact form; v7 waits for open transactions (KIP-447); v8 several groups at
 * once (KIP-709); v9 member and epoch (KIP-848); v10 topics by id.
 *
 * Not served: v0, which Kafka 4 dropped.
 */
export const offsetFetch = defineApi({
  key: 9,
  name: 'OffsetFetch',
  versions: '0-10',
  flexible: '6+',
  request: {
    groupId: string('0-7'),
    topics: array(
      '0-7',
      {
        name: string('0-7'),
        partitionIndexes: int32s('0-7'),
      },
      { nullable: '2-7' },
    ),
    groups: array('8+', {
      groupId: string('8+'),
      memberId: string('9+', { nullable: '9+', default: null, ignorable: true }),
      memberEpoch: int32('9+', { default: -1, ignorable: true }),
      topics: array(
        '8+',
        {
          name: string('8-9', { ignorable: true }),
          topicId: uuid('10+', { ignorable: true }),
          partitionIndexes: int32s('8+'),
        },
        { nullable: '8+' },
      ),
    }),
    requireStable: bool('7+', { default: false }),
  },
  response: {
    throttleTimeMs: int32('3+', { default: 0, ignorable: true }),
    topics: array('0-7', {
      name: string('0-7'),
      partitions: array('0-7', {
        partitionIndex: int32('0-7'),
        committedOffset: int64('0-7'),
        committedLeaderEpoch: int32('5-7', { default: -1, ignorable: true }),
        metadata: string('0-7', { nullable: '0-7' }),
        errorCode: errorCode('0-7'),
      }),
    }),
    errorCode: errorCode('2-7', { default: 0, ignorable: true }),
    groups: array('8+', {
      groupId: string('8+'),
      topics: array('8+', {
        name: string('8-9', { ignorable: true }),
        topicId: uuid('10+', { ignorable: true }),
        partitions: array('8+', {
          partitionIndex: int32('8+'),
          committedOffset: int64('8+'),
          committedLeaderEpoch: int32('8+', { default: -1, ignorable: true }),
          metadata: string('8+', { nullable: '8+' }),
          errorCode: errorCode('8+'),
        }),
      }),
      errorCode: errorCode('8+', { default: 0 }),
    }),
  },
})
