import {
  array,
  bool,
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
  topicName: string('0+'),
  partitions: int32s('0+'),
}

const assignment = {
  topicPartitions: array('0+', topicPartitions),
}

/**
 * Members and assignments of share groups (KIP-932). v0 was unstable and is gone.
 *
 * Not served yet.
 */
export const shareGroupDescribe = defineApi({
  key: 77,
  name: 'ShareGroupDescribe',
  versions: '1',
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
        rackId: string('0+', { nullable: '0+', default: null }),
        memberEpoch: int32('0+'),
        clientId: string('0+'),
        clientHost: string('0+'),
        subscribedTopicNames: strings('0+'),
        assignment: struct('0+', assignment),
      }),
      authorizedOperations: int32('0+', { default: -2147483648 }),
    }),
  },
})
