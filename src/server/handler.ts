import type { Logger } from '../base/logger.ts'
import type { ClusterLogin } from '../client/cluster-proof.ts'
import type { BrokerRegistration, RegistrationAnswer } from '../cluster/broker-commands.ts'
import type { Heartbeat, HeartbeatAnswer } from '../cluster/broker-watch.ts'
import type { Controller } from '../cluster/controller.ts'
import type { DeletedTopics } from '../cluster/deleted-topics.ts'
import type { Departures } from '../cluster/departures.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import type { Partitions } from '../cluster/partitions.ts'
import type { ReplicationCounts } from '../cluster/replication.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { BrokerSettings } from '../config/broker-settings.ts'
import type { GroupCoordinator } from '../coordinator/group-coordinator.ts'
import type { Io } from '../io/io.ts'
import type { LogDirs } from '../log/log-dirs.ts'
import type { TopicMetricsTable } from '../metrics/topic-metrics.ts'
import type { ErrorCode } from '../protocol/error-code.ts'
import type { Api, RequestOf, ResponseInput } from '../protocol/schema.ts'
import type { FetchSessionCache } from './fetch-session-cache.ts'
import type { Handover } from './handover.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { MetadataCache } from './metadata-cache.ts'
import type { ProduceTimeouts } from './produce-timeouts.ts'
import type { ProducerIds } from './producer-ids.ts'
import type { Telemetry } from './telemetry.ts'
import type { Wakefulness } from './wakefulness.ts'

/** Who this broker is, as clients and logs name it. */
export type BrokerIdentity = {
  readonly brokerId: number
  readonly clusterId: string
  readonly rack: string | null
}

/**
 * Everything that handlers may use. One object per broker, made by `broker.ts`. Read settings when they are needed:
 * they change.
 */
export type Services = {
  readonly io: Io
  /** Values in force: the same object for the broker's whole life, dynamic changes show in it. */
  readonly config: BrokerConfig
  /** Where the values come from: for describing and changing them. */
  readonly settings: BrokerSettings
  readonly image: MetadataImage
  readonly partitions: Partitions
  readonly controller: Controller
  readonly groups: GroupCoordinator
  readonly logDirs: LogDirs
  readonly fetchSessions: FetchSessionCache
  readonly producerIds: ProducerIds
  /** Bytes of requests that are being received or worked on. */
  readonly requestMemory: MemoryBudget
  /** Bytes of answers that peers have not taken yet: Fetch answers less when it is short. */
  readonly answerMemory: MemoryBudget
  readonly topicMetrics: TopicMetricsTable
  readonly metadataCache: MetadataCache
  readonly produceTimeouts: ProduceTimeouts
  readonly telemetry: Telemetry
  readonly deletedTopics: DeletedTopics
  /** Makes topics as a client that names them may cause; @returns an outcome for each */
  autoCreateTopics(topics: readonly string[]): Promise<ReadonlyMap<string, ErrorCode>>
  readonly logger: Logger
  readonly broker: BrokerIdentity
  /** The other brokers; undefined in a broker that is a cluster by itself. */
  readonly cluster?: ClusterPort | undefined
}

/** What a broker that has others beside it asks of them, and answers to them. */
export type ClusterPort = {
  /** The active controller as this broker knows it; -1 while it knows none. */
  readonly controllerId: number
  /** Whether clients may be answered by what this broker knows. */
  readonly wakefulness: Wakefulness
  /** Brokers that are gone while the metadata still names them as leaders. */
  readonly departures: Pick<Departures, 'settled' | 'lately' | 'version'>
  /** Whether what is for the controller goes to another broker. */
  readonly forwards: boolean
  /**
   * Has the active controller serve a request, and waits until this broker's metadata shows what it did.
   *
   * @param frame header and body, as the client sent them; must not change
   * @returns header and body of the answer
   * @throws LMQ_NOT_CONTROLLER, LMQ_REQUEST_TIMED_OUT
   */
  forward(frame: Buffer, from: ConnectionFacts): Promise<Buffer>
  /** A broker registers with this one, the active controller. */
  register(registration: BrokerRegistration): Promise<RegistrationAnswer>
  /** A broker tells this one, the active controller, that it lives and what it wants. */
  heartbeat(heartbeat: Heartbeat, connection: ConnectionFacts): Promise<HeartbeatAnswer>
  /** Whether this broker, too, counts the controller of that epoch as lost. */
  grantsVote(controllerEpoch: number): Promise<boolean>
  /** Passes on what comes too late for a partition that was led here; undefined until this broker takes part. */
  readonly handover: Handover | undefined
  /** Undefined until this broker takes part. */
  readonly replication: { count(): ReplicationCounts } | undefined
}

