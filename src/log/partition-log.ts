import { assert } from '../base/assert.ts'
import type { ErrorCode } from '../protocol/error-code.ts'
import type { LeaderEpochCache } from './leader-epoch-cache.ts'
import { LogAppender } from './log-appender.ts'
import type { LogConfig } from './log-config.ts'
import { LogCore, type LogIdentity, type StoredLog } from './log-core.ts'
import type { LogFlusher } from './log-flusher.ts'
import type { LoadedLog } from './log-loader.ts'
import type {
  AppendOptions,
  AppendResult,
  ReadOptions,
  ReadResult,
  ReplicateOptions,
  ReplicateResult,
} from './log-outcomes.ts'
import { LogRelocation, type NewPlace } from './log-relocation.ts'
import type { LogHome, LogShared } from './log-shared.ts'
import { LogTrimmer } from './log-trimmer.ts'
import { LogView } from './log-view.ts'
import type { Waiter } from './log-waiters.ts'
import type { FoundRecord } from './offset-search.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import type { ProducerStates } from './producer-states.ts'
import type { Segment } from './segment.ts'
import type { Segments } from './segments.ts'
import type { AbortedTransaction } from './transaction-index.ts'

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

/**
 * One partition's log: gives batches their offsets, brings them to disk, gives them back. Three ends (exclusive):
 * `logEndOffset` counts what is appended, `writtenEndOffset` what is in the file, `flushedEndOffset` what is durable.
 * Readers see only what is written. Opened lazily: until somebody asks, nothing of a cleanly closed log is read, and
 * the folder of a new one is made at its first append.
 */
export class PartitionLog {
  /** Retention leaves the segments alone meanwhile. */
  isCompacting = false
  /** It is being copied to another log directory: compaction leaves it alone meanwhile. */
  isMoving = false
  readonly #core: LogCore
  readonly #appender: LogAppender
  readonly #view: LogView
  readonly #trimmer: LogTrimmer
  readonly #relocation: LogRelocation

  constructor(
    shared: LogShared,
    home: LogHome,
    identity: LogIdentity,
    config: LogConfig,
    stored: StoredLog,
  ) {
    this.#core = new LogCore(this, shared, home, identity, config, stored)
    this.#appender = new LogAppender(this.#core)
    this.#view = new LogView(this.#core)
    this.#trimmer = new LogTrimmer(this.#core, this.#appender)
    this.#relocation = new LogRelocation(this.#core, this.#appender)
  }

  // ------------------------------------------------------------------------------------------------ what it is

  get topic(): string {
    return this.#core.topic
  }

  get partitionIndex(): number {
    return this.#core.partitionIndex
  }

  get topicId(): string {
    return this.#core.topicId
  }

  set topicId(topicId: string) {
    this.#core.topicId = topicId
  }

  /** As its folder is called: topic, dash, partition index. */
  get name(): string {
    return this.#core.name
  }

  get folder(): string {
    return this.#core.folder
  }

  get home(): LogHome {
    return this.#core.home
  }

  get shared(): LogShared {
    return this.#core.shared
  }

  get config(): LogConfig {
    return this.#core.config
  }

  set config(config: LogConfig) {
    this.#core.config = config
  }

  set listener(listener: LogListener) {
    this.#core.listener = listener
  }

  get state(): LogState {
    return this.#core.state
  }

  get hasFolder(): boolean {
    return this.#core.hasFolder
  }

  get segments(): Segments {
    return this.#core.segments
  }

  get producers(): ProducerStates {
    return this.#core.producers
  }

  get snapshots(): ProducerSnapshots {
    return this.#core.snapshots
  }

  get epochs(): LeaderEpochCache {
    return this.#core.epochs
  }

  get flusher(): LogFlusher {
    return this.#core.flusher
  }

  /** Rises whenever offsets that were given may mean other records now, or none. */
  get truncations(): number {
    return this.#core.truncations
  }

  /** Offsets below were compacted; -1: nothing yet. */
  get cleanedOffset(): number {
    return this.#core.cleanedOffset
  }

  set cleanedOffset(offset: number) {
    this.#core.cleanedOffset = offset
  }

  // ------------------------------------------------------------------------------------------------ offsets

  /** Inclusive: the first offset that readers may ask for. */
  get logStartOffset(): number {
    this.#core.open()
    return this.#core.logStartOffset
  }

  get logEndOffset(): number {
    this.#core.open()
    return this.#core.logEndOffset
  }

