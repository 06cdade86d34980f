/**
 * Brokers whose connections broke a moment ago and whose processes are gone, while the metadata still says that they
 * lead. A client that lost the same broker asks for the new leader at once: an answer that names the dead one again
 * sends it into its next pause (a second in librdkafka). So that answer waits for the election, but not for long.
 */
import type { Io, Timer } from '../io/io.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { DialOutcome } from './peers.ts'

export type DeparturesOptions = {
  readonly io: Pick<Io, 'timers'>
  readonly image: MetadataImage
  dial(brokerId: number, timeoutMs: number): Promise<DialOutcome>
}

/** A controller that died with the broker has been replaced by then; a client that waited longer would rather be told. */
export const HOLD_MS = 1_000
const DIAL_TIMEOUT_MS = 250

type Departure = { readonly brokerEpoch: number; readonly timer: Timer }

export class Departures {
  readonly #options: DeparturesOptions
  readonly #pending = new Map<number, Departure>()
  #waiters: (() => void)[] = []

  constructor(options: DeparturesOptions) {
    this.#options = options
  }

  /** A connection to a broker broke, and nobody here closed it. */
  noteBroken(brokerId: number): void {
    const { io, image, dial } = this.#options
    const known = image.brokers.get(brokerId)
    if (!known || known.fenced || this.#pending.has(brokerId)) return
    const { brokerEpoch } = known
    const timer = io.timers.schedule(HOLD_MS, () => this.#settle(brokerId, brokerEpoch))
    this.#pending.set(brokerId, { brokerEpoch, timer })
    void dial(brokerId, DIAL_TIMEOUT_MS).then((outcome) => {
      // It lives, or only time will tell.
      if (outcome !== 'refused') this.#settle(brokerId, brokerEpoch)
    })
  }

  /** The metadata changed. */
  noteImage(): void {
    if (this.#pending.size === 0) return
    const { brokers } = this.#options.image
    for (const [brokerId, { brokerEpoch }] of [...this.#pending]) {
      const known = brokers.get(brokerId)
      if (!known || known.fenced || known.brokerEpoch !== brokerEpoch) {
        this.#settle(brokerId, brokerEpoch)
      }
    }
  }

  /**
   * Resolves when the metadata names nobody that is known to be gone, `HOLD_MS` later at most. It never resolves in the
   * same turn: who asks has often seen the end of its own connection just before the end of ours is looked at.
   */
  async settled(): Promise<void> {
    await new Promise<void>((resolve) => this.#options.io.timers.schedule(0, resolve))
    if (this.#pending.size === 0) return
    await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }

  /** Nobody waits any longer. */
  close(): void {
    for (const [brokerId, { brokerEpoch }] of [...this.#pending]) {
      this.#settle(brokerId, brokerEpoch)
    }
  }

  #settle(brokerId: number, brokerEpoch: number): void {
    const pending = this.#pending.get(brokerId)
    if (pending?.brokerEpoch !== brokerEpoch) return
    pending.timer.cancel()
    this.#pending.delete(brokerId)
    if (this.#pending.size > 0) return
    for (const resolve of this.#waiters.splice(0)) resolve()
  }
}
