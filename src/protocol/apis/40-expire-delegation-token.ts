import { bytes, defineApi, errorCode, int32, int64 } from '../schema.ts'

/**
 * Ends a delegation token, at once or at a time (KIP-48).
 *
 * Added: v2 compact form.
 *
 * Not served yet.
 */
export const expireDelegationToken = defineApi({
  key: 40,
  name: 'ExpireDelegationToken',
  versions: '0-2',
  flexible: '2+',
  request: {
    hmac: bytes('0+'),
    expiryTimePeriodMs: int64('0+'),
  },
  response: {
    errorCode: errorCode('0+'),
    expiryTimestampMs: int64('0+'),
    throttleTimeMs: int32('0+', { default: 0 }),
  },
})
