import { bytes, defineApi, errorCode } from '../schema.ts'

/**
 * A broker forwards a client's request to the controller, with the client's principal (KIP-590).
 *
 * Not served: it is for brokers and controllers, and there is one broker so far.
 */
export const envelope = defineApi({
  key: 58,
  name: 'Envelope',
  versions: '0',
  flexible: '0+',
  request: {
    requestData: bytes('0+'),
    requestPrincipal: bytes('0+', { nullable: '0+' }),
    clientHostAddress: bytes('0+'),
  },
  response: {
    responseData: bytes('0+', { nullable: '0+', default: null }),
    errorCode: errorCode('0+'),
  },
})
