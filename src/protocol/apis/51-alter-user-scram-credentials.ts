import { array, bytes, defineApi, errorCode, int8, int32, string } from '../schema.ts'

/**
 * Sets and removes SCRAM credentials, salted by the client (KIP-554). librdkafka 2.16 sends a byte too many behind
 * the body.
 *
 * Not served yet.
 */
export const alterUserScramCredentials = defineApi({
  key: 51,
  name: 'AlterUserScramCredentials',
  versions: '0',
  flexible: '0+',
  request: {
    deletions: array('0+', {
      name: string('0+'),
      mechanism: int8('0+'),
    }),
    upsertions: array('0+', {
      name: string('0+'),
      mechanism: int8('0+'),
      iterations: int32('0+'),
      salt: bytes('0+'),
      saltedPassword: bytes('0+'),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      user: string('0+'),
      errorCode: errorCode('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
    }),
  },
})
