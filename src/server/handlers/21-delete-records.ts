import { isInternalTopic } from '../../cluster/topic-name.ts'
import { deleteRecords } from '../../protocol/apis/21-delete-records.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf } from '../../protocol/schema.ts'
import { defineHandler, type Services } from '../handler.ts'
import { findPartition } from '../partition-lookup.ts'

/** "Not moved." */
const NO_LOW_WATERMARK = -1

/**
 * Moves the log start of partitions. Records below it are gone for readers at once; their files follow. Answers when all
 * replicas on live brokers have moved, or with REQUEST_TIMED_OUT.
 */
export const deleteRecordsHandler = defineHandler({
  api: deleteRecords,
  versions: '0-2',
  requires: 'DELETE topic:topics[]',
  serve: ({ topics, timeoutMs }, { services }) => {
    const pending: Promise<void>[] = []
    const answers = onceEach(topics).map(({ name, offsets }) => ({
      name,
      partitions: [...offsets].map(([partitionIndex, offset]) => {
        const answer = { partitionIndex, ...trim(services, name, partitionIndex, offset) }
        if (answer.errorCode === ErrorCode.NONE) {
          const waiting = follow(services, name, answer, timeoutMs)
          if (waiting) pending.push(waiting)
        }
        return answer
      }),
    }))
    if (pending.length === 0) return { topics: answers }
    return Promise.all(pending).then(() => ({ topics: answers }))
  },
  refuse: ({ topics }, errorCode) => ({
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        lowWatermark: NO_LOW_WATERMARK,
        errorCode,
      })),
    })),
  }),
})

/** A partition that comes twice counts once, with the last offset; a topic without partitions not at all. */
function onceEach(topics: RequestOf<typeof deleteRecords>['topics']) {
  const byName = new Map<string, Map<number, number>>()
  for (const { name, partitions } of topics) {
    const offsets = byName.get(name) ?? new Map<number, number>()
    for (const { partitionIndex, offset } of partitions) offsets.set(partitionIndex, offset)
    if (offsets.size > 0) byName.set(name, offsets)
  }
  return [...byName].map(([name, offsets]) => ({ name, offsets }))
}

type Trimmed = { readonly partitionIndex: number; lowWatermark: number; errorCode: ErrorCode }

/** Waits for the followers; undefined: there is nobody to wait for. */
function follow(
  { io, partitions }: Services,
  topic: string,
  answer: Trimmed,
  timeoutMs: number,
): Promise<void> | undefined {
  const partition = partitions.get(topic, answer.partitionIndex)
  const wanted = answer.lowWatermark
  if (!partition || partition.lowWatermark >= wanted) return undefined
  return new Promise((resolve) => {
    const settle = (errorCode: ErrorCode) => {
      timer.cancel()
      stopWaiting()
      answer.errorCode = errorCode
      answer.lowWatermark = errorCode === ErrorCode.NONE ? partition.lowWatermark : NO_LOW_WATERMARK
      resolve()
    }
    const timer = io.timers.schedule(Math.max(0, timeoutMs), () => {
      settle(ErrorCode.REQUEST_TIMED_OUT)
    })
    const stopWaiting = partition.whenTrimmed(wanted, settle)
  })
}

function trim(services: Services, topic: string, partitionIndex: number, offset: number) {
  const refused = (errorCode: ErrorCode) => ({ lowWatermark: NO_LOW_WATERMARK, errorCode })
  const partition = findPartition(services, topic, partitionIndex)
  if (partition === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return refused(partition)
  if (isInternalTopic(topic)) return refused(ErrorCode.INVALID_TOPIC_EXCEPTION)
  if (typeof partition === 'number') return refused(partition)
  const { errorCode, logStartOffset } = partition.deleteRecordsBefore(offset)
  return errorCode === ErrorCode.NONE
    ? { lowWatermark: logStartOffset, errorCode }
    : refused(errorCode)
}
