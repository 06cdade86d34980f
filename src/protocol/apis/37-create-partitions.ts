import { array, bool, defineApi, errorCode, int32, int32s, string } from '../schema.ts'

/**
 * Adds partitions to topics (KIP-195).
 *
 * Added: v2 compact form; v3 quota errors (KIP-599).
 */
export const createPartitions = defineApi({
  key: 37,
  name: 'CreatePartitions',
  versions: '0-3',
  flexible: '2+',
  request: {
    topics: array('0+', {
      name: string('0+'),
      count: int32('0+'),
      assignments: array(
        '0+',
        {
          brokerIds: int32s('0+'),
        },
        { nullable: '0+' },
      ),
    }),
    timeoutMs: int32('0+'),
    validateOnly: bool('0+'),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      name: string('0+'),
      errorCode: errorCode('0+'),
      errorMessage: string('0+', { nullable: '0+', default: null }),
    }),
  },
})
