import { defineMessage, int16, int32, string } from '../schema.ts'

/**
 * What stands before every request. v1 for requests in the plain form, v2 for the compact form (KIP-482); the client
 * id stays plain in both. v0 was ControlledShutdown's alone.
 */
export const requestHeader = defineMessage({
  name: 'RequestHeader',
  versions: '0-2',
  flexible: '2+',
  fields: {
    requestApiKey: int16('0+'),
    requestApiVersion: int16('0+'),
    correlationId: int32('0+'),
    clientId: string('1+', { nullable: '1+', flexible: 'none' }),
  },
})
