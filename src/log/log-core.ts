import { join } from 'node:path'
import { LmqError } from '../base/errors.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { BatchTail } from './batch-tail.ts'
import { encodeEpochs } from './checkpoint-file.ts'
import { LeaderEpochCache } from './leader-epoch-cache.ts'
import type { LogConfig } from './log-config.ts'
import { folderNameOf, leaderEpochFile, partitionMetadataFile } from './log-files.ts'
import { LogFlusher } from './log-flusher.ts'
import { type Gaps, type LoadedLog, loadLog } from './log-loader.ts'
import { LogReader } from './log-reader.ts'
import type { LogHome, LogShared } from './log-shared.ts'
import { LogWaiters, type Waiter } from './log-waiters.ts'
import type { LogListener, LogState, PartitionLog } from './partition-log.ts'
import { encodePartitionMetadata } from './partition-metadata.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import { ProducerStates } from './producer-states.ts'
import { exhaust, Segment } from './segment.ts'
import { Segments } from './segments.ts'

export type LogIdentity = { topic: string; partitionIndex: number; topicId: string }

/** What the log directory knows of a log before it is opened. */
export type StoredLog = {
  readonly hasFolder: boolean
  readonly wasClean: boolean
  readonly recoveryPoint: number
  readonly logStartOffset: number
  readonly highWatermark: number
  /** -1: never compacted. */
  readonly cleanedOffset: number
}

/**
 * The state of one partition's log, which its appender, view, trimmer and flusher share, and what all of them need:
 * opening, rolling, waiting for the disk. Nothing outside of this folder touches it: `PartitionLog` is the door.
 */
export class LogCore {
  readonly shared: LogShared
  home: LogHome
  /** For listeners. */
  readonly log: PartitionLog
  readonly topic: string
  readonly partitionIndex: number
  topicId: string
  folder: string
  readonly epochs = new LeaderEpochCache()
  readonly producers = new ProducerStates()
  readonly segments = new Segments()
  snapshots: ProducerSnapshots
  readonly flusher: LogFlusher
  readonly tail: BatchTail
  readonly reader: LogReader
  config: LogConfig
  listener: LogListener = {}
  state: LogState = 'unloaded'
  /** Rises whenever offsets that were given may mean other records now, or none. */
  truncations = 0
  cleanedOffset: number
  logStartOffset: number
  logEndOffset = 0
  writtenEndOffset = 0
  /** See `PartitionLog.appendEpoch`; undefined: nobody said, and any will do. */
  appendEpoch: number | undefined
  highWatermark: number
  hasFolder: boolean
  keepsTail = false
  tailWasRead = false
  /** A flush of the active segment runs: a write beside it would wait for the disk. */
  isFlushing = false
  /** segment.jitter.ms as chosen for the active segment; -1: not chosen yet. */
  segmentJitterMs = -1
  /** Files, or the folder itself, were made since their names were last flushed. */
  #hasNewNames = false
  #isNewFolder = false
  readonly #wasClean: boolean
  readonly #recoveryPoint: number
  readonly #writeWaiters = new LogWaiters()

  constructor(
    log: PartitionLog,
    shared: LogShared,
    home: LogHome,
    identity: LogIdentity,
    config: LogConfig,
    stored: StoredLog,
  ) {
    this.log = log
    this.shared = shared
    this.home = home
    this.topic = identity.topic
    this.partitionIndex = identity.partitionIndex
    this.topicId = identity.topicId
    this.config = config
    this.folder = join(home.path, folderNameOf(this.topic, this.partitionIndex))
    this.hasFolder = stored.hasFolder
    this.#wasClean = stored.wasClean
    this.#recoveryPoint = stored.recoveryPoint
    this.logStartOffset = stored.logStartOffset
    this.highWatermark = stored.highWatermark
    this.cleanedOffset = stored.cleanedOffset
    const { disk, crc32c, io } = shared
    this.snapshots = new ProducerSnapshots(disk, this.folder, crc32c, home.logger)
    this.tail = new BatchTail(shared.tailBudget, io.memory)
    this.reader = new LogReader(io.memory, (segment) => this.rebuildIndexes(segment))
    this.flusher = new LogFlusher(this)
  }

