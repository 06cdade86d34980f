import { array, defineApi, errorCode, int32, int64, uuid } from '../schema.ts'

/**
 * A broker tells the controller in which log directories its replicas lie (KIP-858).
 *
 * Not served: directories that are well; see `handlers/73-assign-replicas-to-dirs.ts`.
 */
export const assignReplicasToDirs = defineApi({
  key: 73,
  name: 'AssignReplicasToDirs',
  versions: '0',
  flexible: '0+',
  request: {
    brokerId: int32('0+'),
    brokerEpoch: int64('0+', { default: -1 }),
    directories: array('0+', {
      id: uuid('0+'),
      topics: array('0+', {
        topicId: uuid('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
        }),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: errorCode('0+'),
    directories: array('0+', {
      id: uuid('0+'),
      topics: array('0+', {
        topicId: uuid('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
          errorCode: errorCode('0+'),
        }),
      }),
    }),
  },
})
