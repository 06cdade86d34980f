import type { BrokerConfig } from '../config/broker-config.ts'
import type { ListenerSettingName } from '../config/broker-settings.ts'

/** A connection that exceeds the creation rate waits at most this long to be served; beyond that it is refused. */
const MAX_WAIT_MS = 10_000
const UNLIMITED = 2_147_483_647

export type Admission =
  | { readonly verdict: 'serve'; readonly delayMs: number }
  /** No slot is free: `admitWaiting` is called when one may be. */
  | { readonly verdict: 'wait' }
  | { readonly verdict: 'refuse'; readonly limit: string }

/** What the limits ask of a listener. */
export type LimitedListener = {
  readonly name: string
  /** A slot may be free. */
  admitWaiting(): void
  /** When its least recently used connection was active last; undefined when it has none. */
  readonly quietestMs: number | undefined
  /** Ends that connection. */
  endQuietest(): void
}

export type ConnectionLimitsOptions = {
  /** The broker's settings, read at each connection: a dynamic change acts at once. */
  readonly config: () => BrokerConfig
  /** A setting given for one listener only. */
  readonly ofListener?: (listenerName: string, setting: ListenerSettingName) => number | undefined
  /** Brokers reach each other here; undefined when clients do, too. */
  readonly protectedListener?: string | undefined
}

/**
 * Counts connections of all listeners of a broker: in total, per listener, per address, per second. Like Kafka's
 * ConnectionQuotas: beyond `max.connections` a connection waits for a slot; on the listener of the brokers it is
 * served, and the least recently used one of another listener ends for it; beyond the limit of an address it is closed.
 */
export class ConnectionLimits {
  readonly #options: ConnectionLimitsOptions
  readonly #listeners = new Map<string, LimitedListener>()
  readonly #perListener = new Map<string, number>()
  readonly #perAddress = new Map<string, number>()
  #total = 0
  #overridesText = ''
  #overrides: ReadonlyMap<string, number> = new Map()
  /** When the next connection is due under a creation rate, on the monotonic clock. '': that of the broker. */
  readonly #nextDueMs = new Map<string, number>()

  constructor(options: ConnectionLimitsOptions) {
    this.#options = options
  }

  get total(): number {
    return this.#total
  }

  add(listener: LimitedListener): void {
    this.#listeners.set(listener.name, listener)
  }

  remove(listener: LimitedListener): void {
    this.#listeners.delete(listener.name)
  }

  /** Decides on one connection; when it is served, `release` must follow when it is gone. */
  admit(listenerName: string, address: string, nowMs: number): Admission {
    const config = this.#options.config()
    if (!this.#hasSlot(listenerName, config)) return { verdict: 'wait' }
    const known = this.#perAddress.get(address) ?? 0
    if (known >= this.#limitOf(address, config)) return refuse('max.connections.per.ip')
    const delayMs = this.#delayFor(listenerName, config, nowMs)
    if (delayMs > MAX_WAIT_MS) return refuse('max.connection.creation.rate')
    this.#total++
    this.#perListener.set(listenerName, (this.#perListener.get(listenerName) ?? 0) + 1)
    this.#perAddress.set(address, known + 1)
    if (this.#total > config['max.connections']) this.#makeRoom()
    return { verdict: 'serve', delayMs }
  }

  release(listenerName: string, address: string): void {
    this.#total--
    this.#perListener.set(listenerName, (this.#perListener.get(listenerName) ?? 1) - 1)
    const left = (this.#perAddress.get(address) ?? 1) - 1
    if (left > 0) this.#perAddress.set(address, left)
    else this.#perAddress.delete(address)
    for (const listener of this.#listeners.values()) listener.admitWaiting()
  }

  #hasSlot(listenerName: string, config: BrokerConfig): boolean {
    const limit = this.#options.ofListener?.(listenerName, 'max.connections') ?? UNLIMITED
    if ((this.#perListener.get(listenerName) ?? 0) >= limit) return false
    return this.#isProtected(listenerName) || this.#total < config['max.connections']
  }

  #isProtected(listenerName: string): boolean {
    return listenerName === this.#options.protectedListener
  }

  #makeRoom(): void {
    let quietest: LimitedListener | undefined
    for (const listener of this.#listeners.values()) {
      if (this.#isProtected(listener.name) || listener.quietestMs === undefined) continue
      if (!quietest || listener.quietestMs < (quietest.quietestMs ?? 0)) quietest = listener
    }
    quietest?.endQuietest()
  }

  #delayFor(listenerName: string, config: BrokerConfig, nowMs: number): number {
    const setting = 'max.connection.creation.rate'
    const rates: [string, number][] = []
    const own = this.#options.ofListener?.(listenerName, setting) ?? UNLIMITED
    if (own < UNLIMITED) rates.push([listenerName, own])
    const perSecond = config[setting]
    if (perSecond < UNLIMITED && !this.#isProtected(listenerName)) rates.push(['', perSecond])
    let delayMs = 0
    for (const [name, rate] of rates) delayMs = Math.max(delayMs, this.#dueIn(name, rate, nowMs))
    if (delayMs > MAX_WAIT_MS) return delayMs
    for (const [name, rate] of rates) {
      this.#nextDueMs.set(name, nowMs + this.#dueIn(name, rate, nowMs, true) + 1000 / rate)
    }
    return delayMs
  }

  /** A burst of one second's worth passes at once; after that connections are spaced. */
  #dueIn(name: string, perSecond: number, nowMs: number, isSigned = false): number {
    if (perSecond <= 0) return Number.POSITIVE_INFINITY
    const due = Math.max(this.#nextDueMs.get(name) ?? 0, nowMs - 1000)
    return isSigned ? due - nowMs : Math.max(0, due - nowMs)
  }

  #limitOf(address: string, config: BrokerConfig): number {
    const text = config['max.connections.per.ip.overrides']
    if (text !== this.#overridesText) {
      this.#overridesText = text
      this.#overrides = parseOverrides(text)
    }
    return this.#overrides.get(address) ?? config['max.connections.per.ip']
  }
}

const refuse = (limit: string): Admission => ({ verdict: 'refuse', limit })

/** `address:count` pairs separated by commas; an IPv6 address may hold colons, the last one counts. */
export function parseOverrides(text: string): ReadonlyMap<string, number> {
  const overrides = new Map<string, number>()
  for (const entry of text.split(',')) {
    const colon = entry.lastIndexOf(':')
    const count = Number(entry.slice(colon + 1))
    if (colon > 0 && Number.isSafeInteger(count)) overrides.set(entry.slice(0, colon).trim(), count)
  }
  return overrides
}