  get writtenEndOffset(): number {
    this.#core.open()
    return this.#core.writtenEndOffset
  }

  get flushedEndOffset(): number {
    this.#core.open()
    return this.#core.flusher.flushedEndOffset
  }

  /** Set by the partition; no reader of this log looks at it. */
  get highWatermark(): number {
    this.#core.open()
    return this.#core.highWatermark
  }

  set highWatermark(offset: number) {
    this.#core.open()
    assert(offset <= this.#core.logEndOffset, 'high watermark is above the log end')
    this.#core.highWatermark = offset
    this.#core.producers.advance(offset)
  }

  /** min(high watermark, first offset of the oldest transaction that is open or not replicated). */
  get lastStableOffset(): number {
    const { highWatermark } = this
    const first = this.#core.producers.firstUnstableOffset
    return first < 0 ? highWatermark : Math.min(first, highWatermark)
  }

  get latestEpoch(): number {
    this.#core.open()
    return this.#core.epochs.latestEpoch
  }

  get sizeBytes(): number {
    this.#core.open()
    return this.#core.segments.sizeBytes
  }

  /** What the checkpoint files shall say; does not open the log. */
  get storedOffsets(): LogCore['storedOffsets'] {
    return this.#core.storedOffsets
  }

  /** Like Kafka's LeaderEpochFileCache: -1 and -1 when nothing can be said. */
  endOffsetForEpoch(epoch: number): { epoch: number; endOffset: number } {
    return this.#core.epochs.endOffsetFor(epoch, this.logEndOffset)
  }

  /** -1: unknown. */
  epochForOffset(offset: number): number {
    this.#core.open()
    return this.#core.epochs.epochAt(offset)
  }

  /** For DescribeProducers. */
  activeProducers(): ReturnType<ProducerStates['producers']['values']> {
    this.#core.open()
    return this.#core.producers.producers.values()
  }

  // ------------------------------------------------------------------------------------------------ appending

  /**
   * The only leader epoch under which may be appended, -1: none. An append that had to wait is held to it, too: its broker
   * may follow another leader by then.
   */
  set appendEpoch(leaderEpoch: number) {
    this.#core.appendEpoch = leaderEpoch
  }

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
    return this.#appender.append(records, options)
  }

  /**
   * Takes whole batches as a leader has them: offsets, epochs, times and producer fields stay. Each is checked before
   * it is taken (structure, CRC-32C, offsets that go on at the log's end, epochs that do not go back), so that damage
   * at the leader does not spread. Offsets may leave gaps upwards: compaction makes them.
   *
   * @param records must not change until the result's end is written; a last batch that is cut off is left out
   * @returns a promise only while the log is being truncated
   */
  replicate(
    records: Buffer,
    options: ReplicateOptions,
  ): ReplicateResult | Promise<ReplicateResult> {
    return this.#appender.replicate(records, options)
  }

  /** Called by the home when a turn ends: writes what was gathered. */
  drain(): void {
    this.#appender.drain()
  }

  /** Closes the active segment and begins a new one at the log's end. @throws Node's own disk errors */
  roll(nowMs: number): Segment {
    this.#core.open()
    return this.#core.roll(nowMs)
  }

  /**
   * Calls `waiter` once: when the log is written up to `offset` (exclusive), at once if it is, or with
   * KAFKA_STORAGE_ERROR when it never will be.
   */
  whenWritten(offset: number, waiter: Waiter): void {
    this.#core.open()
    this.#core.whenWritten(offset, waiter)
  }

  /**
   * Calls `waiter` once when everything that `append` was called for until now is in the file or never will be: its
   * memory is free then.
   */
  whenSettled(waiter: () => void): void {
    const { gate } = this.#appender
    if (gate) {
      void gate.then(() => this.whenSettled(waiter))
    } else if (this.#core.state === 'open') {
      this.#core.whenWritten(this.#core.logEndOffset, waiter)
    } else waiter()
  }

  /** The same for `flushedEndOffset`. Does not ask for a flush: `flush.messages` and `flush.ms` do. */
  whenFlushed(offset: number, waiter: Waiter): void {
    this.#core.open()
    this.#core.whenFlushed(offset, waiter)
  }

  // ------------------------------------------------------------------------------------------------ reading

  /** Whole batches from the one that holds `offset` on; from memory in the same turn when they are recent. */
  read(offset: number, maxBytes: number, options: ReadOptions): ReadResult | Promise<ReadResult> {
    return this.#view.read(offset, maxBytes, options)
  }

