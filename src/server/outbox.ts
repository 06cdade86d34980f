import type { Timers } from '../io/io.ts'

/**
 * Gathers the connections that have answers to send, so that all answers of one connection that became ready in one
 * turn of the event loop leave in one write. One per broker: one callback a turn serves all connections.
 */
export class Outbox {
  readonly #timers: Timers
  #waiting: { flush(): void }[] = []
  #scheduled = false

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** `sender.flush` runs at the end of this turn. The sender takes care not to add itself twice. */
  add(sender: { flush(): void }): void {
    this.#waiting.push(sender)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#timers.endOfTurn(this.#flushAll)
  }

  readonly #flushAll = (): void => {
    this.#scheduled = false
    const waiting = this.#waiting
    this.#waiting = []
    for (const sender of waiting) sender.flush()
  }
}
