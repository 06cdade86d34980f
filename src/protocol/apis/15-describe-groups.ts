import { array, bool, bytes, defineApi, errorCode, int32, string, strings } from '../schema.ts'

/**
 * State, protocol and members of groups, for tools.
 *
 * Added: v1 throttle time; v3 authorized operations (KIP-430); v4 instance ids (KIP-345); v5 compact form; v6 error
 * text and GROUP_ID_NOT_FOUND (KIP-1043).
 */
export const describeGroups = defineApi({
  key: 15,
  name: 'DescribeGroups',
  versions: '0-6',
  flexible: '5+',
  request: {
    groups: strings('0+'),
    includeAuthorizedOperations: bool('3+'),
  },
  response: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    groups: array('0+', {
      errorCode: errorCode('0+'),
      errorMessage: string('6+', { nullable: '6+', default: null }),
      groupId: string('0+'),
      groupState: string('0+'),
      protocolType: string('0+'),
      protocolData: string('0+'),
      members: array('0+', {
        memberId: string('0+'),
        groupInstanceId: string('4+', { nullable: '4+', default: null, ignorable: true }),
        clientId: string('0+'),
        clientHost: string('0+'),
        memberMetadata: bytes('0+'),
        memberAssignment: bytes('0+'),
      }),
      authorizedOperations: int32('3+', { default: -2147483648 }),
    }),
  },
})
