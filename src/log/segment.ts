import { join } from 'node:path'
import type { Disk, Timers } from '../io/io.ts'
import {
  baseOffsetOf,
  CRC_START,
  crcOf,
  lastOffsetOf,
  maxTimestampOf,
} from '../protocol/record-batch.ts'
import { type ScanEnd, scanBatches } from './batch-scan.ts'
import { type FileHandles, PooledFile } from './file-handles.ts'
import type { IndexCache } from './index-cache.ts'
import { fileNameOf, Suffix } from './log-files.ts'
import { OffsetIndex } from './offset-index.ts'
import { TimeIndex, type TimestampOffset } from './time-index.ts'
import { TransactionIndex } from './transaction-index.ts'

/** Offsets in an index are int32, relative to the segment. */
const maxRelativeOffset = 2 ** 31 - 1

/**
 * An index that lost its last entries is found out where timestamps ascend; to be sure elsewhere would take a scan of
 * everything.
 */
const NEWEST_LOOK_AHEAD_BYTES = 1024 * 1024

/** What segments of all logs share. */
export type SegmentShared = {
  readonly disk: Disk
  readonly handles: FileHandles
  readonly indexCache: IndexCache
  crc32c(buffer: Buffer, start: number, end: number): number
}

/**
 * One `.log` file and its indexes. Knows positions and what the indexes must hold; knows no offsets to come, no
 * producers, no readers. Like Kafka's LogSegment.
 */
export class Segment {
  readonly baseOffset: number
  readonly folder: string
  readonly file: PooledFile
  readonly offsetIndex: OffsetIndex
  readonly timeIndex: TimeIndex
  readonly transactionIndex: TransactionIndex
  readonly #shared: SegmentShared
  /** Bytes of all batches appended, also those that are not written yet. */
  #sizeBytes: number | undefined
  #writtenBytes = 0
  /** What stood in the file when it was found: nobody has checked it since somebody else wrote it. */
  #inheritedBytes = 0
  /** Of these, the first ones that readers have found to be sound. */
  #checkedBytes = 0
  readonly createdMs: number
  /** Largest timestamp of its first batch: what segment.ms counts from; undefined: not known yet. */
  #rollingTimestamp: number | undefined
  #newest: TimestampOffset | undefined
  #bytesSinceIndexEntry = 0
  #isRebuilding = false

  constructor(shared: SegmentShared, folder: string, baseOffset: number, nowMs: number) {
    const path = (suffix: string) => join(folder, fileNameOf(baseOffset, suffix))
    const { disk, handles, indexCache } = shared
    this.#shared = shared
    this.folder = folder
    this.baseOffset = baseOffset
    this.createdMs = nowMs
    this.file = new PooledFile(handles, path(Suffix.log))
    this.offsetIndex = new OffsetIndex(disk, indexCache, path(Suffix.offsetIndex), baseOffset)
    this.timeIndex = new TimeIndex(disk, indexCache, path(Suffix.timeIndex), baseOffset)
    this.transactionIndex = new TransactionIndex(disk, path(Suffix.transactionIndex))
  }

  /** Begins as an empty segment; its indexes are kept in memory until they are saved. */
  create(): void {
    this.file.create()
    this.#sizeBytes = 0
    this.#inheritedBytes = 0
    this.writtenBytes = 0
    this.#newest = { timestamp: -1, offset: -1 }
    this.offsetIndex.reset()
    this.timeIndex.reset()
    this.transactionIndex.reset()
  }

  get sizeBytes(): number {
    if (this.#sizeBytes === undefined) {
      this.#sizeBytes = this.#shared.disk.statSync(this.file.path)?.sizeBytes ?? 0
      this.#writtenBytes = this.#sizeBytes
      this.#inheritedBytes = this.#sizeBytes
    }
    return this.#sizeBytes
  }

  /** Bytes that stood in the file when it was found. */
  get inheritedBytes(): number {
    return this.#sizeBytes === undefined ? this.sizeBytes : this.#inheritedBytes
  }

  /** Bytes that stand in the file. */
  get writtenBytes(): number {
    return this.#sizeBytes === undefined ? this.sizeBytes : this.#writtenBytes
  }

