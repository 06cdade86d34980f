/**
 * One broker, put together: opens what it stands on, floor by floor, and closes it in the opposite order. Decides
 * nothing itself.
 */
import { join } from 'node:path'
import { LmqError } from './base/errors.ts'
import type { Logger } from './base/logger.ts'
import { VERSION } from './base/version.ts'
import { AutoTopicCreation } from './cluster/auto-topic-creation.ts'
import { configRulesOf } from './cluster/config-rules.ts'
import { Controller } from './cluster/controller.ts'
import { EmbeddedMetadataStore } from './cluster/embedded-metadata-store.ts'
import type { MetadataDelta } from './cluster/metadata-delta.ts'
import { type MetadataImage, ResourceType } from './cluster/metadata-image.ts'
import { MetadataTail } from './cluster/metadata-tail.ts'
import { Partitions } from './cluster/partitions.ts'
import { addressText, type ListenersPlan } from './config/listeners.ts'
import type { LoadedSettings } from './config/load-settings.ts'
import { topicConfigOf } from './config/topic-config.ts'
import { GroupCoordinator } from './coordinator/group-coordinator.ts'
import { OFFSETS_TOPIC } from './coordinator/ports.ts'
import type { Io } from './io/io.ts'
import { LogDirs } from './log/log-dirs.ts'
import { storedIdentity } from './log/meta-properties.ts'
import type { MetricSources } from './metrics/broker-metrics.ts'
import { brokerMetrics } from './metrics/broker-metrics.ts'
import { TopicMetricsTable } from './metrics/topic-metrics.ts'
import { ErrorCode } from './protocol/error-code.ts'
import { ConnectionLimits } from './server/connection-limits.ts'
import { coordinatorLog, offsetsTopicPort, topicsPort } from './server/coordinator-ports.ts'
import { FetchSessionCache } from './server/fetch-session-cache.ts'
import type { Services } from './server/handler.ts'
import { createApiTable } from './server/handlers.ts'
import { Listener } from './server/listener.ts'
import { MemoryBudget } from './server/memory-budget.ts'
import { MetadataCache } from './server/metadata-cache.ts'
import { Outbox } from './server/outbox.ts'
import { ProduceTimeouts } from './server/produce-timeouts.ts'
import { ProducerIds } from './server/producer-ids.ts'
import { Telemetry } from './server/telemetry.ts'

export type BrokerOptions = {
  readonly io: Io
  readonly loaded: LoadedSettings
  /** Absolute. */
  readonly dataDirs: readonly string[]
  readonly logger: Logger
  /** Ends a start that is still under way, with LMQ_SHUTTING_DOWN. */
  readonly signal?: AbortSignal | undefined
  /** The broker cannot go on (its metadata is unreadable): stop it, and the process with it. */
  readonly onFatal: (error: unknown) => void
}

/** Where clients of one listener reach this broker. */
export type OpenListener = { readonly name: string; readonly host: string; readonly port: number }

/** Levels that a new cluster begins with; see `supportedFeatures` in cluster/feature-commands.ts. */
const initialFeatures: ReadonlyMap<string, number> = new Map([['metadata.version', 30]])
/** In the first data folder. */
const METADATA_FOLDER = 'lmq-metadata'
/** Requests at work when the broker stops have this long to be answered. */
const STOP_GRACE_MS = 1_000

export class Broker {
  readonly brokerId: number
  readonly clusterId: string
  readonly listeners: readonly OpenListener[]
  readonly #options: BrokerOptions
  readonly #parts: Parts
  #http: { readonly address: string; close(): Promise<void> } | undefined
  #stopping: Promise<void> | undefined

  private constructor(options: BrokerOptions, parts: Parts) {
    this.#options = options
    this.#parts = parts
    this.brokerId = parts.services.broker.brokerId
    this.clusterId = parts.services.broker.clusterId
    this.listeners = advertised(options.loaded.listenersPlan, parts.listeners)
  }

  /** Resolves when clients are served. @throws any LMQ_ error; nothing is left open then */
  static async start(options: BrokerOptions): Promise<Broker> {
    const opening = new Opening()
    try {
      const parts = await openParts(options, opening)
      return new Broker(options, parts)
    } catch (error) {
      await opening.undo()
      throw error
    }
  }

  /** `host:port` of the first listener, to paste into clients. */
  get bootstrap(): string {
    const [first] = this.listeners
    return first ? addressText(first.host, first.port) : ''
  }

  get httpAddress(): string | undefined {
    return this.#http?.address
  }

