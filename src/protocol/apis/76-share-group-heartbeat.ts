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
 * A member of a share group reports that it is alive and what it subscribes to, and learns its partitions (KIP-932).
 * v0 was unstable and is gone.
 *
 * Not served yet.
 */
export const shareGroupHeartbeat = defineApi({
  key: 76,
  name: 'ShareGroupHeartbeat',
  versions: '1',
  flexible: '0+',
  request: {
    groupId: string('0+'),
    memberId: string('0+'),
    memberEpoch: int32('0+'),
    rackId: string('0+', { nullable: '0+', default: null }),
    subscribedTopicNames: strings('0+', { nullable: '0+', default: null }),
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
