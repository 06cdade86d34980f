import { array, defineApi, errorCode, int32, int32s, int64, string, uuid } from '../schema.ts'

/**
 * Start offsets of share groups, by partition (KIP-932).
 *
 * Added: v1 lag (KIP-1226).
 *
 * Not served yet.
 */
export const describeShareGroupOffsets = defineApi({
  key: 90,
  name: 'DescribeShareGroupOffsets',
  versions: '0-1',
  flexible: '0+',
  request: {
    groups: array('0+', {
      groupId: string('0+'),
      topics: array(
        '0+',
        {
          topicName: string('0+'),
          partitions: int32s('0+'),
        },
        { nullable: '0+' },
      ),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    groups: array('0+', {
      groupId: string('0+'),
      topics: array('0+', {
        topicName: string('0+'),
        topicId: uuid('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
          startOffset: int64('0+'),
          leaderEpoch: int32('0+'),
          lag: int64('1+', { default: -1, ignorable: true }),
          errorCode: errorCode('0+'),
          errorMessage: string('0+', { nullable: '0+', default: null }),
        }),
      }),
      errorCode: errorCode('0+'),
      errorMessage: string('0+', { nullable: '0+', default: null }),
    }),
  },
})
