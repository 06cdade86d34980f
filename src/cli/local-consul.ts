/** Consul servers on this machine, for a cluster that somebody tries out: started, waited for, and stopped with it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { UsageError } from './error-sentence.ts'

export type LocalConsul = {
  /** host:port of each server's HTTP. */
  readonly addresses: readonly string[]
  stop(): Promise<void>
}

const SERVERS = 3
const READY_MS = 30_000
const STOP_MS = 5_000
/** From the first HTTP port: servers among themselves, and their gossip. */
const SERVER_PORTS = 10
const GOSSIP_PORTS = 20
/** From this version on a server opens one more port unless told not to. */
const FIRST_MINOR_WITH_GRPC_TLS = 14

/** The binary, and its minor version. @throws {UsageError} when there is none */
function findConsul(): { binary: string; minor: number } {
  const binary = process.env['CONSUL_BIN'] ?? 'consul'
  const { status, stdout } = spawnSync(binary, ['version'], { encoding: 'utf8' })
  if (status !== 0) {
    throw new UsageError(
      '--consul: there is no consul program here: put one (1.8 or later) on PATH, name it in CONSUL_BIN, or leave --consul out',
    )
  }
  return { binary, minor: Number(/v1\.(\d+)/.exec(stdout)?.[1] ?? 99) }
}

/**
 * Starts three servers that are one Consul cluster.
 *
 * @param folder for their data and logs; a cluster that was there before goes on
 * @param firstPort of HTTP; the others take the ones behind it, and those ten and twenty above
 * @throws {UsageError} when there is no binary or a port is taken; an error with the end of its log when a server does not come up
 */
export async function startLocalConsul(folder: string, firstPort: number): Promise<LocalConsul> {
  const { binary, minor } = findConsul()
  const indexes = Array.from({ length: SERVERS }, (_, index) => index)
  for (const at of indexes) await checkPort(firstPort + at)
  const join_ = indexes.flatMap((at) => [
    '-retry-join',
    `127.0.0.1:${firstPort + GOSSIP_PORTS + at}`,
  ])
  const servers = indexes.map((at): ChildProcess => {
    const data = join(folder, `consul-${at + 1}`)
    mkdirSync(data, { recursive: true })
    const log = openSync(join(data, 'consul.log'), 'a')
    const extra = minor >= FIRST_MINOR_WITH_GRPC_TLS ? ', grpc_tls = -1' : ''
    const flags = [
      ...['agent', '-server', `-bootstrap-expect=${SERVERS}`, `-node=lmq-consul-${at + 1}`],
      ...[`-data-dir=${data}`, '-bind=127.0.0.1', '-client=127.0.0.1', '-log-level=warn'],
      ...[`-http-port=${firstPort + at}`, `-server-port=${firstPort + SERVER_PORTS + at}`],
      ...[`-serf-lan-port=${firstPort + GOSSIP_PORTS + at}`, '-serf-wan-port=-1', '-dns-port=-1'],
      ...['-retry-interval=1s', '-hcl', `ports { grpc = -1${extra} }`],
      ...['-hcl', 'performance { raft_multiplier = 1 }', '-ui', ...join_],
    ]
    const server = spawn(binary, flags, { stdio: ['ignore', log, log], detached: true })
    closeSync(log)
    return server
  })
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map(stopProcess))
  }
  const addresses = indexes.map((at) => `127.0.0.1:${firstPort + at}`)
  try {
    await untilLed(addresses, servers, folder)
  } catch (error) {
    await stop()
    throw error
  }
  return { addresses, stop }
}

/** Else somebody else's Consul would answer there, and be taken for ours. */
async function checkPort(port: number): Promise<void> {
  const server = createServer()
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    throw new UsageError(
      `port ${port} for Consul is already in use: stop the other program, or choose another port with --consul-port`,
    )
  }
  server.close()
  await once(server, 'close')
}

async function untilLed(
  addresses: readonly string[],
  servers: readonly ChildProcess[],
  folder: string,
): Promise<void> {
  const endMs = Date.now() + READY_MS
  for (;;) {
    const led = await Promise.all(addresses.map(knowsLeader))
    if (led.every(Boolean)) return
    const dead = servers.findIndex(({ exitCode }) => exitCode !== null)
    if (dead >= 0 || Date.now() > endMs) {
      const log = join(folder, `consul-${Math.max(0, dead) + 1}`, 'consul.log')
      const lines = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-3).join('\n')
      throw new Error(`the local Consul servers did not come up; the end of ${log}:\n${lines}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

async function knowsLeader(address: string): Promise<boolean> {
  try {
    const options = { signal: AbortSignal.timeout(1_000) }
    const answer = await fetch(`http://${address}/v1/status/leader`, options)
    return answer.ok && (await answer.json()) !== ''
  } catch {
    return false
  }
}

function stopProcess(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    const kill = setTimeout(() => server.kill('SIGKILL'), STOP_MS)
    server.once('exit', () => {
      clearTimeout(kill)
      resolve()
    })
    server.kill('SIGTERM')
  })
}
