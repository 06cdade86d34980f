/**
 * LMQ as a library: starts Kafka-compatible brokers inside this process, for tests and embedders.
 *
 * ```ts
 * import { startBroker } from 'lmq'
 *
 * const broker = await startBroker()
 * // any Kafka client: bootstrap.servers = broker.bootstrap
 * await broker.stop()
 * ```
 */
import type { Facts } from './base/errors.ts'
import { type Logger, type LogLevel, silentLogger } from './base/logger.ts'
import { Broker, type ClusterPlace, type OpenListener } from './broker.ts'
import { loadStartOptions, type StartOptions } from './config/start-options.ts'
import type { Io } from './io/io.ts'
import { nodeHost } from './io/node-host.ts'
import { createNodeIo } from './io/node-io.ts'

export type { OperatingErrorCode } from './base/errors.ts'
export { LmqError, operatingErrors } from './base/errors.ts'
export type { Facts, Logger, LogLevel, OpenListener, StartOptions }

/** How to start a broker. Every option has a default. */
export type BrokerStartOptions = StartOptions & {
  /** Where log lines go. Default: nowhere. */
  readonly logger?: Logger | undefined
  /** Called when the broker had to stop by itself, because its metadata cannot be read. Default: it is logged. */
  readonly onFatal?: ((error: unknown) => void) | undefined
  /**
   * Ends a start that is still under way, such as a long recovery: `startBroker` then rejects with LMQ_SHUTTING_DOWN
   * and leaves nothing open. Without effect on a broker that runs.
   */
  readonly signal?: AbortSignal | undefined
}

/** A broker that serves. */
export type RunningBroker = {
  /** `host:port` to give to clients. */
  readonly bootstrap: string
  /** All listeners, as clients are told to reach them. */
  readonly listeners: readonly OpenListener[]
  /** `http://host:port` of health and metrics; undefined when HTTP is switched off. */
  readonly httpAddress: string | undefined
  readonly clusterId: string
  readonly brokerId: number
  /** The first data folder. */
  readonly dataDir: string
  /** The data folder is temporary and goes with the broker. */
  readonly isEphemeral: boolean
  /** Ends connections, writes and flushes everything, gives ports, files and timers back. May be called again. */
  stop(): Promise<void>
  /** Partitions that a stop under way has still to write and flush: that it goes on is seen by this falling. */
  readonly unclosedLogs: number
}

/**
 * Starts a broker in this process. Several may run at the same time, each with its own port and data folder.
 *
 * Without `port` or `listeners` the broker takes a free port: `bootstrap` tells which. Without `dataDir`, `log.dirs` or
 * `defaultDataDir` the data is temporary. Where the port is a free one and nothing is said of HTTP, that takes a free
 * port, too.
 *
 * @throws {LmqError} LMQ_CONFIG_INVALID and LMQ_CONFIG_UNKNOWN for settings, LMQ_PORT_TAKEN, LMQ_LISTENER_INVALID,
 *   LMQ_LOG_DIR_TAKEN, LMQ_LOG_DIR_FOREIGN, LMQ_LOG_DIR_OFFLINE, LMQ_STORE_CORRUPT, LMQ_SHUTTING_DOWN
 */
export function startBroker(options: BrokerStartOptions = {}): Promise<RunningBroker> {
  return startWith({ defaultPort: 0, ...options }, createNodeIo(), undefined)
}

async function startWith(
  options: BrokerStartOptions,
  io: Io,
  cluster: ClusterPlace | undefined,
): Promise<RunningBroker> {
  const { logger = silentLogger, signal } = options
  const loaded = loadStartOptions(
    { ...options, hostName: options.hostName ?? nodeHost.hostName() },
    (path) => nodeHost.readSettingsFile(path),
  )
  for (const warning of loaded.warnings) logger.warn({}, warning)
  const isEphemeral = loaded.dataDirs.length === 0
  const dataDirs = isEphemeral
    ? [nodeHost.makeTemporaryFolder('lmq')]
    : loaded.dataDirs.map((path) => nodeHost.absolutePath(path))
  const removeData = async () => {
    if (isEphemeral) for (const path of dataDirs) await io.disk.removeFolder(path)
  }

  let broker: Broker | undefined
  const onFatal = (error: unknown) => {
    logger.error({ error }, 'the broker cannot go on and stops')
    broker?.stop().catch(() => {})
    options.onFatal?.(error)
  }
  try {
    const bootId = cluster && nodeHost.bootId()
    // Alone there is nobody to be kept apart from.
    const hasOthers = cluster !== undefined || loaded.config['lmq.consul.address'].length > 0
    const hostId = loaded.config['lmq.host.id'] ?? (hasOthers ? nodeHost.machineId() : null)
    const around = { io, loaded, dataDirs, logger, onFatal, signal, cluster }
    broker = await Broker.start({ ...around, bootId, hostId })
    await broker.openHttp()
    void warnOfUnknownHosts(broker, logger)
  } catch (error) {
    await broker?.stop()
    await removeData()
    throw error
  }
  const running = broker
  let stopped: Promise<void> | undefined
  return {
    bootstrap: running.bootstrap,
    listeners: running.listeners,
    httpAddress: running.httpAddress,
    clusterId: running.clusterId,
    brokerId: running.brokerId,
    dataDir: dataDirs[0] ?? '',
    isEphemeral,
    get unclosedLogs() {
      return running.unclosedLogs
    },
    stop() {
      stopped ??= running.stop().then(removeData)
      return stopped
    },
  }
}

