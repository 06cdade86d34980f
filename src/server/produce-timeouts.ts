import type { Io, Timer } from '../io/io.ts'

const SWEEP_MS = 100

/** Something that is given up when its time is over. */
export type Expiring = {
  /** On the monotonic clock. */
  readonly deadlineMs: number
  /** Where it stands among those that wait, -1 while it does not: kept by `ProduceTimeouts`. */
  place: number
  expire(): void
}

/**
 * Ends requests that wait too long for their acknowledgement. Nearly all end within a turn of the event loop, so they
 * share one coarse timer, which runs only while some wait.
 *
 * An array, not a Set: V8 links each outgrown table of a Set to the next one, so that a table that got old keeps alive all
 * requests that stood in those after it until the next full collection. Each minor collection then copied a third of the
 * young generation, 12 ms at a time.
 */
export class ProduceTimeouts {
  readonly #io: Pick<Io, 'timers' | 'monotonic'>
  readonly #waiting: Expiring[] = []
  #sweep: Timer | undefined

  constructor(io: Pick<Io, 'timers' | 'monotonic'>) {
    this.#io = io
  }

  get size(): number {
    return this.#waiting.length
  }

  add(request: Expiring): void {
    request.place = this.#waiting.length
    this.#waiting.push(request)
    this.#sweep ??= this.#io.timers.schedule(SWEEP_MS, this.#expire)
  }

  /** Does nothing for a request that does not wait. */
  remove(request: Expiring): void {
    const { place } = request
    if (place < 0) return
    const last = this.#waiting.pop() as Expiring
    if (last !== request) {
      this.#waiting[place] = last
      last.place = place
    }
    request.place = -1
  }

  close(): void {
    this.#sweep?.cancel()
    this.#sweep = undefined
    for (const request of this.#waiting.splice(0)) request.place = -1
  }

  readonly #expire = (): void => {
    this.#sweep = undefined
    const nowMs = this.#io.monotonic.nowMs()
    for (const request of this.#waiting.filter(({ deadlineMs }) => deadlineMs <= nowMs)) {
      // One may have ended while another was told.
      if (request.place < 0) continue
      this.remove(request)
      request.expire()
    }
    if (this.#waiting.length > 0) this.#sweep ??= this.#io.timers.schedule(SWEEP_MS, this.#expire)
  }
}