  get name(): string {
    return folderNameOf(this.topic, this.partitionIndex)
  }

  /** What the checkpoint files shall say; does not open the log. */
  get storedOffsets(): {
    recoveryPoint: number
    logStartOffset: number
    highWatermark: number
    cleanedOffset: number
  } {
    const isOpen = this.state === 'open' || this.state === 'closed'
    return {
      recoveryPoint: isOpen ? this.flusher.flushedEndOffset : this.#recoveryPoint,
      logStartOffset: this.logStartOffset,
      highWatermark: this.highWatermark,
      cleanedOffset: this.cleanedOffset,
    }
  }

  // ------------------------------------------------------------------------------------------------ opening

  /** Opens the log now, in steps: for recovery, which reads much. No-op when it is open. */
  *openInSteps(): Generator<void, LoadedLog | undefined> {
    if (this.state !== 'unloaded') return undefined
    if (!this.hasFolder) {
      this.#becomeOpen([], this.logStartOffset, this.logStartOffset)
      return undefined
    }
    const loaded = yield* loadLog({
      shared: this.shared,
      logger: this.home.logger,
      folder: this.folder,
      nowMs: this.shared.io.brokerClock.nowMs(),
      indexIntervalBytes: this.config.indexIntervalBytes,
      producerExpirationMs: this.shared.settings['producer.id.expiration.ms'],
      wasClean: this.#wasClean,
      recoveryPoint: this.#recoveryPoint,
      logStartOffset: this.logStartOffset,
      gaps: this.#gaps,
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

  /** The topic's setting may have changed since: what counts is whether compaction ever came here. */
  get #gaps(): Gaps {
    if (!this.shared.mayHaveGaps(this.topic)) return 'impossible'
    return this.cleanedOffset < 0 ? 'unlikely' : 'expected'
  }

  /** Opens it if nobody has yet. If that fails the log directory is closed. */
  open(): void {
    if (this.state !== 'unloaded') return
    try {
      exhaust(this.openInSteps())
    } catch (error) {
      this.home.fail(error, 'open')
    }
  }

  #becomeOpen(segments: readonly Segment[], logStartOffset: number, logEndOffset: number): void {
    this.state = 'open'
    this.segments.set(segments)
    this.logStartOffset = logStartOffset
    this.logEndOffset = logEndOffset
    this.writtenEndOffset = logEndOffset
    this.highWatermark = Math.max(logStartOffset, Math.min(this.highWatermark, logEndOffset))
    this.cleanedOffset = Math.min(this.cleanedOffset, logEndOffset)
    this.producers.advance(this.highWatermark)
    const flushed = this.#wasClean ? logEndOffset : Math.min(this.#recoveryPoint, logEndOffset)
    this.flusher.begin(Math.max(flushed, logStartOffset))
  }

  // ------------------------------------------------------------------------------------------------ files

  /** Closes the active segment and begins a new one at the log's end. @throws Node's own disk errors */
  roll(nowMs: number): Segment {
    const before = this.segments.active
    if (before && before.sizeBytes === 0) return before
    if (!this.hasFolder) {
      return this.shared.creations.run(() => {
        this.#makeFolder()
        return this.#beginSegment(nowMs)
      })
    }
    before?.seal()
    if (before) this.snapshots.write(this.logEndOffset, this.producers.producers)
    const segment = this.#beginSegment(nowMs)
    if (before) this.flusher.flushClosed(this.logEndOffset)
    return segment
  }

  #beginSegment(nowMs: number): Segment {
    const segment = new Segment(this.shared, this.folder, this.logEndOffset, nowMs)
    segment.create()
    this.#hasNewNames = true
    this.segments.push(segment)
    this.segmentJitterMs = -1
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
    this.hasFolder = true
    this.#isNewFolder = true
  }

