import type { Timer } from '../io/io.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { LogCore } from './log-core.ts'
import { LogWaiters, type Waiter } from './log-waiters.ts'
import type { Segment } from './segment.ts'

const never = Number.MAX_SAFE_INTEGER

/**
 * Makes one log durable, off the event loop. One flush runs at a time and covers all that was written before it began;
 * whoever asks meanwhile shares the next one. A flush that fails closes the log directory and is never tried again: the
 * kernel may have dropped the pages and would report success.
 */
export class LogFlusher {
  readonly #core: LogCore
  readonly #waiters = new LogWaiters()
  #flushedEndOffset = 0
  #running: Promise<void> | undefined
  #isAskedAgain = false
  #withActive = false
  #timer: Timer | undefined
  #stopped = false
  /** The last flush before the files are closed: the active segment's indexes are saved, too. */
  isClosing = false

  constructor(log: LogCore) {
    this.#core = log
  }

  get flushedEndOffset(): number {
    return this.#flushedEndOffset
  }

  begin(flushedEndOffset: number): void {
    this.#flushedEndOffset = flushedEndOffset
  }

  whenFlushed(offset: number, waiter: Waiter): void {
    if (offset <= this.#flushedEndOffset) waiter(ErrorCode.NONE)
    else this.#waiters.add(offset, waiter)
  }

  /** Flushes when `flush.messages` or `flush.ms` say so, or said so when somebody began to wait. */
  noteWritten(): void {
    const { config } = this.#core
    const unflushed = this.#core.writtenEndOffset - this.#flushedEndOffset
    if (unflushed >= config.flushMessages || !this.#waiters.isEmpty) this.flushSoon()
    else if (config.flushMs < never && !this.#timer && !this.#running) {
      this.#timer = this.#core.shared.io.timers.schedule(config.flushMs, () => {
        this.#timer = undefined
        this.flushSoon()
      })
    }
  }

  /** Closed segments become durable when they are written; recovery need not read them again then. */
  flushClosed(endOffset: number): void {
    this.#core.whenWritten(endOffset, (errorCode) => {
      if (errorCode === ErrorCode.NONE) this.#begin()
    })
  }

  /** Begins a flush of everything written, or has one follow the one that runs. */
  flushSoon(): void {
    this.#withActive = true
    this.#begin()
  }

  #begin(): void {
    if (this.#stopped) return
    if (this.#running) {
      this.#isAskedAgain = true
      return
    }
    this.#timer?.cancel()
    this.#timer = undefined
    this.#running = this.#flush().finally(() => {
      this.#running = undefined
      if (this.#isAskedAgain) {
        this.#isAskedAgain = false
        this.#begin()
      } else if (!this.#stopped && this.#core.writtenEndOffset > this.#flushedEndOffset) {
        this.noteWritten()
      }
    })
  }

  /** Everything that is written now is durable when this resolves, or the log directory is closed. */
  async flushAll(): Promise<void> {
    await this.settled()
    this.flushSoon()
    await this.settled()
  }

  async settled(): Promise<void> {
    while (this.#running) await this.#running
  }

  async #flush(): Promise<void> {
    const log = this.#core
    const { active } = log.segments
    const withActive = this.#withActive
    this.#withActive = false
    // What is written while this runs may have come after the segment's own flush.
    const target = Math.min(log.writtenEndOffset, withActive ? never : (active?.baseOffset ?? 0))
    const segments = this.#unflushedSegments().filter((one) => withActive || one !== active)
    log.isFlushing = withActive
    try {
      for (const segment of segments) await this.#flushSegment(segment, segment !== active)
      // At a stop they may be lost with the power: what they say is found again in the log.
      if (!this.isClosing) await log.snapshots.flush()
      await log.saveFolder()
    } catch (error) {
      if (!this.#stopped) log.home.fail(error, 'flush')
      return
    } finally {
      log.isFlushing = false
    }
    if (this.#stopped) return
    this.#flushedEndOffset = Math.max(this.#flushedEndOffset, target)
    this.#waiters.reached(this.#flushedEndOffset)
    log.listener.flushed?.(log.log)
  }

  /** A segment that was taken out of the log meanwhile need not become durable. */
  async #flushSegment(segment: Segment, isClosed: boolean): Promise<void> {
    const { segments } = this.#core
    if (!segments.has(segment)) return
    try {
      await segment.flush(isClosed || this.isClosing)
    } catch (error) {
      if (segments.has(segment)) throw error
    }
  }

  #unflushedSegments(): Segment[] {
    const { segments } = this.#core
    const first = Math.max(0, segments.floorIndex(this.#flushedEndOffset))
    return segments.all.slice(first)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#waiters.failAll(ErrorCode.KAFKA_STORAGE_ERROR)
  }
}
