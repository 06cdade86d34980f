import { LONGEST_FOLDER_NAME, lengthOfFutureFolderName } from '../../log/log-files.ts'
import { alterReplicaLogDirs } from '../../protocol/apis/34-alter-replica-log-dirs.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf } from '../../protocol/schema.ts'
import { defineHandler, type Services } from '../handler.ts'

type Dirs = RequestOf<typeof alterReplicaLogDirs>['dirs']

/**
 * Has replicas of this broker move to other log directories (KIP-113). Answered when the moves are begun;
 * DescribeLogDirs tells how far they are. A partition that is not here yet will lie in the directory when it comes.
 */
export const alterReplicaLogDirsHandler = defineHandler({
  api: alterReplicaLogDirs,
  versions: '1-2',
  requires: 'ALTER cluster',
  serve: ({ dirs }, { services }) => ({
    results: outcomesOf(dirs, (topic, partitionIndex, path) =>
      move(topic, partitionIndex, path, services),
    ),
  }),
  refuse: ({ dirs }, errorCode) => ({ results: outcomesOf(dirs, () => errorCode) }),
})

/** A partition that is named twice counts by the last directory. */
function outcomesOf(
  dirs: Dirs,
  decide: (topic: string, partitionIndex: number, path: string) => ErrorCode,
) {
  const wanted = new Map<string, Map<number, string>>()
  for (const { path, topics } of dirs) {
    for (const { name, partitions } of topics) {
      const paths = wanted.get(name) ?? new Map<number, string>()
      for (const partitionIndex of partitions) paths.set(partitionIndex, path)
      if (paths.size > 0) wanted.set(name, paths)
    }
  }
  return [...wanted].map(([topicName, paths]) => ({
    topicName,
    partitions: [...paths].map(([partitionIndex, path]) => ({
      partitionIndex,
      errorCode: decide(topicName, partitionIndex, path),
    })),
  }))
}

/** In Kafka's order (ReplicaManager.alterReplicaLogDirs). */
function move(
  topic: string,
  partitionIndex: number,
  path: string,
  { logDirs, image, partitions }: Services,
): ErrorCode {
  if (lengthOfFutureFolderName(topic, partitionIndex) > LONGEST_FOLDER_NAME) {
    return ErrorCode.INVALID_TOPIC_EXCEPTION
  }
  const { moves } = logDirs
  const target = moves.directory(path)
  if (target === undefined) return ErrorCode.LOG_DIR_NOT_FOUND
  if (target.isOffline) return ErrorCode.KAFKA_STORAGE_ERROR
  const replica = partitions.replica(topic, partitionIndex)
  if (replica === undefined) {
    const exists = image.partition(topic, partitionIndex) !== undefined
    if (!exists) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    moves.prefer(topic, partitionIndex, target)
    return ErrorCode.REPLICA_NOT_AVAILABLE
  }
  if (replica.log.state === 'offline') return ErrorCode.KAFKA_STORAGE_ERROR
  moves.start(replica.log, target)
  return ErrorCode.NONE
}
