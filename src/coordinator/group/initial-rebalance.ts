/**
 * How long the first rebalance of a group waits for members: the configured delay, and again as long as others arrive
 * meanwhile, at most the rebalance time-out in all (KIP-134).
 */
export class InitialRebalance {
  readonly #delayMs: number
  #isRunning = false
  #memberArrived = false
  #stepMs = 0
  #remainingMs = 0

  /** @param delayMs `group.initial.rebalance.delay.ms` */
  constructor(delayMs: number) {
    this.#delayMs = delayMs
  }

  /** Whoever has joined, the rebalance does not end before its time. */
  get isRunning(): boolean {
    return this.#isRunning
  }

  /** @returns how long to wait first */
  begin(rebalanceTimeoutMs: number): number {
    this.#isRunning = true
    this.#memberArrived = false
    this.#stepMs = this.#delayMs
    this.#remainingMs = Math.max(rebalanceTimeoutMs - this.#delayMs, 0)
    return this.#delayMs
  }

  end(): void {
    this.#isRunning = false
  }

  memberArrived(): void {
    this.#memberArrived = true
  }

  /** The wait is over. @returns how long to wait once more; undefined: complete the rebalance */
  waitAgainMs(): number | undefined {
    if (!this.#isRunning || !this.#memberArrived || this.#remainingMs === 0) return undefined
    const stepMs = Math.min(this.#delayMs, this.#remainingMs)
    this.#memberArrived = false
    this.#remainingMs = Math.max(this.#remainingMs - this.#stepMs, 0)
    this.#stepMs = stepMs
    return stepMs
  }
}
