import { defineApi, errorCode, string, strings } from '../schema.ts'

/**
 * A client chooses its SASL mechanism. After v0 the mechanism's bytes follow bare, after v1 in SaslAuthenticate
 * (KIP-152). Never in compact form.
 *
 * Not served yet.
 */
export const saslHandshake = defineApi({
  key: 17,
  name: 'SaslHandshake',
  versions: '0-1',
  flexible: 'none',
  request: {
    mechanism: string('0+'),
  },
  response: {
    errorCode: errorCode('0+'),
    mechanisms: strings('0+'),
  },
})
