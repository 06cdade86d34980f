import {
  array,
  bool,
  defineApi,
  errorCode,
  int32,
  int32s,
  string,
  struct,
  uuid,
} from '../schema.ts'

/** Partitions of topics page by page, with eligible leader replicas (KIP-966). */
export const describeTopicPartitions = defineApi({
  key: 75,
  name: 'DescribeTopicPartitions',
  versions: '0',
  flexible: '0+',
  request: {
    topics: array('0+', {
      name: string('0+'),
    }),
    responsePartitionLimit: int32('0+', { default: 2000 }),
    cursor: struct(
      '0+',
      {
        topicName: string('0+'),
        partitionIndex: int32('0+'),
      },
      { nullable: '0+', default: null },
    ),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0, ignorable: true }),
    topics: array('0+', {
      errorCode: errorCode('0+'),
      name: string('0+', { nullable: '0+' }),
      topicId: uuid('0+', { ignorable: true }),
      isInternal: bool('0+', { default: false, ignorable: true }),
      partitions: array('0+', {
        errorCode: errorCode('0+'),
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+', { default: -1, ignorable: true }),
        replicaNodes: int32s('0+'),
        isrNodes: int32s('0+'),
        eligibleLeaderReplicas: int32s('0+', { nullable: '0+', default: null }),
        lastKnownElr: int32s('0+', { nullable: '0+', default: null }),
        offlineReplicas: int32s('0+', { ignorable: true }),
      }),
      topicAuthorizedOperations: int32('0+', { default: -2147483648 }),
    }),
    nextCursor: struct(
      '0+',
      {
        topicName: string('0+'),
        partitionIndex: int32('0+'),
      },
      { nullable: '0+', default: null },
    ),
  },
})
