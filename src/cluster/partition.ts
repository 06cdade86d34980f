import { assert } from '../base/assert.ts'
import type { TopicConfig } from '../config/topic-config.ts'
import type { Clock } from '../io/io.ts'
import { refusal } from '../log/batch-check.ts'
import {
  type AppendResult,
  type ReadResult,
  type ReplicateResult,
  refused,
} from '../log/log-outcomes.ts'
import { LogWaiters } from '../log/log-waiters.ts'
import type { LogListener, PartitionLog } from '../log/partition-log.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { Leadership, type ReplicaPeers } from './leadership.ts'
import type { ReplicaFetch, ReplicaState } from './replica-state.ts'
import { isThrottledReplica } from './replication-throttle.ts'
import type { PartitionImage } from './topic-image.ts'
import { TrimWaiters } from './trim-waiters.ts'
import { type EpochEnd, truncationOffset } from './truncation.ts'

export type PartitionAppendOptions = {
  /** As on the wire: 0, 1, or -1 for all. */
  readonly acks: number
  /** Version of the Produce request; coordinators pass today's. */
  readonly produceVersion: number
  /** Coordinators write what clients may not. */
  readonly origin?: 'client' | 'coordinator'
}

export type PartitionReadOptions = {
  readonly readCommitted: boolean
  /** The first batch is given even if it is larger than asked for. */
  readonly minOneBatch: boolean
}

/** May be called before `append` returns. */
export type PartitionAppendDone = (result: AppendResult) => void

/**
 * This broker's replica of a partition: its log, and what replication adds to a log. As leader: who is in sync, the high
 * watermark, and who waits for it to move. As follower: what the leader has told.
 *
 * The high watermark is the least end of the log over all in-sync replicas; the leader's own end counts when it is
 * written, or flushed where `flush.messages` is 1. Alone it is that end itself. It never moves back, and is set for the
 * first time when somebody asks, so that thousands of idle logs stay unopened.
 */
export class Partition implements LogListener {
  readonly topic: string
  readonly topicId: string
  readonly partitionIndex: number
  readonly log: PartitionLog
  #config: TopicConfig
  /** Taken out of the settings once: looking names up at every append would cost more than what they decide. */
  #mustFlush = false
  #minInSyncReplicas = 1
  /** KIP-73: this replica's data is held to a rate while who gets it is not in sync. */
  leaderThrottled = false
  followerThrottled = false
  leaderEpoch = -1
  partitionEpoch = -1
  /** A broker id, or -1 while nobody may lead. */
  leaderId = -1
  replicas: readonly number[] = []
  isr: readonly number[] = []
  #isLeader = false
  #isReady = false
  readonly #brokerId: number
  readonly #clock: Clock
  readonly #peers: ReplicaPeers
  /** While this broker leads a partition that others have, too, and somebody has asked for it. */
  #leadership: Leadership | undefined
  /** What the present leader said, as follower; it may be beyond what is written here. */
  #leaderHighWatermark = -1
  /** Who waits for records to be gone from all live replicas. */
  readonly #trimWaiters = new TrimWaiters()
  /** Producers that wait for the high watermark. */
  readonly #producers = new LogWaiters()
  /** Fetches that wait for anything that readers can see. */
  readonly #watchers = new Set<() => void>()
  /** Fetches of followers, which see what is written. */
  readonly #followers = new Set<() => void>()

  constructor(
    brokerId: number,
    clock: Clock,
    identity: { topic: string; topicId: string; partitionIndex: number },
    log: PartitionLog,
    config: TopicConfig,
    peers: ReplicaPeers,
  ) {
    this.#brokerId = brokerId
    this.#clock = clock
    this.#peers = peers
    this.topic = identity.topic
    this.topicId = identity.topicId
    this.partitionIndex = identity.partitionIndex
    this.log = log
    this.#config = config
    this.config = config
    log.listener = this
  }

  get isLeader(): boolean {
    return this.#isLeader
  }

  /** Another broker leads, and this one has a replica. */
  get isFollower(): boolean {
    return !this.#isLeader && this.leaderId >= 0 && this.leaderId !== this.#brokerId
  }

