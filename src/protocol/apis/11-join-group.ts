import { array, bool, bytes, defineApi, errorCode, int32, string } from '../schema.ts'

/**
 * A member of a classic group asks to take part in the next generation. The answer waits for the other members; the
 * leader's holds what all members subscribe to.
 *
 * Added: v1 rebalance time-out (KIP-62); v2 throttle time; v4 a member id is given before joining (KIP-394); v5
 * static members (KIP-345); v6 compact form; v7 protocol type in the answer (KIP-559); v8 reason (KIP-800); v9 the
 * leader may be told to keep the assignment (KIP-814).
 */
export const joinGroup = defineApi({
  key: 11,
  name: 'JoinGroup',
  versions: '0-9',
  flexible: '6+',
  request: {
    groupId: string('0+'),
    sessionTimeoutMs: int32('0+'),
    rebalanceTimeoutMs: int32('1+', { default: -1, ignorable: true }),
    memberId: string('0+'),
    groupInstanceId: string('5+', { nullable: '5+', default: null }),
    protocolType: string('0+'),
    protocols: array('0+', {
      name: string('0+'),
      metadata: bytes('0+'),
    }),
    reason: string('8+', { nullable: '8+', default: null, ignorable: true }),
  },
  response: {
    throttleTimeMs: int32('2+', { default: 0, ignorable: true }),
    errorCode: errorCode('0+'),
    generationId: int32('0+', { default: -1 }),
    protocolType: string('7+', { nullable: '7+', default: null, ignorable: true }),
    protocolName: string('0+', { nullable: '7+' }),
    leader: string('0+'),
    skipAssignment: bool('9+', { default: false }),
    memberId: string('0+'),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: string('5+', { nullable: '5+', default: null, ignorable: true }),
      metadata: bytes('0+'),
    }),
  },
})
