import { defineApi, errorCode, int32, int64 } from '../schema.ts'

/**
 * A broker asks the controller for a block of producer ids (KIP-730).
 *
 * For brokers of one cluster: neither told to clients nor served to them.
 */
export const allocateProducerIds = defineApi({
  key: 67,
  name: 'AllocateProducerIds',
  versions: '0',
  flexible: '0+',
  request: {
    brokerId: int32('0+'),
    brokerEpoch: int64('0+', { default: -1 }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    producerIdStart: int64('0+'),
    producerIdLen: int32('0+'),
  },
})
