import type { Clock } from '../io/io.ts'

/**
 * Holds replication that is not urgent (a reassignment's copies) to a rate of bytes a second (KIP-73). What was moved is
 * a debt that is paid off at the rate; while there is any, nothing more is moved. A batch may exceed the rate, as
 * it comes whole: it only makes the pause longer.
 */
export class ReplicationThrottle {
  readonly #clock: Clock
  readonly #bytesPerSecond: () => number
  #debtBytes = 0
  #paidMs: number
  /** Bytes that were counted here since the start. */
  totalBytes = 0

  /** @param bytesPerSecond read whenever it is needed: it can be changed while replication runs */
  constructor(clock: Clock, bytesPerSecond: () => number) {
    this.#clock = clock
    this.#bytesPerSecond = bytesPerSecond
    this.#paidMs = clock.nowMs()
  }

  get isExceeded(): boolean {
    return this.#pay() > 0
  }

  /** How long until something may be moved again. */
  get waitMs(): number {
    const rate = this.#bytesPerSecond()
    const debtBytes = this.#pay()
    if (debtBytes === 0) return 0
    return rate > 0 ? (debtBytes / rate) * 1000 : Number.POSITIVE_INFINITY
  }

  record(sizeBytes: number): void {
    this.#pay()
    this.#debtBytes += sizeBytes
    this.totalBytes += sizeBytes
  }

  #pay(): number {
    const nowMs = this.#clock.nowMs()
    const paidBytes = (this.#bytesPerSecond() * Math.max(0, nowMs - this.#paidMs)) / 1000
    this.#paidMs = nowMs
    this.#debtBytes = Math.max(0, this.#debtBytes - paidBytes)
    return this.#debtBytes
  }
}

/**
 * Whether a topic's list of throttled replicas ("*", or pairs of partition and broker) names this partition on this
 * broker.
 */
export function isThrottledReplica(
  list: readonly string[],
  partitionIndex: number,
  brokerId: number,
): boolean {
  if (list.length === 0) return false
  return list.includes('*') || list.includes(`${partitionIndex}:${brokerId}`)
}
