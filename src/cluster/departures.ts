/**
 * Brokers whose connections broke a moment ago and whose processes are gone, while the metadata still says that they
 * lead. A client that lost the same broker asks for the new leader at once: an answer that names the dead one again
 * sends it into its next pause (a second in librdkafka). So that answer waits for the election, but not for long.
 */
import type { Io, Timer } from '../io/io.ts'
import type { BrokerImage, MetadataImage } from './metadata-image.ts'
import type { DialOutcome } from './peers.ts'

export type DeparturesOptions = {
  readonly io: Pick<Io, 'timers'>
  readonly image: MetadataImage
  dial(brokerId: number, timeoutMs: number): Promise<DialOutcome>
}

/** A controller that died with the broker has been replaced by then; a client that waited longer would rather be told. */
export const HOLD_MS = 1_000
const DIAL_TIMEOUT_MS = 250
/**
 * How long clients still find a broker in Metadata's list that takes part no more. librdkafka forgets a broker that is not
 * listed, and with it, for a second, the new leaders of partitions that the same answer names: it must have seen these
 * first. (Kafka lists a dead broker for the nine seconds of its session.)
 */
export const LISTED_MS = 3_000

type Departure = { readonly brokerEpoch: number; readonly timer: Timer }

export class Departures {
  readonly #options: DeparturesOptions
  readonly #pending = new Map<number, Departure>()
  #waiters: (() => void)[] = []
  #live: ReadonlyMap<number, BrokerImage> = new Map()
  /** Fenced a moment ago. */
  readonly #gone = new Map<number, { readonly broker: BrokerImage; readonly timer: Timer }>()
  /** Counts the changes of `lately`. */
  version = 0

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

  /** Brokers that took part a moment ago and are known still. */
  *lately(): Iterable<BrokerImage> {
    for (const { broker } of this.#gone.values()) yield broker
  }

  /** The metadata changed. */
  noteImage(): void {
    const { brokers } = this.#options.image
    this.#noteGone(brokers)
    if (this.#pending.size === 0) return
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

  #noteGone(brokers: MetadataImage['brokers']): void {
    const live = new Map<number, BrokerImage>()
    for (const broker of brokers.values()) if (!broker.fenced) live.set(broker.brokerId, broker)
    for (const [brokerId, broker] of this.#live) {
      if (live.has(brokerId) || !brokers.has(brokerId)) continue
      this.#gone.get(brokerId)?.timer.cancel()
      const timer = this.#options.io.timers.schedule(LISTED_MS, () => this.#forget(brokerId))
      this.#gone.set(brokerId, { broker, timer })
      this.version++
    }
    for (const brokerId of [...this.#gone.keys()]) {
      if (live.has(brokerId) || !brokers.has(brokerId)) this.#forget(brokerId)
    }
    this.#live = live
  }

  #forget(brokerId: number): void {
    this.#gone.get(brokerId)?.timer.cancel()
    if (this.#gone.delete(brokerId)) this.version++
  }

  /** Nobody waits any longer. */
  close(): void {
    for (const brokerId of [...this.#gone.keys()]) this.#forget(brokerId)
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
