import { LmqError } from '../base/errors.ts'
import { baseOffsetOf, lastOffsetOf } from '../protocol/record-batch.ts'
import { scanBatches } from './batch-scan.ts'
import type { LogCore } from './log-core.ts'
import { ProducerStates } from './producer-states.ts'
import type { Segment } from './segment.ts'
import type { AbortedTransaction } from './transaction-index.ts'

/**
 * Finds the aborted transactions that a reader of committed records must skip. The first time that it comes to an index
 * which this process did not write, it reads the segment and takes what that says: the file has no checksum, a wrong entry
 * serves aborted records or hides committed ones, and compaction deletes by it for good. The segment itself is the only
 * witness: a first offset may be wrong and still be that of a batch of the same transaction.
 */
export class AbortedSearch {
  readonly #core: LogCore
  readonly #comparing = new WeakMap<Segment, Promise<void>>()
  /** Where the last comparison ended: the next segment's goes on from there when no snapshot is nearer. */
  #reached: { readonly offset: number; readonly producers: ProducerStates } | undefined

  constructor(core: LogCore) {
    this.#core = core
  }

  /**
   * Aborted transactions that overlap [from, to). In the same turn when all indexes it asks are known to be right.
   *
   * @throws (as a rejection) LMQ_LOG_DIR_OFFLINE, Node's own disk errors
   */
  overlapping(from: number, to: number): AbortedTransaction[] | Promise<AbortedTransaction[]> {
    const found: AbortedTransaction[] = []
    const { all } = this.#core.segments
    const first = Math.max(0, this.#core.segments.floorIndex(from))
    for (let index = first; index < all.length; index++) {
      const segment = all[index] as Segment
      if (segment.transactionIndex.isDoubtful) return this.#compareFirst(segment, from, to)
      for (const entry of segment.transactionIndex.entries) {
        if (entry.lastOffset >= from && entry.firstOffset < to) found.push(entry)
        if (entry.lastStableOffset >= to) return found
      }
    }
    return found
  }

  async #compareFirst(segment: Segment, from: number, to: number): Promise<AbortedTransaction[]> {
    let comparing = this.#comparing.get(segment)
    if (!comparing) {
      comparing = this.#compare(segment).finally(() => this.#comparing.delete(segment))
      this.#comparing.set(segment, comparing)
    }
    await comparing
    return this.overlapping(from, to)
  }

  /** A little in each turn, from anew when the log has lost something meanwhile. */
  async #compare(segment: Segment): Promise<void> {
    const { shared, home } = this.#core
    let steps = this.#abortedIn(segment)
    let { truncations } = this.#core
    let { removals } = this.#core.segments
    for (;;) {
      if (this.#core.state !== 'open') throw new LmqError('LMQ_LOG_DIR_OFFLINE')
      if (!this.#core.segments.has(segment)) return
      if (truncations !== this.#core.truncations || removals !== this.#core.segments.removals) {
        truncations = this.#core.truncations
        removals = this.#core.segments.removals
        this.#reached = undefined
        steps = this.#abortedIn(segment)
      }
      const step = steps.next()
      if (step.done) {
        const { aborted, until } = step.value
        if (segment.transactionIndex.adopt(aborted, until)) return
        const facts = { log: this.#core.name, path: segment.transactionIndex.path }
        home.logger.info(facts, 'a list of aborted transactions was not what its segment says')
        return
      }
      await new Promise<void>((resolve) => shared.io.timers.endOfTurn(resolve))
    }
  }

  /** @returns `until`: where the part ends that could be read */
  *#abortedIn(
    segment: Segment,
  ): Generator<void, { aborted: AbortedTransaction[]; until: number | undefined }> {
    const { segments, logEndOffset } = this.#core
    const { offset: from, producers } = this.#stateBefore(segment.baseOffset)
    for (const before of segments.all.filter(({ baseOffset }) => baseOffset < segment.baseOffset)) {
      if (segments.endOf(before, segment.baseOffset) > from) {
        yield* this.#replay(before, from, producers)
      }
    }
    const told = yield* this.#replay(segment, from, producers)
    if (segment !== segments.active && told.until === undefined) {
      this.#reached = { offset: segments.endOf(segment, logEndOffset), producers }
    }
    return told
  }

  /** The producers as they were at `offset`, or as near before it as somebody knows. */
  #stateBefore(offset: number): { offset: number; producers: ProducerStates } {
    const reached = this.#reached
    const snapshot = this.#core.snapshots.readLatest(offset)
    this.#reached = undefined
    if (reached && reached.offset <= offset && reached.offset > (snapshot?.offset ?? 0)) {
      return reached
    }
    const producers = new ProducerStates()
    producers.load(snapshot?.producers ?? [])
    return { offset: snapshot?.offset ?? 0, producers }
  }

  /** Damage ends it: who reads there is told. */
  *#replay(
    segment: Segment,
    from: number,
    producers: ProducerStates,
  ): Generator<void, { aborted: AbortedTransaction[]; until: number | undefined }> {
    const aborted: AbortedTransaction[] = []
    let nextOffset = segment.baseOffset
    const bytes = segment.inheritedBytes
    const visit = (buffer: Buffer, at: number) => {
      if (baseOffsetOf(buffer, at) < nextOffset) return false
      nextOffset = lastOffsetOf(buffer, at) + 1
      const entry = nextOffset > from ? producers.note(buffer, at) : undefined
      producers.advance(nextOffset)
      if (entry) aborted.push(entry)
      return true
    }
    const { crc32c } = this.#core.shared
    const { position } = yield* scanBatches(segment.file, 0, bytes, crc32c, visit)
    segment.noteSound(0, position)
    return { aborted, until: position < bytes ? nextOffset : undefined }
  }
}