/** A host name that nobody can resolve stops clients behind their first connection, and they seldom say why. */
async function warnOfUnknownHosts({ listeners }: Broker, logger: Logger): Promise<void> {
  for (const { name, host } of listeners) {
    if (await nodeHost.resolves(host)) continue
    logger.warn(
      { listener: name, host },
      `clients are told to connect to ${host}, a name that this machine cannot resolve: set advertised.listeners to a name or address that they know`,
    )
  }
}

/** How to start several brokers that are one cluster. Every option has a default. */
export type ClusterStartOptions = {
  /** How many; they get the ids 1, 2, 3 and so on. Default: 3. */
  readonly brokers?: number | undefined
  /** Port of the first broker; the others take the ones behind it. Default: 0, each takes a free one. */
  readonly port?: number | undefined
  /** Port of the first broker's health and metrics; -1, the default: none. 0: each takes a free one. */
  readonly httpPort?: number | undefined
  readonly host?: string | undefined
  /** One folder for all of them. Default: a temporary one, removed at the end. */
  readonly dataDir?: string | undefined
  /** The brokers' racks in turn: `['a', 'b']` puts the third broker into rack a again. */
  readonly racks?: readonly string[] | undefined
  /** Settings of all brokers, by Kafka's names. */
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** Where log lines go, each with its broker's id. Default: nowhere. */
  readonly logger?: Logger | undefined
}

/** Brokers in this process that are one cluster. */
export type RunningCluster = {
  /** `host:port` of every broker that was started, separated by commas. */
  readonly bootstrap: string
  readonly clusterId: string
  /** Those that run now, by id. */
  readonly brokers: readonly RunningBroker[]
  readonly dataDir: string
  /** The active controller; -1 while there is none. */
  controllerId(): Promise<number>
  /** Stops one broker in order: others lead first what it led. */
  stopBroker(brokerId: number): Promise<void>
  /** Ends one broker as `kill -9` ends a process: its connections break, its port refuses, nothing is given back. */
  kill(brokerId: number): Promise<void>
  /** Starts a broker again that was stopped or killed, on its former port and folder. */
  restart(brokerId: number): Promise<RunningBroker>
  /** Stops all of them. May be called again. */
  stop(): Promise<void>
}

/**
 * Starts a cluster in this process, without anything beside it: the brokers share one metadata log. For tests and
 * development; what it teaches a client about failover is true.
 *
 * ```ts
 * const cluster = await startCluster({ brokers: 3 })
 * // any Kafka client: bootstrap.servers = cluster.bootstrap
 * await cluster.kill(1)
 * await cluster.stop()
 * ```
 *
 * Where nothing else is said topics get 3 partitions with replication factor 2.
 *
 * @throws {LmqError} as `startBroker`
 */
export async function startCluster(options: ClusterStartOptions = {}): Promise<RunningCluster> {
  const { LocalCluster } = await import('./server/local-cluster.ts')
  const { logger = silentLogger, brokers: count = 3, racks = [], host, settings = {} } = options
  const isEphemeral = options.dataDir === undefined
  const dataDir =
    options.dataDir === undefined
      ? nodeHost.makeTemporaryFolder('lmq-cluster')
      : nodeHost.absolutePath(options.dataDir)
  const portOf = (first: number, brokerId: number) => (first > 0 ? first + brokerId - 1 : first)
  const local = await LocalCluster.open<RunningBroker>({
    io: createNodeIo(),
    createIo: createNodeIo,
    dataDir,
    brokerIds: Array.from({ length: Math.max(1, count) }, (_, index) => index + 1),
    clusterId: settings['lmq.cluster.id'],
    logger,
    portOf: (brokerId) => portOf(options.port ?? 0, brokerId),
    boundPort: ({ listeners }) => listeners[0]?.port ?? 0,
    start({ brokerId, dataDir: folder, port, io, place }) {
      const rack = racks.length > 0 ? racks[(brokerId - 1) % racks.length] : undefined
      const start: BrokerStartOptions = {
        brokerId,
        dataDir: folder,
        port,
        host,
        httpPort: portOf(options.httpPort ?? -1, brokerId),
        settings: { ...(rack === undefined ? {} : { 'broker.rack': rack }), ...settings },
        logger: logger.child({ broker: brokerId }),
        inCluster: true,
      }
      return startWith(start, io, place)
    },
  })
  const removeData = async () => {
    if (isEphemeral) await local.removeData()
  }
  try {
    await local.startAll()
  } catch (error) {
    await local.stop()
    await removeData()
    throw error
  }
  const bootstrap = local.running.map((broker) => broker.bootstrap).join(',')
  let stopped: Promise<void> | undefined
  return {
    bootstrap,
    clusterId: local.clusterId,
    dataDir,
    get brokers() {
      return local.running
    },
    controllerId: () => local.controllerId(),
    stopBroker: (brokerId) => local.stopBroker(brokerId),
    kill: (brokerId) => local.kill(brokerId),
    restart: (brokerId) => local.startBroker(brokerId),
    stop() {
      stopped ??= local.stop().then(removeData)
      return stopped
    },
  }
}
