import { ApiMetrics } from '../metrics/request-metrics.ts'
import type { ErrorCode } from '../protocol/error-code.ts'
import type { Api, Fields } from '../protocol/schema.ts'
import { inRange, parseVersions, type VersionRange } from '../protocol/versions.ts'
import type { HandlerContext, Reply } from './handler.ts'

/** A handler of any API, as the table takes it: what it is given under its key is what it declared. */
export type AnyHandler = {
  readonly api: { readonly key: number; readonly name: string }
  readonly versions: string
  readonly advertised?: string
  readonly forwards?: boolean
  readonly interBroker?: boolean
  readonly serve?: ((request: never, context: HandlerContext) => unknown) | undefined
  readonly start?:
    | ((request: never, context: HandlerContext, reply: Reply<Api>) => void)
    | undefined
  readonly refuse: (request: never, errorCode: ErrorCode, context: HandlerContext) => object
}

/** One served API: its handler, and what the connection needs to know about it without looking anything up. */
export type ServedApi = {
  readonly api: Api
  readonly handler: AnyHandler
  /** Versions answered. */
  readonly versions: VersionRange
  /** Versions named in ApiVersions. */
  readonly advertised: VersionRange
  /** A decoded request refers to the memory of its frame: it has fields of bytes. */
  readonly holdsViews: boolean
  /** Runs on the active controller only. */
  readonly forwards: boolean
  /** For brokers of this cluster only. */
  readonly interBroker: boolean
  readonly metrics: ApiMetrics
}

/** What this broker serves: the only truth behind dispatch and ApiVersions. */
export class ApiTable {
  readonly #byKey: (ServedApi | undefined)[] = []

  constructor(handlers: readonly AnyHandler[]) {
    for (const handler of handlers) {
      const versions = parseVersions(handler.versions)
      const advertised = handler.advertised ? parseVersions(handler.advertised) : versions
      const metrics = new ApiMetrics(handler.api.name)
      const api = handler.api as Api
      this.#byKey[api.key] = {
        api,
        handler,
        versions,
        advertised,
        holdsViews: hasBytes(api.request.fields),
        forwards: handler.forwards === true,
        interBroker: handler.interBroker === true,
        metrics,
      }
    }
  }

  get(key: number): ServedApi | undefined {
    return this.#byKey[key]
  }

  /** What clients are served, in the order of the keys. */
  *all(): Iterable<ServedApi> {
    for (const served of this.everything()) if (!served.interBroker) yield served
  }

  /** As `all`, with what only other brokers are served. */
  *everything(): Iterable<ServedApi> {
    for (const served of this.#byKey) if (served !== undefined) yield served
  }

  serves(key: number, version: number): boolean {
    const served = this.#byKey[key]
    return served !== undefined && inRange(served.versions, version)
  }
}

const hasBytes = (fields: Fields): boolean =>
  Object.values(fields).some(
    ({ kind, fields: inner }) =>
      kind === 'bytes' || kind === 'records' || (inner !== undefined && hasBytes(inner)),
  )
