import { bool, defineApi, errorCode, int16, int32, int64, string } from '../schema.ts'

/**
 * Gives a producer its id and epoch, for idempotence (null transactional id) or for transactions (KIP-98).
 *
 * Added: v2 compact form; v3 the epoch the producer has, to be raised (KIP-360); v4 PRODUCER_FENCED (KIP-588); v5
 * newer transaction errors (KIP-890); v6 two-phase commit (KIP-939), unstable in 4.3.
 *
 * Not served: v6, which Kafka 4.3 keeps back; transactional ids, until there are transactions.
 */
export const initProducerId = defineApi({
  key: 22,
  name: 'InitProducerId',
  versions: '0-6',
  flexible: '2+',
  request: {
    transactionalId: string('0+', { nullable: '0+' }),
    transactionTimeoutMs: int32('0+'),
    producerId: int64('3+', { default: -1 }),
    producerEpoch: int16('3+', { default: -1 }),
    enable2Pc: bool('6+', { default: false }),
    keepPreparedTxn: bool('6+', { default: false }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0, ignorable: true }),
    errorCode: errorCode('0+'),
    producerId: int64('0+', { default: -1 }),
    producerEpoch: int16('0+'),
    ongoingTxnProducerId: int64('6+', { default: -1 }),
    ongoingTxnProducerEpoch: int16('6+', { default: -1 }),
  },
})
