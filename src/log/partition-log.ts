import { join } from 'node:path'
import { assert } from '../base/assert.ts'
import { LmqError } from '../base/errors.ts'
import { Codec } from '../io/io.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import {
  assignOffset,
  attributesOf,
  BATCH_HEADER_BYTES,
  codecOf,
  lastOffsetDeltaOf,
  maxTimestampOf,
  NO_PRODUCER_ID,
  producerIdOf,
} from '../protocol/record-batch.ts'
import { checkFrame, checkHeader, checkRecords, type Refusal, refusal } from './batch-check.ts'
import { recode } from './batch-recode.ts'
import { BatchTail } from './batch-tail.ts'
import { encodeEpochs } from './checkpoint-file.ts'
import { LeaderEpochCache } from './leader-epoch-cache.ts'
import type { LogConfig } from './log-config.ts'
import { folderNameOf, leaderEpochFile, partitionMetadataFile, Suffix } from './log-files.ts'
import { LogFlusher } from './log-flusher.ts'
import { type LoadedLog, loadLog } from './log-loader.ts'
import {
  type AppendOptions,
  type AppendResult,
  appended,
  type ReadOptions,
  type ReadResult,
  readError,
  readNothing,
  refused,
} from './log-outcomes.ts'
import { LogReader } from './log-reader.ts'
import type { LogHome, LogShared } from './log-shared.ts'
import { LogWaiters, type Waiter } from './log-waiters.ts'
import { type FoundRecord, findByTimestamp, findNewest } from './offset-search.ts'
import { encodePartitionMetadata } from './partition-metadata.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import { ProducerStates } from './producer-states.ts'
import { exhaust, Segment } from './segment.ts'
import { Segments } from './segments.ts'
import type { AbortedTransaction } from './transaction-index.ts'
import { WriteQueue } from './write-queue.ts'

export type LogState = 'unloaded' | 'open' | 'offline' | 'closed'

/** Told in the turn in which it happens; must not append from inside. */
export type LogListener = {
  /** More bytes are in the file: `writtenEndOffset` moved. */
  written?(log: PartitionLog): void
  /** `flushedEndOffset` moved. */
  flushed?(log: PartitionLog): void
  /** Start offset or end moved otherwise: deletion, truncation. */
  trimmed?(log: PartitionLog): void
  /** The log directory is gone: every call answers KAFKA_STORAGE_ERROR from now on. */
  failed?(log: PartitionLog): void
}

/** A reader this near to the end gets the next batches from memory. */
const tailReadBytes = 2 * 1024 * 1024

/**
 * One partition's log: gives batches their offsets, brings them to disk, gives them back. Three ends (exclusive):
 * `logEndOffset` counts what is appended, `writtenEndOffset` what is in the file, `flushedEndOffset` what is durable.
 * Readers see only what is written. Opened lazily: until somebody asks, nothing of a cleanly closed log is read, and
 * the folder of a new one is made at its first append.
 */
export class PartitionLog {
  readonly topic: string
  readonly partitionIndex: number
  topicId: string
  readonly home: LogHome
  readonly epochs = new LeaderEpochCache()
  readonly producers = new ProducerStates()
  readonly segments = new Segments()
  readonly snapshots: ProducerSnapshots
  readonly flusher: LogFlusher
  readonly shared: LogShared
  folder: string
  config: LogConfig
  listener: LogListener = {}
  /** Rises whenever offsets that were given may mean other records now, or none. */
  truncations = 0
  /** Compaction's progress; -1: nothing compacted yet. */
  cleanedOffset = -1
  /** Retention leaves the segments alone meanwhile. */
  isCompacting = false

  #state: LogState = 'unloaded'
  #wasClean: boolean
  #hasFolder: boolean
  /** Files, or the folder itself, were made since their names were last flushed. */
  #hasNewNames = false
  #isNewFolder = false
  #recoveryPoint: number
  #logStartOffset: number
  #logEndOffset = 0
  #writtenEndOffset = 0
  #highWatermark: number
  #segmentJitterMs = -1
  /** Appends that must wait: batches are being opened, or the log is being truncated. */
  #gate: Promise<unknown> | undefined
  readonly #queue: WriteQueue
  readonly #writeWaiters = new LogWaiters()
  readonly #tail: BatchTail
  #keepsTail = false
  /** Somebody read at the end since the last look. */
  tailWasRead = false
  readonly #reader: LogReader

