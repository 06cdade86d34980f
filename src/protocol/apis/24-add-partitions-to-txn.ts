import {
  array,
  bool,
  defineApi,
  errorCode,
  int16,
  int32,
  int32s,
  int64,
  string,
} from '../schema.ts'

const addPartitionsToTxnTopic = {
  name: string('0+'),
  partitions: int32s('0+'),
}

const addPartitionsToTxnPartitionResult = {
  partitionIndex: int32('0+'),
  partitionErrorCode: int16('0+'),
}

const addPartitionsToTxnTopicResult = {
  name: string('0+'),
  resultsByPartition: array('0+', addPartitionsToTxnPartitionResult),
}

/**
 * Tells the transaction coordinator which partitions a transaction writes to (KIP-98). v4 and v5 are for brokers,
 * which verify by them (KIP-890).
 *
 * Added: v3 compact form; v4 several transactions at once; v5 newer transaction errors.
 *
 * Not served yet.
 */
export const addPartitionsToTxn = defineApi({
  key: 24,
  name: 'AddPartitionsToTxn',
  versions: '0-5',
  flexible: '3+',
  request: {
    transactions: array('4+', {
      transactionalId: string('4+'),
      producerId: int64('4+'),
      producerEpoch: int16('4+'),
      verifyOnly: bool('4+', { default: false }),
      topics: array('4+', addPartitionsToTxnTopic),
    }),
    v3AndBelowTransactionalId: string('0-3'),
    v3AndBelowProducerId: int64('0-3'),
    v3AndBelowProducerEpoch: int16('0-3'),
    v3AndBelowTopics: array('0-3', addPartitionsToTxnTopic),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('4+', { ignorable: true }),
    resultsByTransaction: array('4+', {
      transactionalId: string('4+'),
      topicResults: array('4+', addPartitionsToTxnTopicResult),
    }),
    resultsByTopicV3AndBelow: array('0-3', addPartitionsToTxnTopicResult),
  },
})
