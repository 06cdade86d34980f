import type { Facts } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Clock } from '../io/io.ts'

/** Lines of one kind in one interval; the rest is counted. */
const LINES = 5
const INTERVAL_MS = 10_000

/** Warnings that a client can cause at will: a few are logged, the rest is counted and told with the next one. */
export class RateLimitedLog {
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #kinds = new Map<string, { sinceMs: number; lines: number; suppressed: number }>()

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
  }

  /** @param kind one of few: it bounds what is remembered; never made from what a client sent */
  warn(kind: string, facts: Facts, message: string): void {
    const nowMs = this.#clock.nowMs()
    let state = this.#kinds.get(kind)
    if (state === undefined) {
      state = { sinceMs: nowMs, lines: 0, suppressed: 0 }
      this.#kinds.set(kind, state)
    }
    if (nowMs - state.sinceMs >= INTERVAL_MS) {
      state.sinceMs = nowMs
      state.lines = 0
    }
    if (state.lines >= LINES) {
      state.suppressed++
      return
    }
    state.lines++
    const { suppressed } = state
    state.suppressed = 0
    this.#logger.warn(suppressed > 0 ? { ...facts, similarNotLogged: suppressed } : facts, message)
  }
}
