// A real Apache Kafka of the reference version, started from the jars that the Java tests use: one KRaft broker that is its
// own controller, on a free port, in a folder of its own.

import { type ChildProcess, spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './context.ts'
import { freePorts } from './free-ports.ts'
import { jvmFlags } from './java.ts'
import { runOrThrow } from './program.ts'
import { type Tool, tool } from './tools.ts'

const startPatienceMs = 180_000
const stopPatienceMs = 120_000
const jvm = [...jvmFlags(), '-Xmx512m']

/** @returns undefined where there is no Java */
export async function makeRealKafka(
  settings: Readonly<Record<string, string>> = {},
): Promise<RealKafka | undefined> {
  const java = tool('java')
  if (!java) return undefined
  const [port, controllerPort] = await freePorts(2)
  const kafka = new RealKafka(java, port as number)
  await kafka.format(controllerPort as number, settings)
  return kafka
}

export class RealKafka {
  readonly bootstrap: string
  readonly folder = mkdtempSync(join(tmpdir(), 'lmq-kafka-'))
  readonly #java: Tool
  #child: ChildProcess | undefined

  constructor(java: Tool, port: number) {
    this.#java = java
    this.bootstrap = `127.0.0.1:${port}`
  }

  get dataFolder(): string {
    return join(this.folder, 'data')
  }

  /** Writes its properties and makes its data folder. */
  async format(controllerPort: number, settings: Readonly<Record<string, string>>): Promise<void> {
    const all = {
      'node.id': '1',
      'process.roles': 'broker,controller',
      'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
      'controller.listener.names': 'CONTROLLER',
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
      listeners: `PLAINTEXT://${this.bootstrap},CONTROLLER://127.0.0.1:${controllerPort}`,
      'advertised.listeners': `PLAINTEXT://${this.bootstrap}`,
      'log.dirs': this.dataFolder,
      'offsets.topic.num.partitions': '3',
      'offsets.topic.replication.factor': '1',
      'transaction.state.log.num.partitions': '2',
      'transaction.state.log.replication.factor': '1',
      'transaction.state.log.min.isr': '1',
      'share.coordinator.state.topic.num.partitions': '1',
      'share.coordinator.state.topic.replication.factor': '1',
      'share.coordinator.state.topic.min.isr': '1',
      'group.initial.rebalance.delay.ms': '0',
      ...settings,
    }
    const lines = Object.entries(all).map(([name, value]) => `${name}=${value}\n`)
    writeFileSync(this.#properties, lines.join(''))
    const clusterId = Buffer.from(`lmq ${process.pid}`.padEnd(16)).toString('base64url')
    await this.tool('kafka.tools.StorageTool', ['format', '-t', clusterId, '-c', this.#properties])
  }

  get #properties(): string {
    return join(this.folder, 'server.properties')
  }

  /** Runs one of Kafka's programs to its end. */
  async tool(main: string, args: readonly string[]): Promise<string> {
    const { path, classpath = '' } = this.#java
    const all = [...jvm, '-cp', classpath, main, ...args]
    return (await runOrThrow(path, all, { limitMs: 300_000 })).stdout.toString()
  }

  async start(): Promise<void> {
    const { path, classpath = '' } = this.#java
    const log = '-Dorg.slf4j.simpleLogger.defaultLogLevel=info'
    const output = openSync(this.logFile, 'w')
    const child = spawn(path, [...jvm, log, '-cp', classpath, 'kafka.Kafka', this.#properties], {
      stdio: ['ignore', output, output],
      cwd: this.folder,
    })
    closeSync(output)
    this.#child = child
    const orphaned = () => child.kill('SIGKILL')
    process.once('exit', orphaned)
    child.once('exit', () => process.off('exit', orphaned))
    const printed = () => readFileSync(this.logFile, 'utf8')
    await until(
      'Kafka has started',
      async () => {
        const isGone = child.exitCode !== null || child.signalCode !== null
        if (isGone) throw new Error(`Kafka ended; it printed:\n${printed().slice(-3_000)}`)
        return printed().includes('Kafka Server started')
      },
      (hasStarted) => hasStarted,
      startPatienceMs,
    )
  }

  get logFile(): string {
    return join(this.folder, 'server.log')
  }

  /** In order, so that nothing needs recovery; or with SIGKILL. */
  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
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

  /** What `partition.metadata` of a topic says. */
  topicIdOf(topic: string): string {
    const path = join(this.dataFolder, `${topic}-0`, 'partition.metadata')
    const content = existsSync(path) ? readFileSync(path, 'utf8') : ''
    return /topic_id: (\S+)/.exec(content)?.[1] ?? ''
  }

  /** Ends it and removes its folder. */
  async remove(): Promise<void> {
    await this.end('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }
}
