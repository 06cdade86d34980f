import { ApiMetrics } from '../metrics/request-metrics.ts'
import type { Api } from '../protocol/schema.ts'
import { inRange, parseVersions, type VersionRange } from '../protocol/versions.ts'
import type { DirectHandler, Handler } from './handler.ts'

/** One served API: its handler, and what the connection needs to know about it without looking anything up. */
export type ServedApi = {
  readonly api: Api
  readonly handler: Handler | DirectHandler
  /** Versions answered. */
  readonly versions: VersionRange
  /** Versions named in ApiVersions. */
  readonly advertised: VersionRange
  readonly metrics: ApiMetrics
}

/** A handler of any API, as the table takes it. */
// biome-ignore lint/suspicious/noExplicitAny: a handler of one API is no handler of every API; the table pairs them by key
export type AnyHandler = Handler<any> | DirectHandler<any>

/** What this broker serves: the only truth behind dispatch and ApiVersions. */
export class ApiTable {
  readonly #byKey: (ServedApi | undefined)[] = []

  constructor(handlers: readonly AnyHandler[]) {
    for (const handler of handlers) {
      const versions = parseVersions(handler.versions)
      const advertised = handler.advertised ? parseVersions(handler.advertised) : versions
      const metrics = new ApiMetrics(handler.api.name)
      this.#byKey[handler.api.key] = { api: handler.api, handler, versions, advertised, metrics }
    }
  }

  get(key: number): ServedApi | undefined {
    return this.#byKey[key]
  }

  /** In the order of their keys. */
  *all(): Iterable<ServedApi> {
    for (const served of this.#byKey) if (served !== undefined) yield served
  }

  serves(key: number, version: number): boolean {
    const served = this.#byKey[key]
    return served !== undefined && inRange(served.versions, version)
  }
}
