import type { DirectoryDescription } from '../../log/log-dirs.ts'
import type { PartitionLog } from '../../log/partition-log.ts'
import { describeLogDirs } from '../../protocol/apis/35-describe-log-dirs.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { defineHandler, type Services } from '../handler.ts'

type DirAnswer = ResponseInput<typeof describeLogDirs>['results'][number]
type PartitionAnswer = DirAnswer['topics'][number]['partitions'][number]

/** Reading the size of a log may open it; other requests get their turn after this. */
const SLICE_MS = 5

/** Where this broker's logs lie and how large they are. */
export const describeLogDirsHandler = defineHandler({
  api: describeLogDirs,
  versions: '1-5',
  requires: 'DESCRIBE cluster',
  serve: async ({ topics }, { services }) => {
    const wanted = wantedPartitions(topics)
    const results: DirAnswer[] = []
    for (const directory of await services.logDirs.describe()) {
      results.push(await describeDirectory(directory, wanted, services))
    }
    return { errorCode: ErrorCode.NONE, results }
  },
  refuse: (_request, errorCode) => ({ errorCode, results: [] }),
})

type Wanted = ReadonlyMap<string, ReadonlySet<number>> | undefined

/** @returns undefined when all are wanted */
function wantedPartitions(topics: RequestOf<typeof describeLogDirs>['topics']): Wanted {
  if (topics === null) return undefined
  const wanted = new Map<string, Set<number>>()
  for (const { topic, partitions } of topics) {
    const indexes = wanted.get(topic) ?? new Set<number>()
    for (const index of partitions) indexes.add(index)
    wanted.set(topic, indexes)
  }
  return wanted
}

async function describeDirectory(
  { path, isOffline, totalBytes, usableBytes, logs, moves }: DirectoryDescription,
  wanted: Wanted,
  services: Services,
): Promise<DirAnswer> {
  if (isOffline) return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, logDir: path, topics: [] }
  const { monotonic, timers } = services.io
  const topics = new Map<string, PartitionAnswer[]>()
  let endMs = monotonic.nowMs() + SLICE_MS
  for (const log of logs) {
    if (wanted && !wanted.get(log.topic)?.has(log.partitionIndex)) continue
    const partitions = topics.get(log.topic) ?? []
    partitions.push(describeLog(log))
    topics.set(log.topic, partitions)
    if (monotonic.nowMs() < endMs) continue
    await new Promise<void>((resolve) => timers.endOfTurn(resolve))
    endMs = monotonic.nowMs() + SLICE_MS
  }
  for (const { topic, partitionIndex, sizeBytes: partitionSize, lagRecords: offsetLag } of moves) {
    if (wanted && !wanted.get(topic)?.has(partitionIndex)) continue
    const partitions = topics.get(topic) ?? []
    partitions.push({ partitionIndex, partitionSize, offsetLag, isFutureKey: true })
    topics.set(topic, partitions)
  }
  return {
    errorCode: ErrorCode.NONE,
    logDir: path,
    topics: [...topics].map(([name, partitions]) => ({ name, partitions })),
    totalBytes,
    usableBytes,
    isCordoned: false,
  }
}

function describeLog(log: PartitionLog): PartitionAnswer {
  const { partitionIndex } = log
  // A log that was never written to has no files.
  const isEmpty = !log.hasFolder
  const lag = isEmpty ? 0 : Math.max(0, log.highWatermark - log.logEndOffset)
  const partitionSize = isEmpty ? 0 : log.sizeBytes
  return { partitionIndex, partitionSize, offsetLag: lag, isFutureKey: false }
}