  /** Aborted transactions that overlap [from, to); in the same turn when their indexes are known to be right. */
  abortedTransactions(
    from: number,
    to: number,
  ): AbortedTransaction[] | Promise<AbortedTransaction[]> {
    this.#core.open()
    return this.#view.abortedTransactions(from, to)
  }

  /**
   * The first record with this timestamp or a younger one, below `upTo` (exclusive).
   *
   * @throws LMQ_LOG_CORRUPT, LMQ_LOG_DIR_OFFLINE, codec errors
   */
  offsetForTimestamp(timestamp: number, upTo: number): Promise<FoundRecord | undefined> {
    return this.#view.offsetForTimestamp(timestamp, upTo)
  }

  /** The record with the largest timestamp; undefined when no record has one. Throws as above. */
  offsetOfMaxTimestamp(): Promise<FoundRecord | undefined> {
    return this.#view.offsetOfMaxTimestamp()
  }

  /** Somebody read at the end since this was last set to false. */
  get tailWasRead(): boolean {
    return this.#core.tailWasRead
  }

  set tailWasRead(wasRead: boolean) {
    this.#core.tailWasRead = wasRead
  }

  /** Nobody reads at the end any more: memory is given back. */
  dropTail(): void {
    this.#core.dropTail()
  }

  // ------------------------------------------------------------------------------------------------ trimming

  /**
   * Moves the log start to `offset` and takes segments away that are wholly below it.
   *
   * @returns the new start; NONE, or OFFSET_OUT_OF_RANGE above the high watermark
   */
  deleteRecordsBefore(offset: number): { errorCode: ErrorCode; logStartOffset: number } {
    return this.#trimmer.deleteRecordsBefore(offset)
  }

  /** Only forward. Readers below it get OFFSET_OUT_OF_RANGE at once. */
  moveLogStart(offset: number): void {
    this.#trimmer.moveLogStart(offset)
  }

  /** Takes closed segments out of the log; their files go after file.delete.delay.ms. */
  removeSegments(gone: readonly Segment[]): void {
    this.#trimmer.removeSegments(gone)
  }

  /** Renames a segment's files and has them removed later. @throws Node's own disk errors */
  discardFiles(segment: Segment): void {
    this.#trimmer.discardFiles(segment)
  }

  /** Lets `replacement` stand where `gone` stood (compaction). All files are in place already. */
  replaceSegments(replacement: readonly Segment[], gone: readonly Segment[]): void {
    this.#trimmer.replaceSegments(replacement, gone)
  }

  /**
   * Cuts the log so that it ends at `offset` (exclusive), or where the batch that holds `offset` begins. Appends wait
   * meanwhile; what is not written yet is written first.
   *
   * @param isWanted asked again in the turn in which the log is cut; false: it stays as it is
   * @throws LMQ_LOG_DIR_OFFLINE
   */
  truncateTo(offset: number, isWanted?: () => boolean): Promise<void> {
    return this.#trimmer.truncateTo(offset, isWanted)
  }

  /** Removes all records; the log begins and ends at `offset` now. Otherwise as `truncateTo`. */
  startAt(offset: number, isWanted?: () => boolean): Promise<void> {
    return this.#trimmer.startAt(offset, isWanted)
  }

  // ------------------------------------------------------------------------------------------------ its life

  /** Goes on in another folder, which holds the same; see `LogRelocation`. */
  moveTo(place: NewPlace): Promise<boolean> {
    return this.#relocation.moveTo(place)
  }

  /** Opens the log now, in steps: for recovery, which reads much. No-op when it is open. */
  openInSteps(): Generator<void, LoadedLog | undefined> {
    return this.#core.openInSteps()
  }

  /** The log directory was closed: nobody is left waiting, nothing more is written. */
  goOffline(): void {
    if (this.state === 'offline') return
    this.#appender.stop()
    this.#core.stop('offline')
    this.#core.listener.failed?.(this)
  }

  /** Writes and flushes everything, then closes all files. Nothing may be appended after. */
  async close(): Promise<void> {
    const core = this.#core
    if (this.#appender.gate) await this.#appender.gate
    if (core.state === 'open') {
      this.drain()
      await new Promise<void>((resolve) => core.whenWritten(core.logEndOffset, () => resolve()))
      await core.save()
    }
    this.discard()
  }

  /** Closes without saving: the log is deleted, or was saved before. */
  discard(): void {
    if (this.state === 'offline' || this.state === 'closed') return
    this.#appender.stop()
    this.#core.stop('closed')
  }
}
