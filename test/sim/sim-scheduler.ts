import type { AdvanceableClock, Clock, Timer, Timers } from '../../src/io/io.ts'

type Event = { readonly atMs: number; readonly order: number; task: (() => void) | undefined }

const startMs = 1_700_000_000_000
/** So many turns of the event loop are asked for at a time: one by one they cost several times as much. */
const TURNS = 64

/**
 * Simulated time. Nothing happens by itself: events (timers, disk and network completions) run one after the other in
 * the order of their times while `run` or `advance` drives, and promises settle between any two of them.
 */
export class SimScheduler implements Timers {
  readonly #events = new EventHeap()
  #turn: (() => void)[] = []
  #nowMs = 0
  #order = 0
  #brokerAheadMs = 0
  /** Real asynchronous work (codecs) that simulated time waits for. */
  #realWork = 0
  #life = 0
  #steps = 0

  readonly monotonic: Clock = { nowMs: () => this.#nowMs }
  readonly wall: Clock = { nowMs: () => startMs + Math.floor(this.#nowMs) }
  readonly brokerClock: AdvanceableClock = {
    nowMs: () => startMs + Math.floor(this.#nowMs) + this.#brokerAheadMs,
    advance: (byMs) => {
      this.#brokerAheadMs += byMs
    },
  }

  /** Events so far: how much a simulation was. */
  get steps(): number {
    return this.#steps
  }

  schedule(delayMs: number, task: () => void): Timer {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, task }
    this.#events.add(event)
    return {
      cancel: () => {
        event.task = undefined
      },
    }
  }

  endOfTurn(task: () => void): void {
    this.#turn.push(task)
  }

  /** The same here: a turn does not run what is given to it meanwhile. */
  nextTurn(task: () => void): void {
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
    this.#events.clear()
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
    await inTurns(() => {
      if (outcome) return false
      if (this.#realWork > 0 || this.#step(Number.MAX_SAFE_INTEGER)) return true
      throw new Error('the simulation waits for something that never comes')
    })
    if (!outcome) throw new Error('the simulation ended early')
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }

  /** Lets time pass. Others that drive may let more of it pass meanwhile. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#nowMs + byMs
    await inTurns(() => this.#realWork > 0 || this.#step(endMs))
    this.#nowMs = Math.max(this.#nowMs, endMs)
  }

  /** Runs what comes next up to `endMs`. @returns false when there is nothing */
  #step(endMs: number): boolean {
    if (this.#turn.length > 0) {
      const tasks = this.#turn
      this.#turn = []
      for (const task of tasks) task()
      return true
    }
    for (;;) {
      const next = this.#events.first
      if (!next || next.atMs > endMs) return false
      this.#events.takeFirst()
      if (!next.task) continue
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      this.#steps++
      next.task()
      return true
    }
  }
}

/** Calls `step` until it returns false, each time with all promise callbacks run that were due. */
function inTurns(step: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let isOver = false
    const turn = () => {
      if (isOver) return
      try {
        if (step()) return
        isOver = true
        resolve()
      } catch (error) {
        isOver = true
        reject(error as Error)
      }
    }
    // Between two immediates of one round the event loop runs promise callbacks, and nothing else.
    const round = () => {
      for (let count = 0; count < TURNS; count++) setImmediate(turn)
      setImmediate(() => {
        if (!isOver) round()
      })
    }
    round()
  })
}

/** The earliest event first; of several at one time, the one that was scheduled first. */
class EventHeap {
  #events: Event[] = []

  get first(): Event | undefined {
    return this.#events[0]
  }

  clear(): void {
    this.#events = []
  }

  add(event: Event): void {
    const events = this.#events
    let at = events.length
    events.push(event)
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = events[above] as Event
      if (isBefore(parent, event)) break
      events[at] = parent
      at = above
    }
    events[at] = event
  }

  takeFirst(): void {
    const events = this.#events
    const last = events.pop()
    if (!last || events.length === 0) return
    let at = 0
    for (;;) {
      let below = at * 2 + 1
      if (below >= events.length) break
      const right = events[below + 1]
      if (right && isBefore(right, events[below] as Event)) below++
      const child = events[below] as Event
      if (isBefore(last, child)) break
      events[at] = child
      at = below
    }
    events[at] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
