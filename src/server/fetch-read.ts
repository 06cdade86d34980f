import type { Partition } from '../cluster/partition.ts'
import type { ReadResult } from '../log/log-outcomes.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { FetchEntry } from './fetch-list.ts'
import type { Services } from './handler.ts'
import { findPartition, findPartitionById, leaderEpochError } from './partition-lookup.ts'

/** One partition of a Fetch answer, as the wire has it, with two counts beside. */
export type PartitionAnswer = {
  partitionIndex: number
  errorCode: ErrorCode
  highWatermark: number
  lastStableOffset: number
  logStartOffset: number
  divergingEpoch: { epoch: number; endOffset: number } | undefined
  currentLeader: { leaderId: number; leaderEpoch: number } | undefined
  abortedTransactions: readonly { producerId: number; firstOffset: number }[] | null
  records: Buffer | readonly Buffer[]
  /** Size of `records`. */
  recordBytes: number
  /** There are records for the reader that did not fit: it must be looked at again, although nothing moved. */
  isHungry: boolean
}

const NO_RECORDS = Buffer.alloc(0)

/**
 * Reads what one partition has for one reader.
 *
 * @param room bytes left in the answer
 * @param first nothing was read for this answer yet: the first batch comes whole, however large
 */
export function readEntry(
  services: Services,
  entry: FetchEntry,
  room: number,
  first: boolean,
  readCommitted: boolean,
): PartitionAnswer | Promise<PartitionAnswer> {
  const partition = partitionOf(services, entry)
  if (typeof partition === 'number') return unknown(entry, partition)
  const epochError = leaderEpochError(partition, entry.currentLeaderEpoch)
  if (epochError !== ErrorCode.NONE) return failed(entry, epochError)
  if (entry.lastFetchedEpoch >= 0) {
    const diverged = checkDivergence(partition, entry)
    if (diverged !== undefined) return diverged
  }
  const { fetchOffset } = entry
  if (isGone(partition)) return failed(entry, ErrorCode.KAFKA_STORAGE_ERROR)
  if (fetchOffset < partition.logStartOffset || fetchOffset > partition.logEndOffset) {
    return failed(entry, ErrorCode.OFFSET_OUT_OF_RANGE)
  }
  const maxBytes = Math.min(entry.maxBytes, room)
  const visible = readCommitted ? partition.lastStableOffset : partition.highWatermark
  if (fetchOffset >= visible || (maxBytes <= 0 && !first)) {
    const answer = withState(entry, partition, NO_RECORDS, 0, readCommitted ? [] : null)
    answer.isHungry = fetchOffset < visible
    return answer
  }
  const read = partition.read(fetchOffset, Math.max(0, maxBytes), {
    readCommitted,
    minOneBatch: first,
  })
  return read instanceof Promise
    ? read.then((result) => toAnswer(entry, partition, result))
    : toAnswer(entry, partition, read)
}

/** Its log directory was closed after a disk error. */
const isGone = ({ log }: Partition): boolean => log.state === 'offline' || log.state === 'closed'

/** What an answer tells of a partition that was not read. */
export function stateOfEntry(
  services: Services,
  entry: FetchEntry,
  readCommitted: boolean,
): PartitionAnswer {
  const partition = partitionOf(services, entry)
  if (typeof partition === 'number') return unknown(entry, partition)
  if (isGone(partition)) return failed(entry, ErrorCode.KAFKA_STORAGE_ERROR)
  return withState(entry, partition, NO_RECORDS, 0, readCommitted ? [] : null)
}

export function partitionOf(services: Services, entry: FetchEntry): Partition | ErrorCode {
  return entry.topic === ''
    ? findPartitionById(services, entry.topicId, entry.partitionIndex)
    : findPartition(services, entry.topic, entry.partitionIndex)
}

function toAnswer(entry: FetchEntry, partition: Partition, result: ReadResult): PartitionAnswer {
  if (result.errorCode !== ErrorCode.NONE) return failed(entry, result.errorCode)
  const { records, sizeBytes, abortedTransactions } = result
  const answer = withState(entry, partition, records, sizeBytes, abortedTransactions)
  // Only what is visible is read: without a batch, the first one was too large for what room was left.
  answer.isHungry = sizeBytes === 0
  return answer
}

function withState(
  entry: FetchEntry,
  partition: Partition,
  records: Buffer | readonly Buffer[],
  recordBytes: number,
  abortedTransactions: PartitionAnswer['abortedTransactions'],
): PartitionAnswer {
  return {
    partitionIndex: entry.partitionIndex,
    errorCode: ErrorCode.NONE,
    highWatermark: partition.highWatermark,
    lastStableOffset: partition.lastStableOffset,
    logStartOffset: partition.logStartOffset,
    divergingEpoch: undefined,
    currentLeader: undefined,
    abortedTransactions,
    records,
    recordBytes,
    isHungry: false,
  }
}

/** Kafka has an empty list of aborted transactions here, and none with all other errors. */
const unknown = (entry: FetchEntry, errorCode: ErrorCode): PartitionAnswer => ({
  ...failed(entry, errorCode),
  abortedTransactions: [],
})

function failed(entry: FetchEntry, errorCode: ErrorCode): PartitionAnswer {
  return {
    partitionIndex: entry.partitionIndex,
    errorCode,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    divergingEpoch: undefined,
    currentLeader: undefined,
    abortedTransactions: null,
    records: NO_RECORDS,
    recordBytes: 0,
    isHungry: false,
  }
}

/**
 * Whether the reader's log parted from this one before its fetch offset (KIP-595): then it is told where its last
 * epoch ends here, so that it can cut its own log back.
 */
function checkDivergence(partition: Partition, entry: FetchEntry): PartitionAnswer | undefined {
  const { leaderEpoch, endOffset } = partition.endOffsetForEpoch(entry.lastFetchedEpoch)
  if (leaderEpoch < 0 || endOffset < 0 || entry.fetchOffset < partition.logStartOffset) {
    return failed(entry, ErrorCode.OFFSET_OUT_OF_RANGE)
  }
  if (leaderEpoch >= entry.lastFetchedEpoch && endOffset >= entry.fetchOffset) return undefined
  const answer = withState(entry, partition, NO_RECORDS, 0, null)
  answer.divergingEpoch = { epoch: leaderEpoch, endOffset }
  return answer
}