  set writtenBytes(sizeBytes: number) {
    this.#writtenBytes = sizeBytes
  }

  /** The largest timestamp of a record here and the last offset of its batch; (-1, -1) when none has one. */
  get newest(): TimestampOffset {
    this.#newest ??= this.#newestOnDisk()
    return this.#newest
  }

  /** The file of the time index has no checksum, and retention deletes by what its last entry says. */
  #newestOnDisk(): TimestampOffset {
    const { isFound, ...told } = this.timeIndex.last
    if (!isFound || this.agreesWith(told, NEWEST_LOOK_AHEAD_BYTES)) return told
    const plan = new IndexPlan(Number.POSITIVE_INFINITY)
    exhaust(
      this.visit((buffer, at, lastOffset, sizeBytes) => {
        plan.add(lastOffset, maxTimestampOf(buffer, at), sizeBytes)
        return true
      }),
    )
    return plan.newest
  }

  /**
   * Whether the batch that has this offset has this largest timestamp.
   *
   * @param aheadBytes and within so many bytes behind it there is none that is younger
   */
  agreesWith({ timestamp, offset }: TimestampOffset, aheadBytes = 0): boolean {
    const start = this.offsetIndex.load() ? this.offsetIndex.lookup(offset) : 0
    let agrees = false
    let aheadEnd = -1
    const visit = (buffer: Buffer, at: number, position: number) => {
      if (lastOffsetOf(buffer, at) < offset) return true
      const newestMs = maxTimestampOf(buffer, at)
      if (aheadEnd < 0) {
        agrees = baseOffsetOf(buffer, at) <= offset && newestMs === timestamp
        aheadEnd = position + aheadBytes
      } else if (newestMs > timestamp) agrees = false
      return agrees && position < aheadEnd
    }
    exhaust(scanBatches(this.file, start, this.writtenBytes, undefined, visit))
    return agrees
  }

  /** Age for retention: the newest record, or the file's own time when no record has one. */
  get newestMs(): number {
    const { timestamp } = this.newest
    return timestamp >= 0 ? timestamp : this.modifiedMs
  }

  /** Time of the first batch for compaction's lag, or of the file when no record has one. */
  get firstMs(): number {
    this.#rollingTimestamp ??= this.#firstTimestamp()
    return this.#rollingTimestamp >= 0 ? this.#rollingTimestamp : this.modifiedMs
  }

  get modifiedMs(): number {
    return this.#shared.disk.statSync(this.file.path)?.modifiedMs ?? this.createdMs
  }

  /** Counts a batch in before it is written. @returns the position where it goes */
  append(
    sizeBytes: number,
    lastOffset: number,
    maxTimestamp: number,
    indexIntervalBytes: number,
  ): number {
    const position = this.sizeBytes
    if (position === 0) this.#rollingTimestamp = maxTimestamp
    if (maxTimestamp > this.newest.timestamp) {
      this.#newest = { timestamp: maxTimestamp, offset: lastOffset }
    }
    if (this.#bytesSinceIndexEntry > indexIntervalBytes) {
      this.offsetIndex.append(lastOffset, position)
      this.timeIndex.append(this.newest.timestamp, this.newest.offset)
      this.#bytesSinceIndexEntry = 0
    }
    this.#bytesSinceIndexEntry += sizeBytes
    this.#sizeBytes = position + sizeBytes
    return position
  }

  /** Must a new segment begin before this batch? `segment.*` settings; like Kafka's shouldRoll. */
  mustRoll(
    batch: { sizeBytes: number; lastOffset: number; maxTimestamp: number },
    limits: { segmentBytes: number; segmentMs: number; segmentIndexBytes: number },
    nowMs: number,
  ): boolean {
    if (batch.lastOffset - this.baseOffset > maxRelativeOffset) return true
    const size = this.sizeBytes
    if (size === 0) return false
    if (size > limits.segmentBytes - batch.sizeBytes) return true
    if (this.#waitedMs(batch.maxTimestamp, nowMs) > limits.segmentMs) return true
    return (
      this.offsetIndex.sizeBytes + 8 > limits.segmentIndexBytes ||
      this.timeIndex.sizeBytes + 24 > limits.segmentIndexBytes
    )
  }

  #waitedMs(timestamp: number, nowMs: number): number {
    this.#rollingTimestamp ??= this.#firstTimestamp()
    const from = this.#rollingTimestamp
    return from >= 0 ? timestamp - from : nowMs - this.createdMs
  }

  #firstTimestamp(): number {
    let timestamp = -1
    const visit = (buffer: Buffer, at: number) => {
      timestamp = maxTimestampOf(buffer, at)
      return false
    }
    exhaust(scanBatches(this.file, 0, this.writtenBytes, undefined, visit))
    return timestamp
  }

  /** No more appends: the time index gets its last entry, both indexes go to their files. */
  seal(): void {
    this.saveIndexes()
    this.offsetIndex.setActive(false)
    this.timeIndex.setActive(false)
  }

  saveIndexes(): void {
    const { timestamp, offset } = this.newest
    this.timeIndex.append(timestamp, offset)
    this.offsetIndex.save()
    this.timeIndex.save()
    this.transactionIndex.save()
  }

  /**
   * Makes what is written durable, with the indexes if asked: those of a segment that still grows are built anew by
   * recovery.
   */
  async flush(withIndexes: boolean): Promise<void> {
    if (withIndexes) this.saveIndexes()
    await this.file.pinned((file) => file.flush())
    if (withIndexes) await this.#flushIndexes()
  }

  /** The offset index need not be durable: a reader sees that it does not fit, and it is built anew. */
  async #flushIndexes(): Promise<void> {
    const { disk } = this.#shared
    for (const index of [this.timeIndex, this.transactionIndex]) {
      if (!disk.existsSync(index.path)) continue
      const file = await disk.open(index.path, 'update')
      try {
        await file.flush()
      } finally {
        file.closeSync()
      }
    }
  }

  /**
   * Reads the segment from its start, builds its indexes anew and tells each sound batch to `visit`.
   *
   * @returns where the sound part ends; cutting the file there is up to the caller
   */
  *rebuild(
    indexIntervalBytes: number,
    visit: (buffer: Buffer, at: number) => boolean,
  ): Generator<void, ScanEnd> {
    const fileBytes = this.#shared.disk.statSync(this.file.path)?.sizeBytes ?? 0
    this.create()
    this.#bytesSinceIndexEntry = 0
    this.#rollingTimestamp = undefined
    const end = yield* scanBatches(
      this.file,
      0,
      fileBytes,
      this.#shared.crc32c,
      (buffer, at, _position, sizeBytes) => {
        if (!visit(buffer, at)) return false
        this.append(
          sizeBytes,
          lastOffsetOf(buffer, at),
          maxTimestampOf(buffer, at),
          indexIntervalBytes,
        )
        return true
      },
    )
    this.writtenBytes = end.position
    return end
  }

  /**
   * Whether the whole batch at `buffer[at]`, which stands at `position`, has its checksum. One that this process wrote, or
   * that a reader has checked before, is believed.
   */
  isSound(buffer: Buffer, at: number, position: number, sizeBytes: number): boolean {
    if (position >= this.#inheritedBytes || position < this.#checkedBytes) return true
    return crcOf(buffer, at) === this.#shared.crc32c(buffer, at + CRC_START, at + sizeBytes)
  }

  /** All batches from `position` up to `end` were found to be sound. */
  noteSound(position: number, end: number): void {
    if (position <= this.#checkedBytes && end > this.#checkedBytes) this.#checkedBytes = end
  }

  /** All batches that are written, without checking them. @param visit false: stop */
  *visit(
    visit: (buffer: Buffer, at: number, lastOffset: number, sizeBytes: number) => boolean,
  ): Generator<void, ScanEnd> {
    return yield* scanBatches(
      this.file,
      0,
      this.writtenBytes,
      undefined,
      (buffer, at, _position, sizeBytes) => visit(buffer, at, lastOffsetOf(buffer, at), sizeBytes),
    )
  }

  /**
   * Builds damaged indexes anew, a little in each turn. Lookups begin at the segment's start meanwhile.
   *
   * @param isActive the indexes stay in memory afterwards, and have grown by what was appended meanwhile
   */
  rebuildIndexes(
    isActive: boolean,
    indexIntervalBytes: number,
    timers: Timers,
    onFailed: (error: unknown) => void,
  ): void {
    if (this.#isRebuilding) return
    this.#isRebuilding = true
    const offsets = new IndexPlan(indexIntervalBytes)
    const steps = this.visit((buffer, at, lastOffset, sizeBytes) => {
      offsets.add(lastOffset, maxTimestampOf(buffer, at), sizeBytes)
      return true
    })
    this.offsetIndex.reset()
    this.timeIndex.reset()
    const go = () => {
      try {
        if (this.file.isDisposed) return
        if (!steps.next().done) return timers.nextTurn(go)
        this.#isRebuilding = false
        this.#adopt(offsets, isActive)
      } catch (error) {
        onFailed(error)
      }
    }
    timers.nextTurn(go)
  }

  #adopt(plan: IndexPlan, isActive: boolean): void {
    this.offsetIndex.prepend(plan.places)
    this.timeIndex.prepend(plan.times)
    this.timeIndex.append(plan.newest.timestamp, plan.newest.offset)
    if (plan.newest.timestamp > this.newest.timestamp) this.#newest = plan.newest
    if (!isActive) this.seal()
  }

  /** Cuts the file to `position`, in front of `offset`, and the indexes with it. */
  truncate(position: number, offset: number): void {
    const file = this.file.use()
    file.truncateSync(position)
    // What was cut off must not come back after a loss of power, behind or before what is written later.
    file.flushSync()
    this.offsetIndex.truncateTo(offset)
    this.timeIndex.truncateTo(offset)
    this.transactionIndex.truncateTo(offset)
    this.#sizeBytes = position
    this.writtenBytes = position
    this.#inheritedBytes = Math.min(this.#inheritedBytes, position)
    this.#checkedBytes = Math.min(this.#checkedBytes, position)
    // The time index may lag behind: what is known and stays is not asked of it.
    if (this.#newest && this.#newest.offset >= offset) this.#newest = undefined
    this.#bytesSinceIndexEntry = 0
    if (position === 0) this.#rollingTimestamp = undefined
  }

  /** Renames all files by adding a suffix; readers that have them open go on. */
  addSuffix(suffix: string): void {
    const { disk } = this.#shared
    if (disk.existsSync(this.file.path)) {
      disk.renameSync(this.file.path, this.file.path + suffix)
      this.file.path += suffix
    }
    for (const index of [this.offsetIndex, this.timeIndex, this.transactionIndex]) {
      index.rename(index.path + suffix)
    }
  }

  get paths(): string[] {
    return [this.file, this.offsetIndex, this.timeIndex, this.transactionIndex].map(
      ({ path }) => path,
    )
  }

  close(): void {
    this.file.dispose()
    this.offsetIndex.close()
    this.timeIndex.close()
  }
}

/** Runs a generator to its end without giving the event loop a turn. */
export function exhaust<Result>(steps: Generator<void, Result>): Result {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

/** The entries that both indexes of a segment shall have, gathered batch by batch. */
class IndexPlan {
  readonly places: { offset: number; position: number }[] = []
  readonly times: TimestampOffset[] = []
  newest: TimestampOffset = { timestamp: -1, offset: -1 }
  readonly #intervalBytes: number
  #position = 0
  #sinceEntry = 0

  constructor(intervalBytes: number) {
    this.#intervalBytes = intervalBytes
  }

  add(lastOffset: number, maxTimestamp: number, sizeBytes: number): void {
    if (maxTimestamp > this.newest.timestamp) {
      this.newest = { timestamp: maxTimestamp, offset: lastOffset }
    }
    if (this.#sinceEntry > this.#intervalBytes) {
      this.places.push({ offset: lastOffset, position: this.#position })
      this.times.push(this.newest)
      this.#sinceEntry = 0
    }
    this.#sinceEntry += sizeBytes
    this.#position += sizeBytes
  }
}
