import type { Logger } from '../../base/logger.ts'
import type { Io, Timer } from '../../io/io.ts'
import type { BrokerFacts } from '../metadata-store.ts'
import { ConsulFailure, type ConsulPort, type ConsulService } from './consul-port.ts'

export type ConsulAnnouncementOptions = {
  readonly io: Io
  readonly port: ConsulPort
  readonly clusterId: string
  readonly serviceName: string
  readonly logger: Logger
}

/** The check turns critical when the event loop did not feed it for this long. */
const CHECK_TTL_MS = 10_000
const FEED_MS = 3_000
/** Consul's floor is a minute; a broker that is away for so long is no longer shown. */
const FORGET_AFTER_MS = 3_600_000

/**
 * Shows this broker in Consul's catalogue, as an instance of a service whose check its event loop feeds: for people,
 * DNS and `lmq.bootstrap.consul`. No decision of the cluster rests on it. An agent that lost the service, or is gone, is
 * noticed by the feeding, and the service is registered again, if need be with the next agent.
 */
export class ConsulAnnouncement {
  readonly #io: Io
  readonly #port: ConsulPort
  readonly #clusterId: string
  readonly #serviceName: string
  readonly #logger: Logger
  #facts: BrokerFacts | undefined
  #isRegistered = false
  #timer: Timer | undefined
  #working: Promise<void> | undefined
  #failures = 0
  #closed = false

  constructor({ io, port, clusterId, serviceName, logger }: ConsulAnnouncementOptions) {
    this.#io = io
    this.#port = port
    this.#clusterId = clusterId
    this.#serviceName = serviceName
    this.#logger = logger
  }

  /** Never waits: what Consul does not take now is tried again. */
  announce(facts: BrokerFacts): void {
    this.#facts = facts
    this.#isRegistered = false
    this.#feedIn(0)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#working
    if (!this.#facts) return
    await this.#port.deregisterService(this.#serviceId(this.#facts)).catch(() => {})
  }

  #feedIn(delayMs: number): void {
    this.#timer?.cancel()
    if (this.#closed) return
    this.#timer = this.#io.timers.schedule(delayMs, () => {
      this.#working ??= this.#feed().finally(() => {
        this.#working = undefined
        this.#feedIn(this.#isRegistered || this.#failures > 0 ? FEED_MS : 0)
      })
    })
  }

  async #feed(): Promise<void> {
    const facts = this.#facts
    if (!facts) return
    const id = this.#serviceId(facts)
    try {
      const isKnown = this.#isRegistered && (await this.#port.passCheck(id, facts.version))
      if (!isKnown) {
        await this.#port.registerService(this.#serviceOf(facts))
        this.#isRegistered = this.#facts === facts
      }
      this.#failures = 0
    } catch (error) {
      this.#isRegistered = false
      this.#failures++
      if (!(error instanceof ConsulFailure)) throw error
      if (this.#failures !== 2) return
      const why = { error: error.message }
      this.#logger.warn(why, 'this broker cannot be shown in the catalogue of Consul; trying again')
    }
  }

  #serviceId({ brokerId }: BrokerFacts): string {
    return `lmq-${this.#clusterId}-${brokerId}`
  }

  #serviceOf(facts: BrokerFacts): ConsulService {
    const { brokerId, brokerEpoch, incarnationId, rack, version, listeners, httpAddress } = facts
    const [first] = listeners
    const meta: Record<string, string> = {
      'cluster-id': this.#clusterId,
      'broker-id': String(brokerId),
      'broker-epoch': String(brokerEpoch),
      'incarnation-id': incarnationId,
      version,
      ...(rack !== null && { rack }),
      ...(httpAddress !== undefined && { 'http-address': httpAddress }),
    }
    for (const { name, host, port, securityProtocol } of listeners) {
      meta[`listener-${name.replace(/[^A-Za-z0-9_-]/g, '-')}`] =
        `${securityProtocol}://${host}:${port}`
    }
    return {
      id: this.#serviceId(facts),
      name: this.#serviceName,
      address: first?.host ?? '',
      port: first?.port ?? 0,
      tags: [`broker-${brokerId}`, `cluster-${this.#clusterId}`, ...(rack ? [`rack-${rack}`] : [])],
      meta,
      checkTtlMs: CHECK_TTL_MS,
      forgetAfterMs: FORGET_AFTER_MS,
    }
  }
}
