import { assignReplicasToDirs } from '../../protocol/apis/73-assign-replicas-to-dirs.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { LOST_DIRECTORY } from '../../protocol/uuid.ts'
import { defineHandler } from '../handler.ts'

/**
 * A broker tells which of its replicas lay on a disk that failed (KIP-858): served by the active controller.
 *
 * Not served: any other directory than Kafka's `DirectoryId.LOST`. Nobody needs to know where a replica lies that is
 * well, so nobody is told, and it is UNSUPPORTED_VERSION for all of the request.
 */
export const assignReplicasToDirsHandler = defineHandler({
  api: assignReplicasToDirs,
  versions: '0',
  interBroker: true,
  requires: 'CLUSTER_ACTION cluster',
  serve: async ({ brokerId, brokerEpoch, directories }, { services, connection }) => {
    if (brokerId !== connection.brokerId) return refused(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    if (!services.controller.isActive) return refused(ErrorCode.NOT_CONTROLLER)
    if (directories.some(({ id }) => id !== LOST_DIRECTORY)) {
      return refused(ErrorCode.UNSUPPORTED_VERSION)
    }
    const topics = directories.flatMap((directory) =>
      directory.topics.map(({ topicId, partitions }) => ({
        topicId,
        partitions: partitions.map(({ partitionIndex }) => partitionIndex),
      })),
    )
    const errorCode = await services.controller.failReplicas({ brokerId, brokerEpoch, topics })
    if (errorCode !== ErrorCode.NONE) return refused(errorCode)
    return {
      errorCode,
      directories: directories.map(({ id, topics }) => ({
        id,
        topics: topics.map(({ topicId, partitions }) => ({
          topicId,
          partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
        })),
      })),
    }
  },
  refuse: (_request, errorCode) => refused(errorCode),
})

const refused = (errorCode: ErrorCode) => ({ errorCode, directories: [] })
