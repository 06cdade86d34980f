import { array, defineApi, errorCode, int32, int64, string, uuid } from '../schema.ts'

/**
 * The group coordinator has the share coordinator begin the state of share partitions (KIP-932). Between brokers.
 *
 * Not served yet.
 */
export const initializeShareGroupState = defineApi({
  key: 83,
  name: 'InitializeShareGroupState',
  versions: '0',
  flexible: '0+',
  request: {
    groupId: string('0+'),
    topics: array('0+', {
      topicId: uuid('0+'),
      partitions: array('0+', {
        partition: int32('0+'),
        stateEpoch: int32('0+'),
        startOffset: int64('0+'),
      }),
    }),
  },
  response: {
    results: array('0+', {
      topicId: uuid('0+'),
      partitions: array('0+', {
        partition: int32('0+'),
        errorCode: errorCode('0+'),
        errorMessage: string('0+', { nullable: '0+', default: null }),
      }),
    }),
  },
})
