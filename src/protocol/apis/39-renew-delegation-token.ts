import { bytes, defineApi, errorCode, int32, int64 } from '../schema.ts'

/**
 * Renews a delegation token until its longest lifetime (KIP-48).
 *
 * Added: v2 compact form.
 *
 * Not served yet.
 */
export const renewDelegationToken = defineApi({
  key: 39,
  name: 'RenewDelegationToken',
  versions: '0-2',
  flexible: '2+',
  request: {
    hmac: bytes('0+'),
    renewPeriodMs: int64('0+'),
  },
  response: {
    errorCode: errorCode('0+'),
    expiryTimestampMs: int64('0+'),
    throttleTimeMs: int32('0+', { default: 0 }),
  },
})
