/**
 * One broker, put together: opens what it stands on, floor by floor, and closes it in the opposite order. Decides
 * nothing itself.
 */
import { join } from 'node:path'
import { LmqError } from './base/errors.ts'
import type { Logger } from './base/logger.ts'
import { Opening } from './base/opening.ts'
import { VERSION } from './base/version.ts'
import type { BrokerRegistration } from './cluster/broker-commands.ts'
import { configRulesOf } from './cluster/config-rules.ts'
import { Controller } from './cluster/controller.ts'
import { EmbeddedMetadataStore } from './cluster/embedded-metadata-store.ts'
import type { MetadataDelta } from './cluster/metadata-delta.ts'
import { ResourceType } from './cluster/metadata-image.ts'
import { METADATA_FOLDER, type MetadataStore } from './cluster/metadata-store.ts'
import { MetadataTail } from './cluster/metadata-tail.ts'
import { Partitions } from './cluster/partitions.ts'
import { addressText, type ListenersPlan } from './config/listeners.ts'
import type { LoadedSettings } from './config/load-settings.ts'
import { topicConfigOf } from './config/topic-config.ts'
import { OFFSETS_TOPIC } from './coordinator/ports.ts'
import type { Io } from './io/io.ts'
import { LogDirs } from './log/log-dirs.ts'
import { storedIdentity } from './log/meta-properties.ts'
import { brokerMetrics } from './metrics/broker-metrics.ts'
import { ErrorCode } from './protocol/error-code.ts'
import type { ClusterMembership } from './server/cluster-membership.ts'
import { ConnectionLimits } from './server/connection-limits.ts'
import type { Services } from './server/handler.ts'
import { createApiTable } from './server/handlers.ts'
import { Listener } from './server/listener.ts'
import { metricSources } from './server/metric-sources.ts'
import { Outbox } from './server/outbox.ts'
import { makeServices } from './server/services.ts'

export type BrokerOptions = {
  readonly io: Io
  readonly loaded: LoadedSettings
  /** Absolute. */
  readonly dataDirs: readonly string[]
  readonly logger: Logger
  /** Ends a start that is still under way, with LMQ_SHUTTING_DOWN. */
  readonly signal?: AbortSignal | undefined
  /** The cluster that this broker is one of. Without it the broker is a cluster by itself. */
  readonly cluster?: ClusterPlace | undefined
  /** Of the machine's run: its page cache survives as long. */
  readonly bootId?: string | null | undefined
  /** Brokers of one host fail together. */
  readonly hostId?: string | null | undefined
  /** The broker cannot go on (its metadata is unreadable): stop it, and the process with it. */
  readonly onFatal: (error: unknown) => void
}

/** What the brokers of a cluster share. */
export type ClusterPlace = {
  readonly clusterId: string
  /** Gives this broker its own handle of the store, which closes with the broker. */
  openStore(): Promise<MetadataStore>
  /** All brokers that belong to it are started together. */
  readonly isComplete?: boolean
}

/** Where clients of one listener reach this broker. */
export type OpenListener = { readonly name: string; readonly host: string; readonly port: number }

/** Levels that a new cluster begins with; see `supportedFeatures` in cluster/feature-commands.ts. */
const initialFeatures: ReadonlyMap<string, number> = new Map([['metadata.version', 30]])
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
    await this.#openHttpPort()
    if (!this.#stopping) this.#parts.membership?.announce(this.httpAddress)
  }

  async #openHttpPort(): Promise<void> {
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
      logger: this.#options.logger,
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
        ...this.#parts.membership?.facts,
      },
    }
  }

  /** Stops in order: answers what is at work, writes and flushes the logs, gives back ports, timers and files. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** What a stop that is under way has still to write and flush: it takes long where there are thousands. */
  get unclosedLogs(): number {
    return this.#parts.services.logDirs.unclosedLogs
  }

  async #stop(): Promise<void> {
    const { listeners, services, tail, controller, store, membership, brokerEpoch } = this.#parts
    // Others lead before this broker stops to answer: first its partitions, then the metadata.
    if (membership) {
      await membership.leave()
      await controller.close()
    }
    // Whoever waits in a group is answered first, so that the connections can end.
    services.groups.close()
    await this.#http?.close()
    await Promise.all(listeners.map((listener) => listener.close(STOP_GRACE_MS)))
    services.fetchSessions.close()
    services.produceTimeouts.close()
    await controller.close()
    await tail.close()
    await membership?.close()
    services.partitions.close()
    await services.logDirs.close(brokerEpoch())
    await store.close()
    await this.#options.io.jobs.close()
  }
}

type Parts = {
  readonly services: Services
  readonly listeners: readonly Listener[]
  readonly tail: MetadataTail
  readonly controller: Controller
  readonly store: MetadataStore
  readonly table: ReturnType<typeof createApiTable>
  /** The other brokers; undefined when there are none. */
  readonly membership: ClusterMembership | undefined
  readonly brokerEpoch: () => number
}

