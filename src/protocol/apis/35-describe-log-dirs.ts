import { array, bool, defineApi, errorCode, int32, int32s, int64, string } from '../schema.ts'

/**
 * Log directories of a broker, and the size of each partition in them (KIP-113).
 *
 * Added: v2 compact form; v3 error for the whole answer; v4 size of the file systems (KIP-827); v5 cordoned
 * directories (KIP-1066).
 *
 * Not served: v0, which Kafka 4 dropped.
 */
export const describeLogDirs = defineApi({
  key: 35,
  name: 'DescribeLogDirs',
  versions: '0-5',
  flexible: '2+',
  request: {
    topics: array(
      '0+',
      {
        topic: string('0+'),
        partitions: int32s('0+'),
      },
      { nullable: '0+' },
    ),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('3+', { ignorable: true }),
    results: array('0+', {
      errorCode: errorCode('0+'),
      logDir: string('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
          partitionSize: int64('0+'),
          offsetLag: int64('0+'),
          isFutureKey: bool('0+'),
        }),
      }),
      totalBytes: int64('4+', { default: -1, ignorable: true }),
      usableBytes: int64('4+', { default: -1, ignorable: true }),
      isCordoned: bool('5+', { default: false, ignorable: true }),
    }),
  },
})
