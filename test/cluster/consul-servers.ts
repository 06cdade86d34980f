// Real Consul servers for tests: processes of their own on free ports of 127.0.0.1, in a temporary folder, ended by pid.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tool } from '../compat/harness/tools.ts'

const startPatienceMs = 60_000
/** What Consul advises for production; its default of 5 makes its own elections five times as slow. */
const RAFT_MULTIPLIER = Number(process.env['LMQ_RAFT_MULTIPLIER'] ?? 1)

export type ConsulOptions = {
  /** 1 or 3. */
  readonly servers?: number
  /** Keeps everything in memory: starts faster, and cannot be started again. */
  readonly inMemory?: boolean
  /** Laid over the configuration of every server. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** PEM files, for servers that speak TLS only. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
  readonly token?: string
}

type Ports = { readonly http: number; readonly server: number; readonly serf: number }

/** @returns undefined where there is no Consul */
export async function startConsul(options: ConsulOptions = {}): Promise<ConsulServers | undefined> {
  const consul = tool('consul')
  if (!consul) return undefined
  const count = options.servers ?? 1
  const free = await freePorts(count * 3)
  const ports = Array.from({ length: count }, (_, at) => ({
    http: free[at * 3] as number,
    server: free[at * 3 + 1] as number,
    serf: free[at * 3 + 2] as number,
  }))
  const servers = new ConsulServers(consul.path, consul.version, ports, options)
  try {
    await Promise.all(ports.map((_, at) => servers.start(at)))
    await servers.ready()
  } catch (error) {
    await servers.remove()
    throw error
  }
  return servers
}

export class ConsulServers {
  readonly folder = mkdtempSync(join(tmpdir(), 'lmq-consul-'))
  /** Of the HTTP interface, host:port, one for each server. */
  readonly addresses: readonly string[]
  readonly #path: string
  readonly #version: string
  readonly #ports: readonly Ports[]
  readonly #options: ConsulOptions
  readonly #children: (ChildProcess | undefined)[]
  readonly #onExit = () => {
    for (const child of this.#children) child?.kill('SIGKILL')
  }

  constructor(path: string, version: string, ports: readonly Ports[], options: ConsulOptions) {
    this.#path = path
    this.#version = version
    this.#ports = ports
    this.#options = options
    this.#children = ports.map(() => undefined)
    this.addresses = ports.map(({ http }) => `127.0.0.1:${http}`)
    process.on('exit', this.#onExit)
  }

  /** Starts a server, again with what it has on its disk. */
  async start(at: number): Promise<void> {
    const folder = join(this.folder, `server-${at}`)
    mkdirSync(join(folder, 'data'), { recursive: true })
    writeFileSync(join(folder, 'config.json'), JSON.stringify(this.#configOf(at, folder)))
    const log = openSync(join(folder, 'log'), 'a')
    const args = ['agent', '-config-file', join(folder, 'config.json')]
    if (this.#options.inMemory) args.push('-dev')
    const child = spawn(this.#path, args, { stdio: ['ignore', log, log] })
    closeSync(log)
    this.#children[at] = child
    await once(child, 'spawn')
  }

  #configOf(at: number, folder: string): Record<string, unknown> {
    const { http, server, serf } = this.#ports[at] as Ports
    const { tls, inMemory, settings } = this.#options
    const minor = Number(/^1\.(\d+)/.exec(this.#version)?.[1] ?? 8)
    return {
      node_name: `server-${at}`,
      bind_addr: '127.0.0.1',
      client_addr: '127.0.0.1',
      ports: {
        http: tls ? -1 : http,
        https: tls ? http : -1,
        server,
        serf_lan: serf,
        serf_wan: -1,
        dns: -1,
        grpc: -1,
        ...(minor >= 14 && { grpc_tls: -1 }),
      },
      performance: { raft_multiplier: RAFT_MULTIPLIER },
      session_ttl_min: '500ms',
      limits: { http_max_conns_per_client: 1_000 },
      disable_update_check: true,
      skip_leave_on_interrupt: true,
      leave_on_terminate: false,
      ...(tls && { ca_file: tls.ca, cert_file: tls.cert, key_file: tls.key }),
      ...(!inMemory && {
        server: true,
        bootstrap_expect: this.#ports.length,
        data_dir: join(folder, 'data'),
        retry_join: this.#ports.map((each) => `127.0.0.1:${each.serf}`),
        retry_interval: '1s',
      }),
      ...settings,
    }
  }

  /** Resolves when every running server knows a leader. */
  async ready(): Promise<void> {
    const giveUpMs = Date.now() + startPatienceMs
    for (const [at, child] of this.#children.entries()) {
      while (child && !(await this.#knowsLeader(at))) {
        if (child.exitCode !== null || Date.now() > giveUpMs) {
          const log = readFileSync(join(this.folder, `server-${at}`, 'log'), 'utf8')
          throw new Error(`Consul server ${at} did not start:\n${log.slice(-2_000)}`)
        }
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }

  async #knowsLeader(at: number): Promise<boolean> {
    try {
      const { status, body } = await this.call('GET', '/v1/status/leader', undefined, at)
      if (status !== 200 || body.length <= 2) return false
      // A leader is elected some time before it takes writes.
      const kv = await this.call('PUT', '/v1/kv/test-of-readiness', Buffer.from('x'), at)
      return kv.status === 200 || kv.status === 403
    } catch {
      return false
    }
  }

  /** Which server leads. */
  async leader(): Promise<number> {
    const at = this.#children.findIndex((child) => child !== undefined)
    const { body } = await this.call('GET', '/v1/status/leader', undefined, at)
    const port = Number(/:(\d+)"/.exec(body.toString())?.[1])
    return this.#ports.findIndex(({ server }) => server === port)
  }

  /** Of the servers that run. */
  get pids(): number[] {
    return this.#children.flatMap((child) => child?.pid ?? [])
  }

  signal(at: number, signal: NodeJS.Signals): void {
    this.#children[at]?.kill(signal)
  }

  async kill(at: number): Promise<void> {
    const child = this.#children[at]
    if (!child) return
    this.#children[at] = undefined
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  /** Takes away what a stopped server has on its disk. */
  wipe(at: number): void {
    rmSync(join(this.folder, `server-${at}`, 'data'), { recursive: true, force: true })
  }

  /** Asks one server, as an operator would. */
  call(
    method: string,
    path: string,
    body?: Buffer,
    at = 0,
  ): Promise<{ status: number; body: Buffer }> {
    const { tls, token } = this.#options
    const { http } = this.#ports[at] as Ports
    return new Promise((resolve, reject) => {
      const around = {
        ...{ method, path, host: '127.0.0.1', port: http, timeout: 10_000 },
        ...{ agent: false, rejectUnauthorized: false },
        headers: token === undefined ? {} : { 'X-Consul-Token': token },
      }
      const sent = (tls ? secureRequest : request)(around, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) })
        })
      })
      sent.on('timeout', () => sent.destroy(new Error('no answer')))
      sent.on('error', reject)
      sent.end(body)
    })
  }

  async json(path: string): Promise<unknown> {
    const { status, body } = await this.call('GET', path)
    if (status !== 200) throw new Error(`GET ${path} gave ${status}: ${body}`)
    return JSON.parse(body.toString()) as unknown
  }

  async remove(): Promise<void> {
    process.off('exit', this.#onExit)
    await Promise.all(this.#children.map((_, at) => this.kill(at)))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Ports that nobody has now, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(
    servers.map(async (server) => {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server: Server) => new Promise((done) => server.close(done))))
  return ports
}
