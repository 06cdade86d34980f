import type { BrokerConfig } from '../config/broker-config.ts'

/** A connection that exceeds the creation rate waits at most this long to be served; beyond that it is refused. */
const MAX_WAIT_MS = 10_000

export type Admission =
  | { readonly verdict: 'serve'; readonly delayMs: number }
  | { readonly verdict: 'refuse'; readonly limit: string }

/**
 * Counts connections of all listeners of a broker: in total, per address, per second. Settings are read at each
 * connection, so a dynamic change acts at once. Where Kafka stops accepting at `max.connections`, the connection is
 * closed here: a client then tries again instead of hanging.
 */
export class ConnectionLimits {
  readonly #config: () => BrokerConfig
  readonly #perAddress = new Map<string, number>()
  #total = 0
  #overridesText = ''
  #overrides: ReadonlyMap<string, number> = new Map()
  /** When the next connection is due under the creation rate, on the monotonic clock. */
  #nextDueMs = 0

  constructor(config: () => BrokerConfig) {
    this.#config = config
  }

  get total(): number {
    return this.#total
  }

  /** Decides on one new connection; when it is served, `release` must follow when it is gone. */
  admit(address: string, nowMs: number): Admission {
    const config = this.#config()
    if (this.#total >= config['max.connections']) return refuse('max.connections')
    const known = this.#perAddress.get(address) ?? 0
    if (known >= this.#limitOf(address, config)) return refuse('max.connections.per.ip')
    const delayMs = this.#delayFor(config['max.connection.creation.rate'], nowMs)
    if (delayMs > MAX_WAIT_MS) return refuse('max.connection.creation.rate')
    this.#total++
    this.#perAddress.set(address, known + 1)
    return { verdict: 'serve', delayMs }
  }

  release(address: string): void {
    this.#total--
    const left = (this.#perAddress.get(address) ?? 1) - 1
    if (left > 0) this.#perAddress.set(address, left)
    else this.#perAddress.delete(address)
  }

  /** A burst of one second's worth passes at once; after that connections are spaced. */
  #delayFor(perSecond: number, nowMs: number): number {
    if (perSecond >= 2_147_483_647) return 0
    if (perSecond <= 0) return Number.POSITIVE_INFINITY
    const due = Math.max(this.#nextDueMs, nowMs - 1000)
    const delayMs = Math.max(0, due - nowMs)
    if (delayMs <= MAX_WAIT_MS) this.#nextDueMs = due + 1000 / perSecond
    return delayMs
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