  /** Opens the HTTP port, after the Kafka ports: nothing of HTTP is loaded before. @throws LMQ_PORT_TAKEN */
  async openHttp(): Promise<void> {
    const { config, settings, listenersPlan } = this.#options.loaded
    const port = config['lmq.http.port']
    if (port < 0) return
    const { HttpServer } = await import('./http/http-server.ts')
    if (this.#stopping) return
    const options = {
      host: config['lmq.http.host'],
      metrics: brokerMetrics(metricSources(this.#parts)),
      changingMetrics: () => this.#parts.services.telemetry.metrics(),
      health: () => this.#health(),
    }
    if (settings.isSet('lmq.http.port')) {
      this.#http = await HttpServer.open({ ...options, port })
      return
    }
    // Nobody chose the port: another broker that has it is no reason not to start.
    const wantsFreePort = listenersPlan.listeners.every((listener) => listener.port === 0)
    try {
      this.#http = await HttpServer.open({ ...options, port: wantsFreePort ? 0 : port })
    } catch (error) {
      if (!(error instanceof LmqError) || error.code !== 'LMQ_PORT_TAKEN') throw error
      this.#http = await HttpServer.open({ ...options, port: 0 })
      const { address } = this.#http
      this.#options.logger.warn({ port, address }, 'the usual HTTP port is taken; using another')
    }
  }

  #health() {
    const { services } = this.#parts
    const directories = services.logDirs.directories
    const offlineDirs = directories.filter(({ isOffline }) => isOffline).map(({ path }) => path)
    return {
      healthy: !this.#stopping && offlineDirs.length < directories.length,
      facts: {
        version: VERSION,
        brokerId: this.brokerId,
        clusterId: this.clusterId,
        listeners: this.listeners,
        ...(offlineDirs.length > 0 && { offlineDirs }),
      },
    }
  }

  /** Stops in order: answers what is at work, writes and flushes the logs, gives back ports, timers and files. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    const { listeners, services, tail, controller, store, brokerEpoch } = this.#parts
    // Whoever waits in a group is answered first, so that the connections can end.
    services.groups.close()
    await this.#http?.close()
    await Promise.all(listeners.map((listener) => listener.close(STOP_GRACE_MS)))
    services.fetchSessions.close()
    services.produceTimeouts.close()
    await controller.close()
    await tail.close()
    services.partitions.close()
    await services.logDirs.close(brokerEpoch)
    await store.close()
    await this.#options.io.jobs.close()
  }
}

/** What was opened so far, to be closed again when something later fails. */
class Opening {
  readonly #undo: (() => unknown)[] = []

  add(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  async undo(): Promise<void> {
    for (const undo of this.#undo.reverse()) {
      try {
        await undo()
      } catch {
        // The first failure is the one to tell.
      }
    }
  }
}

type Parts = {
  readonly services: Services
  readonly listeners: readonly Listener[]
  readonly tail: MetadataTail
  readonly controller: Controller
  readonly store: EmbeddedMetadataStore
  readonly table: ReturnType<typeof createApiTable>
  readonly brokerEpoch: number
}

async function openParts(options: BrokerOptions, opening: Opening): Promise<Parts> {
  const { io, loaded, dataDirs, logger, signal, onFatal } = options
  const { config } = loaded
  const checkWanted = (): void => {
    if (signal?.aborted) throw new LmqError('LMQ_SHUTTING_DOWN')
  }
  checkWanted()
  opening.add(() => io.jobs.close())

  const { clusterId, brokerId } = identityOf(options)
  // What topics say themselves stands in the metadata, which is not read yet.
  const defaults = topicConfigOf(new Map(), config)
  let inUse: LogDirs | undefined
  const logDirs = await LogDirs.open(io, {
    dirs: dataDirs,
    clusterId,
    brokerId,
    logger,
    settings: config,
    configOf: () => defaults,
    signal,
    maxTailBytes: config['lmq.tail.bytes'],
    maxOpenFiles: config['lmq.open.files'],
    onDirectoryFailed: (path, error) => {
      // Kafka halts, too, when no log directory is left: there is nothing to serve from.
      if (inUse?.directories.every(({ isOffline }) => isOffline)) {
        onFatal(new LmqError('LMQ_LOG_DIR_OFFLINE', { path }, error))
      }
    },
  })
  inUse = logDirs
  opening.add(() => logDirs.close())
  checkWanted()

  const store = EmbeddedMetadataStore.open({
    io,
    folder: join(dataDirs[0] ?? '', METADATA_FOLDER),
    logger,
  })
  opening.add(() => store.close())
  const tail = new MetadataTail(store, logger, onFatal)
  const candidate = { brokerId, incarnationId: io.random.uuid() }
  const rules = configRulesOf(config)
  const controller = new Controller({ io, store, tail, candidate, rules, logger })
  opening.add(() => tail.close())
  opening.add(() => controller.close())
  await tail.start()
  await controller.start()
  checkClusterId(await controller.bootstrap(clusterId, initialFeatures), clusterId)

  const partitions = new Partitions({ io, brokerId, image: tail.image, logDirs, config, logger })
  const services = makeServices(options, {
    brokerId,
    clusterId,
    image: tail.image,
    controller,
    partitions,
    logDirs,
    epoch: () => brokerEpoch,
  })
  opening.add(() => services.groups.close())
  const table = createApiTable()
  const listeners = await openListeners(options, services, table, opening)

  const brokerEpoch = await register(options, services, candidate.incarnationId, listeners)
  followMetadata(services, tail)
  partitions.start()
  partitions.onLeadership({
    lead: ({ topic, partitionIndex, leaderEpoch }) => {
      if (topic === OFFSETS_TOPIC) services.groups.lead(partitionIndex, leaderEpoch)
    },
    resign: ({ topic, partitionIndex }) => {
      if (topic === OFFSETS_TOPIC) services.groups.resign(partitionIndex)
    },
  })
  checkWanted()
  for (const listener of listeners) listener.serve()
  return {
    services,
    listeners,
    tail,
    controller,
    store,
    table,
    brokerEpoch,
  }
}

/** What the data folders say, else what the settings say, else something new. */
function identityOf({ io, loaded, dataDirs }: BrokerOptions) {
  const { config } = loaded
  const stored = storedIdentity(io, dataDirs)
  const wanted = config['lmq.cluster.id']
  const brokerId = config['node.id']
  return { clusterId: wanted ?? stored?.clusterId ?? io.random.uuid(), brokerId }
}

function checkClusterId(found: string, expected: string): void {
  if (found === expected) return
  const reason = 'the metadata log belongs to another cluster than the folder around it'
  throw new LmqError('LMQ_LOG_DIR_FOREIGN', { reason, found, expected })
}

/**
 * Bound of requests, and the same of answers; together they are `lmq.memory.budget.bytes`. A single request or answer
 * that is larger passes when it is alone.
 */
const halfBudget = ({ config }: LoadedSettings): number =>
  Math.floor(config['lmq.memory.budget.bytes'] / 2)

const requestBytes = (loaded: LoadedSettings): number => {
  const limit = loaded.config['queued.max.request.bytes']
  return limit > 0 ? limit : halfBudget(loaded)
}

function makeServices(
  { io, loaded, logger }: BrokerOptions,
  parts: {
    readonly brokerId: number
    readonly clusterId: string
    readonly image: MetadataImage
    readonly controller: Controller
    readonly partitions: Partitions
    readonly logDirs: LogDirs
    epoch(): number
  },
): Services {
  const { config, settings } = loaded
  const { brokerId, clusterId, image, controller, partitions, logDirs } = parts
  const creator = new AutoTopicCreation({ controller, image, config, logger })
  const groups = new GroupCoordinator({
    io,
    logger,
    settings: config,
    log: coordinatorLog(partitions),
    topics: topicsPort(image),
    offsetsTopic: offsetsTopicPort(image, creator),
  })
  const slots = config['max.incremental.fetch.session.cache.slots']
  return {
    io,
    config,
    settings,
    image,
    partitions,
    controller,
    groups,
    logDirs,
    fetchSessions: new FetchSessionCache(slots, io.monotonic, io.random),
    producerIds: new ProducerIds(async () => {
      const block = await controller.allocateProducerIds({ brokerId, brokerEpoch: parts.epoch() })
      if (block.errorCode === ErrorCode.NONE) return block
      throw new LmqError('LMQ_NOT_CONTROLLER', { errorCode: block.errorCode })
    }),
    requestMemory: new MemoryBudget(requestBytes(loaded)),
    answerMemory: new MemoryBudget(halfBudget(loaded)),
    topicMetrics: new TopicMetricsTable(),
    metadataCache: new MetadataCache(),
    produceTimeouts: new ProduceTimeouts(io),
    telemetry: new Telemetry(io, image, () => config['telemetry.max.bytes']),
    autoCreateTopics: (topics) => creator.create(topics),
    logger,
    broker: { brokerId, clusterId, rack: config['broker.rack'] },
  }
}

async function openListeners(
  { io, loaded }: BrokerOptions,
  services: Services,
  table: ReturnType<typeof createApiTable>,
  opening: Opening,
): Promise<Listener[]> {
  let connections = 0
  const around = {
    table,
    services,
    outbox: new Outbox(io.timers),
    requestMemory: services.requestMemory,
    answerMemory: services.answerMemory,
    limits: new ConnectionLimits(() => loaded.config),
    nextConnectionId: () => ++connections,
  }
  const listeners: Listener[] = []
  for (const { name, host, port } of loaded.listenersPlan.listeners) {
    const listener = await Listener.open({ name, host, port }, around)
    opening.add(() => listener.close(0))
    listeners.push(listener)
  }
  return listeners
}

function advertised(plan: ListenersPlan, listeners: readonly Listener[]): OpenListener[] {
  return plan.listeners.map(({ name, advertisedHost, advertisedPort }, index) => ({
    name,
    host: advertisedHost,
    port: advertisedPort ?? listeners[index]?.port ?? 0,
  }))
}

/** Tells the controller that this broker runs, and where. @returns its epoch for this run */
async function register(
  { loaded }: BrokerOptions,
  { controller, logDirs, broker, config }: Services,
  incarnationId: string,
  listeners: readonly Listener[],
): Promise<number> {
  const plan = loaded.listenersPlan
  const { errorCode, errorMessage, brokerEpoch } = await controller.registerBroker({
    brokerId: broker.brokerId,
    incarnationId,
    directoryIds: logDirs.directories.map(({ directoryId }) => directoryId),
    bootId: null,
    rack: config['broker.rack'],
    hostId: null,
    listeners: advertised(plan, listeners).map(({ name, host, port }, index) => ({
      name,
      host,
      port,
      securityProtocol: plan.listeners[index]?.securityProtocol ?? 'PLAINTEXT',
    })),
    unfenced: true,
  })
  if (errorCode === ErrorCode.NONE) return brokerEpoch
  throw new LmqError('LMQ_NOT_CONTROLLER', { errorCode, errorMessage })
}

/** Everything that follows the metadata does so in this order, in the turn in which it changed. */
function followMetadata(services: Services, tail: MetadataTail): void {
  const { partitions, groups, topicMetrics } = services
  followBrokerSettings(services)
  tail.onDelta((delta) => {
    if (touchesBroker(delta)) followBrokerSettings(services)
    partitions.apply(delta)
    if (delta.topicsDeleted.size === 0) return
    const names = [...delta.topicsDeleted.values()].map(({ name }) => name)
    for (const name of names) topicMetrics.remove(name)
    void groups.forgetTopics(names)
  })
}

function touchesBroker(delta: MetadataDelta): boolean {
  for (const { resourceType } of delta.configs.values()) {
    if (resourceType === ResourceType.BROKER) return true
  }
  return false
}

function followBrokerSettings({ settings, image, broker, partitions }: Services): void {
  const changed = settings.setDynamic({
    broker: image.configs(ResourceType.BROKER, String(broker.brokerId)),
    clusterDefault: image.configs(ResourceType.BROKER, ''),
  })
  if (changed.size > 0) partitions.refreshConfigs()
}

function metricSources(parts: Parts): MetricSources {
  const { services, listeners, table, controller } = parts
  const { image, partitions, groups, logDirs, fetchSessions } = services
  const { requestMemory, answerMemory } = services
  return {
    clusterId: services.broker.clusterId,
    brokerId: services.broker.brokerId,
    version: VERSION,
    topics: services.topicMetrics,
    *apis() {
      for (const { metrics } of table.all()) yield metrics
    },
    listeners: () => listeners,
    partitions: () => countPartitions(partitions),
    controller() {
      let fencedBrokers = 0
      for (const broker of image.brokers.values()) if (broker.fenced) fencedBrokers++
      let offlinePartitions = 0
      for (const topic of image.topics.values()) {
        for (const { leader } of topic.partitions) if (leader < 0) offlinePartitions++
      }
      return {
        active: controller.isActive ? 1 : 0,
        topics: image.topics.size,
        partitions: image.partitionCount,
        offlinePartitions,
        brokers: image.brokers.size - fencedBrokers,
        fencedBrokers,
      }
    },
    groups: () => ({ byState: groups.countGroups(), offsets: groups.countOffsets() }),
    fetchSessions: () => ({
      sessions: fetchSessions.size,
      partitions: fetchSessions.partitionCount,
      evictions: fetchSessions.evictions,
    }),
    memory: () => ({
      requestBytes: requestMemory.usedBytes,
      answerBytes: answerMemory.usedBytes,
      limitBytes: requestMemory.limitBytes,
    }),
    logDirs() {
      let offline = 0
      for (const { isOffline } of logDirs.directories) if (isOffline) offline++
      let sizeBytes = 0
      for (const log of logDirs.all()) if (log.state === 'open') sizeBytes += log.sizeBytes
      return { online: logDirs.directories.length - offline, offline, sizeBytes }
    },
  }
}

function countPartitions(partitions: Partitions) {
  const counts = { total: 0, led: 0, underReplicated: 0, underMinIsr: 0, offline: 0 }
  for (const partition of partitions.all()) {
    counts.total++
    if (partition.log.state === 'offline') counts.offline++
    if (!partition.isLeader) continue
    counts.led++
    if (partition.isr.length < partition.replicas.length) counts.underReplicated++
    if (partition.isr.length < partition.minInSyncReplicas) counts.underMinIsr++
  }
  return counts
}