async function openParts(given: BrokerOptions, opening: Opening): Promise<Parts> {
  const membershipModule = loadMembership(given)
  const options = { ...given, cluster: given.cluster ?? (await placeInConsul(given, opening)) }
  const { io, loaded, dataDirs, logger, signal, onFatal } = options
  const { config } = loaded
  const checkWanted = (): void => {
    if (signal?.aborted) throw new LmqError('LMQ_SHUTTING_DOWN')
  }
  checkWanted()
  opening.add(() => io.jobs.close())

  const { clusterId, brokerId } = identityOf(options)
  let membership: ClusterMembership | undefined
  const logDirs = await openLogDirs(options, { clusterId, brokerId }, () =>
    membership?.noteFailedDirectory(),
  )
  opening.add(() => logDirs.close())
  checkWanted()

  const store = options.cluster
    ? await options.cluster.openStore()
    : EmbeddedMetadataStore.open({ io, folder: join(dataDirs[0] ?? '', METADATA_FOLDER), logger })
  opening.add(() => store.close())
  const tail = new MetadataTail(store, logger, onFatal)
  const candidate = { brokerId, incarnationId: io.random.uuid() }
  const rules = configRulesOf(config)
  const controller = new Controller({ io, store, tail, candidate, rules, logger })
  opening.add(() => tail.close())
  opening.add(() => controller.close())
  await tail.start()
  if (!options.cluster) {
    await controller.start()
    checkClusterId(await controller.bootstrap(clusterId, initialFeatures), clusterId)
  }

  const { incarnationId } = candidate
  const { image } = tail
  const partitions = new Partitions({
    io,
    brokerId,
    incarnationId,
    image,
    logDirs,
    config,
    logger,
  })
  const table = createApiTable()
  const base = { brokerId, clusterId, image, controller, partitions, logDirs }
  membership = options.cluster
    ? await openMembership(options, membershipModule, {
        ...base,
        store,
        tail,
        table,
        incarnationId,
        services: () => services,
      })
    : undefined
  let ownEpoch = -1
  const brokerEpoch = () => membership?.brokerEpoch ?? ownEpoch
  const services = makeServices(options, { ...base, membership, epoch: brokerEpoch })
  opening.add(() => services.groups.close())
  if (membership) opening.add(() => membership.close())
  const listeners = await openListeners(options, services, table, opening)

  const registration = registrationOf(options, services, incarnationId, listeners)
  if (membership) {
    // The others must be able to ask this broker before it can have a place among them.
    for (const listener of listeners) listener.serve()
    await membership.join(interBrokerAddress(options, listeners))
    checkClusterId(image.clusterId, clusterId)
    await membership.enter(registration)
  } else ownEpoch = await register(services, registration)
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
  if (membership) {
    membership.replicate(partitions, services.topicMetrics)
    await membership.takesPart()
    services.producerIds.prepare()
  } else for (const listener of listeners) listener.serve()
  return { services, listeners, tail, controller, store, table, membership, brokerEpoch }
}

/** Where settings name a Consul, it holds what the brokers share. Nothing of it is loaded otherwise. */
async function placeInConsul(
  options: BrokerOptions,
  opening: Opening,
): Promise<ClusterPlace | undefined> {
  const { io, loaded, dataDirs, logger } = options
  const { config } = loaded
  if (config['lmq.consul.address'].length === 0) return undefined
  const { ConsulConnection } = await import('./cluster/consul/consul-connection.ts')
  const connection = await ConsulConnection.open({ io, config, logger })
  opening.add(() => connection.close())
  const { clusterId: own, isNew } = identityOf(options)
  const clusterId = isNew ? await connection.agreeClusterId(own) : own
  const folder = join(dataDirs[0] ?? '', METADATA_FOLDER)
  return { clusterId, openStore: () => connection.openStore(clusterId, folder) }
}

/** @throws LMQ_LOG_DIR_TAKEN, LMQ_LOG_DIR_FOREIGN, LMQ_LOG_DIR_OFFLINE, LMQ_SHUTTING_DOWN */
async function openLogDirs(
  { io, loaded, dataDirs, logger, signal, onFatal }: BrokerOptions,
  identity: { readonly clusterId: string; readonly brokerId: number },
  onFailed: () => void,
): Promise<LogDirs> {
  const { config } = loaded
  // What topics say themselves stands in the metadata, which is not read yet.
  const defaults = topicConfigOf(new Map(), config)
  let inUse: LogDirs | undefined
  const logDirs = await LogDirs.open(io, {
    dirs: dataDirs,
    ...identity,
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
      } else onFailed()
    },
  })
  inUse = logDirs
  return logDirs
}

