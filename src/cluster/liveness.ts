/**
 * Who of the brokers lives, as the controller hears of it. Pure: time comes in with each call, on the monotonic clock.
 */

type Session = {
  readonly brokerEpoch: number
  heardMs: number
  /** Index of the last metadata entry that the broker said it has applied. */
  appliedIndex: number
}

export class Liveness {
  readonly #sessions = new Map<number, Session>()
  #checkedMs = Number.NEGATIVE_INFINITY

  /** Begins anew, as a controller does that heard of nobody yet: everybody gets a whole session. */
  reset(
    brokers: Iterable<{ readonly brokerId: number; readonly brokerEpoch: number }>,
    nowMs: number,
  ): void {
    this.#sessions.clear()
    this.#checkedMs = nowMs
    for (const { brokerId, brokerEpoch } of brokers) {
      this.#sessions.set(brokerId, { brokerEpoch, heardMs: nowMs, appliedIndex: -1 })
    }
  }

  heard(brokerId: number, brokerEpoch: number, appliedIndex: number, nowMs: number): void {
    const session = this.#sessions.get(brokerId)
    if (session?.brokerEpoch === brokerEpoch) {
      session.heardMs = nowMs
      session.appliedIndex = Math.max(session.appliedIndex, appliedIndex)
    } else this.#sessions.set(brokerId, { brokerEpoch, heardMs: nowMs, appliedIndex })
  }

  /** When this process of a broker was last heard; minus infinity: never. */
  heardMs(brokerId: number, brokerEpoch: number): number {
    const session = this.#sessions.get(brokerId)
    return session?.brokerEpoch === brokerEpoch ? session.heardMs : Number.NEGATIVE_INFINITY
  }

  /** How far a broker has read the metadata, by its own word; -1: it said nothing yet. */
  appliedIndex(brokerId: number): number {
    return this.#sessions.get(brokerId)?.appliedIndex ?? -1
  }

  /**
   * The brokers that were silent for a whole session. Call it regularly.
   *
   * A look that comes later than `lateMs` after the one before says more of this process than of the others: it hung,
   * and what they sent meanwhile waits in its sockets. Everybody gets a whole session then.
   */
  silent(
    brokers: Iterable<{ readonly brokerId: number; readonly brokerEpoch: number }>,
    sessionTimeoutMs: number,
    lateMs: number,
    nowMs: number,
  ): number[] {
    const isLate = nowMs - this.#checkedMs > lateMs
    this.#checkedMs = nowMs
    if (isLate) for (const session of this.#sessions.values()) session.heardMs = nowMs
    const silent: number[] = []
    for (const { brokerId, brokerEpoch } of brokers) {
      const session = this.#sessions.get(brokerId)
      if (session?.brokerEpoch !== brokerEpoch) this.heard(brokerId, brokerEpoch, -1, nowMs)
      else if (nowMs - session.heardMs >= sessionTimeoutMs) silent.push(brokerId)
    }
    return silent
  }
}
