import { defineApi, errorCode, int32, string } from '../schema.ts'

/**
 * A member tells its group coordinator that it is alive.
 *
 * Added: v1 throttle time; v3 static members (KIP-345); v4 compact form.
 */
export const heartbeat = defineApi({
  key: 12,
  name: 'Heartbeat',
  versions: '0-4',
  flexible: '4+',
  request: {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
  },
  response: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: errorCode('0+'),
  },
})