type MembershipParts = {
  readonly brokerId: number
  readonly clusterId: string
  readonly incarnationId: string
  readonly store: MetadataStore
  readonly tail: MetadataTail
  readonly controller: Controller
  readonly table: ReturnType<typeof createApiTable>
  services(): Services
}

type MembershipModule = typeof import('./server/cluster-membership.ts')

/** Only where there are other brokers; while logs and metadata are opened. */
async function loadMembership({ cluster, loaded }: BrokerOptions) {
  const hasOthers = cluster !== undefined || loaded.config['lmq.consul.address'].length > 0
  return hasOthers ? import('./server/cluster-membership.ts') : undefined
}

async function openMembership(
  { io, loaded, logger, onFatal }: BrokerOptions,
  module: Promise<MembershipModule | undefined>,
  parts: MembershipParts,
): Promise<ClusterMembership | undefined> {
  const { ClusterMembership } = (await module) ?? {}
  if (!ClusterMembership) return undefined
  const { config, listenersPlan } = loaded
  const listenerName = listenersPlan.interBrokerListener
  const features = initialFeatures
  return new ClusterMembership({ io, ...parts, config, listenerName, features, logger, onFatal })
}

function interBrokerAddress({ loaded }: BrokerOptions, listeners: readonly Listener[]): string {
  const { listenersPlan } = loaded
  const own = advertised(listenersPlan, listeners).find(
    ({ name }) => name === listenersPlan.interBrokerListener,
  )
  return own ? addressText(own.host, own.port) : ''
}

/** What the data folders say, else what the settings say, else something new. */
function identityOf({ io, loaded, dataDirs, cluster }: BrokerOptions) {
  const { config } = loaded
  const stored = storedIdentity(io, dataDirs)
  const wanted = config['lmq.cluster.id']
  const brokerId = config['node.id']
  const known = cluster?.clusterId ?? wanted ?? stored?.clusterId
  return { clusterId: known ?? io.random.uuid(), brokerId, isNew: known === undefined }
}

function checkClusterId(found: string, expected: string): void {
  if (found === expected) return
  const reason = 'the metadata log belongs to another cluster than the folder around it'
  throw new LmqError('LMQ_LOG_DIR_FOREIGN', { reason, found, expected })
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
    limits: new ConnectionLimits({
      config: () => loaded.config,
      ofListener: (name, setting) => services.settings.ofListener(name, setting),
      protectedListener:
        loaded.listenersPlan.listeners.length > 1
          ? loaded.listenersPlan.interBrokerListener
          : undefined,
    }),
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

/** What the controller is told of this broker. */
function registrationOf(
  { loaded, bootId = null, hostId = null }: BrokerOptions,
  { logDirs, broker, config }: Services,
  incarnationId: string,
  listeners: readonly Listener[],
): Omit<BrokerRegistration, 'unfenced'> {
  const plan = loaded.listenersPlan
  const marks = new Set(logDirs.directories.map(({ cleanBrokerEpoch }) => cleanBrokerEpoch))
  const [previousBrokerEpoch = -1] = marks.size === 1 ? marks : []
  return {
    brokerId: broker.brokerId,
    previousBrokerEpoch,
    // Logs that were not closed in order may have lost their end.
    logsWhole: logDirs.directories.every(({ wasClean }) => wasClean),
    incarnationId,
    // One that cannot be used counts as taken out: whatever lay in it is lost to this process.
    directoryIds: logDirs.directories
      .filter(({ isOffline }) => !isOffline)
      .map(({ directoryId }) => directoryId),
    bootId,
    rack: config['broker.rack'],
    hostId,
    listeners: advertised(plan, listeners).map(({ name, host, port }, index) => ({
      name,
      host,
      port,
      securityProtocol: plan.listeners[index]?.securityProtocol ?? 'PLAINTEXT',
    })),
  }
}

/** Alone there is nobody to wait for. @returns the broker's epoch for this run */
async function register(
  { controller }: Services,
  registration: Omit<BrokerRegistration, 'unfenced'>,
): Promise<number> {
  const answer = await controller.registerBroker({ ...registration, unfenced: true })
  if (answer.errorCode === ErrorCode.NONE) return answer.brokerEpoch
  const { errorCode, errorMessage } = answer
  throw new LmqError('LMQ_NOT_CONTROLLER', { errorCode, errorMessage })
}

/** Everything that follows the metadata does so in this order, in the turn in which it changed. */
function followMetadata(services: Services, tail: MetadataTail): void {
  const { partitions, groups, topicMetrics, deletedTopics } = services
  followBrokerSettings(services)
  tail.onDelta((delta) => {
    if (touchesBroker(delta)) followBrokerSettings(services)
    partitions.apply(delta)
    if (delta.topicsDeleted.size === 0) return
    const names = [...delta.topicsDeleted.values()].map(({ name }) => name)
    for (const name of names) {
      topicMetrics.remove(name)
      deletedTopics.note(name)
    }
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
