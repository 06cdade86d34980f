import type { Metric as PromMetric, Registry } from 'prom-client'
import type { Metric } from '../metrics/metric.ts'

/**
 * Renders metrics in the text form that Prometheus reads. `prom-client` takes its time to load, so that happens at
 * the first scrape.
 */
export class MetricsPage {
  readonly #metrics: readonly Metric[]
  readonly #changing: () => readonly Metric[]
  #registry: Promise<Registry> | undefined

  /** @param changing metrics whose names come and go: asked for at every scrape */
  constructor(metrics: readonly Metric[], changing: () => readonly Metric[] = () => []) {
    this.#metrics = metrics
    this.#changing = changing
  }

  async render(): Promise<{ contentType: string; text: string }> {
    this.#registry ??= this.#load()
    const registry = await this.#registry
    const text = await registry.metrics()
    const changing = this.#changing()
    if (changing.length === 0) return { contentType: registry.contentType, text }
    const { Registry } = await import('prom-client')
    const passing = new Registry()
    for (const metric of changing) passing.registerMetric(adapted(metric))
    return { contentType: registry.contentType, text: `${text}\n${await passing.metrics()}` }
  }

  async #load(): Promise<Registry> {
    const { Registry, collectDefaultMetrics } = await import('prom-client')
    const registry = new Registry()
    collectDefaultMetrics({ register: registry })
    for (const metric of this.#metrics) registry.registerMetric(adapted(metric))
    return registry
  }
}

/** What `Registry` asks of a metric: its name and `get`. */
function adapted(metric: Metric): PromMetric {
  const { name, help, type } = metric
  const shown = {
    name,
    labelNames: [],
    get: async () => ({
      name,
      help,
      type,
      aggregator: 'sum',
      values: [...metric.read()].map(({ value, labels, suffix }) => ({
        value,
        labels,
        metricName: suffix === undefined ? name : `${name}${suffix}`,
      })),
    }),
    reset() {},
  }
  return shown as unknown as PromMetric
}
