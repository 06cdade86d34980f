/** What one fetch of a follower tells of it. */
export type ReplicaFetch = {
  readonly brokerId: number
  /** Of the follower's registration; -1: it did not say (Fetch below v15). */
  readonly brokerEpoch: number
  /** The follower has everything below, written or, with `flush.messages=1`, durable. */
  readonly fetchOffset: number
  readonly logStartOffset: number
  /** Monotonic time at which the request came. */
  readonly atMs: number
}

/**
 * A follower as the leader sees it, within one leadership. Like Kafka's Replica: it is caught up as of the last moment
 * at which it had everything that the leader had then.
 */
export class ReplicaState {
  readonly brokerId: number
  brokerEpoch = -1
  /** Exclusive; -1: it has not fetched under this leadership. */
  logEndOffset = -1
  logStartOffset = -1
  /** Monotonic; it had the leader's end then. */
  lastCaughtUpMs: number
  #lastFetchMs = Number.NEGATIVE_INFINITY
  #leaderEndAtLastFetch = Number.MAX_SAFE_INTEGER

  /** @param lastCaughtUpMs members of the ISR begin with the present, others with minus infinity */
  constructor(brokerId: number, lastCaughtUpMs: number) {
    this.brokerId = brokerId
    this.lastCaughtUpMs = lastCaughtUpMs
  }

  /** @param leaderEnd what the leader could give away when the request came (exclusive) */
  fetched(fetch: ReplicaFetch, leaderEnd: number): void {
    const { fetchOffset, atMs } = fetch
    // A long poll that is read once more tells what was so when it came; the follower may have said more since.
    if (atMs < this.#lastFetchMs) return
    if (fetchOffset >= leaderEnd) this.caughtUpAt(atMs)
    else if (fetchOffset >= this.#leaderEndAtLastFetch) this.caughtUpAt(this.#lastFetchMs)
    this.brokerEpoch = fetch.brokerEpoch
    this.logEndOffset = fetchOffset
    this.logStartOffset = fetch.logStartOffset
    this.#lastFetchMs = atMs
    this.#leaderEndAtLastFetch = leaderEnd
  }

  caughtUpAt(atMs: number): void {
    if (atMs > this.lastCaughtUpMs) this.lastCaughtUpMs = atMs
  }

  isCaughtUp(leaderEnd: number, nowMs: number, lagTimeMaxMs: number): boolean {
    // It may be ahead of what counts at the leader, whose disk is slower.
    return this.logEndOffset >= leaderEnd || nowMs - this.lastCaughtUpMs <= lagTimeMaxMs
  }
}
