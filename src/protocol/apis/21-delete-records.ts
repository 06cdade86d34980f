import { array, defineApi, errorCode, int32, int64, string } from '../schema.ts'

/**
 * Moves the start of partitions' logs, so that records before it are gone; -1 means the high watermark (KIP-107).
 *
 * Added: v2 compact form.
 */
export const deleteRecords = defineApi({
  key: 21,
  name: 'DeleteRecords',
  versions: '0-2',
  flexible: '2+',
  request: {
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        offset: int64('0+'),
      }),
    }),
    timeoutMs: int32('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        lowWatermark: int64('0+'),
        errorCode: errorCode('0+'),
      }),
    }),
  },
})
