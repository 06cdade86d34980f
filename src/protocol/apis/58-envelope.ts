import { bytes, defineApi, errorCode } from '../schema.ts'

/**
 * A broker forwards a client's request to the controller, with the client's principal (KIP-590).
 *
 * For brokers of one cluster: neither told to clients nor served to them.
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
