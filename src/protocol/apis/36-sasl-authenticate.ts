import { bytes, defineApi, errorCode, int64, string } from '../schema.ts'

/**
 * Carries the bytes of a SASL mechanism after SaslHandshake v1 (KIP-152).
 *
 * Added: v1 lifetime of the session (KIP-368); v2 compact form.
 *
 * Not served yet.
 */
export const saslAuthenticate = defineApi({
  key: 36,
  name: 'SaslAuthenticate',
  versions: '0-2',
  flexible: '2+',
  request: {
    authBytes: bytes('0+'),
  },
  response: {
    errorCode: errorCode('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    authBytes: bytes('0+'),
    sessionLifetimeMs: int64('1+', { default: 0, ignorable: true }),
  },
})
