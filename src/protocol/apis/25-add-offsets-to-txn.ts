import { defineApi, errorCode, int16, int32, int64, string } from '../schema.ts'

/**
 * Tells the transaction coordinator that offsets of a group are going to be committed in the transaction (KIP-98).
 *
 * Added: v2 PRODUCER_FENCED (KIP-588); v3 compact form; v4 newer transaction errors (KIP-890).
 *
 * Not served yet.
 */
export const addOffsetsToTxn = defineApi({
  key: 25,
  name: 'AddOffsetsToTxn',
  versions: '0-4',
  flexible: '3+',
  request: {
    transactionalId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    groupId: string('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
  },
})
