import type { Timer } from '../io/io.ts'
import type { fetch } from '../protocol/apis/01-fetch.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { ResponseInput } from '../protocol/schema.ts'
import type { FetchEntry, FetchList } from './fetch-list.ts'
import {
  countFetch,
  type FetchReader,
  type PartitionAnswer,
  partitionOf,
  readEntry,
  stateOfEntry,
} from './fetch-read.ts'
import type { HandlerContext } from './handler.ts'
import { currentLeaderOf, endpointsOf } from './partition-lookup.ts'

type FetchResponse = ResponseInput<typeof fetch>

/** KIP-951: from here on an answer says who leads instead. */
const FIRST_VERSION_WITH_LEADER = 16

/**
 * A follower that is to hear of nothing but a new high watermark waits this long for records to come with it: each
 * answer costs it a request, and nobody waits for that news but consumers that read from it.
 */
const HIGH_WATERMARK_PAUSE_MS = 5

/** Partitions are read for so long in one turn; the clock is looked at after so many. */
const READ_SLICE_MS = 4
const READS_PER_LOOK = 32

/** However short memory is, an answer may hold this much. */
const LEAST_ANSWER_BYTES = 1024 * 1024

export type FetchKind = {
  /** All partitions appear in the answer, not only those with news. */
  readonly full: boolean
  /** Named in the answer; 0 = none. */
  readonly sessionId: number
}

export type FetchLimits = FetchReader & {
  /** Bytes of records in the whole answer; the first batch comes whole even when it is larger. */
  readonly maxBytes: number
  readonly minBytes: number
  readonly maxWaitMs: number
}

/**
 * One Fetch request at work: reads what is ready, and when that is not enough, waits until partitions move, the time
 * is up, or the connection ends. Only partitions that may have news are looked at again.
 */
export class FetchAttempt {
  readonly #list: FetchList
  readonly #limits: FetchLimits
  readonly #context: HandlerContext
  readonly #kind: FetchKind
  readonly #done: (answer: FetchResponse) => void
  #answers = new Map<FetchEntry, PartitionAnswer>()
  #queue: FetchEntry[] = []
  #next = 0
  #recordBytes = 0
  /** Bytes of records that may be read now: the limit, or less when memory for answers is short. */
  #room = 0
  /** Counted in the answer memory while the disk is being read for this request. */
  #reservedBytes = 0
  #mustAnswer = false
  #reading = false
  #lookAgain = false
  #finished = false
  #waiting = false
  #askedDisk = false
  /** Records were read, were too few to answer, and must be read again for the answer. */
  #hasDropped = false
  #timer: Timer | undefined
  /** Runs when there is news that alone is not worth an answer at once. */
  #newsTimer: Timer | undefined

  constructor(
    list: FetchList,
    limits: FetchLimits,
    context: HandlerContext,
    kind: FetchKind,
    done: (answer: FetchResponse) => void,
  ) {
    this.#list = list
    this.#limits = limits
    this.#context = context
    this.#kind = kind
    this.#done = done
    if (limits.maxWaitMs <= 0 || list.size === 0 || context.connection.closed) {
      this.#mustAnswer = true
    }
  }

  start(): void {
    this.#read()
  }

