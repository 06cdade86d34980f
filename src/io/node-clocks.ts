import type { AdvanceableClock, Clock, Timer, Timers } from './io.ts'

/** How often the broker clock looks at the wall clock. */
const compareEveryMs = 1_000
/** A wall clock further away than this is followed; less is noise that the two clocks' own drift explains. */
const toleranceMs = 20
/** While it follows, the broker clock runs this much faster or slower. It never stands still and never jumps. */
const slewRate = 0.1

export const monotonicClock: Clock = { nowMs: () => performance.now() }
export const wallClock: Clock = { nowMs: () => Date.now() }

/**
 * The time that rules see. It starts at the wall clock, then counts with the monotonic one, so that a wall clock set
 * back or forth makes no retention, expiry or time-out happen at once: the difference is made up by running 10 % faster
 * or slower. Whole milliseconds; never goes back.
 */
export class BrokerClock implements AdvanceableClock {
  readonly #monotonic: Clock
  readonly #wall: Clock
  #anchorMonotonicMs: number
  #anchorMs: number
  #rate = 1
  #advancedMs = 0

  constructor(monotonic: Clock, wall: Clock) {
    this.#monotonic = monotonic
    this.#wall = wall
    this.#anchorMonotonicMs = monotonic.nowMs()
    this.#anchorMs = wall.nowMs()
  }

  nowMs(): number {
    const monotonicMs = this.#monotonic.nowMs()
    const elapsedMs = monotonicMs - this.#anchorMonotonicMs
    const nowMs = this.#anchorMs + elapsedMs * this.#rate
    if (elapsedMs >= compareEveryMs) this.#compare(monotonicMs, nowMs)
    return Math.floor(nowMs + this.#advancedMs)
  }

  /** Moves this clock forward by hand (tests; operators who want retention to act now). */
  advance(byMs: number): void {
    this.#advancedMs += Math.max(0, byMs)
  }

  #compare(monotonicMs: number, nowMs: number): void {
    const behindMs = this.#wall.nowMs() - nowMs
    this.#anchorMonotonicMs = monotonicMs
    this.#anchorMs = nowMs
    this.#rate = Math.abs(behindMs) <= toleranceMs ? 1 : behindMs > 0 ? 1 + slewRate : 1 - slewRate
  }
}

/** Longest delay that setTimeout takes; longer ones are waited for in parts. */
const longestTimeoutMs = 2 ** 31 - 1

/** How often what runs at the end of a turn may ask for more of it before the sockets are looked at again. */
const maxRounds = 4

export class NodeTimers implements Timers {
  #tasks: (() => void)[] = []
  /** Of the turn after this one. */
  #later: (() => void)[] = []
  #scheduled = false
  readonly #runTasks = () => {
    // What a task adds still belongs to this turn: the log's write lets answers go, and those leave without another
    // look at the sockets in between.
    for (let round = 0; round < maxRounds && this.#tasks.length > 0; round++) {
      const tasks = this.#tasks
      this.#tasks = []
      for (const task of tasks) task()
    }
    this.#tasks.push(...this.#later)
    this.#later = []
    this.#scheduled = this.#tasks.length > 0
    if (this.#scheduled) setImmediate(this.#runTasks)
  }

  schedule(delayMs: number, task: () => void, keepsAlive = false): Timer {
    let timeout: NodeJS.Timeout
    const wait = (leftMs: number) => {
      const partMs = Math.min(leftMs, longestTimeoutMs)
      timeout = setTimeout(() => (leftMs > partMs ? wait(leftMs - partMs) : task()), partMs)
      if (!keepsAlive) timeout.unref()
    }
    wait(Math.max(0, delayMs))
    return { cancel: () => clearTimeout(timeout) }
  }

  endOfTurn(task: () => void): void {
    this.#tasks.push(task)
    this.#runSoon()
  }

  nextTurn(task: () => void): void {
    this.#later.push(task)
    this.#runSoon()
  }

  #runSoon(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#runTasks)
  }
}
