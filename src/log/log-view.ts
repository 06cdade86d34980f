import { LmqError } from '../base/errors.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { AbortedSearch } from './aborted-search.ts'
import type { LogCore } from './log-core.ts'
import { type ReadOptions, type ReadResult, readError, readNothing } from './log-outcomes.ts'
import type { LogReader } from './log-reader.ts'
import { type FoundRecord, findByTimestamp, findNewest, SEARCH_BYTES } from './offset-search.ts'
import type { Segment } from './segment.ts'
import type { AbortedTransaction } from './transaction-index.ts'

/** A reader this near to the end gets the next batches from memory. */
const tailReadBytes = 2 * 1024 * 1024

/** What readers see of one log: from memory where it can, from its files otherwise. */
export class LogView {
  readonly #core: LogCore
  readonly #aborted: AbortedSearch

  constructor(core: LogCore) {
    this.#core = core
    this.#aborted = new AbortedSearch(core)
  }

  /** Whole batches from the one that holds `offset` on; from memory in the same turn when they are recent. */
  read(offset: number, maxBytes: number, options: ReadOptions): ReadResult | Promise<ReadResult> {
    this.#core.open()
    if (this.#core.state !== 'open') return readError(ErrorCode.KAFKA_STORAGE_ERROR)
    if (offset < this.#core.logStartOffset || offset > this.#core.logEndOffset) {
      return readError(ErrorCode.OFFSET_OUT_OF_RANGE)
    }
    const upTo = Math.min(options.upTo, this.#core.writtenEndOffset)
    const withAborted = options.withAborted === true
    if (offset >= upTo) {
      if (offset >= this.#core.writtenEndOffset) this.#core.wantTail()
      return readNothing(offset, withAborted)
    }
    const found = this.#core.tail.read(offset, upTo, maxBytes, options.minOneBatch)
    if (!found) return this.#readDisk(offset, maxBytes, upTo, options)
    this.#core.tailWasRead = true
    return this.#result(offset, found.records, found.firstOffset, found.nextOffset, withAborted)
  }

  #readDisk(
    offset: number,
    maxBytes: number,
    upTo: number,
    options: ReadOptions,
  ): ReadResult | Promise<ReadResult> {
    const segment = this.#core.segments.floor(offset) ?? this.#core.segments.first
    if (!segment) return readNothing(offset, options.withAborted === true)
    const isRecent = (position: number) =>
      segment === this.#core.segments.active && segment.sizeBytes - position < tailReadBytes
    let found: ReturnType<LogReader['read']>
    try {
      const { minOneBatch } = options
      found = this.#core.reader.read(segment, offset, upTo, maxBytes, minOneBatch, isRecent)
    } catch (error) {
      return readError(this.#readErrorCode(error))
    }
    if (found instanceof Promise) return this.#finishRead(segment, found, offset, maxBytes, options)
    if (!found?.records) return readNothing(offset, options.withAborted === true)
    this.#core.wantTail()
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
    const { truncations } = this.#core
    let segment: Segment | undefined = start
    let pending = reading
    try {
      while (segment) {
        const found = await pending
        if (this.#core.state !== 'open') return readError(ErrorCode.KAFKA_STORAGE_ERROR)
        if (truncations !== this.#core.truncations) return readNothing(offset, withAborted)
        if (offset < this.#core.logStartOffset) return readError(ErrorCode.OFFSET_OUT_OF_RANGE)
        const upTo = Math.min(options.upTo, this.#core.writtenEndOffset)
        if (found) {
          if (!found.records) return readNothing(offset, withAborted)
          this.#wantTailNear(segment, found.nextOffset)
          const { records, firstOffset, nextOffset } = found
          return this.#result(offset, [records], firstOffset, nextOffset, withAborted)
        }
        const next = this.#core.segments.after(segment)
        segment = next && next.baseOffset < upTo ? next : undefined
        if (segment) {
          const { minOneBatch } = options
          pending = this.#core.reader.read(
            segment,
            offset,
            upTo,
            maxBytes,
            minOneBatch,
            () => false,
          )
        }
      }
      return readNothing(offset, withAborted)
    } catch (error) {
      if (truncations !== this.#core.truncations) return readNothing(offset, withAborted)
      // Retention or compaction took the segment away under the reader: what is there now decides.
      if (segment && !this.#core.segments.has(segment)) return this.read(offset, maxBytes, options)
      return readError(this.#readErrorCode(error))
    }
  }

  /** Damaged data is told to the reader; a disk that does not read closes the log directory. */
  #readErrorCode(error: unknown): ErrorCode {
    if (error instanceof LmqError && error.code === 'LMQ_LOG_CORRUPT') {
      this.#core.home.logger.error({ log: this.#core.name, ...error.facts }, error.message)
      return ErrorCode.CORRUPT_MESSAGE
    }
    if (this.#core.state === 'open') this.#core.home.fail(error, 'read')
    return ErrorCode.KAFKA_STORAGE_ERROR
  }

  #result(
    offset: number,
    records: readonly Buffer[],
    firstOffset: number,
    nextOffset: number,
    withAborted: boolean,
  ): ReadResult | Promise<ReadResult> {
    let sizeBytes = 0
    for (const part of records) sizeBytes += part.length
    const read = { errorCode: ErrorCode.NONE, records, sizeBytes, firstOffset, nextOffset }
    const aborted = withAborted ? this.abortedTransactions(offset, nextOffset) : null
    if (aborted instanceof Promise) return this.#addAborted(read, offset, aborted)
    return { ...read, abortedTransactions: aborted }
  }

  async #addAborted(
    read: Omit<ReadResult, 'abortedTransactions'>,
    offset: number,
    finding: Promise<AbortedTransaction[]>,
  ): Promise<ReadResult> {
    const { truncations } = this.#core
    try {
      const abortedTransactions = await finding
      if (truncations !== this.#core.truncations) return readNothing(offset, true)
      return { ...read, abortedTransactions }
    } catch (error) {
      return readError(this.#readErrorCode(error))
    }
  }

  /** Aborted transactions that overlap [from, to). */
  abortedTransactions(
    from: number,
    to: number,
  ): AbortedTransaction[] | Promise<AbortedTransaction[]> {
    return this.#aborted.overlapping(from, to)
  }

  #wantTailNear(segment: Segment, nextOffset: number): void {
    if (segment !== this.#core.segments.active) return
    const start = segment.offsetIndex.lookup(nextOffset)
    if (segment.sizeBytes - start < tailReadBytes) this.#core.wantTail()
  }

  /**
   * The first record with this timestamp or a younger one, below `upTo` (exclusive).
   *
   * @throws LMQ_LOG_CORRUPT, LMQ_LOG_DIR_OFFLINE, codec errors
   */
  offsetForTimestamp(timestamp: number, upTo: number): Promise<FoundRecord | undefined> {
    return this.#search(() => findByTimestamp(this.#core, timestamp, upTo))
  }

  /** The record with the largest timestamp; undefined when no record has one. Throws as above. */
  offsetOfMaxTimestamp(): Promise<FoundRecord | undefined> {
    return this.#search(() => findNewest(this.#core))
  }

  /** A search holds a piece of the log, a batch at least, and its file: as many at a time as there is room for. */
  #search<Found>(search: () => Promise<Found>): Promise<Found> {
    const { config, shared } = this.#core
    return shared.searches.run(Math.max(SEARCH_BYTES, config.maxMessageBytes), () =>
      this.#searchNow(search),
    )
  }

  async #searchNow<Found>(search: () => Promise<Found>): Promise<Found> {
    this.#core.open()
    this.#core.assertOnline()
    const { removals } = this.#core.segments
    try {
      return await search()
    } catch (error) {
      if (removals !== this.#core.segments.removals) return this.#searchNow(search)
      if (error instanceof LmqError) throw error
      this.#core.home.fail(error, 'read')
      throw new LmqError('LMQ_LOG_DIR_OFFLINE', { folder: this.#core.home.path }, error)
    }
  }
}