  /** Answers with what there is. While a read from the disk is under way: when that has ended. */
  readonly hurry = (): void => {
    if (this.#finished) return
    this.#mustAnswer = true
    if (this.#reading) return
    if (this.#hasDropped && !this.#context.connection.closed) this.#read()
    else this.#finish()
  }

  /** Looks at everything in the queue. */
  #read(): void {
    this.#reading = true
    this.#lookAgain = false
    this.#hasDropped = false
    this.#queue = this.#list.takeQueue()
    this.#next = 0
    this.#recordBytes = 0
    this.#answers.clear()
    const { answerMemory } = this.#context.services
    const freeBytes = answerMemory.limitBytes - answerMemory.usedBytes + this.#reservedBytes
    this.#room = Math.min(this.#limits.maxBytes, Math.max(LEAST_ANSWER_BYTES, freeBytes))
    const { replica } = this.#limits
    if (replica) for (const entry of this.#queue) countFetch(this.#context.services, entry, replica)
    this.#readOn()
  }

  /** Reads one partition after the other; goes on in a later turn where the disk has to be asked, or others wait. */
  #readOn(): void {
    const { services } = this.#context
    const { monotonic, timers } = services.io
    const endMs = this.#queue.length > READS_PER_LOOK ? monotonic.nowMs() + READ_SLICE_MS : 0
    let reads = 0
    while (this.#next < this.#queue.length) {
      if (++reads % READS_PER_LOOK === 0 && monotonic.nowMs() >= endMs) {
        this.#pauseReading()
        timers.nextTurn(() => this.#readOn())
        return
      }
      const entry = this.#queue[this.#next++] as FetchEntry
      if (entry.removed) continue
      // A session is told of its partitions between requests, too.
      if (this.#kind.sessionId !== 0) watchEntry(this.#context, entry, this.#limits)
      const room = Math.max(0, this.#room - this.#recordBytes)
      const answer = readEntry(services, entry, room, this.#recordBytes === 0, this.#limits)
      if (answer instanceof Promise) {
        this.#pauseReading()
        answer.then((ready) => {
          this.#take(entry, ready)
          this.#readOn()
        })
        return
      }
      this.#take(entry, answer)
    }
    this.#reading = false
    this.#decide()
  }

  /** Partitions may move meanwhile. */
  #pauseReading(): void {
    this.#askedDisk = true
    this.#reserve()
  }

  /** Others that read at the same time must know what this answer may come to. */
  #reserve(): void {
    if (this.#reservedBytes > 0) return
    let wantedBytes = 0
    for (const { maxBytes } of this.#queue) wantedBytes += Math.max(0, maxBytes)
    this.#reservedBytes = Math.min(this.#room, wantedBytes)
    this.#context.services.answerMemory.take(this.#reservedBytes)
  }

  #unreserve(): void {
    const reservedBytes = this.#reservedBytes
    this.#reservedBytes = 0
    if (reservedBytes > 0) this.#context.services.answerMemory.give(reservedBytes)
  }

  #take(entry: FetchEntry, answer: PartitionAnswer): void {
    this.#answers.set(entry, answer)
    this.#recordBytes += answer.recordBytes
    if (
      answer.errorCode !== ErrorCode.NONE ||
      answer.divergingEpoch !== undefined ||
      answer.preferredReadReplica >= 0
    ) {
      this.#mustAnswer = true
    }
  }

  #decide(): void {
    const wanted = Math.min(this.#limits.minBytes, this.#room)
    // The end may have come while the disk was read: nobody would tell of it again.
    const mustAnswer = this.#mustAnswer || this.#context.connection.closed
    if (mustAnswer || this.#recordBytes >= wanted) {
      this.#finish()
      return
    }
    this.#unreserve()
    // What was found stays of interest until it is answered; a partition with nothing new is heard of again when it
    // moves.
    for (const [entry, answer] of this.#answers) {
      const hasNews = this.#hasNews(entry, answer)
      if (hasNews && this.#limits.replica) this.#tellSoon()
      const isWanted = answer.recordBytes > 0 || answer.isHungry || hasNews
      if (isWanted) this.#list.enqueue(entry)
    }
    if (this.#recordBytes > 0) {
      // Nobody counts the memory of a request that waits, so it must not hold any.
      this.#hasDropped = true
      this.#answers.clear()
    }
    if (!this.#waiting) this.#wait()
    if (this.#lookAgain) this.#read()
  }

  #tellSoon(): void {
    this.#newsTimer ??= this.#context.services.io.timers.schedule(
      HIGH_WATERMARK_PAUSE_MS,
      this.hurry,
    )
  }

  #wait(): void {
    this.#waiting = true
    const { io } = this.#context.services
    this.#list.wake = this.#wake
    this.#timer = io.timers.schedule(this.#limits.maxWaitMs, this.hurry)
    this.#context.connection.onEnd(this.hurry)
    if (this.#limits.replica) this.#context.connection.onNext?.(this.hurry)
    if (this.#kind.sessionId !== 0) return
    for (const entry of this.#list.entries()) watchEntry(this.#context, entry, this.#limits)
    // The partitions may have moved while the disk was asked and nobody watched them.
    if (!this.#askedDisk) return
    for (const entry of this.#list.entries()) this.#list.enqueue(entry)
    this.#lookAgain = true
  }

  /** A partition moved. All that moves in one turn is looked at together. */
  readonly #wake = (): void => {
    if (this.#lookAgain || this.#finished) return
    this.#lookAgain = true
    this.#context.services.io.timers.endOfTurn(() => {
      if (this.#finished || this.#reading || !this.#lookAgain) return
      this.#read()
    })
  }

  #hasNews(entry: FetchEntry, answer: PartitionAnswer): boolean {
    return (
      answer.highWatermark !== entry.sentHighWatermark ||
      answer.logStartOffset !== entry.sentLogStartOffset
    )
  }

  #finish(): void {
    this.#finished = true
    this.#timer?.cancel()
    this.#newsTimer?.cancel()
    this.#list.wake = undefined
    if (this.#waiting) {
      this.#context.connection.offEnd(this.hurry)
      if (this.#limits.replica) this.#context.connection.onNext?.(undefined)
    }
    this.#done(this.#answer())
    this.#unreserve()
  }

  #answer(): FetchResponse {
    const topics: FetchResponse['responses'][number][] = []
    let partitions: PartitionAnswer[] = []
    let last: FetchEntry | undefined
    const leaders = new Set<number>()
    if (!this.#kind.full) this.#putHungryFirst()
    for (const [entry, answer] of this.#reported()) {
      if (last === undefined || last.topic !== entry.topic || last.topicId !== entry.topicId) {
        partitions = []
        topics.push({ topic: entry.topic, topicId: entry.topicId, partitions })
        last = entry
      }
      this.#settle(entry, answer, leaders)
      partitions.push(answer)
    }
    const { services, connection } = this.#context
    return {
      throttleTimeMs: 0,
      errorCode: ErrorCode.NONE,
      sessionId: this.#kind.sessionId,
      responses: topics,
      nodeEndpoints:
        leaders.size > 0 ? endpointsOf(services, connection.listenerName, leaders) : [],
    }
  }

  /** What stands in the answer, in order: everything for a full fetch, else what has news. */
  *#reported(): Iterable<[FetchEntry, PartitionAnswer]> {
    if (this.#kind.full) {
      for (const entry of this.#list.entries()) {
        const answer = this.#answers.get(entry)
        yield [entry, answer ?? stateOfEntry(this.#context.services, entry, this.#limits)]
      }
      return
    }
    for (const [entry, answer] of this.#answers) {
      if (entry.removed) continue
      const tells =
        answer.recordBytes > 0 ||
        answer.errorCode !== ErrorCode.NONE ||
        answer.divergingEpoch !== undefined ||
        answer.preferredReadReplica >= 0 ||
        this.#hasNews(entry, answer)
      if (tells) yield [entry, answer]
    }
  }

  /** Who got nothing, because others filled the answer, is served before them by the session's next request. */
  #putHungryFirst(): void {
    for (const [entry, answer] of this.#answers) if (answer.isHungry) this.#list.enqueue(entry)
  }

  #count(entry: FetchEntry, answer: PartitionAnswer): void {
    if (this.#limits.replica) return
    const { image, topicMetrics } = this.#context.services
    const failed = answer.errorCode === ErrorCode.NONE ? 0 : 1
    topicMetrics.total.failedFetchRequests += failed
    const topic = nameOf(this.#context, entry)
    // Names of topics that are not there must not grow the table.
    if (topic === undefined || !image.topics.has(topic)) return
    const metrics = topicMetrics.of(topic)
    metrics.fetchRequests++
    metrics.failedFetchRequests += failed
    // What was looked at and is not sent does not count.
    metrics.bytesOut += answer.recordBytes
    topicMetrics.total.bytesOut += answer.recordBytes
  }

  /** Notes what the client knows now, and what must be looked at again by the next request of the session. */
  #settle(entry: FetchEntry, answer: PartitionAnswer, leaders: Set<number>): void {
    this.#count(entry, answer)
    if (answer.errorCode === ErrorCode.NONE) {
      entry.sentHighWatermark = answer.highWatermark
      entry.sentLogStartOffset = answer.logStartOffset
      const isWanted =
        answer.recordBytes > 0 ||
        answer.isHungry ||
        answer.divergingEpoch ||
        answer.preferredReadReplica >= 0
      if (isWanted) this.#list.enqueue(entry)
      return
    }
    // Clients before v6 do not know the code (FetchRequest v6 notes in KIP-112).
    if (answer.errorCode === ErrorCode.KAFKA_STORAGE_ERROR && this.#context.apiVersion <= 5) {
      answer.errorCode = ErrorCode.NOT_LEADER_OR_FOLLOWER
    }
    entry.sentHighWatermark = -1
    entry.sentLogStartOffset = -1
    this.#list.enqueue(entry)
    if (this.#context.apiVersion < FIRST_VERSION_WITH_LEADER) return
    if (
      answer.errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER ||
      answer.errorCode === ErrorCode.FENCED_LEADER_EPOCH
    ) {
      answer.currentLeader = leaderOf(this.#context, entry)
      if (answer.currentLeader.leaderId >= 0) leaders.add(answer.currentLeader.leaderId)
    }
  }
}

function nameOf({ services }: HandlerContext, entry: FetchEntry): string | undefined {
  return entry.list.usesTopicIds ? services.image.topicById(entry.topicId)?.name : entry.topic
}

function leaderOf(context: HandlerContext, entry: FetchEntry) {
  const { services } = context
  return currentLeaderOf(services, nameOf(context, entry) ?? '', entry.partitionIndex)
}

function watchEntry({ services }: HandlerContext, entry: FetchEntry, reader: FetchReader): void {
  const partition = partitionOf(services, entry, reader)
  entry.watch(typeof partition === 'number' ? undefined : partition)
}
