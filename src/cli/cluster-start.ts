/** `lmq cluster start`: several brokers in this process, for development; with `--consul` on three Consul servers. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Logger, type LogLevel, startBroker, startCluster } from '../index.ts'
import { UsageError } from './error-sentence.ts'
import { defaultDataDir, stopSignal } from './start.ts'
import { settingsOf } from './start-flags.ts'
import { createTextLogger } from './text-logger.ts'
import { integerOf } from './tool.ts'

/** As the command line gives them. */
export type ClusterStartFlags = {
  readonly brokers: string
  readonly port: string
  readonly host: string
  readonly httpPort: string
  readonly data?: string
  readonly ephemeral?: boolean
  readonly racks?: string
  readonly set?: readonly string[]
  readonly consul?: boolean
  readonly consulPort: string
  readonly logLevel: string
}

/** What the two kinds of clusters have in common. */
type Started = {
  readonly clusterId: string
  readonly brokers: readonly {
    readonly brokerId: number
    readonly bootstrap: string
    readonly httpAddress: string | undefined
  }[]
  readonly consul: readonly string[]
  stop(): Promise<void>
}

/** Resolves when all has stopped. */
export async function runCluster(flags: ClusterStartFlags): Promise<void> {
  const signalled = stopSignal()
  // Whoever waits for the signal only does not keep the process alive.
  const alive = setInterval(() => {}, 60_000)
  const isEphemeral = flags.ephemeral === true
  const dataDir = isEphemeral
    ? mkdtempSync(join(tmpdir(), 'lmq-cluster-'))
    : (flags.data ?? `${defaultDataDir()}-cluster`)
  try {
    const logger = createTextLogger(
      (line) => void process.stderr.write(line),
      levelOf(flags.logLevel),
      () => new Date(),
    )
    const cluster = flags.consul
      ? await startOnConsul(flags, dataDir, logger)
      : await startAlone(flags, dataDir, logger)
    process.stdout.write(textOf(cluster, dataDir, isEphemeral))
    await signalled
    logger.info({}, 'stopping')
    await cluster.stop()
  } finally {
    clearInterval(alive)
    if (isEphemeral) rmSync(dataDir, { recursive: true, force: true })
  }
}

function levelOf(text: string): LogLevel {
  if (text === 'debug' || text === 'info' || text === 'warn' || text === 'error') return text
  throw new UsageError(`--log-level ${text}: give debug, info, warn or error`)
}

const numbers = (flags: ClusterStartFlags) => ({
  count: integerOf('--brokers', flags.brokers, 1),
  port: integerOf('--port', flags.port),
  httpPort: integerOf('--http-port', flags.httpPort, -1),
  racks: flags.racks?.split(',').map((rack) => rack.trim()) ?? [],
  settings: settingsOf([...(flags.set ?? [])]),
})

async function startAlone(
  flags: ClusterStartFlags,
  dataDir: string,
  logger: Logger,
): Promise<Started> {
  const { count, ...rest } = numbers(flags)
  const cluster = await startCluster({ brokers: count, ...rest, host: flags.host, dataDir, logger })
  const { clusterId, brokers } = cluster
  return { clusterId, brokers, consul: [], stop: () => cluster.stop() }
}

async function startOnConsul(
  flags: ClusterStartFlags,
  dataDir: string,
  logger: Logger,
): Promise<Started> {
  const { startLocalConsul } = await import('./local-consul.ts')
  const consul = await startLocalConsul(dataDir, integerOf('--consul-port', flags.consulPort, 1))
  const { count, port, httpPort, racks, settings } = numbers(flags)
  const next = (first: number, at: number): number => (first > 0 ? first + at : first)
  const starts = Array.from({ length: count }, (_, at) => {
    const rack = racks.length > 0 ? { 'broker.rack': racks[at % racks.length] ?? '' } : {}
    return startBroker({
      brokerId: at + 1,
      port: next(port, at),
      httpPort: next(httpPort, at),
      host: flags.host,
      dataDir: join(dataDir, `broker-${at + 1}`),
      settings: { 'lmq.consul.address': consul.addresses.join(','), ...rack, ...settings },
      logger: logger.child({ broker: at + 1 }),
    })
  })
  const settled = await Promise.allSettled(starts)
  const brokers = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const stop = async (): Promise<void> => {
    for (const broker of brokers) await broker.stop()
    await consul.stop()
  }
  const failed = settled.find((each) => each.status === 'rejected')
  if (failed) {
    await stop()
    throw failed.reason
  }
  return { clusterId: brokers[0]?.clusterId ?? '', brokers, consul: consul.addresses, stop }
}

function textOf({ clusterId, brokers, consul }: Started, dataDir: string, isEphemeral: boolean) {
  const bootstrap = brokers.map((broker) => broker.bootstrap).join(',')
  const rows = brokers.map(({ brokerId, bootstrap: address, httpAddress }) => {
    const http = httpAddress === undefined ? '' : `  health, metrics ${httpAddress}`
    return `  broker ${brokerId}  ${address}${http}`
  })
  if (consul.length > 0) rows.push(`  Consul    ${consul.join(', ')} (UI: http://${consul[0]}/ui)`)
  const kept = isEphemeral ? 'temporary: removed at the end' : 'kept'
  rows.push(`  data      ${dataDir} (${kept})`, `  cluster   ${clusterId}`)
  return `\nA cluster of ${brokers.length} brokers is ready. Kafka clients connect to ${bootstrap}\n\n${rows.join('\n')}\n\nStop with Ctrl+C.\n\n`
}
