import { type MetadataImage, ResourceType } from '../cluster/metadata-image.ts'
import { clientMetricsConfigOf } from '../config/client-metrics-config.ts'
import { compileRegex, type LinearRegex } from '../io/linear-regex.ts'

/** What a client is known by; patterns are matched against these (KIP-714's names). */
export type ClientAttributes = {
  readonly client_instance_id: string
  readonly client_id: string
  readonly client_software_name: string | undefined
  readonly client_software_version: string | undefined
  readonly client_source_address: string
  readonly client_source_port: string
}

type Subscription = {
  readonly metrics: readonly string[]
  readonly intervalMs: number
  readonly match: ReadonlyMap<keyof ClientAttributes, LinearRegex | undefined>
}

/** What a client is to push, and how often. */
export type Wanted = {
  /** Prefixes of names; `*` alone: everything. In alphabetical order, so that all brokers say the same. */
  readonly metrics: readonly string[]
  readonly pushIntervalMs: number
}

/** Where no subscription says less. */
const LONGEST_INTERVAL_MS = 300_000
const EVERYTHING = '*'

/** The client-metrics resources of the cluster, as they are now. */
export class TelemetrySubscriptions {
  /** Rises with every change. */
  version = 0
  readonly #image: MetadataImage
  #index = Number.NaN
  #text = ''
  #subscriptions: Subscription[] = []

  constructor(image: MetadataImage) {
    this.#image = image
  }

  /** Looks whether subscriptions changed: to be called before every use. */
  refresh(): void {
    if (this.#index === this.#image.index) return
    this.#index = this.#image.index
    const found: [string, [string, string][]][] = []
    for (const { resourceType, resourceName } of this.#image.configuredResources()) {
      if (resourceType !== ResourceType.CLIENT_METRICS) continue
      found.push([resourceName, [...this.#image.configs(resourceType, resourceName)]])
    }
    const text = JSON.stringify(found)
    if (text === this.#text) return
    this.#text = text
    this.#subscriptions = found.map(([, configs]) => subscriptionOf(new Map(configs)))
    this.version++
  }

  /** All subscriptions that match together: their metrics, and the shortest of their intervals. */
  wantedOf(client: ClientAttributes): Wanted {
    const metrics = new Set<string>()
    let pushIntervalMs = LONGEST_INTERVAL_MS
    for (const subscription of this.#subscriptions) {
      if (!matches(subscription, client)) continue
      for (const prefix of subscription.metrics) metrics.add(prefix)
      pushIntervalMs = Math.min(pushIntervalMs, subscription.intervalMs)
    }
    if (metrics.has(EVERYTHING)) return { metrics: [EVERYTHING], pushIntervalMs }
    return { metrics: [...metrics].sort(), pushIntervalMs }
  }
}

function subscriptionOf(configs: ReadonlyMap<string, string>): Subscription {
  const config = clientMetricsConfigOf(configs)
  const match = new Map<keyof ClientAttributes, LinearRegex | undefined>()
  for (const pattern of config.match) {
    const [key = '', expression = ''] = pattern.split('=')
    match.set(key.trim() as keyof ClientAttributes, compileRegex(expression.trim()))
  }
  return { metrics: config.metrics, intervalMs: config['interval.ms'], match }
}

/** All patterns must match; what a client does not tell matches nothing. */
function matches({ match }: Subscription, client: ClientAttributes): boolean {
  for (const [key, pattern] of match) {
    const value = client[key]
    if (value === undefined || !pattern?.matches(value)) return false
  }
  return true
}
