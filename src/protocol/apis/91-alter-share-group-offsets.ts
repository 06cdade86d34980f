import { array, defineApi, errorCode, int32, int64, string, uuid } from '../schema.ts'

/**
 * Sets the start offsets of an empty share group (KIP-932).
 *
 * Not served yet.
 */
export const alterShareGroupOffsets = defineApi({
  key: 91,
  name: 'AlterShareGroupOffsets',
  versions: '0',
  flexible: '0+',
  request: {
    groupId: string('0+'),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        startOffset: int64('0+'),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    responses: array('0+', {
      topicName: string('0+'),
      topicId: uuid('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: errorCode('0+'),
        errorMessage: string('0+', { nullable: '0+', default: null }),
      }),
    }),
  },
})
