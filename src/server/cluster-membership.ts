/**
 * A broker among others: what it needs to find the controller, to be known to it, and to be it. Puts the parts of the
 * cluster's floor together around the handlers; loaded only where there are other brokers.
 */
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { VERSION } from '../base/version.ts'
import { Balance, type BalanceReport } from '../cluster/balance.ts'
import type { BrokerRegistration, RegistrationAnswer } from '../cluster/broker-commands.ts'
import { BrokerLifecycle } from '../cluster/broker-lifecycle.ts'
import { BrokerWatch, type Heartbeat, type HeartbeatAnswer } from '../cluster/broker-watch.ts'
import type { Controller } from '../cluster/controller.ts'
import { ControllerChannel } from '../cluster/controller-channel.ts'
import { Departures } from '../cluster/departures.ts'
import { askDiskUsage } from '../cluster/disk-usage.ts'
import { FailureReport } from '../cluster/failure-report.ts'
import type { Membership, MetadataStore } from '../cluster/metadata-store.ts'
import type { MetadataTail } from '../cluster/metadata-tail.ts'
import type { Partitions } from '../cluster/partitions.ts'
import { PeerLines } from '../cluster/peer-lines.ts'
import { Peers } from '../cluster/peers.ts'
import { Replication } from '../cluster/replication.ts'
import { Succession } from '../cluster/succession.ts'
import type { CreateTopicsCommand, TopicCreation } from '../cluster/topic-commands.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { Io } from '../io/io.ts'
import type { TopicMetricsTable } from '../metrics/topic-metrics.ts'
import { createTopics } from '../protocol/apis/19-create-topics.ts'
import { describeLogDirs } from '../protocol/apis/35-describe-log-dirs.ts'
import { alterPartition } from '../protocol/apis/56-alter-partition.ts'
import { envelope } from '../protocol/apis/58-envelope.ts'
import { allocateProducerIds } from '../protocol/apis/67-allocate-producer-ids.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { requestHeader } from '../protocol/messages/request-header.ts'
import { Reader } from '../protocol/reader.ts'
import type { Api, Fields, InputsOf, ResponseOf, ValuesOf } from '../protocol/schema.ts'
import { Writer } from '../protocol/writer.ts'
import type { ApiTable } from './api-table.ts'
import { catchUp, confirm } from './confirmation.ts'
import { addressBytes, principalBytes } from './forwarded-client.ts'
import type { ClusterPort, ConnectionFacts, Services } from './handler.ts'
import { Handover } from './handover.ts'
import { bodyOfForwarded, serveRequest } from './inner-request.ts'
import type { ProducerIdBlock } from './producer-ids.ts'
import { Wakefulness } from './wakefulness.ts'

export type ClusterMembershipOptions = {
  readonly io: Io
  readonly brokerId: number
  readonly clusterId: string
  readonly incarnationId: string
  /** This broker's own handle. */
  readonly store: MetadataStore
  readonly tail: MetadataTail
  readonly controller: Controller
  readonly table: ApiTable
  /** Known when the first request is served. */
  readonly services: () => Services
  readonly config: BrokerConfig
  /** The listener over which brokers talk to one another. */
  readonly listenerName: string
  /** Levels that a new cluster begins with. */
  readonly features: ReadonlyMap<string, number>
  readonly logger: Logger
  readonly onFatal: (error: unknown) => void
}

/** How long a client's request for the controller is tried. */
const FORWARD_MS = 15_000
const PRODUCER_IDS_MS = 5_000
const ALTER_PARTITION_MS = 5_000
/** How long a broker that stops waits until others lead what it led. */
const HANDOVER_MS = 5_000
/** Requests for the controller go over this many connections; one that takes long holds up those behind it. */
const FORWARD_LANES = 4
const CREATE_TOPICS_VERSION = 7
const BOOTSTRAP_RETRY_MS = 50

export class ClusterMembership implements ClusterPort {
  readonly peers: Peers
  readonly channel: ControllerChannel
  readonly wakefulness: Wakefulness
  readonly departures: Departures
  readonly #options: ClusterMembershipOptions
  readonly #watch: BrokerWatch
  readonly #balance: Balance
  readonly #succession: Succession
  #lifecycle: BrokerLifecycle | undefined
  #lines: PeerLines | undefined
  #replication: Replication | undefined
  #failures: FailureReport | undefined
  #handover: Handover | undefined
  #registration: Omit<BrokerRegistration, 'unfenced'> | undefined
  #membership: Membership | undefined
  #lane = 0
  #closed = false

