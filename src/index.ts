/**
 * LMQ as a library: starts Kafka-compatible brokers inside this process, for tests and embedders.
 *
 * ```ts
 * import { startBroker } from 'lmq'
 *
 * const broker = await startBroker({ port: 0 })
 * // any Kafka client: bootstrap.servers = broker.bootstrap
 * await broker.stop()
 * ```
 */
import type { Facts } from './base/errors.ts'
import { type Logger, type LogLevel, silentLogger } from './base/logger.ts'
import { Broker, type OpenListener } from './broker.ts'
import { loadStartOptions, type StartOptions } from './config/start-options.ts'
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
}

/**
 * Starts a broker in this process. Several may run at the same time, each with its own port and data folder.
 *
 * Without `dataDir`, `log.dirs` or `defaultDataDir` the data is temporary. Where `port` is 0 and nothing is said of
 * HTTP, that takes a free port, too.
 *
 * @throws {LmqError} LMQ_CONFIG_INVALID and LMQ_CONFIG_UNKNOWN for settings, LMQ_PORT_TAKEN, LMQ_LISTENER_INVALID,
 *   LMQ_LOG_DIR_TAKEN, LMQ_LOG_DIR_FOREIGN, LMQ_LOG_DIR_OFFLINE, LMQ_STORE_CORRUPT, LMQ_SHUTTING_DOWN
 */
export async function startBroker(options: BrokerStartOptions = {}): Promise<RunningBroker> {
  const { logger = silentLogger, signal } = options
  const loaded = loadStartOptions(
    { ...options, hostName: options.hostName ?? nodeHost.hostName() },
    (path) => nodeHost.readSettingsFile(path),
  )
  for (const warning of loaded.warnings) logger.warn({}, warning)
  const io = createNodeIo()
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
    broker = await Broker.start({ io, loaded, dataDirs, logger, onFatal, signal })
    await broker.openHttp()
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
    stop() {
      stopped ??= running.stop().then(removeData)
      return stopped
    },
  }
}
