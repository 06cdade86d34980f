import type { Partition } from '../cluster/partition.ts'
import type { ReplicaState } from '../cluster/replica-state.ts'
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
  /** A broker that the reader shall go to instead; -1: none. */
  preferredReadReplica: number
}

const NO_RECORDS = Buffer.alloc(0)

/** One request of a broker that fetches as a follower, known by its connection. It counts once for each partition. */
export type FetchingReplica = {
  readonly brokerId: number
  readonly brokerEpoch: number
  /** Monotonic time at which the request came. */
  readonly atMs: number
}

/** Who reads, and how much of the log that reader sees. */
export type FetchReader = {
  readonly readCommitted: boolean
  /** Undefined: a consumer. */
  readonly replica: FetchingReplica | undefined
  /** Of a consumer that may be sent to a nearer replica, or reads from one (KIP-392, Fetch v11); undefined: it cannot. */
  readonly rack: string | undefined
}

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
  reader: FetchReader,
): PartitionAnswer | Promise<PartitionAnswer> {
  const { readCommitted, rack } = reader
  const partition = partitionOf(services, entry, reader)
  if (typeof partition === 'number') return unknown(entry, partition)
  const epochError = leaderEpochError(partition, entry.currentLeaderEpoch)
  if (epochError !== ErrorCode.NONE) return failed(entry, epochError)
  if (entry.lastFetchedEpoch >= 0 && partition.isLeader) {
    const diverged = checkDivergence(partition, entry)
    if (diverged !== undefined) {
      // Where the log begins is told with every refusal: the follower need not ask.
      if (reader.replica) diverged.logStartOffset = partition.logStartOffset
      return diverged
    }
  }
  if (reader.replica) return readForReplica(services, entry, partition, room, first, reader.replica)
  if (rack) {
    const nearer = preferredReplica(services, partition, rack, entry.fetchOffset)
    if (nearer >= 0) {
      const answer = withState(entry, partition, NO_RECORDS, 0, readCommitted ? [] : null)
      answer.preferredReadReplica = nearer
      return answer
    }
  }
  const { fetchOffset } = entry
  if (isGone(partition)) return failed(entry, ErrorCode.KAFKA_STORAGE_ERROR)
  if (fetchOffset < partition.logStartOffset || fetchOffset > partition.logEndOffset) {
    // What a follower does not have may well be there, and a reader that believes it gone begins anew.
    const mayBeThere = fetchOffset > partition.logEndOffset && !partition.isLeader
    const { OFFSET_OUT_OF_RANGE, NOT_LEADER_OR_FOLLOWER } = ErrorCode
    return failed(entry, mayBeThere ? NOT_LEADER_OR_FOLLOWER : OFFSET_OUT_OF_RANGE)
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

/**
 * A follower's fetch tells how far it is, before anything is read for it or others: producers may be waiting for that.
 * One that cannot be served, or whose log parted from this one, does not count.
 */
export function countFetch(
  services: Services,
  entry: FetchEntry,
  replica: FetchingReplica,
): ErrorCode {
  if (entry.removed || entry.countedFetch === replica) return ErrorCode.NONE
  const partition = partitionOf(services, entry)
  if (typeof partition === 'number') return ErrorCode.NONE
  const epochError = leaderEpochError(partition, entry.currentLeaderEpoch)
  if (epochError !== ErrorCode.NONE || isGone(partition)) return ErrorCode.NONE
  const { fetchOffset, logStartOffset } = entry
  if (fetchOffset < partition.logStartOffset || fetchOffset > partition.logEndOffset)
    return ErrorCode.NONE
  if (entry.lastFetchedEpoch >= 0 && checkDivergence(partition, entry)) return ErrorCode.NONE
  const { brokerId, brokerEpoch, atMs } = replica
  const fetch = { brokerId, brokerEpoch, fetchOffset, logStartOffset, atMs }
  const errorCode = partition.replicaFetched(fetch)
  if (errorCode === ErrorCode.NONE) entry.countedFetch = replica
  return errorCode
}

function readForReplica(
  services: Services,
  entry: FetchEntry,
  partition: Partition,
  room: number,
  first: boolean,
  replica: FetchingReplica,
): PartitionAnswer | Promise<PartitionAnswer> {
  const { fetchOffset } = entry
  if (isGone(partition)) return failed(entry, ErrorCode.KAFKA_STORAGE_ERROR)
  if (fetchOffset < partition.logStartOffset || fetchOffset > partition.logEndOffset) {
    const answer = failed(entry, ErrorCode.OFFSET_OUT_OF_RANGE)
    answer.logStartOffset = partition.logStartOffset
    return answer
  }
  const counted = countFetch(services, entry, replica)
  if (counted !== ErrorCode.NONE) return failed(entry, counted)
  const maxBytes = Math.min(entry.maxBytes, room)
  const end = partition.log.writtenEndOffset
  const isThrottled = partition.leaderThrottled && !partition.isr.includes(replica.brokerId)
  const { leaderThrottle } = services.partitions
  if (
    fetchOffset >= end ||
    (maxBytes <= 0 && !first) ||
    (isThrottled && leaderThrottle.isExceeded)
  ) {
    // The next reads are served from memory.
    if (fetchOffset === end) partition.readForReplica(fetchOffset, 0, false)
    const answer = withState(entry, partition, NO_RECORDS, 0, null)
    answer.isHungry = fetchOffset < end
    return answer
  }
  const take = (result: ReadResult): PartitionAnswer => {
    if (result.errorCode !== ErrorCode.NONE) return failed(entry, result.errorCode)
    const { records, sizeBytes } = result
    if (isThrottled) leaderThrottle.record(sizeBytes)
    services.topicMetrics.of(partition.topic).replicationBytesOut += sizeBytes
    services.topicMetrics.total.replicationBytesOut += sizeBytes
    const answer = withState(entry, partition, records, sizeBytes, null)
    answer.isHungry = sizeBytes === 0
    return answer
  }
  const read = partition.readForReplica(fetchOffset, Math.max(0, maxBytes), first)
  return read instanceof Promise ? read.then(take) : take(read)
}

const RACK_AWARE_SELECTOR = /(^|\.)RackAwareReplicaSelector$/

/**
 * The replica that a consumer of this rack shall read from (KIP-392, Kafka's RackAwareReplicaSelector): one in its rack
 * that is in sync and has the offset, the one that is furthest. One that lags would hold the consumer back, for as long as
 * it lags: whoever asks the leader again is sent to it again.
 *
 * @returns -1: the leader is right
 */
function preferredReplica(
  { config, image, broker }: Services,
  partition: Partition,
  rack: string,
  fetchOffset: number,
): number {
  const selector = config['replica.selector.class']
  if (!selector || !RACK_AWARE_SELECTOR.test(selector)) return -1
  if (!partition.isLeader || broker.rack === rack) return -1
  let best: ReplicaState | undefined
  for (const follower of partition.followers) {
    const { brokerId, logEndOffset, logStartOffset, lastCaughtUpMs } = follower
    const peer = image.brokers.get(brokerId)
    if (!peer || peer.fenced || peer.rack !== rack || !partition.isr.includes(brokerId)) continue
    if (fetchOffset > logEndOffset || fetchOffset < logStartOffset) continue
    const isBetter =
      !best ||
      logEndOffset > best.logEndOffset ||
      (logEndOffset === best.logEndOffset && lastCaughtUpMs > best.lastCaughtUpMs)
    if (isBetter) best = follower
  }
  return best?.brokerId ?? -1
}

/** Its log directory was closed after a disk error. */
const isGone = ({ log }: Partition): boolean => log.state === 'offline' || log.state === 'closed'

/** What an answer tells of a partition that was not read. */
export function stateOfEntry(
  services: Services,
  entry: FetchEntry,
  reader: FetchReader,
): PartitionAnswer {
  const partition = partitionOf(services, entry, reader)
  if (typeof partition === 'number') return unknown(entry, partition)
  if (isGone(partition)) return failed(entry, ErrorCode.KAFKA_STORAGE_ERROR)
  return withState(entry, partition, NO_RECORDS, 0, reader.readCommitted ? [] : null)
}

/** Brokers and old consumers read from the leader alone; others from any replica. */
export function partitionOf(
  services: Services,
  entry: FetchEntry,
  reader?: FetchReader,
): Partition | ErrorCode {
  const { topic, topicId, partitionIndex } = entry
  const { usesTopicIds } = entry.list
  const found = usesTopicIds
    ? findPartitionById(services, topicId, partitionIndex)
    : findPartition(services, topic, partitionIndex)
  if (found !== ErrorCode.NOT_LEADER_OR_FOLLOWER || reader?.rack === undefined) return found
  const { partitions } = services
  const replica = usesTopicIds
    ? partitions.replicaById(topicId, partitionIndex)
    : partitions.replica(topic, partitionIndex)
  return replica?.isFollower ? replica : found
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
    preferredReadReplica: -1,
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
    preferredReadReplica: -1,
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