  /** A new leader does not know yet how much of what it took over is committed: ends are not to be told (KIP-207). */
  get isHighWatermarkBehind(): boolean {
    this.#ready()
    return (this.#leadership?.epochStartOffset ?? -1) > this.log.highWatermark
  }

  /** With `flush.messages=1` replicas count what is durable, not what is written. */
  get mustFlush(): boolean {
    return this.#mustFlush
  }

  /** What counts of this replica's log (exclusive). */
  get countedEnd(): number {
    return this.#mustFlush ? this.log.flushedEndOffset : this.log.writtenEndOffset
  }

  /** Exclusive: consumers read below it. */
  get highWatermark(): number {
    this.#ready()
    return this.log.highWatermark
  }

  /** Exclusive: consumers that want committed data only read below it. */
  get lastStableOffset(): number {
    this.#ready()
    return this.log.lastStableOffset
  }

  get logStartOffset(): number {
    return this.log.logStartOffset
  }

  get logEndOffset(): number {
    return this.log.logEndOffset
  }

  /** The leader epoch of the record at the log's start. */
  get earliestEpoch(): number {
    const epoch = this.log.epochForOffset(this.log.logStartOffset)
    return epoch < 0 ? this.leaderEpoch : epoch
  }

  get config(): TopicConfig {
    return this.#config
  }

  set config(config: TopicConfig) {
    this.#config = config
    this.#mustFlush = config['flush.messages'] === 1
    this.#minInSyncReplicas = config['min.insync.replicas']
    const isThrottled = (list: readonly string[]) =>
      isThrottledReplica(list, this.partitionIndex, this.#brokerId)
    this.leaderThrottled = isThrottled(config['leader.replication.throttled.replicas'])
    this.followerThrottled = isThrottled(config['follower.replication.throttled.replicas'])
    if (!this.#isReady) return
    if (this.#isLeader) this.#flushRest()
    // What held the high watermark back may not do so any more.
    this.#advance()
  }

  /** `min.insync.replicas`, but no more than there are replicas (KIP-966). */
  get minInSyncReplicas(): number {
    return Math.min(this.#minInSyncReplicas, this.replicas.length)
  }

  /**
   * The controller's word on who leads and who is in sync. An older one than what is known is left out.
   *
   * @param mayLead false: the metadata names this broker, but means an earlier process of it
   */
  update(image: PartitionImage, mayLead = true): void {
    assert(image.leaderEpoch >= this.leaderEpoch, 'a leader epoch went back')
    const isNewEpoch = image.leaderEpoch !== this.leaderEpoch
    if (!isNewEpoch && image.partitionEpoch < this.partitionEpoch) return
    if (image.partitionEpoch !== this.partitionEpoch) this.#leadership?.settled()
    if (isNewEpoch) {
      this.#leadership = undefined
      this.#leaderHighWatermark = -1
    }
    if (!isNewEpoch && this.#isLeader) this.#countChange(image.isr)
    this.leaderEpoch = image.leaderEpoch
    this.partitionEpoch = image.partitionEpoch
    this.leaderId = image.leader
    this.replicas = image.replicas
    this.isr = image.isr
    const wasLeader = this.#isLeader
    this.#isLeader = mayLead && image.leader === this.#brokerId
    this.log.appendEpoch = this.#isLeader ? image.leaderEpoch : -1
    if (!this.#isLeader) this.#leadership = undefined
    else if (this.#isReady) this.#lead()
    if (wasLeader && !this.#isLeader) this.#release(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    else if (isNewEpoch) this.#tellAll()
    if (this.#isReady) this.#advance()
  }

  #countChange(isr: readonly number[]): void {
    if (isr.length < this.isr.length) this.#peers.counts.isrShrinks++
    else if (isr.length > this.isr.length) this.#peers.counts.isrExpands++
  }

  /** The log is open, and this broker leads: followers count from here on. */
  #lead(): void {
    this.#flushRest()
    if (this.replicas.length === 1) this.#leadership = undefined
    else if (this.#leadership) this.#leadership.assign(this)
    else {
      const start = this.log.logEndOffset
      this.#leadership = new Leadership(this.#brokerId, this.#peers, this, this, start)
    }
  }

  /**
   * Appends one batch and calls `done` when what `acks` asks for has happened: 1 in this broker's file (or durable, with
   * `flush.messages=1`), -1 below the high watermark. With 0 nobody waits for an answer, but the memory of what waits
   * for a slow disk must stay counted: that is as 1. The batch takes its place now, in the order of the calls, also
   * when `done` comes later.
   */
  append(records: Buffer, options: PartitionAppendOptions, done: PartitionAppendDone): void {
    this.#ready()
    const { acks, produceVersion, origin = 'client' } = options
    const refusal = this.#refusalOf(acks)
    if (refusal !== ErrorCode.NONE) {
      done(refusedWith(refusal))
      return
    }
    const { leaderEpoch } = this
    const nowMs = Math.floor(this.#clock.nowMs())
    const result = this.log.append(records, { leaderEpoch, nowMs, origin, produceVersion })
    if (result instanceof Promise) {
      result.then(
        (appended) => this.#appended(appended, acks, done),
        () => done(refusedWith(ErrorCode.UNKNOWN_SERVER_ERROR)),
      )
    } else this.#appended(result, acks, done)
  }

  #refusalOf(acks: number): ErrorCode {
    if (!this.#isLeader) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    const tooFew = acks === -1 && this.isr.length < this.minInSyncReplicas
    return tooFew ? ErrorCode.NOT_ENOUGH_REPLICAS : ErrorCode.NONE
  }

  #appended(result: AppendResult, acks: number, done: PartitionAppendDone): void {
    if (result.errorCode !== ErrorCode.NONE) {
      done(result)
      return
    }
    const told = (errorCode: ErrorCode) => {
      if (errorCode !== ErrorCode.NONE) done({ ...result, errorCode, baseOffset: -1 })
      else if (acks === -1 && this.isr.length < this.minInSyncReplicas) {
        const late = ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
        done({ ...result, errorCode: late, baseOffset: -1 })
      } else done(result)
    }
    // It waited, and was appended in the last moment: what it is worth now others decide.
    if (!this.#isLeader) told(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    else if (result.end <= this.log.highWatermark) told(ErrorCode.NONE)
    else if (this.log.state !== 'open') told(ErrorCode.KAFKA_STORAGE_ERROR)
    else if (acks === -1) this.#producers.add(result.end, told)
    else if (this.#mustFlush) this.log.whenFlushed(result.end, told)
    else this.log.whenWritten(result.end, told)
  }

  /** Whole batches from the one that holds `offset` on, as far as this kind of reader may see. */
  read(
    offset: number,
    maxBytes: number,
    { readCommitted, minOneBatch }: PartitionReadOptions,
  ): ReadResult | Promise<ReadResult> {
    const upTo = readCommitted ? this.lastStableOffset : this.highWatermark
    return this.log.read(offset, maxBytes, { upTo, minOneBatch, withAborted: readCommitted })
  }

  /** What a follower may have: everything written. Otherwise as `read`. */
  readForReplica(
    offset: number,
    maxBytes: number,
    minOneBatch: boolean,
  ): ReadResult | Promise<ReadResult> {
    return this.log.read(offset, maxBytes, { upTo: this.log.writtenEndOffset, minOneBatch })
  }

  /**
   * `waiter` is called whenever high watermark, last stable offset, log start or leader changed, until it is removed.
   *
   * @param isReplica also when more is written
   */
  addWaiter(waiter: () => void, isReplica = false): void {
    if (isReplica) this.#followers.add(waiter)
    else this.#watchers.add(waiter)
  }

  removeWaiter(waiter: () => void): void {
    this.#watchers.delete(waiter)
    this.#followers.delete(waiter)
  }

  /**
   * Where an epoch ended, in Kafka's words (LeaderEpochFileCache): the largest epoch known that is not above the one
   * asked for, and the start of the next one.
   *
   * @returns -1 and -1 for an epoch above the current one
   */
  endOffsetForEpoch(epoch: number): { leaderEpoch: number; endOffset: number } {
    if (epoch === this.leaderEpoch) {
      return { leaderEpoch: epoch, endOffset: this.log.logEndOffset }
    }
    if (epoch < 0 || epoch > this.leaderEpoch) return { leaderEpoch: -1, endOffset: -1 }
    const latest = this.log.latestEpoch
    // The current epoch begins at the log's end as long as nothing was appended in it.
    if (epoch >= latest) {
      return { leaderEpoch: latest < 0 ? epoch : latest, endOffset: this.log.logEndOffset }
    }
    const found = this.log.endOffsetForEpoch(epoch)
    return { leaderEpoch: found.epoch, endOffset: found.endOffset }
  }

  /** Throws as the log does when its directory is closed. */
  offsetForTimestamp(
    timestamp: number,
    upTo: number,
  ): ReturnType<PartitionLog['offsetForTimestamp']> {
    return this.log.offsetForTimestamp(timestamp, upTo)
  }

  offsetOfMaxTimestamp(): ReturnType<PartitionLog['offsetOfMaxTimestamp']> {
    return this.log.offsetOfMaxTimestamp()
  }

  /**
   * DeleteRecords: readers start at `offset` from now on.
   *
   * @param offset -1 means the high watermark
   * @returns the new log start
   */
  deleteRecordsBefore(offset: number): { errorCode: ErrorCode; logStartOffset: number } {
    const refused = (errorCode: ErrorCode) => ({ errorCode, logStartOffset: -1 })
    if (!this.#isLeader) return refused(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    if (!this.config['cleanup.policy'].includes('delete'))
      return refused(ErrorCode.POLICY_VIOLATION)
    const wanted = offset === -1 ? this.highWatermark : offset
    if (wanted < 0 || wanted > this.highWatermark) return refused(ErrorCode.OFFSET_OUT_OF_RANGE)
    return this.log.deleteRecordsBefore(wanted)
  }

  /** The least log start of all replicas whose brokers live: everything below is gone for good. */
  get lowWatermark(): number {
    const { topicId, partitionIndex } = this
    let least = this.log.logStartOffset
    for (const { brokerId, logStartOffset } of this.followers) {
      if (logStartOffset >= least) continue
      if (this.#peers.eligibleEpoch(brokerId, topicId, partitionIndex) >= 0) least = logStartOffset
    }
    return least
  }

  /**
   * Calls `done` once, in a later turn: when the low watermark has reached `offset`, or this broker leads no more.
   *
   * @returns stops waiting
   */
  whenTrimmed(offset: number, done: (errorCode: ErrorCode) => void): () => void {
    return this.#trimWaiters.add(offset, done)
  }

  // ------------------------------------------------------------------------------------------------ the followers

  /**
   * A follower's fetch, once it is known not to have parted from this log, tells how far its log goes.
   *
   * @returns why it does not count; see `Leadership.fetched`
   */
  replicaFetched(fetch: ReplicaFetch): ErrorCode {
    this.#ready()
    if (!this.#isLeader || !this.#leadership) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    const errorCode = this.#leadership.fetched(fetch, this.log.writtenEndOffset)
    if (errorCode !== ErrorCode.NONE) return errorCode
    this.#trimWaiters.tell(this)
    this.#leadership.expand()
    this.#advance()
    return ErrorCode.NONE
  }

  /** From time to time, and when brokers came or went: who has been behind for too long goes, who may come comes. */
  checkIsr(): void {
    if (!this.#isLeader || !this.#leadership || this.log.state !== 'open') return
    this.#leadership.shrink()
    this.#leadership.expand()
    this.#advance()
    this.#trimWaiters.tell(this)
  }

  /** Followers as the leader sees them; none where this broker does not lead, or nobody has asked for it. */
  get followers(): Iterable<ReplicaState> {
    return this.#leadership?.followers ?? []
  }

  /** The ISR, and whoever may already be in it. */
  get maximalIsr(): readonly number[] {
    return this.#leadership?.maximalIsr ?? this.isr
  }

  // ------------------------------------------------------------------------------------------------ following

  /** Where this follower goes on. Everything before must be written, or durable: see `whenCounted`. */
  get fetchPosition(): { fetchOffset: number; lastFetchedEpoch: number; logStartOffset: number } {
    const { log } = this
    return {
      fetchOffset: log.logEndOffset,
      lastFetchedEpoch: log.latestEpoch,
      logStartOffset: log.logStartOffset,
    }
  }

  /** What the leader said last; -1: nothing under this epoch. */
  get leaderHighWatermark(): number {
    return this.#leaderHighWatermark
  }

  /** Does this replica still follow the leader of this epoch? */
  follows(leaderEpoch: number): boolean {
    return this.isFollower && this.leaderEpoch === leaderEpoch
  }

  /** Takes what the leader of `leaderEpoch` answered. See `PartitionLog.replicate`. */
  replicate(
    records: Buffer,
    leaderEpoch: number,
    fromOffset: number,
  ): ReplicateResult | Promise<ReplicateResult> {
    assert(this.follows(leaderEpoch), 'records of a leader that is not followed')
    this.#isReady = true
    const nowMs = Math.floor(this.#clock.nowMs())
    return this.log.replicate(records, { leaderEpoch, fromOffset, nowMs })
  }

  /** All of this log counts: a follower asks for what comes behind it only then. */
  get isCounted(): boolean {
    return this.countedEnd >= this.log.logEndOffset
  }

  /** Calls `waiter` when all that was replicated counts: it is written, or durable with `flush.messages=1`. */
  whenCounted(waiter: (errorCode: ErrorCode) => void): void {
    const { log } = this
    const end = log.logEndOffset
    if (!this.#mustFlush) {
      log.whenWritten(end, waiter)
      return
    }
    log.whenFlushed(end, waiter)
    if (log.flushedEndOffset < end && log.writtenEndOffset >= end) log.flusher.flushSoon()
  }

  /** The leader's high watermark and log start, as it said under `leaderEpoch`. */
  learn(leaderEpoch: number, highWatermark: number, logStartOffset: number): void {
    if (!this.follows(leaderEpoch)) return
    this.#isReady = true
    if (highWatermark > this.#leaderHighWatermark) this.#leaderHighWatermark = highWatermark
    this.#followHighWatermark()
    const { log } = this
    const start = Math.min(logStartOffset, log.highWatermark)
    if (start > log.logStartOffset) log.moveLogStart(start)
  }

  #followHighWatermark(): void {
    const { log } = this
    if (log.state !== 'open') return
    const end = Math.min(this.#leaderHighWatermark, log.writtenEndOffset)
    if (end <= log.highWatermark) return
    log.highWatermark = end
    this.#tellAll()
  }

  /**
   * Cuts the log back to where it agrees with the leader's.
   *
   * @param end where the leader's log ends for the epoch asked for, or for the largest one below that it knows
   * @throws LMQ_LOG_DIR_OFFLINE
   */
  async truncateToLeader(leaderEpoch: number, end: EpochEnd): Promise<void> {
    const { log } = this
    const offset = truncationOffset(end, log)
    const isWanted = () => this.follows(leaderEpoch)
    if (!isWanted()) return
    // Without records there is nothing to cut, but epochs that are remembered of what is gone.
    const isEmpty = log.logStartOffset === log.logEndOffset
    if (isEmpty || offset < log.logStartOffset) await log.startAt(offset, isWanted)
    else await log.truncateTo(offset, isWanted)
  }

  /** The leader begins behind this log's end: all records go. @throws LMQ_LOG_DIR_OFFLINE */
  async startAt(leaderEpoch: number, offset: number): Promise<void> {
    await this.log.startAt(offset, () => this.follows(leaderEpoch))
  }

  /** The log is about to go; nobody may be left waiting. */
  retire(errorCode: ErrorCode): void {
    this.#isLeader = false
    this.#leadership = undefined
    this.leaderId = -1
    this.log.listener = {}
    this.#release(errorCode)
  }

  // ------------------------------------------------------------------------------------------------ the log's news

  written(): void {
    if (!this.#isReady) return
    if (this.#isLeader) {
      if (!this.#mustFlush) this.#advance()
      if (this.#followers.size > 0) tell(this.#followers)
    } else this.#followHighWatermark()
  }

  flushed(): void {
    if (this.#isReady && this.#mustFlush && this.#isLeader) this.#advance()
  }

  trimmed(): void {
    this.#tellAll()
  }

  failed(): void {
    this.#release(ErrorCode.KAFKA_STORAGE_ERROR)
  }

  // ------------------------------------------------------------------------------------------------ high watermark

  /** What was in the log before this process is behind us: whoever counts it lost must have a new leader epoch. */
  #ready(): void {
    if (this.#isReady) return
    const { log } = this
    // Asking opens it.
    if (log.logEndOffset >= 0 && log.state !== 'open') return
    this.#isReady = true
    if (!this.#isLeader) return
    this.#lead()
    this.#advance()
  }

  /** What a killed process left, or was written under another setting, counts when it is durable: with no append, too. */
  #flushRest(): void {
    const { log } = this
    if (this.#mustFlush && log.flushedEndOffset < log.logEndOffset) log.flusher.flushSoon()
  }

  #advance(): void {
    const { log } = this
    if (!this.#isLeader || log.state !== 'open') return
    this.#leadership?.moved()
    if (this.isr.length < this.minInSyncReplicas) return
    const before = log.highWatermark
    const end = this.#leadership ? this.#leadership.highWatermark() : this.countedEnd
    if (end <= before) return
    log.highWatermark = end
    this.#producers.reached(end)
    this.#tellAll()
  }

  #release(errorCode: ErrorCode): void {
    this.#producers.failAll(errorCode)
    this.#trimWaiters.failAll(errorCode)
    this.#tellAll()
  }

  #tellAll(): void {
    if (this.#watchers.size > 0) tell(this.#watchers)
    if (this.#followers.size > 0) tell(this.#followers)
  }
}

function tell(waiters: ReadonlySet<() => void>): void {
  for (const waiter of [...waiters]) waiter()
}

const refusedWith = (errorCode: ErrorCode): AppendResult => refused(refusal(errorCode))