  constructor(
    shared: LogShared,
    home: LogHome,
    identity: { topic: string; partitionIndex: number; topicId: string },
    config: LogConfig,
    stored: {
      hasFolder: boolean
      wasClean: boolean
      recoveryPoint: number
      logStartOffset: number
      highWatermark: number
      cleanedOffset: number
    },
  ) {
    this.shared = shared
    this.home = home
    this.topic = identity.topic
    this.partitionIndex = identity.partitionIndex
    this.topicId = identity.topicId
    this.config = config
    this.folder = join(home.path, folderNameOf(this.topic, this.partitionIndex))
    this.#hasFolder = stored.hasFolder
    this.#wasClean = stored.wasClean
    this.#recoveryPoint = stored.recoveryPoint
    this.#logStartOffset = stored.logStartOffset
    this.#highWatermark = stored.highWatermark
    this.cleanedOffset = stored.cleanedOffset
    const { disk, crc32c } = shared
    this.snapshots = new ProducerSnapshots(disk, this.folder, crc32c, home.logger)
    this.#tail = new BatchTail(shared.tailBudget, shared.io.memory)
    this.#reader = new LogReader(shared.io.memory, (segment) => this.#rebuildIndex(segment))
    this.#queue = new WriteQueue(
      shared.io.monotonic,
      (endOffset) => this.#noteWritten(endOffset),
      (error) => home.fail(error, 'write'),
    )
    this.flusher = new LogFlusher(this)
  }

  get name(): string {
    return folderNameOf(this.topic, this.partitionIndex)
  }

  get state(): LogState {
    return this.#state
  }

  get hasFolder(): boolean {
    return this.#hasFolder
  }

  /** Inclusive: the first offset that readers may ask for. */
  get logStartOffset(): number {
    this.#open()
    return this.#logStartOffset
  }

  /** What the checkpoint files say, without opening the log. */
  get storedOffsets(): {
    recoveryPoint: number
    logStartOffset: number
    highWatermark: number
    cleanedOffset: number
  } {
    const isOpen = this.#state === 'open' || this.#state === 'closed'
    return {
      recoveryPoint: isOpen ? this.flusher.flushedEndOffset : this.#recoveryPoint,
      logStartOffset: this.#logStartOffset,
      highWatermark: this.#highWatermark,
      cleanedOffset: this.cleanedOffset,
    }
  }

  get logEndOffset(): number {
    this.#open()
    return this.#logEndOffset
  }

  get writtenEndOffset(): number {
    this.#open()
    return this.#writtenEndOffset
  }

  get flushedEndOffset(): number {
    this.#open()
    return this.flusher.flushedEndOffset
  }

  /** Set by the partition; readers of other partitions' logs never look at it. */
  get highWatermark(): number {
    this.#open()
    return this.#highWatermark
  }

  set highWatermark(offset: number) {
    this.#open()
    assert(offset <= this.#logEndOffset, 'high watermark is above the log end')
    this.#highWatermark = offset
    this.producers.advance(offset)
  }

  /** min(high watermark, first offset of the oldest transaction that is open or not replicated). */
  get lastStableOffset(): number {
    const first = this.producers.firstUnstableOffset
    return first < 0 ? this.highWatermark : Math.min(first, this.highWatermark)
  }

  get latestEpoch(): number {
    this.#open()
    return this.epochs.latestEpoch
  }

  get sizeBytes(): number {
    this.#open()
    return this.segments.sizeBytes
  }

  // ------------------------------------------------------------------------------------------------ opening

  /** Opens the log now, in steps: for recovery, which reads much. No-op when it is open. */
  *openInSteps(): Generator<void, LoadedLog | undefined> {
    if (this.#state !== 'unloaded') return undefined
    if (!this.#hasFolder) {
      this.#becomeOpen([], this.#logStartOffset, this.#logStartOffset)
      return undefined
    }
    const loaded = yield* loadLog({
      shared: this.shared,
      logger: this.home.logger,
      folder: this.folder,
      nowMs: this.shared.io.brokerClock.nowMs(),
      indexIntervalBytes: this.config.indexIntervalBytes,
      wasClean: this.#wasClean,
      recoveryPoint: this.#recoveryPoint,
      logStartOffset: this.#logStartOffset,
      mayHaveGaps: this.shared.mayHaveGaps(this.topic),
      producers: this.producers,
      snapshots: this.snapshots,
      epochs: this.epochs,
    })
    const { segments, logStartOffset, logEndOffset, cut } = loaded
    this.#becomeOpen(segments, logStartOffset, logEndOffset)
    if (cut) {
      this.home.logger.warn(
        { log: this.name, ...cut },
        'recovery cut the log behind its last sound batch: records from atOffset on are gone',
      )
    }
    return loaded
  }

  #open(): void {
    if (this.#state !== 'unloaded') return
    try {
      exhaust(this.openInSteps())
    } catch (error) {
      this.home.fail(error, 'open')
    }
  }

  #becomeOpen(segments: readonly Segment[], logStartOffset: number, logEndOffset: number): void {
    this.#state = 'open'
    this.segments.set(segments)
    this.#logStartOffset = logStartOffset
    this.#logEndOffset = logEndOffset
    this.#writtenEndOffset = logEndOffset
    this.#highWatermark = Math.max(logStartOffset, Math.min(this.#highWatermark, logEndOffset))
    this.cleanedOffset = Math.min(this.cleanedOffset, logEndOffset)
    this.producers.advance(this.#highWatermark)
    const flushed = this.#wasClean ? logEndOffset : Math.min(this.#recoveryPoint, logEndOffset)
    this.flusher.begin(Math.max(flushed, logStartOffset))
  }

  // ------------------------------------------------------------------------------------------------ appending

  /**
   * Checks one batch, gives it its offsets and queues it for the disk, all in one turn. Readers see it when it is
   * written. Appends take effect in the order of the calls, also when one must be opened first.
   *
   * @param records the Produce field: one whole batch. Its header is changed in place, and its bytes must not change
   *   until the append is written
   * @returns an outcome; a promise only when the batch must be opened (compacted and compressed, or another codec), or
   *   stands behind such a one. Answer no client before `whenWritten(result.end)`
   */
  append(records: Buffer, options: AppendOptions): AppendResult | Promise<AppendResult> {
    if (!this.#gate) return this.#hold(this.#appendNow(records, options))
    return this.#hold(this.#gate.then(() => this.#appendNow(records, options)))
  }

  /** Later appends wait for an outcome that is not there yet. */
  #hold(outcome: AppendResult | Promise<AppendResult>): AppendResult | Promise<AppendResult> {
    if (!(outcome instanceof Promise)) return outcome
    this.holdAppends(outcome)
    return outcome
  }

  /** Appends from now on wait until `work` has settled. */
  holdAppends(work: Promise<unknown>): void {
    const open = () => {
      if (this.#gate === gate) this.#gate = undefined
    }
    const gate: Promise<unknown> = work.then(open, open)
    this.#gate = gate
  }

  #appendNow(records: Buffer, options: AppendOptions): AppendResult | Promise<AppendResult> {
    this.#open()
    if (this.#state !== 'open') return refused(refusal(ErrorCode.KAFKA_STORAGE_ERROR))
    if (options.origin === 'coordinator') return this.#commit(records, options)
    const { crc32c } = this.shared
    const { config } = this
    const refusedFor =
      checkFrame(records, options.produceVersion) ??
      checkHeader(records, options.produceVersion, config.maxMessageBytes, crc32c)
    if (refusedFor) return refused(refusedFor)
    const codec = codecOf(attributesOf(records, 0))
    const mustRecode = config.codec !== undefined && config.codec !== codec
    if (mustRecode || (codec !== Codec.none && config.isCompacted)) {
      return this.#appendOpened(records, options)
    }
    const block =
      codec === Codec.none
        ? { buffer: records, start: BATCH_HEADER_BYTES, end: records.length }
        : undefined
    const bad = checkRecords(records, block, config, options.nowMs, crc32c)
    return bad ? refused(bad) : this.#commit(records, options)
  }

  async #appendOpened(records: Buffer, options: AppendOptions): Promise<AppendResult> {
    const recoded = await recode(records, this.config, options.nowMs, this.shared.io)
    if (!Buffer.isBuffer(recoded)) return refused(recoded)
    if (this.#state !== 'open') return refused(refusal(ErrorCode.KAFKA_STORAGE_ERROR))
    return this.#commit(recoded, options)
  }

  /** The batch is good: from here on everything happens in this turn. */
  #commit(batch: Buffer, options: AppendOptions): AppendResult {
    const hasProducer = producerIdOf(batch, 0) !== NO_PRODUCER_ID
    if (hasProducer && options.origin === 'client') {
      const earlier = this.producers.findDuplicate(batch, 0)
      if (earlier) {
        const { lastOffset, offsetDelta, timestamp } = earlier
        return appended(lastOffset - offsetDelta, lastOffset, timestamp, true)
      }
      const errorCode = this.producers.check(batch, 0)
      if (errorCode !== ErrorCode.NONE) return refused(refusal(errorCode))
    }
    const baseOffset = this.#logEndOffset
    const lastOffset = baseOffset + lastOffsetDeltaOf(batch, 0)
    assignOffset(batch, 0, baseOffset, options.leaderEpoch)
    try {
      this.#place(batch, lastOffset, options.nowMs)
    } catch (error) {
      this.home.fail(error, 'append')
      return refused(refusal(ErrorCode.KAFKA_STORAGE_ERROR))
    }
    this.epochs.note(options.leaderEpoch, baseOffset)
    if (hasProducer) this.#noteProducer(batch)
    if (this.#keepsTail) this.#tail.add(batch)
    return appended(
      baseOffset,
      lastOffset,
      this.config.usesLogAppendTime ? options.nowMs : -1,
      false,
    )
  }

  #noteProducer(batch: Buffer): void {
    const aborted = this.producers.note(batch, 0)
    if (aborted) this.segments.active?.transactionIndex.append(aborted)
  }

  /** Puts a batch at the end of the active segment, or of a new one. @throws Node's own disk errors */
  #place(batch: Buffer, lastOffset: number, nowMs: number): void {
    const maxTimestamp = maxTimestampOf(batch, 0)
    const active = this.segments.active
    const segment =
      !active || this.#mustRoll(active, batch.length, lastOffset, maxTimestamp, nowMs)
        ? this.roll(nowMs)
        : active
    const { indexIntervalBytes } = this.config
    const position = segment.append(batch.length, lastOffset, maxTimestamp, indexIntervalBytes)
    this.#logEndOffset = lastOffset + 1
    if (this.#queue.add(segment, position, batch, this.#logEndOffset)) {
      this.home.drainAtEndOfTurn(this)
    }
  }

  #mustRoll(
    active: Segment,
    sizeBytes: number,
    lastOffset: number,
    maxTimestamp: number,
    nowMs: number,
  ): boolean {
    const { segmentBytes, segmentMs, segmentIndexBytes, segmentJitterMs } = this.config
    if (this.#segmentJitterMs < 0) {
      const bound = Math.min(segmentJitterMs, segmentMs, 2 ** 31)
      this.#segmentJitterMs = bound > 0 ? this.shared.io.random.int(bound) : 0
    }
    const limits = {
      segmentBytes,
      segmentMs: segmentMs - this.#segmentJitterMs,
      segmentIndexBytes,
    }
    return active.mustRoll({ sizeBytes, lastOffset, maxTimestamp }, limits, nowMs)
  }

  /** Closes the active segment and begins a new one at the log's end. @throws Node's own disk errors */
  roll(nowMs: number): Segment {
    const before = this.segments.active
    if (before && before.sizeBytes === 0) return before
    if (!this.#hasFolder) this.#makeFolder()
    before?.seal()
    if (before) this.snapshots.write(this.#logEndOffset, this.producers.producers)
    const segment = new Segment(this.shared, this.folder, this.#logEndOffset, nowMs)
    segment.create()
    this.#hasNewNames = true
    this.segments.push(segment)
    this.#segmentJitterMs = -1
    if (before) this.flusher.flushClosed(this.#logEndOffset)
    return segment
  }

  #makeFolder(): void {
    const { disk } = this.shared
    disk.makeFolderSync(this.folder)
    const file = disk.openSync(join(this.folder, partitionMetadataFile), 'write')
    try {
      file.writeSync([encodePartitionMetadata(this.topicId)], 0)
    } finally {
      file.closeSync()
    }
    this.#hasFolder = true
    this.#isNewFolder = true
  }

  /** Called by the home when a turn ends. */
  drain(): void {
    this.#queue.drain()
  }

  set isFlushing(isFlushing: boolean) {
    this.#queue.isFlushing = isFlushing
  }

  #noteWritten(endOffset: number): void {
    this.#writtenEndOffset = endOffset
    this.#writeWaiters.reached(endOffset)
    this.listener.written?.(this)
    this.flusher.noteWritten()
  }

  /**
   * Calls `waiter` once: when the log is written up to `offset` (exclusive), at once if it is, or with
   * KAFKA_STORAGE_ERROR when it never will be.
   */
  whenWritten(offset: number, waiter: Waiter): void {
    if (this.#state === 'offline' || this.#state === 'closed') {
      waiter(ErrorCode.KAFKA_STORAGE_ERROR)
    } else if (offset <= this.writtenEndOffset) waiter(ErrorCode.NONE)
    else this.#writeWaiters.add(offset, waiter)
  }

  /** The same for `flushedEndOffset`. Does not ask for a flush: `flush.messages` and `flush.ms` do. */
  whenFlushed(offset: number, waiter: Waiter): void {
    if (this.#state === 'offline' || this.#state === 'closed') {
      waiter(ErrorCode.KAFKA_STORAGE_ERROR)
    } else this.flusher.whenFlushed(offset, waiter)
  }

  // ------------------------------------------------------------------------------------------------ reading

  /** Whole batches from the one that holds `offset` on; from memory in the same turn when they are recent. */
  read(offset: number, maxBytes: number, options: ReadOptions): ReadResult | Promise<ReadResult> {
    this.#open()
    if (this.#state !== 'open') return readError(ErrorCode.KAFKA_STORAGE_ERROR)
    if (offset < this.#logStartOffset || offset > this.#logEndOffset) {
      return readError(ErrorCode.OFFSET_OUT_OF_RANGE)
    }
    const upTo = Math.min(options.upTo, this.#writtenEndOffset)
    const withAborted = options.withAborted === true
    if (offset >= upTo) {
      if (offset >= this.#writtenEndOffset) this.#wantTail()
      return readNothing(offset, withAborted)
    }
    const found = this.#tail.read(offset, upTo, maxBytes, options.minOneBatch)
    if (!found) return this.#readDisk(offset, maxBytes, upTo, options)
    this.tailWasRead = true
    return this.#result(offset, found.records, found.firstOffset, found.nextOffset, withAborted)
  }

  #readDisk(
    offset: number,
    maxBytes: number,
    upTo: number,
    options: ReadOptions,
  ): ReadResult | Promise<ReadResult> {
    const segment = this.segments.floor(offset) ?? this.segments.first
    if (!segment) return readNothing(offset, options.withAborted === true)
    const isRecent = (position: number) =>
      segment === this.segments.active && segment.sizeBytes - position < tailReadBytes
    const found = this.#reader.read(segment, offset, upTo, maxBytes, options.minOneBatch, isRecent)
    if (found instanceof Promise) return this.#finishRead(segment, found, offset, maxBytes, options)
    if (!found?.records) return readNothing(offset, options.withAborted === true)
    this.#wantTail()
    const { records, firstOffset, nextOffset } = found
    return this.#result(offset, [records], firstOffset, nextOffset, options.withAborted === true)
  }

  async #finishRead(
    start: Segment,
    reading: ReturnType<LogReader['read']>,
    offset: number,
    maxBytes: number,
    options: ReadOptions,
  ): Promise<ReadResult> {
    const withAborted = options.withAborted === true
    const { truncations } = this
    let segment: Segment | undefined = start
    let pending = reading
    try {
      while (segment) {
        const found = await pending
        if (this.#state !== 'open') return readError(ErrorCode.KAFKA_STORAGE_ERROR)
        if (truncations !== this.truncations) return readNothing(offset, withAborted)
        if (offset < this.#logStartOffset) return readError(ErrorCode.OFFSET_OUT_OF_RANGE)
        const upTo = Math.min(options.upTo, this.#writtenEndOffset)
        if (found) {
          if (!found.records) return readNothing(offset, withAborted)
          this.#wantTailNear(segment, found.nextOffset)
          const { records, firstOffset, nextOffset } = found
          return this.#result(offset, [records], firstOffset, nextOffset, withAborted)
        }
        const next = this.segments.after(segment)
        segment = next && next.baseOffset < upTo ? next : undefined
        if (segment) {
          const { minOneBatch } = options
          pending = this.#reader.read(segment, offset, upTo, maxBytes, minOneBatch, () => false)
        }
      }
      return readNothing(offset, withAborted)
    } catch (error) {
      // Retention or compaction took the segment away under the reader: what is there now decides.
      if (segment && !this.segments.has(segment)) return this.read(offset, maxBytes, options)
      return readError(this.#readErrorCode(error))
    }
  }

  /** Damaged data is told to the reader; a disk that does not read closes the log directory. */
  #readErrorCode(error: unknown): ErrorCode {
    if (error instanceof LmqError && error.code === 'LMQ_LOG_CORRUPT') {
      this.home.logger.error({ log: this.name, ...error.facts }, error.message)
      return ErrorCode.CORRUPT_MESSAGE
    }
    if (this.#state === 'open') this.home.fail(error, 'read')
    return ErrorCode.KAFKA_STORAGE_ERROR
  }

  #result(
    offset: number,
    records: readonly Buffer[],
    firstOffset: number,
    nextOffset: number,
    withAborted: boolean,
  ): ReadResult {
    let sizeBytes = 0
    for (const part of records) sizeBytes += part.length
    const abortedTransactions = withAborted ? this.abortedTransactions(offset, nextOffset) : null
    return {
      errorCode: ErrorCode.NONE,
      records,
      sizeBytes,
      firstOffset,
      nextOffset,
      abortedTransactions,
    }
  }

  /** Aborted transactions that overlap [from, to). */
  abortedTransactions(from: number, to: number): AbortedTransaction[] {
    const found: AbortedTransaction[] = []
    const { all } = this.segments
    for (let index = Math.max(0, this.segments.floorIndex(from)); index < all.length; index++) {
      for (const entry of (all[index] as Segment).transactionIndex.entries) {
        if (entry.lastOffset >= from && entry.firstOffset < to) found.push(entry)
        if (entry.lastStableOffset >= to) return found
      }
    }
    return found
  }

  #wantTailNear(segment: Segment, nextOffset: number): void {
    if (segment !== this.segments.active) return
    const start = segment.offsetIndex.lookup(nextOffset)
    if (segment.sizeBytes - start < tailReadBytes) this.#wantTail()
  }

  #wantTail(): void {
    this.tailWasRead = true
    if (this.#keepsTail) return
    this.#keepsTail = true
    this.shared.logsWithTail.add(this)
  }

  /** Nobody reads at the end any more. */
  dropTail(): void {
    this.#keepsTail = false
    this.#tail.clear()
    this.shared.logsWithTail.delete(this)
  }

  /**
   * The first record with this timestamp or a younger one, below `upTo` (exclusive).
   *
   * @throws LMQ_LOG_CORRUPT, LMQ_LOG_DIR_OFFLINE, codec errors
   */
  offsetForTimestamp(timestamp: number, upTo: number): Promise<FoundRecord | undefined> {
    return this.#search(() => findByTimestamp(this, this.#reader, timestamp, upTo))
  }

  /** The record with the largest timestamp; undefined when no record has one. Throws as above. */
  offsetOfMaxTimestamp(): Promise<FoundRecord | undefined> {
    return this.#search(() => findNewest(this, this.#reader))
  }

  async #search<Found>(search: () => Promise<Found>): Promise<Found> {
    this.#open()
    this.assertOnline()
    const { removals } = this.segments
    try {
      return await search()
    } catch (error) {
      if (removals !== this.segments.removals) return this.#search(search)
      if (error instanceof LmqError) throw error
      this.home.fail(error, 'read')
      throw new LmqError('LMQ_LOG_DIR_OFFLINE', { folder: this.home.path }, error)
    }
  }

  /** @throws LMQ_LOG_DIR_OFFLINE */
  assertOnline(): void {
    if (this.#state !== 'open')
      throw new LmqError('LMQ_LOG_DIR_OFFLINE', { folder: this.home.path })
  }

  endOffsetForEpoch(epoch: number): { epoch: number; endOffset: number } {
    return this.epochs.endOffsetFor(epoch, this.logEndOffset)
  }

  epochForOffset(offset: number): number {
    this.#open()
    return this.epochs.epochAt(offset)
  }

  /** For DescribeProducers. */
  activeProducers(): ReturnType<ProducerStates['producers']['values']> {
    this.#open()
    return this.producers.producers.values()
  }

  // ------------------------------------------------------------------------------------------------ trimming

  /**
   * Moves the log start to `offset` and takes segments away that are wholly below it.
   *
   * @returns the new start; NONE, or OFFSET_OUT_OF_RANGE above the high watermark
   */
  deleteRecordsBefore(offset: number): { errorCode: ErrorCode; logStartOffset: number } {
    this.#open()
    if (this.#state !== 'open')
      return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, logStartOffset: -1 }
    if (offset > this.#highWatermark) {
      return { errorCode: ErrorCode.OFFSET_OUT_OF_RANGE, logStartOffset: -1 }
    }
    this.moveLogStart(offset)
    return { errorCode: ErrorCode.NONE, logStartOffset: this.#logStartOffset }
  }

  /** Only forward. Readers below it get OFFSET_OUT_OF_RANGE at once. */
  moveLogStart(offset: number): void {
    if (offset <= this.#logStartOffset) return
    assert(offset <= this.#highWatermark, 'log start is above the high watermark')
    this.#logStartOffset = offset
    this.epochs.truncateStart(offset)
    const gone = this.segments.all.filter(
      (segment) =>
        segment !== this.segments.active &&
        this.segments.endOf(segment, this.#logEndOffset) <= offset,
    )
    this.removeSegments(gone)
    this.home.checkpointSoon()
    this.listener.trimmed?.(this)
  }

  /** Takes closed segments out of the log; their files go after file.delete.delay.ms. */
  removeSegments(gone: readonly Segment[]): void {
    if (gone.length === 0) return
    this.segments.remove(gone)
    this.#reader.forgetHints()
    const first = this.segments.first
    if (first) this.snapshots.removeBelow(first.baseOffset)
    try {
      for (const segment of gone) this.discardFiles(segment)
    } catch (error) {
      this.home.fail(error, 'delete')
    }
  }

  /** Renames a segment's files and has them removed later. @throws Node's own disk errors */
  discardFiles(segment: Segment): void {
    segment.addSuffix(Suffix.deleted)
    const { io, disk } = this.shared
    io.timers.schedule(this.config.fileDeleteDelayMs, () => {
      segment.close()
      for (const path of segment.paths) disk.removeFile(path).catch(() => {})
    })
  }

  /** Lets `replacement` stand where `gone` stood (compaction). All files are in place already. */
  replaceSegments(replacement: readonly Segment[], gone: readonly Segment[]): void {
    const kept = this.segments.all.filter((segment) => !gone.includes(segment))
    this.segments.set([...kept, ...replacement])
    this.#reader.forgetHints()
  }

  /**
   * Cuts the log so that it ends at `offset` (exclusive). Appends wait meanwhile; what is not written yet is written
   * first.
   */
  truncateTo(offset: number): Promise<void> {
    this.#open()
    const work = (this.#gate ?? Promise.resolve()).then(() => this.#truncateNow(offset))
    this.holdAppends(work)
    return work
  }

  async #truncateNow(offset: number): Promise<void> {
    this.assertOnline()
    if (offset >= this.#logEndOffset) return
    await new Promise<void>((resolve, reject) =>
      this.whenWritten(this.#logEndOffset, (errorCode) =>
        errorCode === ErrorCode.NONE ? resolve() : reject(new LmqError('LMQ_LOG_DIR_OFFLINE')),
      ),
    )
    await this.flusher.settled()
    this.assertOnline()
    const { all } = this.segments
    const holder = this.segments.floor(offset)
    const position = holder ? await this.#reader.locate(holder, offset) : -1
    this.assertOnline()
    const gone = all.filter((segment) => segment.baseOffset >= offset && segment !== holder)
    this.truncations++
    this.dropTail()
    this.#reader.forgetHints()
    this.#cut(holder, position, offset, gone)
    this.listener.trimmed?.(this)
  }

  #cut(holder: Segment | undefined, position: number, offset: number, gone: Segment[]): void {
    const { disk } = this.shared
    try {
      for (const segment of gone) {
        segment.close()
        for (const path of segment.paths) disk.removeFileSync(path)
      }
      this.segments.remove(gone)
      if (holder && position >= 0) holder.truncate(position, offset)
      holder?.offsetIndex.setActive(true)
      holder?.timeIndex.setActive(true)
      this.#logEndOffset = Math.max(offset, this.#logStartOffset)
      this.#writtenEndOffset = this.#logEndOffset
      this.#highWatermark = Math.min(this.#highWatermark, this.#logEndOffset)
      this.flusher.begin(Math.min(this.flusher.flushedEndOffset, this.#logEndOffset))
      this.cleanedOffset = Math.min(this.cleanedOffset, this.#logEndOffset)
      this.epochs.truncateEnd(this.#logEndOffset)
      this.snapshots.removeAbove(this.#logEndOffset)
      exhaust(this.#replayProducers())
    } catch (error) {
      this.home.fail(error, 'truncate')
    }
  }

  *#replayProducers(): Generator<void, void> {
    const snapshot = this.snapshots.readLatest(this.#logEndOffset)
    this.producers.load(snapshot?.producers ?? [])
    const from = snapshot?.offset ?? 0
    for (const segment of this.segments.all) {
      if (this.segments.endOf(segment, this.#logEndOffset) <= from) continue
      yield* segment.visit((buffer, at, lastOffset) => {
        if (lastOffset >= from) this.producers.note(buffer, at)
        return true
      })
    }
  }

  #rebuildIndex(segment: Segment): void {
    const facts = { log: this.name, path: segment.offsetIndex.path }
    this.home.logger.warn(facts, 'an index does not fit its segment and is built anew')
    segment.rebuildOffsetIndex(this.config.indexIntervalBytes, this.shared.io.timers, (error) =>
      this.home.fail(error, 'read'),
    )
  }

  // ------------------------------------------------------------------------------------------------ closing

  /**
   * Leader epochs and names onto the disk, if they changed since the last time.
   *
   * @throws Node's own disk errors
   */
  async saveFolder(): Promise<void> {
    if (!this.#hasFolder || !(this.epochs.isDirty || this.#hasNewNames)) return
    const { disk } = this.shared
    const isNew = this.#isNewFolder
    if (this.epochs.isDirty) {
      this.epochs.isDirty = false
      const content = encodeEpochs(this.epochs.entries)
      await disk.writeFile(join(this.folder, leaderEpochFile), content)
    }
    this.#hasNewNames = false
    this.#isNewFolder = false
    await disk.flushFolder(this.folder)
    if (isNew) await disk.flushFolder(this.home.path)
  }

  /** The log directory was closed: nobody is left waiting, nothing more is written. */
  goOffline(): void {
    if (this.#state === 'offline') return
    this.#state = 'offline'
    this.#queue.stop()
    this.dropTail()
    this.#writeWaiters.failAll(ErrorCode.KAFKA_STORAGE_ERROR)
    this.flusher.stop()
    for (const segment of this.segments.all) segment.close()
    this.listener.failed?.(this)
  }

  /** Writes and flushes everything, then closes all files. Nothing may be appended after. */
  async close(): Promise<void> {
    if (this.#gate) await this.#gate
    if (this.#state === 'unloaded') {
      this.#state = 'closed'
      return
    }
    if (this.#state !== 'open') return
    this.drain()
    await new Promise<void>((resolve) => this.whenWritten(this.#logEndOffset, () => resolve()))
    if (this.state !== 'open') return
    if (this.#hasFolder && !this.#isSaved) {
      try {
        this.snapshots.write(this.#logEndOffset, this.producers.producers)
      } catch (error) {
        this.home.fail(error, 'close')
      }
      this.flusher.isClosing = true
      await this.flusher.flushAll()
    }
    this.discard()
  }

  /** Nothing happened that the files do not say: a stop has nothing to do. */
  get #isSaved(): boolean {
    const end = this.#logEndOffset
    return this.flusher.flushedEndOffset === end && this.snapshots.latestOffset === end
  }

  /** Closes without saving: the log is deleted, or was saved before. */
  discard(): void {
    if (this.#state === 'offline') return
    this.#state = 'closed'
    this.#queue.stop()
    this.dropTail()
    this.#writeWaiters.failAll(ErrorCode.KAFKA_STORAGE_ERROR)
    this.flusher.stop()
    for (const segment of this.segments.all) segment.close()
  }
}

export type { Refusal }
