import { assert } from '../base/assert.ts'
import { LmqError } from '../base/errors.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { BATCH_HEADER_BYTES, baseOffsetOf } from '../protocol/record-batch.ts'
import type { LogAppender } from './log-appender.ts'
import type { LogCore } from './log-core.ts'
import { Suffix } from './log-files.ts'
import { exhaust, type Segment } from './segment.ts'

const always = () => true

/** Takes records away from one log, at its start or its end. */
export class LogTrimmer {
  readonly #core: LogCore
  readonly #appender: LogAppender

  constructor(core: LogCore, appender: LogAppender) {
    this.#core = core
    this.#appender = appender
  }

  /**
   * Moves the log start to `offset` and takes segments away that are wholly below it.
   *
   * @returns the new start; NONE, or OFFSET_OUT_OF_RANGE above the high watermark
   */
  deleteRecordsBefore(offset: number): { errorCode: ErrorCode; logStartOffset: number } {
    this.#core.open()
    if (this.#core.state !== 'open')
      return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, logStartOffset: -1 }
    if (offset > this.#core.highWatermark) {
      return { errorCode: ErrorCode.OFFSET_OUT_OF_RANGE, logStartOffset: -1 }
    }
    this.moveLogStart(offset)
    return { errorCode: ErrorCode.NONE, logStartOffset: this.#core.logStartOffset }
  }

  /** Only forward. Readers below it get OFFSET_OUT_OF_RANGE at once. */
  moveLogStart(offset: number): void {
    if (offset <= this.#core.logStartOffset) return
    assert(offset <= this.#core.highWatermark, 'log start is above the high watermark')
    this.#core.logStartOffset = offset
    this.#core.epochs.truncateStart(offset)
    const gone = this.#core.segments.all.filter(
      (segment) =>
        segment !== this.#core.segments.active &&
        this.#core.segments.endOf(segment, this.#core.logEndOffset) <= offset,
    )
    this.removeSegments(gone)
    this.#core.home.checkpointSoon()
    this.#core.listener.trimmed?.(this.#core.log)
  }

  /** Takes closed segments out of the log; their files go after file.delete.delay.ms. */
  removeSegments(gone: readonly Segment[]): void {
    if (gone.length === 0) return
    this.#core.segments.remove(gone)
    this.#core.reader.forgetHints()
    const first = this.#core.segments.first
    if (first) this.#core.snapshots.removeBelow(first.baseOffset)
    try {
      for (const segment of gone) this.discardFiles(segment)
    } catch (error) {
      this.#core.home.fail(error, 'delete')
    }
  }

  /** Renames a segment's files and has them removed later. @throws Node's own disk errors */
  discardFiles(segment: Segment): void {
    segment.addSuffix(Suffix.deleted)
    const { io, disk } = this.#core.shared
    io.timers.schedule(this.#core.config.fileDeleteDelayMs, () => {
      segment.close()
      for (const path of segment.paths) disk.removeFile(path).catch(() => {})
    })
  }

  /** Lets `replacement` stand where `gone` stood (compaction). All files are in place already. */
  replaceSegments(replacement: readonly Segment[], gone: readonly Segment[]): void {
    const kept = this.#core.segments.all.filter((segment) => !gone.includes(segment))
    this.#core.segments.set([...kept, ...replacement])
    this.#core.reader.forgetHints()
  }

  /**
   * Cuts the log so that it ends at `offset` (exclusive), or where the batch that holds `offset` begins. Appends wait
   * meanwhile; what is not written yet is written first.
   */
  truncateTo(offset: number, isWanted = always): Promise<void> {
    this.#core.open()
    const work = (this.#appender.gate ?? Promise.resolve()).then(() =>
      this.#truncateNow(offset, isWanted),
    )
    this.#appender.holdAppends(work)
    return work
  }

  /** Removes all records; the log begins and ends at `offset` now. */
  startAt(offset: number, isWanted = always): Promise<void> {
    this.#core.open()
    const work = (this.#appender.gate ?? Promise.resolve()).then(() =>
      this.#startNow(offset, isWanted),
    )
    this.#appender.holdAppends(work)
    return work
  }

  async #truncateNow(offset: number, isWanted: () => boolean): Promise<void> {
    this.#core.assertOnline()
    if (offset >= this.#core.logEndOffset) return
    await this.#quiet()
    const { all } = this.#core.segments
    const holder = this.#core.segments.floor(offset)
    const position = holder ? await this.#core.reader.locate(holder, offset) : -1
    this.#core.assertOnline()
    if (!isWanted()) return
    const gone = all.filter((segment) => segment.baseOffset >= offset && segment !== holder)
    const end = holder && position >= 0 ? this.#baseAt(holder, position, offset) : offset
    this.#forgetReaders()
    this.#cut(holder, position, end, gone)
    this.#core.listener.trimmed?.(this.#core.log)
  }

  async #startNow(offset: number, isWanted: () => boolean): Promise<void> {
    this.#core.assertOnline()
    await this.#quiet()
    if (!isWanted()) return
    const core = this.#core
    this.#forgetReaders()
    core.logStartOffset = offset
    core.epochs.truncateEnd(0)
    core.snapshots.removeAbove(-1)
    this.#cut(undefined, -1, offset, [...core.segments.all])
    core.highWatermark = offset
    core.home.checkpointSoon()
    core.listener.trimmed?.(core.log)
  }

