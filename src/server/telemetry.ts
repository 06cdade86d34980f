import { LmqError } from '../base/errors.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import { Codec, type CodecId, type Io } from '../io/io.ts'
import { type Metric, single } from '../metrics/metric.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import { TelemetryMetrics } from './telemetry-metrics.ts'
import { readTelemetry } from './telemetry-payload.ts'
import { type ClientAttributes, TelemetrySubscriptions } from './telemetry-subscriptions.ts'

/** The connection that a client's requests come on. */
export type TelemetryPeer = {
  /** Tells connections apart. */
  readonly id: number
  /** Calls `listener` once, when the connection is gone. */
  onEnd(listener: () => void): void
}

/** What a client is told of its subscription. */
export type TelemetrySubscription = {
  readonly clientInstanceId: string
  readonly subscriptionId: number
  readonly acceptedCompressionTypes: readonly number[]
  readonly pushIntervalMs: number
  readonly telemetryMaxBytes: number
  readonly deltaTemporality: boolean
  readonly requestedMetrics: readonly string[]
}

export type TelemetryPush = {
  readonly clientInstanceId: string
  readonly subscriptionId: number
  readonly terminating: boolean
  readonly compressionType: number
  readonly metrics: Buffer
}

/** A client instance as this broker knows it. Clocks are monotonic; -Infinity: never. */
type Instance = {
  readonly id: string
  readonly attributes: ClientAttributes
  readonly subscriptionId: number
  /** Of the subscriptions that the rest was found with. */
  readonly version: number
  readonly requestedMetrics: readonly string[]
  readonly pushIntervalMs: number
  lastGetMs: number
  lastPushMs: number
  /** It said that it would not come again. */
  terminating: boolean
  lastError: ErrorCode
  expiresMs: number
}

/** In Kafka's order of preference. */
const acceptedCodecs: readonly number[] = [Codec.zstd, Codec.lz4, Codec.gzip, Codec.snappy]
/** Instances known at the same time, as in Kafka; who was silent for longest is forgotten. */
const MAX_INSTANCES = 16_384
const SHORTEST_MEMORY_MS = 60_000
/** Ids below are for Kafka's own use (Uuid.RESERVED). */
const RESERVED_IDS = 100
/** A client may ask again at once after these: it is how it learns what is right. */
const mayAskAgain: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.UNKNOWN_SUBSCRIPTION_ID,
  ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
])

/**
 * Receives what clients measure (KIP-714): tells them what is wanted, takes what they push, no more often than agreed,
 * and keeps the last values for the metrics page. The rules are those of Kafka's ClientMetricsManager.
 */
export class Telemetry {
  readonly received: TelemetryMetrics
  readonly #io: Io
  readonly #maxBytes: () => number
  readonly #subscriptions: TelemetrySubscriptions
  /** Who asked last stands last. */
  readonly #instances = new Map<string, Instance>()
  /** The last instance of each connection: it is forgotten with the connection. */
  readonly #byConnection = new Map<number, string>()

  /** @param maxBytes of a push, as sent and when it is opened (telemetry.max.bytes) */
  constructor(io: Io, image: MetadataImage, maxBytes: () => number) {
    this.#io = io
    this.#maxBytes = maxBytes
    this.#subscriptions = new TelemetrySubscriptions(image)
    this.received = new TelemetryMetrics(io.monotonic)
  }

  /**
   * @param client without its instance id, which is in `clientInstanceId`; ZERO_UUID: it has none yet
   * @returns an error: it came again before its time
   */
  subscribe(
    clientInstanceId: string,
    client: Omit<ClientAttributes, 'client_instance_id'>,
    peer: TelemetryPeer,
  ): TelemetrySubscription | ErrorCode {
    const id = clientInstanceId === ZERO_UUID ? this.#newId() : clientInstanceId
    const nowMs = this.#io.monotonic.nowMs()
    const instance = this.#instanceOf(id, client, peer, nowMs)
    if (nowMs - Math.max(instance.lastGetMs, instance.lastPushMs) >= instance.pushIntervalMs) {
      instance.lastGetMs = nowMs
    } else if (!mayAskAgain.has(instance.lastError)) {
      return ErrorCode.THROTTLING_QUOTA_EXCEEDED
    }
    instance.lastError = ErrorCode.NONE
    const { subscriptionId, pushIntervalMs, requestedMetrics } = instance
    return {
      clientInstanceId: id,
      subscriptionId,
      acceptedCompressionTypes: acceptedCodecs,
      pushIntervalMs,
      telemetryMaxBytes: this.#maxBytes(),
      deltaTemporality: true,
      requestedMetrics,
    }
  }

  async push(
    push: TelemetryPush,
    client: Omit<ClientAttributes, 'client_instance_id'>,
    peer: TelemetryPeer,
  ): Promise<ErrorCode> {
    if (isReserved(push.clientInstanceId)) return ErrorCode.INVALID_REQUEST
    const nowMs = this.#io.monotonic.nowMs()
    const instance = this.#instanceOf(push.clientInstanceId, client, peer, nowMs)
    const refused = this.#refusalOf(instance, push, nowMs)
    instance.terminating = push.terminating
    instance.lastError = refused
    if (refused !== ErrorCode.NONE || push.metrics.length === 0) return refused
    instance.lastError = await this.#take(instance, push)
    return instance.lastError
  }

