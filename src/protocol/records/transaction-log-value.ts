import { array, defineMessage, int8, int16, int32, int32s, int64, string } from '../schema.ts'

/**
 * Value of key 0 of `__transaction_state`: the state of a transactional id: producer, status, partitions of the open
 * transaction (KIP-98). v1 compact form, and the ids before and after this one (KIP-890).
 */
export const transactionLogValue = defineMessage({
  name: 'TransactionLogValue',
  versions: '0-1',
  flexible: '1+',
  fields: {
    producerId: int64('0+'),
    previousProducerId: int64('1+', { tag: 0, default: -1 }),
    nextProducerId: int64('1+', { tag: 1, default: -1 }),
    producerEpoch: int16('0+'),
    nextProducerEpoch: int16('1+', { tag: 3, default: -1 }),
    transactionTimeoutMs: int32('0+'),
    transactionStatus: int8('0+'),
    transactionPartitions: array(
      '0+',
      {
        topic: string('0+'),
        partitionIds: int32s('0+'),
      },
      { nullable: '0+' },
    ),
    transactionLastUpdateTimestampMs: int64('0+'),
    transactionStartTimestampMs: int64('0+'),
    clientTransactionVersion: int16('1+', { tag: 2, default: 0 }),
  },
})
