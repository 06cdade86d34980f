import {
  array,
  defineApi,
  errorCode,
  int16,
  int32,
  int32s,
  int64,
  string,
  strings,
} from '../schema.ts'

/**
 * State of transactions by transactional id (KIP-664).
 *
 * Not served yet.
 */
export const describeTransactions = defineApi({
  key: 65,
  name: 'DescribeTransactions',
  versions: '0',
  flexible: '0+',
  request: {
    transactionalIds: strings('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    transactionStates: array('0+', {
      errorCode: errorCode('0+'),
      transactionalId: string('0+'),
      transactionState: string('0+'),
      transactionTimeoutMs: int32('0+'),
      transactionStartTimeMs: int64('0+'),
      producerId: int64('0+'),
      producerEpoch: int16('0+'),
      topics: array('0+', {
        topic: string('0+'),
        partitions: int32s('0+'),
      }),
    }),
  },
})
