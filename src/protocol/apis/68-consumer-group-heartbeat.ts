import {
  array,
  defineApi,
  errorCode,
  int32,
  int32s,
  string,
  strings,
  struct,
  uuid,
} from '../schema.ts'

const topicPartitions = {
  topicId: uuid('0+'),
  partitions: int32s('0+'),
}

/**
 * A member of a consumer group of the next-generation protocol reports what it holds and subscribes to, and learns
 * what to take or give up (KIP-848). Epoch 0 joins, -1 leaves, -2 leaves for a while as a static member.
 *
 * Added: v1 subscription by regular expression.
 *
 * Not served yet.
 */
export const consumerGroupHeartbeat = defineApi({
  key: 68,
  name: 'ConsumerGroupHeartbeat',
  versions: '0-1',
  flexible: '0+',
  request: {
    groupId: string('0+'),
    memberId: string('0+'),
    memberEpoch: int32('0+'),
    instanceId: string('0+', { nullable: '0+', default: null }),
    rackId: string('0+', { nullable: '0+', default: null }),
    rebalanceTimeoutMs: int32('0+', { default: -1 }),
    subscribedTopicNames: strings('0+', { nullable: '0+', default: null }),
    subscribedTopicRegex: string('1+', { nullable: '1+', default: null }),
    serverAssignor: string('0+', { nullable: '0+', default: null }),
    topicPartitions: array('0+', topicPartitions, { nullable: '0+', default: null }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    memberId: string('0+', { nullable: '0+', default: null }),
    memberEpoch: int32('0+'),
    heartbeatIntervalMs: int32('0+'),
    assignment: struct(
      '0+',
      {
        topicPartitions: array('0+', topicPartitions),
      },
      { nullable: '0+', default: null },
    ),
  },
})
