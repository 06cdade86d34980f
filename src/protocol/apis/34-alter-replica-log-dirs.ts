import { array, defineApi, errorCode, int32, int32s, string } from '../schema.ts'

/**
 * Moves replicas from one log directory of a broker to another (KIP-113).
 *
 * Added: v2 compact form.
 *
 * Not served: v0, which Kafka 4 dropped.
 */
export const alterReplicaLogDirs = defineApi({
  key: 34,
  name: 'AlterReplicaLogDirs',
  versions: '0-2',
  flexible: '2+',
  request: {
    dirs: array('0+', {
      path: string('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitions: int32s('0+'),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: errorCode('0+'),
      }),
    }),
  },
})