  /** Nothing is on its way to the disk any more. */
  async #quiet(): Promise<void> {
    const core = this.#core
    await new Promise<void>((resolve, reject) =>
      core.whenWritten(core.logEndOffset, (errorCode) =>
        errorCode === ErrorCode.NONE ? resolve() : reject(new LmqError('LMQ_LOG_DIR_OFFLINE')),
      ),
    )
    await core.flusher.settled()
    core.assertOnline()
  }

  #forgetReaders(): void {
    this.#core.truncations++
    this.#core.dropTail()
    this.#core.reader.forgetHints()
  }

  /** A batch goes as a whole: the log ends where the first one that goes began, if that is before `offset`. */
  #baseAt(holder: Segment, position: number, offset: number): number {
    const header = Buffer.alloc(BATCH_HEADER_BYTES)
    const count = holder.file.use().readSync(header, position)
    return count < header.length ? offset : Math.min(offset, baseOffsetOf(header, 0))
  }

  #cut(holder: Segment | undefined, position: number, offset: number, gone: Segment[]): void {
    const { disk } = this.#core.shared
    try {
      for (const segment of gone) {
        segment.close()
        for (const path of segment.paths) disk.removeFileSync(path)
      }
      if (gone.length > 0) disk.flushFolderSync(this.#core.folder)
      this.#core.segments.remove(gone)
      if (holder && position >= 0) holder.truncate(position, offset)
      holder?.offsetIndex.setActive(true)
      holder?.timeIndex.setActive(true)
      this.#core.logEndOffset = Math.max(offset, this.#core.logStartOffset)
      this.#core.writtenEndOffset = this.#core.logEndOffset
      this.#core.highWatermark = Math.min(this.#core.highWatermark, this.#core.logEndOffset)
      this.#core.flusher.begin(
        Math.min(this.#core.flusher.flushedEndOffset, this.#core.logEndOffset),
      )
      this.#core.cleanedOffset = Math.min(this.#core.cleanedOffset, this.#core.logEndOffset)
      this.#core.epochs.truncateEnd(this.#core.logEndOffset)
      this.#core.snapshots.removeAbove(this.#core.logEndOffset)
      exhaust(this.#replayProducers())
    } catch (error) {
      this.#core.home.fail(error, 'truncate')
    }
  }

  *#replayProducers(): Generator<void, void> {
    const snapshot = this.#core.snapshots.readLatest(this.#core.logEndOffset)
    this.#core.producers.load(snapshot?.producers ?? [])
    const from = snapshot?.offset ?? 0
    for (const segment of this.#core.segments.all) {
      if (this.#core.segments.endOf(segment, this.#core.logEndOffset) <= from) continue
      yield* segment.visit((buffer, at, lastOffset) => {
        if (lastOffset >= from) this.#core.producers.note(buffer, at)
        return true
      })
    }
  }
}
