import type { Clock } from '../io/io.ts'

/** A client that looks whether a topic is gone does so at once; one that comes later wants a topic. */
const REMEMBERED_MS = 30_000
/** Some 3 MB of names at most. When more are deleted within that time, the oldest are forgotten. */
const MAX_NAMES = 10_000

/**
 * Names of the topics that were deleted a moment ago, as this broker has seen it. Soft state: after a restart there are none.
 */
export class DeletedTopics {
  readonly #clock: Clock
  /** When, by name, the oldest first. */
  readonly #deletedMs = new Map<string, number>()

  /** @param clock the monotonic one */
  constructor(clock: Clock) {
    this.#clock = clock
  }

  note(name: string): void {
    const nowMs = this.#clock.nowMs()
    this.#deletedMs.delete(name)
    this.#deletedMs.set(name, nowMs)
    for (const [oldest, deletedMs] of this.#deletedMs) {
      if (this.#deletedMs.size <= MAX_NAMES && nowMs - deletedMs < REMEMBERED_MS) break
      this.#deletedMs.delete(oldest)
    }
  }

  /** Also true of a name that has a topic again: ask for names that have none. */
  has(name: string): boolean {
    const deletedMs = this.#deletedMs.get(name)
    return deletedMs !== undefined && this.#clock.nowMs() - deletedMs < REMEMBERED_MS
  }
}
