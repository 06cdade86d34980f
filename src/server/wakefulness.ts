/**
 * Whether this process may believe what it knows of the cluster. One that hung for longer than a moment (stopped,
 * swapped out, a machine that slept) does not know whether others took over meanwhile: it answers no client before the
 * controller has answered it again and its metadata is what the others have.
 */
import type { Logger } from '../base/logger.ts'
import type { Io, Timer } from '../io/io.ts'

export type WakefulnessOptions = {
  readonly io: Pick<Io, 'monotonic' | 'timers'>
  /** Resolves when the controller answered a heartbeat that was sent after this call, and the metadata is up to date. */
  readonly confirm: () => Promise<void>
  readonly logger: Logger
}

const TICK_MS = 250
/** A tick that comes this much later than planned: the process hung. */
const LATE_MS = 1_000

export class Wakefulness {
  readonly #options: WakefulnessOptions
  #tickedMs: number
  #isHeld = false
  readonly #waiting = new Set<() => void>()
  #timer: Timer | undefined

  constructor(options: WakefulnessOptions) {
    this.#options = options
    this.#tickedMs = options.io.monotonic.nowMs()
  }

  start(): void {
    const { io } = this.#options
    this.#tickedMs = io.monotonic.nowMs()
    this.#timer = io.timers.schedule(TICK_MS, () => this.#tick())
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#release()
  }

  /**
   * Also what comes in before the first tick after a hang is noticed by this: sockets may be read before timers run.
   *
   * @param nowMs monotonic, not older than what is being served
   */
  mayServe(nowMs: number): boolean {
    if (this.#isHeld) return false
    if (this.#timer === undefined || nowMs - this.#tickedMs <= TICK_MS + LATE_MS) return true
    this.#hold(nowMs - this.#tickedMs)
    return false
  }

  /** `listener` is called once, when clients may be served again. */
  wait(listener: () => void): void {
    this.#waiting.add(listener)
  }

  stopWaiting(listener: () => void): void {
    this.#waiting.delete(listener)
  }

  #tick(): void {
    const { io } = this.#options
    this.mayServe(io.monotonic.nowMs())
    this.start()
  }

  #hold(lateMs: number): void {
    const { confirm, logger } = this.#options
    this.#isHeld = true
    logger.warn(
      { stoodStillMs: Math.round(lateMs) },
      'this process stood still: clients wait until the controller has answered',
    )
    confirm().then(
      () => this.#release(),
      () => this.#release(),
    )
  }

  #release(): void {
    this.#isHeld = false
    for (const listener of [...this.#waiting]) {
      this.#waiting.delete(listener)
      listener()
    }
  }
}
