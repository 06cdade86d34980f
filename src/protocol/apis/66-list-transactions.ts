import { array, defineApi, errorCode, int32, int64, int64s, string, strings } from '../schema.ts'

/**
 * Transactions that this broker coordinates (KIP-664).
 *
 * Added: v1 by duration (KIP-994); v2 by a pattern of the id (KIP-1152).
 *
 * Not served yet.
 */
export const listTransactions = defineApi({
  key: 66,
  name: 'ListTransactions',
  versions: '0-2',
  flexible: '0+',
  request: {
    stateFilters: strings('0+'),
    producerIdFilters: int64s('0+'),
    durationFilter: int64('1+', { default: -1 }),
    transactionalIdPattern: string('2+', { nullable: '2+', default: null }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    unknownStateFilters: strings('0+'),
    transactionStates: array('0+', {
      transactionalId: string('0+'),
      producerId: int64('0+'),
      transactionState: string('0+'),
    }),
  },
})
