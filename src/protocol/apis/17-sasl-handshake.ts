import { defineApi, errorCode, string, strings } from '../schema.ts'

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