  /**
   * Leader epochs and names onto the disk, if they changed since the last time.
   *
   * @throws Node's own disk errors
   */
  async saveFolder(): Promise<void> {
    if (!this.hasFolder || !(this.epochs.isDirty || this.#hasNewNames)) return
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
    // At a stop the directory is flushed once for all logs, before it is marked as closed in order.
    if (isNew && !this.flusher.isClosing) await disk.flushFolder(this.home.path)
  }

  /** The log lives here from now on, and all that it holds is durable here. */
  settleIn(home: LogHome, folder: string, snapshots: ProducerSnapshots): void {
    this.home = home
    this.folder = folder
    this.snapshots = snapshots
    this.#hasNewNames = false
    this.#isNewFolder = false
    this.flusher.begin(this.logEndOffset)
  }

  /** An index was found to be damaged. Reading goes on without it meanwhile. */
  rebuildIndexes(segment: Segment): void {
    const facts = { log: this.name, path: segment.offsetIndex.path }
    this.home.logger.warn(facts, 'an index does not fit its segment and is built anew')
    const { indexIntervalBytes } = this.config
    const isActive = segment === this.segments.active
    segment.rebuildIndexes(isActive, indexIntervalBytes, this.shared.io.timers, (error) =>
      this.home.fail(error, 'read'),
    )
  }

  // ------------------------------------------------------------------------------------------------ waiting

  /** The write queue has put everything below `endOffset` into the file. */
  noteWritten(endOffset: number): void {
    this.writtenEndOffset = endOffset
    this.#writeWaiters.reached(endOffset)
    this.listener.written?.(this.log)
    this.flusher.noteWritten()
  }

  /**
   * Calls `waiter` once: when the log is written up to `offset` (exclusive), at once if it is, or with
   * KAFKA_STORAGE_ERROR when it never will be.
   */
  whenWritten(offset: number, waiter: Waiter): void {
    if (this.state === 'offline' || this.state === 'closed') {
      waiter(ErrorCode.KAFKA_STORAGE_ERROR)
    } else if (offset <= this.writtenEndOffset) waiter(ErrorCode.NONE)
    else this.#writeWaiters.add(offset, waiter)
  }

  /** The same for `flushedEndOffset`. Does not ask for a flush: `flush.messages` and `flush.ms` do. */
  whenFlushed(offset: number, waiter: Waiter): void {
    if (this.state === 'offline' || this.state === 'closed') {
      waiter(ErrorCode.KAFKA_STORAGE_ERROR)
    } else this.flusher.whenFlushed(offset, waiter)
  }

  // ------------------------------------------------------------------------------------------------ the tail

  /** Somebody reads at the end: the next batches stay in memory. */
  wantTail(): void {
    this.tailWasRead = true
    if (this.keepsTail) return
    this.keepsTail = true
    this.shared.logsWithTail.add(this.log)
  }

  /** Nobody reads at the end any more. */
  dropTail(): void {
    this.keepsTail = false
    this.tail.clear()
    this.shared.logsWithTail.delete(this.log)
  }

  // ------------------------------------------------------------------------------------------------ the end

  /** @throws LMQ_LOG_DIR_OFFLINE */
  assertOnline(): void {
    if (this.state !== 'open') throw new LmqError('LMQ_LOG_DIR_OFFLINE', { folder: this.home.path })
  }

  /** Before the files are closed: everything written is durable, and what a clean start reads is there. */
  async save(): Promise<void> {
    if (this.state !== 'open' || !this.hasFolder || this.#isSaved) return
    try {
      this.snapshots.write(this.logEndOffset, this.producers.producers)
    } catch (error) {
      this.home.fail(error, 'close')
    }
    this.flusher.isClosing = true
    await this.flusher.flushAll()
  }

  /** Nothing happened that the files do not say: a stop has nothing to do. */
  get #isSaved(): boolean {
    const end = this.logEndOffset
    return this.flusher.flushedEndOffset === end && this.snapshots.latestOffset === end
  }

  /** Nobody is left waiting, nothing more is read or written. */
  stop(state: 'offline' | 'closed'): void {
    this.state = state
    this.dropTail()
    this.#writeWaiters.failAll(ErrorCode.KAFKA_STORAGE_ERROR)
    this.flusher.stop()
    for (const segment of this.segments.all) segment.close()
  }
}
