import type { Io, Timer } from '../../io/io.ts'

const SHORTEST_MS = 100
const LONGEST_MS = 5_000

/** Waiting between two attempts, which ends at once when its owner stops. */
export class Pauses {
  readonly #io: Pick<Io, 'timers' | 'random'>
  readonly #keepsAlive: boolean
  readonly #waiting = new Map<() => void, Timer>()
  #stopped = false

  /** @param keepsAlive the process must not end in a pause: nothing else may keep it while it starts */
  constructor(io: Pick<Io, 'timers' | 'random'>, keepsAlive = false) {
    this.#io = io
    this.#keepsAlive = keepsAlive
  }

  get stopped(): boolean {
    return this.#stopped
  }

  /** @returns `aroundMs` with 20 % of chance to either side, so that brokers do not all act at the same moment */
  jitter(aroundMs: number): number {
    return aroundMs * (0.8 + this.#io.random.int(401) / 1_000)
  }

  /** Resolves after about `aroundMs`, or when stopped. */
  wait(aroundMs: number): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    return new Promise((resolve) => {
      const end = () => {
        this.#waiting.delete(end)
        resolve()
      }
      const timer = this.#io.timers.schedule(this.jitter(aroundMs), end, this.#keepsAlive)
      this.#waiting.set(end, timer)
    })
  }

  /** The pause before the next attempt: 100 ms after the first failure, doubling up to `longestMs`. */
  afterFailure(failures: number, longestMs = LONGEST_MS): Promise<void> {
    return this.wait(Math.min(longestMs, SHORTEST_MS * 2 ** Math.min(failures - 1, 10)))
  }

  stop(): void {
    this.#stopped = true
    for (const [end, timer] of [...this.#waiting]) {
      timer.cancel()
      end()
    }
  }
}
