// The broker under test: LMQ as a process of its own, as a person starts it; or, with LMQ_TEST_BOOTSTRAP=host:port, any other
// broker, to show that the tests are right.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lmqCommand, ownEnvironment } from '../../tools/lmq-program.ts'

/** A broker of a cluster may have to wait for Consul. */
const startPatienceMs = 90_000
const stopPatienceMs = 20_000

export type BrokerOptions = {
  /** Settings by Kafka's names. */
  readonly settings?: Readonly<Record<string, string>>
  /** Where it listens; any free port when left out. */
  readonly port?: number
  /** Serves metrics on any free port. */
  readonly withMetrics?: boolean
}

/** Another broker's address, given by the caller of the tests. Tests that kill and restart the broker are skipped then. */
export const givenBootstrap = process.env['LMQ_TEST_BOOTSTRAP']

export async function startTestBroker(options: BrokerOptions = {}): Promise<TestBroker> {
  if (givenBootstrap) return new TestBroker(givenBootstrap, undefined)
  const folder = await mkdtemp(join(tmpdir(), 'lmq-compat-'))
  const broker = new TestBroker('', { ...options, folder })
  await broker.start()
  return broker
}

export class TestBroker {
  bootstrap: string
  readonly #launch: (BrokerOptions & { readonly folder: string }) | undefined
  #child: ChildProcess | undefined
  #output = ''
  #httpAddress: string | undefined

  constructor(
    bootstrap: string,
    launch: (BrokerOptions & { readonly folder: string }) | undefined,
  ) {
    this.bootstrap = bootstrap
    this.#launch = launch
  }

  get dataFolder(): string {
    if (!this.#launch) throw new Error('the data folder of a given broker is not known')
    return join(this.#launch.folder, 'data')
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  /** What it counts, in Prometheus' text; only of one that was started with `withMetrics`. */
  async metrics(): Promise<string> {
    if (!this.#httpAddress) throw new Error('this broker was not started with metrics')
    return await (await fetch(`${this.#httpAddress}/metrics`)).text()
  }

  /** What the broker has printed so far. */
  get output(): string {
    return this.#output
  }

  /** Starts the process, the first time on a free port, then on the same one. Resolves when it serves. */
  async start(): Promise<void> {
    const launch = this.#launch
    if (!launch) return
    const before =
      this.bootstrap === '' ? '0' : this.bootstrap.slice(this.bootstrap.lastIndexOf(':') + 1)
    const port = String(launch.port ?? before)
    const settings = Object.entries(launch.settings ?? {})
    const [program, ...args] = lmqCommand()
    const child = spawn(
      program,
      [
        ...[...args, 'start', '--port', port, '--data', this.dataFolder],
        `--http-port=${launch.withMetrics ? 0 : -1}`,
        ...settings.flatMap(([name, value]) => ['--set', `${name}=${value}`]),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], cwd: launch.folder, env: ownEnvironment() },
    )
    this.#child = child
    this.#httpAddress = undefined
    const orphaned = () => child.kill('SIGKILL')
    process.once('exit', orphaned)
    child.once('exit', () => process.off('exit', orphaned))
    this.bootstrap = await this.#addressOf(child)
  }

  /** The banner names the address to paste; the port is the broker's own choice. */
  #addressOf(child: ChildProcess): Promise<string> {
    return new Promise((resolve, reject) => {
      let output = ''
      const fail = (why: string) => reject(new Error(`${why}; the broker printed:\n${output}`))
      const limit = setTimeout(() => fail('no address was printed'), startPatienceMs)
      const note = (chunk: Buffer) => {
        output += chunk.toString()
        this.#output = `${this.#output}${chunk.toString()}`.slice(-200_000)
        this.#httpAddress ??= /health, metrics +(\S+)\/healthz/.exec(output)?.[1]
        const address = /Kafka clients connect to \S+:(\d+)/.exec(output)
        if (!address) return
        clearTimeout(limit)
        resolve(`127.0.0.1:${address[1]}`)
      }
      child.stdout?.on('data', note)
      child.stderr?.on('data', note)
      child.once('exit', (code, signal) => {
        clearTimeout(limit)
        fail(`the broker ended with ${signal ?? code}`)
      })
    })
  }

  /** Ends the process as a power cut would end it, but for the page cache. */
  async crash(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Asks the broker to stop and waits until it has. */
  async shutDown(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    await new Promise<void>((resolve) => {
      const limit = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs)
      child.once('exit', () => {
        clearTimeout(limit)
        resolve()
      })
      child.kill(signal)
    })
  }

  /** Ends the process and removes its folder. */
  async stop(): Promise<void> {
    await this.#end('SIGKILL')
    if (this.#launch) await rm(this.#launch.folder, { recursive: true, force: true })
  }
}