  constructor(options: ClusterMembershipOptions) {
    const { io, brokerId, incarnationId, store, tail, controller } = options
    const { config, logger, listenerName } = options
    const { image } = tail
    this.#options = options
    this.peers = new Peers({
      io,
      brokerId,
      image,
      store,
      listenerName,
      onBroken: (broken) => {
        this.#succession.noteBroken(broken)
        this.departures.noteBroken(broken)
      },
    })
    const { peers } = this
    this.departures = new Departures({
      io,
      image,
      dial: (broken, timeoutMs) => peers.dial(broken, timeoutMs),
    })
    tail.onDelta(() => {
      this.departures.noteImage()
      this.#lines?.noteImage()
    })
    this.channel = new ControllerChannel({
      io,
      brokerId,
      store,
      peers,
      isActive: () => controller.isActive,
      local: (api, request) => this.#serveOwn(api, request),
    })
    const goneBefore = (epoch: number) => this.#succession.goneBefore(epoch)
    const onEnded = (id: number) => this.departures.noteBroken(id)
    const watching = { io, brokerId, image, controller, peers, goneBefore, onEnded, config, logger }
    this.#watch = new BrokerWatch({ ...watching, incarnationId })
    this.#succession = new Succession({
      io,
      brokerId,
      image,
      store,
      peers,
      known: () => this.channel.known,
      heardMs: () => this.#lifecycle?.heardMs ?? io.monotonic.nowMs(),
      config,
      logger,
    })
    const ask = async () => this.#lifecycle?.ask()
    const confirming = { io, store, tail, ask, isClosed: () => this.#closed }
    this.wakefulness = new Wakefulness({ io, confirm: () => confirm(confirming), logger })
    this.channel.onRefused((controllerLost) => this.#succession.noteRefused(controllerLost))
    this.#balance = new Balance({
      io,
      brokerId,
      image,
      controller,
      disks: (brokerIds) => askDiskUsage(brokerIds, (id) => this.#askLogDirs(id)),
      config,
      logger,
    })
    controller.onLead(() => this.#watch.begin())
    controller.followProgress((id) => this.#watch.appliedIndexOf(id))
  }

  /**
   * Tells the others where this broker is, runs for the lead of the metadata, and resolves when the metadata log has
   * its first entry, written by whoever leads.
   *
   * @param address host:port of the inter-broker listener, which must be serving
   */
  async join(address: string): Promise<void> {
    const { io, store, tail, controller, clusterId, features, brokerId, incarnationId } =
      this.#options
    this.#membership = await store.join({ brokerId, incarnationId, address })
    this.channel.start()
    this.#balance.start()
    this.#watch.start()
    await controller.start().catch((error: unknown) => {
      // It runs again by itself; somebody else may win meanwhile.
      if (!(error instanceof LmqError)) throw error
    })
    const { image } = tail
    while (image.clusterId === '' || image.clusterSecret === '') {
      this.#checkOpen()
      if (controller.isActive) {
        try {
          await controller.bootstrap(clusterId, features)
        } catch (error) {
          if (!(error instanceof LmqError) || error.code !== 'LMQ_NOT_CONTROLLER') throw error
        }
      }
      if (image.clusterSecret !== '') break
      await new Promise<void>((resolve) => io.timers.schedule(BOOTSTRAP_RETRY_MS, resolve))
    }
  }

  /**
   * Registers this broker, and resolves when its metadata knows that.
   *
   * @throws LMQ_BROKER_REFUSED
   */
  async enter(registration: Omit<BrokerRegistration, 'unfenced'>): Promise<void> {
    const { io, tail, brokerId, clusterId, config, logger, onFatal } = this.#options
    const { channel } = this
    this.#checkOpen()
    this.#registration = registration
    this.#lifecycle = new BrokerLifecycle({
      io,
      channel,
      tail,
      clusterId,
      registration,
      config,
      logger,
      onSuperseded: onFatal,
    })
    await this.#lifecycle.register()
    this.#lines = new PeerLines({
      io,
      brokerId,
      image: tail.image,
      connect: (id) => this.peers.connection(id, 'line'),
    })
    this.#lines.noteImage()
    this.announce(undefined)
    this.#succession.start()
    this.wakefulness.start()
  }

  /** Shows this broker to those who look for one. @param httpAddress of health and metrics, once they are served */
  announce(httpAddress: string | undefined): void {
    const registration = this.#registration
    if (!registration) return
    const { brokerId, incarnationId, rack, listeners } = registration
    const { brokerEpoch } = this
    const facts = { brokerId, brokerEpoch, incarnationId, rack, version: VERSION, listeners }
    this.#options.store.announce({ ...facts, httpAddress })
  }

  /** Fetches what this broker follows, and keeps the in-sync replicas of what it leads. */
  replicate(partitions: Partitions, topicMetrics: TopicMetricsTable): void {
    const { io, brokerId, tail, config, logger } = this.#options
    this.#replication = new Replication({
      io,
      brokerId,
      partitions,
      config,
      topicMetrics,
      open: (leaderId) => this.peers.open(leaderId, { lendsMemory: true }),
      alterPartition: (request) =>
        this.channel.call(alterPartition, request, { deadlineMs: ALTER_PARTITION_MS }),
      logger,
    })
    this.#replication.start()
    this.#failures = new FailureReport({
      io,
      brokerId,
      brokerEpoch: () => this.brokerEpoch,
      image: tail.image,
      partitions,
      channel: this.channel,
      logger,
    })
    this.#failures.note()
    this.#handover = new Handover({
      io,
      brokerId,
      image: tail.image,
      partitions,
      connect: (leaderId) => this.peers.connection(leaderId, 'handover'),
    })
  }

  get handover(): Handover | undefined {
    return this.#handover
  }

  /** A log directory was closed after a disk error: others are to lead what lay in it. */
  noteFailedDirectory(): void {
    this.#failures?.note()
  }

  get replication(): Replication | undefined {
    return this.#replication
  }

  /** Resolves when this broker takes part. */
  async takesPart(): Promise<void> {
    await this.#lifecycle?.takesPart()
  }

  /** What people who look at this broker want to know of its place. `fenced`: it takes no part now. */
  get facts() {
    const { controllerId, brokerEpoch } = this
    return { controllerId, brokerEpoch, fenced: this.#lifecycle?.isFenced ?? true }
  }

  get brokerEpoch(): number {
    return this.#lifecycle?.brokerEpoch ?? -1
  }

  /** Has others lead what this broker leads. */
  async leave(): Promise<void> {
    const others = [...this.#options.tail.image.liveBrokers()].length > 1
    if (!others) return
    await this.#handover?.begin()
    await this.#lifecycle?.leave(HANDOVER_MS).catch(() => {})
    await this.#handover?.end()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.departures.close()
    this.#lines?.close()
    this.#lifecycle?.close()
    this.#failures?.close()
    this.#replication?.close()
    this.#succession.close()
    this.wakefulness.close()
    this.#balance.close()
    this.#watch.close()
    this.channel.close()
    this.peers.close()
    await this.#membership?.leave().catch(() => {})
  }

  /** What automatic moves would do now; for people who ask. */
  balanceReport(): Promise<BalanceReport> {
    return this.#balance.dryRun()
  }

  async #askLogDirs(id: number): Promise<ResponseOf<typeof describeLogDirs>> {
    if (id === this.#options.brokerId) return this.#serveOwn(describeLogDirs, { topics: null })
    const connection = await this.peers.connection(id, 'log-dirs')
    return connection.request(describeLogDirs, { topics: null })
  }

  // ------------------------------------------------------------------------------------------------ for handlers

  get controllerId(): number {
    const { controller, brokerId } = this.#options
    return controller.isActive ? brokerId : this.channel.known.controllerId
  }

  get forwards(): boolean {
    return !this.#options.controller.isActive
  }

  async forward(frame: Buffer, from: ConnectionFacts): Promise<Buffer> {
    this.#lane = (this.#lane + 1) % FORWARD_LANES
    const answer = await this.channel.call(
      envelope,
      {
        requestData: frame,
        requestPrincipal: principalBytes(from.principal),
        clientHostAddress: addressBytes(from.remoteAddress),
      },
      { deadlineMs: FORWARD_MS, lane: `forward-${this.#lane}`, repeatable: false },
    )
    if (answer.errorCode !== ErrorCode.NONE || answer.responseData === null) {
      throw new LmqError('LMQ_NOT_CONTROLLER', { errorCode: answer.errorCode })
    }
    // What took place is told also by a broker that does not know it yet, or cannot.
    await catchUp(this.#options).catch((error: unknown) => {
      if (!(error instanceof LmqError)) throw error
    })
    return answer.responseData
  }

  register(registration: BrokerRegistration): Promise<RegistrationAnswer> {
    return this.#watch.register(registration)
  }

  heartbeat(heartbeat: Heartbeat, connection: ConnectionFacts): Promise<HeartbeatAnswer> {
    return this.#watch.heartbeat(heartbeat, connection)
  }

  grantsVote(controllerEpoch: number): Promise<boolean> {
    return this.#succession.grants(controllerEpoch)
  }

  // ------------------------------------------------------------------------------------------------ calls of its own

  /** As `Controller.createTopics`, wherever the controller is. */
  async createTopics(command: Omit<CreateTopicsCommand, 'topicIds'>): Promise<TopicCreation[]> {
    const { controller } = this.#options
    if (controller.isActive) return controller.createTopics(command)
    const { numPartitions, replicationFactor } = command.defaults
    const topics = command.topics.map((topic) => ({
      ...topic,
      numPartitions: topic.numPartitions === -1 ? numPartitions : topic.numPartitions,
      replicationFactor:
        topic.replicationFactor === -1 ? replicationFactor : topic.replicationFactor,
    }))
    const request = { topics, timeoutMs: FORWARD_MS, validateOnly: command.validateOnly }
    const frame = this.#frameOf(createTopics, request, CREATE_TOPICS_VERSION)
    const answer = bodyOfForwarded(await this.forward(frame, this.#own), true)
    const created = createTopics.response.read(new Reader(answer), CREATE_TOPICS_VERSION)
    return created.topics.map((topic) => ({
      ...topic,
      errorCode: topic.errorCode as ErrorCode,
      configs: new Map(),
    }))
  }

  /** A block of producer ids for this broker. */
  async allocateProducerIds(): Promise<ProducerIdBlock> {
    const { brokerId } = this.#options
    const request = { brokerId, brokerEpoch: this.brokerEpoch }
    const block = await this.channel.call(allocateProducerIds, request, {
      deadlineMs: PRODUCER_IDS_MS,
    })
    if (block.errorCode !== ErrorCode.NONE) {
      throw new LmqError('LMQ_NOT_CONTROLLER', { errorCode: block.errorCode })
    }
    return { firstProducerId: block.producerIdStart, count: block.producerIdLen }
  }

  /** This broker as the connection that its own requests came on. */
  get #own(): ConnectionFacts {
    const { brokerId, listenerName } = this.#options
    const isClosed = (): boolean => this.#closed
    return {
      id: 0,
      listenerName,
      remoteAddress: '',
      remotePort: 0,
      principal: `Broker:${brokerId}`,
      brokerId,
      login: undefined,
      authenticate() {},
      get closed() {
        return isClosed()
      },
      onEnd() {},
      offEnd() {},
    }
  }

  /** Through encoding and back: what a handler gets looks the same wherever it comes from. */
  async #serveOwn<Q extends Fields, S extends Fields>(
    api: Api<Q, S>,
    request: InputsOf<Q>,
  ): Promise<ValuesOf<S>> {
    const { table, services, brokerId } = this.#options
    const served = table.get(api.key)
    if (!served) throw new LmqError('LMQ_PROTOCOL', { api: api.name, served: 'none' })
    const version = served.versions.max
    const sent = api.request.encode(request, version)
    const context = {
      apiVersion: version,
      clientId: `broker-${brokerId}`,
      connection: this.#own,
      services: services(),
    }
    const message = served.api.request.read(new Reader(sent), version)
    const answer = await serveRequest(served, message, context)
    const received = served.api.response.encode(answer as never, version)
    return api.response.read(new Reader(received), version)
  }

  #frameOf<Q extends Fields, S extends Fields>(
    api: Api<Q, S>,
    request: InputsOf<Q>,
    version: number,
  ): Buffer {
    const writer = new Writer(true)
    const header = {
      requestApiKey: api.key,
      requestApiVersion: version,
      correlationId: 0,
      clientId: `broker-${this.#options.brokerId}`,
    }
    requestHeader.write(writer, header, 2)
    api.request.write(writer, request, version)
    return Buffer.concat(writer.finish())
  }

  #checkOpen(): void {
    if (this.#closed) throw new LmqError('LMQ_SHUTTING_DOWN', {})
  }
}