  /** For the metrics page: how much is received here, then what clients pushed. */
  metrics(): Metric[] {
    const { received } = this
    const name = (what: string) => `lmq_client_telemetry_${what}`
    return [
      single('gauge', name('clients'), 'Clients that are known to push.', () => this.instanceCount),
      single('counter', name('values_total'), 'Values pushed.', () => received.values),
      single(
        'counter',
        name('dropped_values_total'),
        'Values pushed that had no room.',
        () => received.dropped,
      ),
      ...received.metrics(),
    ]
  }

  get instanceCount(): number {
    return this.#instances.size
  }

  #refusalOf(instance: Instance, push: TelemetryPush, nowMs: number): ErrorCode {
    if (instance.terminating) return ErrorCode.INVALID_REQUEST
    // The first push after an answer may come at any time: clients choose it by chance.
    const isDue =
      instance.lastGetMs > instance.lastPushMs ||
      nowMs - instance.lastPushMs >= instance.pushIntervalMs
    if (isDue) instance.lastPushMs = nowMs
    else if (!push.terminating) return ErrorCode.THROTTLING_QUOTA_EXCEEDED
    if (push.subscriptionId !== instance.subscriptionId) return ErrorCode.UNKNOWN_SUBSCRIPTION_ID
    const { compressionType } = push
    if (compressionType !== Codec.none && !acceptedCodecs.includes(compressionType)) {
      return ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    }
    if (push.metrics.length > this.#maxBytes()) return ErrorCode.TELEMETRY_TOO_LARGE
    return ErrorCode.NONE
  }

  async #take(
    { id, attributes, pushIntervalMs }: Instance,
    { compressionType, metrics }: TelemetryPush,
  ): Promise<ErrorCode> {
    try {
      const codec = compressionType as CodecId
      const opened = await this.#io.codecs.decompress(codec, metrics, this.#maxBytes())
      const points = readTelemetry(opened)
      this.received.take(id, labelsOf(attributes), points, memoryMs(pushIntervalMs))
      return ErrorCode.NONE
    } catch (error) {
      if (!(error instanceof LmqError)) throw error
      return error.code === 'LMQ_CODEC_MISSING'
        ? ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
        : ErrorCode.INVALID_RECORD
    }
  }

  /** The instance with its subscription as it is now; a new one when it is not known or was silent for too long. */
  #instanceOf(
    id: string,
    client: Omit<ClientAttributes, 'client_instance_id'>,
    peer: TelemetryPeer,
    nowMs: number,
  ): Instance {
    this.#subscriptions.refresh()
    const known = this.#instances.get(id)
    const isCurrent = known !== undefined && nowMs < known.expiresMs
    const isChanged = isCurrent && known.version !== this.#subscriptions.version
    const attributes = isCurrent ? known.attributes : { client_instance_id: id, ...client }
    const instance = isCurrent && !isChanged ? known : this.#newInstance(id, attributes)
    instance.expiresMs = nowMs + memoryMs(instance.pushIntervalMs)
    this.#instances.delete(id)
    this.#instances.set(id, instance)
    if (instance !== known) this.#remember(id, peer)
    return instance
  }

  #newInstance(id: string, attributes: ClientAttributes): Instance {
    const { metrics, pushIntervalMs } = this.#subscriptions.wantedOf(attributes)
    return {
      id,
      attributes,
      subscriptionId: this.#subscriptionId(metrics, pushIntervalMs, id),
      version: this.#subscriptions.version,
      requestedMetrics: metrics,
      pushIntervalMs,
      lastGetMs: Number.NEGATIVE_INFINITY,
      lastPushMs: Number.NEGATIVE_INFINITY,
      terminating: false,
      lastError: ErrorCode.NONE,
      expiresMs: 0,
    }
  }

  /** Ties the instance to its connection, and makes room for it. */
  #remember(id: string, peer: TelemetryPeer): void {
    if (!this.#byConnection.has(peer.id)) {
      peer.onEnd(() => {
        const last = this.#byConnection.get(peer.id)
        this.#byConnection.delete(peer.id)
        if (last !== undefined) this.#instances.delete(last)
      })
    }
    this.#byConnection.set(peer.id, id)
    const [oldest] = this.#instances.keys()
    if (this.#instances.size > MAX_INSTANCES && oldest !== undefined) this.#instances.delete(oldest)
  }

  #newId(): string {
    for (;;) {
      const id = this.#io.random.uuid()
      if (!this.#instances.has(id) && !isReserved(id)) return id
    }
  }

  /** CRC-32C of what is wanted, mixed with the instance's id: so it changes when a subscription does. */
  #subscriptionId(metrics: readonly string[], pushIntervalMs: number, id: string): number {
    const text = Buffer.from(`[${metrics.join(', ')}]${pushIntervalMs}`)
    return (this.#io.crc32c(text, 0, text.length) ^ uuidHash(id)) | 0
  }
}

const memoryMs = (pushIntervalMs: number): number =>
  Math.max(SHORTEST_MEMORY_MS, 3 * pushIntervalMs)

/** Java's UUID hash: its four words, each bit by parity. */
function uuidHash(id: string): number {
  const bytes = Buffer.from(id, 'base64url')
  let hash = 0
  for (let at = 0; at < 16; at += 4) hash ^= bytes.readInt32BE(at)
  return hash
}

function isReserved(id: string): boolean {
  const bytes = Buffer.from(id, 'base64url')
  return bytes.subarray(0, 15).every((byte) => byte === 0) && (bytes[15] as number) < RESERVED_IDS
}

function labelsOf(attributes: ClientAttributes): Record<string, string> {
  const labels: Record<string, string> = {}
  // The port tells nothing that the instance id does not, and a new one at every connection.
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && name !== 'client_source_port') labels[name] = value
  }
  return labels
}
