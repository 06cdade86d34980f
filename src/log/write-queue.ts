import type { Clock } from '../io/io.ts'
import type { Segment } from './segment.ts'

/** What leaves in one system call: batches that follow one another in one file. */
type Group = {
  readonly segment: Segment
  readonly position: number
  chunks: Buffer[]
  sizeBytes: number
  /** Log end behind the last batch, exclusive. */
  endOffset: number
}

/** Above this a write would hold the event loop for too long. */
const maxSyncBytes = 64 * 1024
/** A synchronous write slower than this makes the next one asynchronous. */
const slowWriteMs = 5

/**
 * Batches on their way into a log's files, in order. All batches of a turn leave together; while an asynchronous write
 * runs, the next ones gather behind it.
 */
export class WriteQueue {
  readonly #clock: Clock
  readonly #isFlushing: () => boolean
  readonly #onWritten: (endOffset: number) => void
  readonly #onFailed: (error: unknown) => void
  #groups: Group[] = []
  #isWriting = false
  #lastWriteMs = 0
  #failed = false

  /** @param isFlushing true while the file is being flushed: a write beside it would wait for the disk */
  constructor(
    clock: Clock,
    isFlushing: () => boolean,
    onWritten: (endOffset: number) => void,
    onFailed: (error: unknown) => void,
  ) {
    this.#clock = clock
    this.#isFlushing = isFlushing
    this.#onWritten = onWritten
    this.#onFailed = onFailed
  }

  get isIdle(): boolean {
    return this.#groups.length === 0 && !this.#isWriting
  }

  /** @returns true when the queue was idle: somebody must call `drain` */
  add(segment: Segment, position: number, chunk: Buffer, endOffset: number): boolean {
    const last = this.#groups.at(-1)
    if (last?.segment === segment) {
      last.chunks.push(chunk)
      last.sizeBytes += chunk.length
      last.endOffset = endOffset
      return false
    }
    this.#groups.push({ segment, position, chunks: [chunk], sizeBytes: chunk.length, endOffset })
    return this.#groups.length === 1 && !this.#isWriting
  }

  drain(): void {
    while (!this.#isWriting && !this.#failed) {
      const group = this.#groups.shift()
      if (!group) return
      if (this.#fitsThisTurn(group)) this.#writeNow(group)
      else this.#writeAside(group)
    }
  }

  #fitsThisTurn(group: Group): boolean {
    const wasSlow = this.#lastWriteMs >= slowWriteMs
    this.#lastWriteMs = 0
    return group.sizeBytes < maxSyncBytes && !this.#isFlushing() && !wasSlow
  }

  #writeNow(group: Group): void {
    const startMs = this.#clock.nowMs()
    try {
      group.segment.file.use().writeSync(group.chunks, group.position)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#lastWriteMs = this.#clock.nowMs() - startMs
    this.#done(group)
  }

  #writeAside(group: Group): void {
    this.#isWriting = true
    group.segment.file
      .pinned((file) => file.write(group.chunks, group.position))
      .then(
        () => {
          this.#isWriting = false
          if (this.#failed) return
          this.#done(group)
          this.drain()
        },
        (error: unknown) => {
          this.#isWriting = false
          this.#fail(error)
        },
      )
  }

  #done(group: Group): void {
    group.segment.writtenBytes = group.position + group.sizeBytes
    this.#onWritten(group.endOffset)
  }

  /** Takes nothing more; what waits is dropped. */
  stop(): void {
    this.#failed = true
    this.#groups = []
  }

  #fail(error: unknown): void {
    if (this.#failed) return
    this.stop()
    this.#onFailed(error)
  }
}
