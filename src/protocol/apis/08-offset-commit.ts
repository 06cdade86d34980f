import { array, defineApi, errorCode, int32, int64, string, uuid } from '../schema.ts'

/**
 * Stores how far a group has read, by partition. Members name their generation or member epoch; anyone else may
 * commit only while the group is empty.
 *
 * Added: v1 generation and member, commit time; v2 retention time instead of it, until v4 (KIP-211); v3 throttle
 * time; v6 leader epoch (KIP-320); v7 static members (KIP-345); v8 compact form; v9 member epochs (KIP-848); v10
 * topics by id.
 *
 * Not served: v0-v1, which Kafka 4 dropped.
 */
export const offsetCommit = defineApi({
  key: 8,
  name: 'OffsetCommit',
  versions: '0-10',
  flexible: '8+',
  request: {
    groupId: string('0+'),
    generationIdOrMemberEpoch: int32('1+', { default: -1, ignorable: true }),
    memberId: string('1+', { ignorable: true }),
    groupInstanceId: string('7+', { nullable: '7+', default: null }),
    retentionTimeMs: int64('2-4', { default: -1, ignorable: true }),
    topics: array('0+', {
      name: string('0-9', { ignorable: true }),
      topicId: uuid('10+', { ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        committedOffset: int64('0+'),
        commitTimestamp: int64('1', { default: -1 }),
        committedLeaderEpoch: int32('6+', { default: -1, ignorable: true }),
        committedMetadata: string('0+', { nullable: '0+' }),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('3+', { default: 0, ignorable: true }),
    topics: array('0+', {
      name: string('0-9', { ignorable: true }),
      topicId: uuid('10+', { ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: errorCode('0+'),
      }),
    }),
  },
})
