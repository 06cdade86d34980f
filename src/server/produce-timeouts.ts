import type { Io, Timer } from '../io/io.ts'

const SWEEP_MS = 100

/** Something that is given up when its time is over. */
export type Expiring = {
  /** On the monotonic clock. */
  readonly deadlineMs: number
  expire(): void
}

/**
 * Ends requests that wait too long for their acknowledgement. Nearly all end within a turn of the event loop, so they
 * share one coarse timer, which runs only while some wait.
 */
export class ProduceTimeouts {
  readonly #io: Pick<Io, 'timers' | 'monotonic'>
  readonly #waiting = new Set<Expiring>()
  #sweep: Timer | undefined

  constructor(io: Pick<Io, 'timers' | 'monotonic'>) {
    this.#io = io
  }

  get size(): number {
    return this.#waiting.size
  }

  add(request: Expiring): void {
    this.#waiting.add(request)
    this.#sweep ??= this.#io.timers.schedule(SWEEP_MS, this.#expire)
  }

  remove(request: Expiring): void {
    this.#waiting.delete(request)
  }

  close(): void {
    this.#sweep?.cancel()
    this.#sweep = undefined
    this.#waiting.clear()
  }

  readonly #expire = (): void => {
    this.#sweep = undefined
    const nowMs = this.#io.monotonic.nowMs()
    for (const request of [...this.#waiting]) {
      if (request.deadlineMs > nowMs) continue
      this.#waiting.delete(request)
      request.expire()
    }
    if (this.#waiting.size > 0) this.#sweep ??= this.#io.timers.schedule(SWEEP_MS, this.#expire)
  }
}
