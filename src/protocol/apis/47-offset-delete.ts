import { array, defineApi, errorCode, int32, string } from '../schema.ts'

/**
 * Forgets a group's offsets of partitions that it does not subscribe to any more (KIP-496). Never in compact form.
 */
export const offsetDelete = defineApi({
  key: 47,
  name: 'OffsetDelete',
  versions: '0',
  flexible: 'none',
  request: {
    groupId: string('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
      }),
    }),
  },
  response: {
    errorCode: errorCode('0+'),
    throttleTimeMs: int32('0+', { default: 0, ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: errorCode('0+'),
      }),
    }),
  },
})
