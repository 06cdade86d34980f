import {
  array,
  bool,
  defineApi,
  errorCode,
  int8,
  int32,
  int32s,
  string,
  strings,
  struct,
  uuid,
} from '../schema.ts'

const topicPartitions = {
  topicId: uuid('0+'),
  topicName: string('0+'),
  partitions: int32s('0+'),
}

const assignment = {
  topicPartitions: array('0+', topicPartitions),
}

/**
 * Members and assignments of groups of the next-generation protocol (KIP-848).
 *
 * Added: v1 classic or new kind of each member (KIP-1099).
 *
 * Not served yet.
 */
export const consumerGroupDescribe = defineApi({
  key: 69,
  name: 'ConsumerGroupDescribe',
  versions: '0-1',
  flexible: '0+',
  request: {
    groupIds: strings('0+'),
    includeAuthorizedOperations: bool('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    groups: array('0+', {
      errorCode: errorCode('0+'),
      errorMessage: string('0+', { nullable: '0+', default: null }),
      groupId: string('0+'),
      groupState: string('0+'),
      groupEpoch: int32('0+'),
      assignmentEpoch: int32('0+'),
      assignorName: string('0+'),
      members: array('0+', {
        memberId: string('0+'),
        instanceId: string('0+', { nullable: '0+', default: null }),
        rackId: string('0+', { nullable: '0+', default: null }),
        memberEpoch: int32('0+'),
        clientId: string('0+'),
        clientHost: string('0+'),
        subscribedTopicNames: strings('0+'),
        subscribedTopicRegex: string('0+', { nullable: '0+', default: null }),
        assignment: struct('0+', assignment),
        targetAssignment: struct('0+', assignment),
        memberType: int8('1+', { default: -1, ignorable: true }),
      }),
      authorizedOperations: int32('0+', { default: -2147483648 }),
    }),
  },
})
