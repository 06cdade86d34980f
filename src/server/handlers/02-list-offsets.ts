import type { Partition } from '../../cluster/partition.ts'
import { listOffsets } from '../../protocol/apis/02-list-offsets.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { outcomeOf } from '../error-mapping.ts'
import { defineHandler, type HandlerContext } from '../handler.ts'
import { findPartition, isBroker, leaderEpochError } from '../partition-lookup.ts'

type ListOffsetsRequest = RequestOf<typeof listOffsets>
type PartitionWish = ListOffsetsRequest['topics'][number]['partitions'][number]
type PartitionAnswer = ResponseInput<typeof listOffsets>['topics'][number]['partitions'][number]

/** Timestamps that stand for a place in the log, with the version from which a client may use them. */
const Special = {
  latest: -1,
  earliest: -2,
  maxTimestamp: -3,
  earliestLocal: -4,
  latestTiered: -5,
  earliestPendingUpload: -6,
} as const
const NO_VERSION = 32_768
const firstVersionOf = new Map<number, number>([
  [Special.latest, 0],
  [Special.earliest, 0],
  [Special.maxTimestamp, 7],
  [Special.earliestLocal, 8],
  [Special.latestTiered, 9],
  [Special.earliestPendingUpload, 11],
])
const FIRST_VERSION_WITH_EPOCH = 4
/** KIP-207: before, clients know only the code for a leader that is not there yet. */
const FIRST_VERSION_WITH_NOT_AVAILABLE = 5
const CONSUMER = -1
/** Tools that look at one broker's log, as leader or follower. */
const DEBUGGING = -2

/**
 * Offsets by time, and the ends of the log. A new leader that does not know yet what is committed tells clients to come
 * back. Not served: tiered storage, which has nothing here (offset -1).
 */
export const listOffsetsHandler = defineHandler({
  api: listOffsets,
  versions: '1-11',
  requires: 'DESCRIBE topic:topics[].name',
  serve: (request, context) => {
    if (isBroker(request.replicaId) && request.replicaId !== context.connection.brokerId) {
      return refused(request, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    }
    const lookups = new Lookups(request, context)
    return lookups.go() ? lookups.ready() : lookups.goOn()
  },
  refuse: refused,
})

/** Looks go on for so long in one turn; the clock is looked at after so many. */
const SLICE_MS = 4
const LOOKS_PER_CLOCK = 32

type Answer = PartitionAnswer | Promise<PartitionAnswer>
type ListedTopics = { topics: { name: string; partitions: PartitionAnswer[] }[] }

/** What one request asks, looked up in slices: a search by time reads an index, and thousands may be wanted. */
class Lookups {
  readonly #context: HandlerContext
  readonly #steps: Iterator<void>
  readonly #answers = new Map<string, Map<number, Answer>>()
  /** Only by-time lookups that the disk has to answer make a promise. */
  #waits = false

  constructor(request: ListOffsetsRequest, context: HandlerContext) {
    this.#context = context
    this.#steps = this.#look(request)
  }

  /** @returns whether that was all */
  go(): boolean {
    const { monotonic } = this.#context.services.io
    const endMs = monotonic.nowMs() + SLICE_MS
    for (let looks = 1; !this.#steps.next().done; looks++) {
      if (looks % LOOKS_PER_CLOCK === 0 && monotonic.nowMs() >= endMs) return false
    }
    return true
  }

  async goOn(): Promise<ListedTopics> {
    const { timers } = this.#context.services.io
    do await new Promise<void>((resolve) => timers.endOfTurn(resolve))
    while (!this.go())
    return this.ready()
  }

  ready(): ListedTopics | Promise<ListedTopics> {
    const topics = [...this.#answers].map(([name, seen]) => ({
      name,
      partitions: [...seen.values()],
    }))
    return this.#waits ? settled(topics) : { topics: topics as ListedTopics['topics'] }
  }

  *#look(request: ListOffsetsRequest): Iterator<void> {
    for (const { name, partitions } of request.topics) {
      // Topics without partitions do not appear in the answer.
      if (partitions.length === 0) continue
      const seen = this.#answers.get(name) ?? new Map<number, Answer>()
      this.#answers.set(name, seen)
      for (const wish of partitions) {
        const { partitionIndex } = wish
        const answer = seen.has(partitionIndex)
          ? failed(partitionIndex, ErrorCode.INVALID_REQUEST)
          : offsetOf(request, name, wish, this.#context)
        if (answer instanceof Promise) {
          this.#waits = true
          // What it fails with is met when all answers are put together, perhaps turns later.
          answer.catch(() => {})
        }
        seen.set(partitionIndex, answer)
        yield
      }
    }
  }
}

