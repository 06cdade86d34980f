/**
 * A bound on bytes that many connections share. Sockets are not read while it is used up; of those that wait, the one that
 * came first and the one that came last are told in turns: those who take and never give back only fill the middle. It
 * counts and never allocates.
 */
export class MemoryBudget {
  readonly limitBytes: number
  usedBytes = 0
  readonly #waiters = new Set<() => void>()
  #waking = false
  /** Something was given back while waiters were being told: those told before may have room now. */
  #wakeAgain = false
  #lastIsNext = true

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  get exhausted(): boolean {
    return this.usedBytes >= this.limitBytes
  }

  get waiting(): number {
    return this.#waiters.size
  }

  /** Counts bytes that are there already (a frame within a received chunk). */
  take(sizeBytes: number): void {
    this.usedBytes += sizeBytes
  }

  /**
   * Counts bytes before they are allocated. One claim larger than the whole budget passes when nothing else is in
   * use, otherwise it could never pass.
   */
  tryTake(sizeBytes: number): boolean {
    if (this.usedBytes > 0 && this.usedBytes + sizeBytes > this.limitBytes) return false
    this.usedBytes += sizeBytes
    return true
  }

  give(sizeBytes: number): void {
    this.usedBytes -= sizeBytes
    if (this.#waiters.size > 0 && !this.exhausted) this.#wake()
  }

  /** `waiter` is called once, when something was given back; it tries again and may have to wait again. */
  wait(waiter: () => void): void {
    this.#waiters.add(waiter)
  }

  stopWaiting(waiter: () => void): void {
    this.#waiters.delete(waiter)
  }

  /** A waiter that gives bytes back or waits again while it is told must not start a second round inside this one. */
  #wake(): void {
    if (this.#waking) {
      this.#wakeAgain = true
      return
    }
    this.#waking = true
    do {
      this.#wakeAgain = false
      const waiters = [...this.#waiters]
      for (let first = 0, last = waiters.length - 1; first <= last; ) {
        if (this.exhausted) break
        this.#lastIsNext = !this.#lastIsNext
        const waiter = waiters[this.#lastIsNext ? last-- : first++] as () => void
        if (this.#waiters.delete(waiter)) waiter()
      }
    } while (this.#wakeAgain)
    this.#waking = false
  }
}
