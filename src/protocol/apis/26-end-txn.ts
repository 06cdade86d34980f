import { bool, defineApi, errorCode, int16, int32, int64, string } from '../schema.ts'

/**
 * Commits or aborts a transaction (KIP-98).
 *
 * Added: v2 PRODUCER_FENCED (KIP-588); v3 compact form; v4 newer transaction errors; v5 the epoch is raised by each
 * transaction and answered (KIP-890).
 *
 * Not served yet.
 */
export const endTxn = defineApi({
  key: 26,
  name: 'EndTxn',
  versions: '0-5',
  flexible: '3+',
  request: {
    transactionalId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    committed: bool('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    producerId: int64('5+', { default: -1, ignorable: true }),
    producerEpoch: int16('5+', { default: -1, ignorable: true }),
  },
})
