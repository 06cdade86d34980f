import {
  array,
  bool,
  defineApi,
  errorCode,
  int8,
  int16,
  int32,
  int32s,
  int64,
  string,
} from '../schema.ts'

/**
 * The transaction coordinator has partition leaders write commit or abort markers (KIP-98). Between brokers.
 *
 * Added: v1 compact form; v2 transaction version (KIP-1228).
 *
 * Not served yet.
 */
export const writeTxnMarkers = defineApi({
  key: 27,
  name: 'WriteTxnMarkers',
  versions: '0-2',
  flexible: '1+',
  request: {
    markers: array('0+', {
      producerId: int64('0+'),
      producerEpoch: int16('0+'),
      transactionResult: bool('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitionIndexes: int32s('0+'),
      }),
      coordinatorEpoch: int32('0+'),
      transactionVersion: int8('2+', { default: 0, ignorable: true }),
    }),
  },
  response: {
    markers: array('0+', {
      producerId: int64('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
          errorCode: errorCode('0+'),
        }),
      }),
    }),
  },
})