/** What a handler may know about the connection that a request came on. */
export type ConnectionFacts = {
  /** Unique within this process run; shown in logs. */
  readonly id: number
  readonly listenerName: string
  /** Without port, as the socket gives it (IPv4 mapped into IPv6 is shown as IPv4). */
  readonly remoteAddress: string
  /** 0 where it is not known. */
  readonly remotePort: number
  /** What the client called itself in ApiVersions (KIP-511). */
  clientSoftware?: { readonly name: string; readonly version: string }
  /** `User:ANONYMOUS` until clients can authenticate; `Broker:<id>` of a broker that has. */
  readonly principal: string
  /** The broker at the other end, which has proved that it belongs to this cluster; undefined for clients. */
  readonly brokerId: number | undefined
  /** The broker that forwarded this request, where it is not the one that the client is connected to. */
  readonly forwardedBy?: number | undefined
  /** A broker's authentication that is under way. */
  login: ClusterLogin | undefined
  authenticate(brokerId: number): void
  /** True when no answer will reach the peer, or the broker is stopping: do not begin to wait for anything. */
  readonly closed: boolean
  /**
   * For requests that wait (Fetch): `listener` is called once, when the connection is gone or the broker is stopping.
   * Answer at once then. Take the listener away when the answer is given.
   */
  onEnd(listener: () => void): void
  offEnd(listener: () => void): void
  /**
   * For a follower's Fetch that waits: `listener` is called when the next request has come, which cannot start before
   * this one is answered. Undefined takes it away.
   */
  onNext?(listener: (() => void) | undefined): void
}

export type HandlerContext = {
  readonly apiVersion: number
  /** A null client id counts as "" (RequestHeader.java). */
  readonly clientId: string
  readonly connection: ConnectionFacts
  readonly services: Services
}

/**
 * How an answer leaves a handler that works without promises: called exactly once, now or later. `undefined` = no
 * answer is sent (Produce with acks=0). `close` = the connection is closed instead of an answer.
 */
export type Reply<A extends Api> = (
  answer: ResponseInput<A> | EncodedBody | undefined | 'close',
  /** Nobody refers to the request's bytes any more: their memory may be used again at once. Default: false. */
  frameIsFree?: boolean,
) => void

/** An answer's body that is encoded already, in the version that was asked for: for cached answers. */
export class EncodedBody {
  readonly body: Buffer

  constructor(body: Buffer) {
    this.body = body
  }
}

type Declared<A extends Api> = {
  readonly api: A
  /** The versions served, inclusive, as Kafka 4.3.1 serves them: '3-13'. */
  readonly versions: string
  /** The versions advertised where they differ from those served (Produce: '0-13', KAFKA-18659). */
  readonly advertised?: string
  /** Runs on the active controller only: any other broker forwards the request (KIP-590). */
  readonly forwards?: boolean
  /** For brokers of this cluster only: neither told to clients nor served to them. */
  readonly interBroker?: boolean
  /** The permission that a principal needs, as data for the authorizer: 'READ group:groupId', 'none'. */
  readonly requires: string
  /**
   * The whole answer when nothing was done: every topic, partition or member of the request with `errorCode`, or the
   * code on top where the API has one. Used for operating errors and refused permissions.
   */
  readonly refuse: (
    request: RequestOf<A>,
    errorCode: ErrorCode,
    context: HandlerContext,
  ) => ResponseInput<A>
}

/**
 * One API's declaration. What precedes the first `await` of `serve` runs in the order in which requests arrive. An
 * `LmqError` that `serve` throws becomes an outcome in `error-mapping.ts` and is answered by `refuse`; any other error
 * is a bug, is logged as one and answered by `refuse` with UNKNOWN_SERVER_ERROR.
 */
export type Handler<A extends Api = Api> = Declared<A> & {
  readonly serve: (
    request: RequestOf<A>,
    context: HandlerContext,
  ) => ResponseInput<A> | EncodedBody | Promise<ResponseInput<A> | EncodedBody>
  readonly start?: undefined
}

/** As `Handler`, without a promise per request: for Produce and Fetch. */
export type DirectHandler<A extends Api = Api> = Declared<A> & {
  readonly start: (request: RequestOf<A>, context: HandlerContext, reply: Reply<A>) => void
  readonly serve?: undefined
}

/** Declares the handler of one API; the types of request and answer follow from `api`. */
export function defineHandler<const A extends Api>(handler: Handler<A>): Handler<A> {
  return handler
}

/** Declares a handler that answers through a callback: see `Reply`. */
export function defineDirectHandler<const A extends Api>(
  handler: DirectHandler<A>,
): DirectHandler<A> {
  return handler
}
