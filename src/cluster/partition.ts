import { assert } from '../base/assert.ts'
import type { TopicConfig } from '../config/topic-config.ts'
import type { Clock } from '../io/io.ts'
import type { AppendResult, ReadResult } from '../log/log-outcomes.ts'
import { LogWaiters } from '../log/log-waiters.ts'
import type { LogListener, PartitionLog } from '../log/partition-log.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { PartitionImage } from './topic-image.ts'

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
 * A partition that this broker leads: its log, and what replication adds to a log: the leader epoch, who is in sync, the
 * high watermark, and who waits for it to move.
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
  leaderEpoch = -1
  partitionEpoch = -1
  replicas: readonly number[] = []
  isr: readonly number[] = []
  #isLeader = false
  #isReady = false
  readonly #brokerId: number
  readonly #clock: Clock
  /** Producers that wait for the high watermark. */
  readonly #producers = new LogWaiters()
  /** Fetches that wait for anything that readers can see. */
  readonly #watchers = new Set<() => void>()
  /** Ends of the followers' logs, as their fetches tell. */
  readonly #followerEnds = new Map<number, number>()

  constructor(
    brokerId: number,
    clock: Clock,
    identity: { topic: string; topicId: string; partitionIndex: number },
    log: PartitionLog,
    config: TopicConfig,
  ) {
    this.#brokerId = brokerId
    this.#clock = clock
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
    // What held the high watermark back may not do so any more.
    if (this.#isReady) this.#advance()
  }

  /** `min.insync.replicas`, but no more than there are replicas (KIP-966). */
  get minInSyncReplicas(): number {
    return Math.min(this.#minInSyncReplicas, this.replicas.length)
  }

  /** The controller's word on who leads and who is in sync. */
  update(image: PartitionImage): void {
    assert(image.leaderEpoch >= this.leaderEpoch, 'a leader epoch went back')
    if (image.leaderEpoch !== this.leaderEpoch) this.#followerEnds.clear()
    this.leaderEpoch = image.leaderEpoch
    this.partitionEpoch = image.partitionEpoch
    this.replicas = image.replicas
    this.isr = image.isr
    const wasLeader = this.#isLeader
    this.#isLeader = image.leader === this.#brokerId
    if (wasLeader && !this.#isLeader) this.#release(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    else if (this.#isReady) this.#advance()
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
    if (result.end <= this.log.highWatermark) told(ErrorCode.NONE)
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

  /** `waiter` is called whenever high watermark, last stable offset, log start or leader changed, until it is removed. */
  addWaiter(waiter: () => void): void {
    this.#watchers.add(waiter)
  }

  removeWaiter(waiter: () => void): void {
    this.#watchers.delete(waiter)
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

  /** A follower's fetch tells how far its log goes. */
  noteFollowerEnd(brokerId: number, logEndOffset: number): void {
    this.#ready()
    this.#followerEnds.set(brokerId, logEndOffset)
    this.#advance()
  }

  /** The log is about to go; nobody may be left waiting. */
  retire(errorCode: ErrorCode): void {
    this.#isLeader = false
    this.log.listener = {}
    this.#release(errorCode)
  }

  // ------------------------------------------------------------------------------------------------ the log's news

  written(): void {
    if (this.#isReady && !this.#mustFlush) this.#advance()
  }

  flushed(): void {
    if (this.#isReady && this.#mustFlush) this.#advance()
  }

  trimmed(): void {
    this.#tellWatchers()
  }

  failed(): void {
    this.#release(ErrorCode.KAFKA_STORAGE_ERROR)
  }

  // ------------------------------------------------------------------------------------------------ high watermark

  /** What was in the log before this process is behind us: whoever counts it lost must have a new leader epoch. */
  #ready(): void {
    if (this.#isReady) return
    const { log } = this
    const end = log.logEndOffset
    if (log.state !== 'open') return
    this.#isReady = true
    if (this.#isLeader && this.isr.length === 1) log.highWatermark = end
  }

  #advance(): void {
    const { log } = this
    if (!this.#isLeader || log.state !== 'open') return
    if (this.isr.length < this.minInSyncReplicas) return
    const before = log.highWatermark
    let end = this.#mustFlush ? log.flushedEndOffset : log.writtenEndOffset
    for (const member of this.isr) {
      if (member !== this.#brokerId) end = Math.min(end, this.#followerEnds.get(member) ?? before)
    }
    if (end <= before) return
    log.highWatermark = end
    this.#producers.reached(end)
    this.#tellWatchers()
  }

  #release(errorCode: ErrorCode): void {
    this.#producers.failAll(errorCode)
    this.#tellWatchers()
  }

  #tellWatchers(): void {
    if (this.#watchers.size === 0) return
    for (const watcher of [...this.#watchers]) watcher()
  }
}

const noRecordErrors: AppendResult['recordErrors'] = []

function refusedWith(errorCode: ErrorCode): AppendResult {
  return {
    errorCode,
    errorMessage: null,
    recordErrors: noRecordErrors,
    baseOffset: -1,
    lastOffset: -1,
    logAppendTimeMs: -1,
    duplicate: false,
    end: -1,
  }
}
