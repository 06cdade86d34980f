import type { Clock, Timers } from '../io/io.ts'

/** Spreads work that the event loop cannot leave aside over several turns: so much of it in each, in the order asked. */
export class TurnPace {
  readonly #clock: Clock
  readonly #timers: Pick<Timers, 'endOfTurn'>
  readonly #turnMs: number
  #spentMs = 0
  #ending = false
  readonly #waiting: (() => void)[] = []

  /** @param turnMs how long the work may take in one turn; a piece that has begun is not cut off */
  constructor(clock: Clock, timers: Pick<Timers, 'endOfTurn'>, turnMs: number) {
    this.#clock = clock
    this.#timers = timers
    this.#turnMs = turnMs
  }

  /** Nothing more in this turn, or others are before. */
  get isSpent(): boolean {
    return this.#spentMs >= this.#turnMs || this.#waiting.length > 0
  }

  /** Does a piece of the work. */
  run<Outcome>(work: () => Outcome): Outcome {
    const beganMs = this.#clock.nowMs()
    try {
      return work()
    } finally {
      this.#spentMs += this.#clock.nowMs() - beganMs
      this.#endTurnSoon()
    }
  }

  /** Resolves when it is this one's turn. */
  wait(): Promise<void> {
    this.#endTurnSoon()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #endTurnSoon(): void {
    if (this.#ending) return
    this.#ending = true
    this.#timers.endOfTurn(() => void this.#nextTurn())
  }

  async #nextTurn(): Promise<void> {
    this.#ending = false
    this.#spentMs = 0
    while (this.#spentMs < this.#turnMs) {
      const next = this.#waiting.shift()
      if (!next) return
      next()
      // Whoever was woken works before this goes on.
      await undefined
    }
    if (this.#waiting.length > 0) this.#endTurnSoon()
  }
}
