import { array, defineApi, errorCode, int32, string } from '../schema.ts'

/**
 * Members leave a classic group at once, instead of by time-out.
 *
 * Added: v1 throttle time; v3 several members, also by instance id (KIP-345); v4 compact form; v5 reason (KIP-800).
 */
export const leaveGroup = defineApi({
  key: 13,
  name: 'LeaveGroup',
  versions: '0-5',
  flexible: '4+',
  request: {
    groupId: string('0+'),
    memberId: string('0-2'),
    members: array('3+', {
      memberId: string('3+'),
      groupInstanceId: string('3+', { nullable: '3+', default: null }),
      reason: string('5+', { nullable: '5+', default: null, ignorable: true }),
    }),
  },
  response: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: errorCode('0+'),
    members: array('3+', {
      memberId: string('3+'),
      groupInstanceId: string('3+', { nullable: '3+' }),
      errorCode: errorCode('3+'),
    }),
  },
})
