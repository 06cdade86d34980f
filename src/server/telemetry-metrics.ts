import type { Clock } from '../io/io.ts'
import type { Labels, Metric, Sample } from '../metrics/metric.ts'
import type { TelemetryPoint } from './telemetry-payload.ts'

/** Numbers kept over all clients; the client that was silent for longest makes room. */
const MAX_SERIES = 10_000
const MAX_SERIES_OF_CLIENT = 1_000
/** Stands before the names that clients choose, so that they are never taken for the broker's own. */
const PREFIX = 'kafka_client_'
/** What nearly all names begin with (KIP-714); left out. */
const COMMON_START = 'org.apache.kafka.'

type Series = {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly labels: Labels
  value: number
  expiresMs: number
}

type Client = { readonly labels: Labels; readonly series: Map<string, Series> }

/**
 * The last values of what clients pushed, for the metrics page. Bounded in number, and in time: what a client pushes no
 * more is forgotten, and so is the client.
 */
export class TelemetryMetrics {
  /** Values that came. */
  values = 0
  /** Values that had no room. */
  dropped = 0
  readonly #clock: Clock
  readonly #maxSeries: number
  /** By client instance id; who pushed last stands last. */
  readonly #clients = new Map<string, Client>()
  #count = 0

  constructor(clock: Clock, maxSeries = MAX_SERIES) {
    this.#clock = clock
    this.#maxSeries = maxSeries
  }

  get clientCount(): number {
    return this.#clients.size
  }

  get seriesCount(): number {
    return this.#count
  }

  /**
   * @param labels who pushed
   * @param keepMs how long the values are shown when no others come
   */
  take(
    clientInstanceId: string,
    labels: Labels,
    points: readonly TelemetryPoint[],
    keepMs: number,
  ): void {
    const known = this.#clients.get(clientInstanceId)
    const client: Client = known ?? { labels, series: new Map() }
    const expiresMs = this.#clock.nowMs() + keepMs
    this.#clients.delete(clientInstanceId)
    this.#clients.set(clientInstanceId, client)
    for (const point of points) this.#takePoint(client, point, expiresMs)
    if (client.series.size === 0) this.#clients.delete(clientInstanceId)
  }

  #takePoint(client: Client, point: TelemetryPoint, expiresMs: number): void {
    this.values++
    if (point.isDelta && !Number.isFinite(point.value)) return
    const labels = labelsOf(client.labels, point.attributes)
    const name = metricName(point.name)
    const key = JSON.stringify([name, labels])
    const known = client.series.get(key)
    if (known) {
      known.value = point.isDelta ? known.value + point.value : point.value
      known.expiresMs = expiresMs
      return
    }
    if (client.series.size >= MAX_SERIES_OF_CLIENT || !this.#makeRoom(client)) {
      this.dropped++
      return
    }
    this.#count++
    client.series.set(key, {
      name,
      help: point.description || point.name,
      type: point.isCounter ? 'counter' : 'gauge',
      labels,
      value: point.value,
      expiresMs,
    })
  }

  /** @returns whether one more series may be kept; never at the cost of `client` itself */
  #makeRoom(client: Client): boolean {
    if (this.#count < this.#maxSeries) return true
    this.#forgetExpired()
    for (const [id, other] of this.#clients) {
      if (this.#count < this.#maxSeries) return true
      if (other === client) return false
      this.#forget(id, other)
    }
    return this.#count < this.#maxSeries
  }

  #forgetExpired(): void {
    const nowMs = this.#clock.nowMs()
    for (const [id, { series }] of this.#clients) {
      for (const [key, { expiresMs }] of series) {
        if (expiresMs <= nowMs && series.delete(key)) this.#count--
      }
      if (series.size === 0) this.#clients.delete(id)
    }
  }

  #forget(id: string, client: Client): void {
    this.#clients.delete(id)
    this.#count -= client.series.size
  }

  /** What is shown now, by name. Where two clients mean different things by one name, the first one is shown. */
  metrics(): Metric[] {
    this.#forgetExpired()
    const families = new Map<string, { help: string; type: Series['type']; samples: Sample[] }>()
    for (const { series } of this.#clients.values()) {
      for (const { name, help, type, labels, value } of series.values()) {
        let family = families.get(name)
        if (family === undefined) {
          family = { help, type, samples: [] }
          families.set(name, family)
        }
        if (family.type === type) family.samples.push({ labels, value })
      }
    }
    return [...families].map(([name, { help, type, samples }]) => ({
      name,
      help: help.replaceAll(/[\r\n]+/g, ' '),
      type,
      read: () => samples,
    }))
  }
}

const metricName = (name: string): string => {
  const own = name.startsWith(COMMON_START) ? name.slice(COMMON_START.length) : name
  return `${PREFIX}${own.replaceAll(/[^a-zA-Z0-9_]/g, '_')}`
}

/** Who pushed, and what the value is of; an attribute cannot stand in for who pushed. */
function labelsOf(client: Labels, attributes: ReadonlyMap<string, string>): Labels {
  if (attributes.size === 0) return client
  const labels: Record<string, string | number> = { ...client }
  for (const [key, value] of attributes) {
    const name = key.replaceAll(/[^a-zA-Z0-9_]/g, '_')
    if (/^(?!__)[a-zA-Z_]/.test(name) && !Object.hasOwn(labels, name)) labels[name] = value
  }
  return labels
}
