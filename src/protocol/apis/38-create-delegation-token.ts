import { array, bytes, defineApi, errorCode, int32, int64, string } from '../schema.ts'

/**
 * Makes a delegation token, with which a program may sign in as its owner (KIP-48).
 *
 * Added: v2 compact form; v3 for another owner than the asking one (KIP-373).
 *
 * Not served yet.
 */
export const createDelegationToken = defineApi({
  key: 38,
  name: 'CreateDelegationToken',
  versions: '0-3',
  flexible: '2+',
  request: {
    ownerPrincipalType: string('3+', { nullable: '3+' }),
    ownerPrincipalName: string('3+', { nullable: '3+' }),
    renewers: array('0+', {
      principalType: string('0+'),
      principalName: string('0+'),
    }),
    maxLifetimeMs: int64('0+'),
  },
  response: {
    errorCode: errorCode('0+'),
    principalType: string('0+'),
    principalName: string('0+'),
    tokenRequesterPrincipalType: string('3+'),
    tokenRequesterPrincipalName: string('3+'),
    issueTimestampMs: int64('0+'),
    expiryTimestampMs: int64('0+'),
    maxTimestampMs: int64('0+'),
    tokenId: string('0+'),
    hmac: bytes('0+'),
    throttleTimeMs: int32('0+', { default: 0 }),
  },
})
