import type { AdvanceableClock, Clock, Timer, Timers } from '../../src/io/io.ts'

type Event = { atMs: number; order: number; task: (() => void) | undefined }

const startMs = 1_700_000_000_000

/**
 * Simulated time. Nothing happens by itself: events (timers, disk and network completions) run one after the other in
 * the order of their times while `run` or `advance` drives, and promises settle between any two of them.
 */
export class SimScheduler implements Timers {
  readonly #events: Event[] = []
  #turn: (() => void)[] = []
  #nowMs = 0
  #order = 0
  #brokerAheadMs = 0
  /** Real asynchronous work (codecs) that simulated time waits for. */
  #realWork = 0
  #life = 0

  readonly monotonic: Clock = { nowMs: () => this.#nowMs }
  readonly wall: Clock = { nowMs: () => startMs + Math.floor(this.#nowMs) }
  readonly brokerClock: AdvanceableClock = {
    nowMs: () => startMs + Math.floor(this.#nowMs) + this.#brokerAheadMs,
    advance: (byMs) => {
      this.#brokerAheadMs += byMs
    },
  }

  schedule(delayMs: number, task: () => void): Timer {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, task }
    let index = this.#events.length
    while (index > 0 && (this.#events[index - 1] as Event).atMs > event.atMs) index--
    this.#events.splice(index, 0, event)
    return {
      cancel: () => {
        event.task = undefined
      },
    }
  }

  endOfTurn(task: () => void): void {
    this.#turn.push(task)
  }

  /** Lets simulated time wait for something that runs outside of it. */
  async real<Result>(work: Promise<Result>): Promise<Result> {
    this.#realWork++
    const life = this.#life
    try {
      return await work
    } finally {
      this.#realWork--
      if (life !== this.#life) await new Promise(() => {})
    }
  }

  /** Forgets all events: the process that waited for them is gone, and real work that it began never ends for it. */
  clear(): void {
    this.#life++
    this.#events.length = 0
    this.#turn = []
  }

  /** Drives until `work` has settled. Fails when it waits for something that never comes. */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    let outcome: { value: Result } | { error: unknown } | undefined
    work().then(
      (value) => {
        outcome = { value }
      },
      (error: unknown) => {
        outcome = { error }
      },
    )
    for (;;) {
      await settle()
      if (outcome) break
      if (this.#realWork > 0) continue
      if (!this.#step(Number.MAX_SAFE_INTEGER)) {
        throw new Error('the simulation waits for something that never comes')
      }
    }
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }

  /** Lets time pass. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#nowMs + byMs
    for (;;) {
      await settle()
      if (this.#realWork > 0) continue
      if (!this.#step(endMs)) break
    }
    this.#nowMs = endMs
  }

  /** Runs what comes next up to `endMs`. @returns false when there is nothing */
  #step(endMs: number): boolean {
    if (this.#turn.length > 0) {
      const tasks = this.#turn
      this.#turn = []
      for (const task of tasks) task()
      return true
    }
    const next = this.#events[0]
    if (!next || next.atMs > endMs) return false
    this.#events.shift()
    if (!next.task) return true
    this.#nowMs = Math.max(this.#nowMs, next.atMs)
    next.task()
    return true
  }
}

/** All promise callbacks that are due run before this resolves. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