async function settled(topics: { name: string; partitions: Answer[] }[]): Promise<ListedTopics> {
  const ready: ListedTopics['topics'] = []
  for (const { name, partitions } of topics) {
    ready.push({ name, partitions: await Promise.all(partitions) })
  }
  return { topics: ready }
}

function offsetOf(
  request: ListOffsetsRequest,
  topic: string,
  wish: PartitionWish,
  { services, apiVersion }: HandlerContext,
): PartitionAnswer | Promise<PartitionAnswer> {
  const { partitionIndex, timestamp, currentLeaderEpoch } = wish
  if (timestamp < 0 && apiVersion < (firstVersionOf.get(timestamp) ?? NO_VERSION)) {
    return failed(partitionIndex, ErrorCode.UNSUPPORTED_VERSION)
  }
  const local =
    request.replicaId === DEBUGGING ? services.partitions.replica(topic, partitionIndex) : undefined
  const partition = local ?? findPartition(services, topic, partitionIndex)
  if (typeof partition === 'number') return failed(partitionIndex, partition)
  const epochError = leaderEpochError(partition, currentLeaderEpoch)
  if (epochError !== ErrorCode.NONE) return failed(partitionIndex, epochError)

  const visible = visibleEnd(request, partition)
  const tellsEpoch = apiVersion >= FIRST_VERSION_WITH_EPOCH
  const notYet =
    request.replicaId === CONSUMER && partition.isHighWatermarkBehind
      ? notAvailable(apiVersion)
      : ErrorCode.NONE
  switch (timestamp) {
    case Special.latest:
      if (notYet !== ErrorCode.NONE) return failed(partitionIndex, notYet)
      return found(partitionIndex, -1, visible, tellsEpoch ? partition.leaderEpoch : -1)
    case Special.earliest:
    case Special.earliestLocal: {
      const epoch = tellsEpoch ? partition.earliestEpoch : -1
      return found(partitionIndex, -1, partition.logStartOffset, epoch)
    }
    case Special.latestTiered:
    case Special.earliestPendingUpload:
      return found(partitionIndex, -1, -1, -1)
    default:
      return lookUp(partition, partitionIndex, timestamp, visible, { tellsEpoch, notYet })
  }
}

const notAvailable = (apiVersion: number): ErrorCode =>
  apiVersion >= FIRST_VERSION_WITH_NOT_AVAILABLE
    ? ErrorCode.OFFSET_NOT_AVAILABLE
    : ErrorCode.LEADER_NOT_AVAILABLE

/** Exclusive. Debugging consumers (replica id -2) see the log as a replica does. */
function visibleEnd({ replicaId, isolationLevel }: ListOffsetsRequest, partition: Partition) {
  if (replicaId !== CONSUMER) return partition.logEndOffset
  return isolationLevel === 1 ? partition.lastStableOffset : partition.highWatermark
}

async function lookUp(
  partition: Partition,
  partitionIndex: number,
  timestamp: number,
  visible: number,
  { tellsEpoch, notYet }: { tellsEpoch: boolean; notYet: ErrorCode },
): Promise<PartitionAnswer> {
  try {
    const place =
      timestamp === Special.maxTimestamp
        ? await partition.offsetOfMaxTimestamp()
        : await partition.offsetForTimestamp(timestamp, visible)
    if (place === undefined || place.offset < 0 || place.offset >= visible) {
      if (notYet !== ErrorCode.NONE) return failed(partitionIndex, notYet)
      return found(partitionIndex, -1, -1, -1)
    }
    return found(partitionIndex, place.timestamp, place.offset, tellsEpoch ? place.leaderEpoch : -1)
  } catch (error) {
    const errorCode = outcomeOf(error)
    if (errorCode === undefined) throw error
    return failed(partitionIndex, errorCode)
  }
}

const found = (
  partitionIndex: number,
  timestamp: number,
  offset: number,
  leaderEpoch: number,
): PartitionAnswer => ({
  partitionIndex,
  errorCode: ErrorCode.NONE,
  oldStyleOffsets: [],
  timestamp,
  offset,
  leaderEpoch,
})

const failed = (partitionIndex: number, errorCode: ErrorCode): PartitionAnswer => ({
  partitionIndex,
  errorCode,
  oldStyleOffsets: [],
})

function refused({ topics }: ListOffsetsRequest, errorCode: ErrorCode) {
  return {
    topics: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => failed(partitionIndex, errorCode)),
    })),
  }
}
