// Three Apache Kafka brokers as one cluster, each broker and controller at once: the counterpart of three LMQ brokers on
// three Consul servers, under the same faults.
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeQuorum } from '../src/protocol/apis/55-describe-quorum.ts'
import { type BrokerProcess, ClusterProcesses } from '../test/cluster/cluster-processes.ts'
import { formatKafka, freePort, kafkaCommand, launch, reachable, stop } from './target.ts'
import { kafkaJars } from './toolbox.ts'

const brokerIds = [1, 2, 3]

/** @throws MissingTool without Java or Maven */
export async function startKafkaCluster(): Promise<{ cluster: KafkaCluster; label: string }> {
  const { classpath, version } = await kafkaJars()
  const folder = await mkdtemp(join(tmpdir(), 'lmq-bench-kafkas-'))
  const ports = new Map<number, { port: number; controllerPort: number }>()
  for (const id of brokerIds) {
    ports.set(id, { port: await freePort(), controllerPort: await freePort() })
  }
  const voters = [...ports].map(([id, { controllerPort }]) => `${id}@127.0.0.1:${controllerPort}`)
  const brokers = new Map<number, KafkaBroker>()
  try {
    const starts = [...ports].map(async ([id, { port, controllerPort }]) => {
      const own = join(folder, String(id))
      await mkdir(own, { recursive: true })
      const path = join(own, 'server.properties')
      await writeFile(path, settingsOf(id, port, controllerPort, voters.join(','), own))
      await formatKafka(classpath, path)
      const broker = new KafkaBroker(port, own, kafkaCommand(classpath, path))
      brokers.set(id, broker)
      await broker.start()
    })
    await Promise.all(starts)
    const cluster = new KafkaCluster(folder, brokers)
    await cluster.whole()
    return { cluster, label: `Apache Kafka ${version}` }
  } catch (error) {
    for (const broker of brokers.values()) await broker.stop()
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Kafka's defaults, but what a lone new group must wait for. */
function settingsOf(
  id: number,
  port: number,
  controllerPort: number,
  voters: string,
  folder: string,
): string {
  return `node.id=${id}
process.roles=broker,controller
log.dirs=${folder}/data
controller.quorum.voters=${voters}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
group.initial.rebalance.delay.ms=0
`
}

class KafkaBroker implements BrokerProcess {
  readonly bootstrap: string
  readonly dataFolder: string
  readonly #port: number
  readonly #command: readonly string[]
  readonly #logPath: string
  #child: ChildProcess | undefined
  readonly #onExit = () => this.#child?.kill('SIGKILL')

  constructor(port: number, folder: string, command: readonly string[]) {
    this.bootstrap = `127.0.0.1:${port}`
    this.dataFolder = join(folder, 'data')
    this.#port = port
    this.#command = command
    this.#logPath = join(folder, 'log')
    process.on('exit', this.#onExit)
  }

  get pid(): number {
    return this.#child?.pid ?? -1
  }

  get output(): string {
    return readFileSync(this.#logPath, 'utf8')
  }

  async start(): Promise<void> {
    this.#child = launch(this.#command, this.#logPath)
    await reachable(this.#port, this.#child)
  }

  crash(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGKILL')
    return gone
  }

  async shutDown(): Promise<void> {
    if (this.#child) await stop(this.#child)
  }

  async stop(): Promise<void> {
    process.off('exit', this.#onExit)
    await this.crash()
  }
}

class KafkaCluster extends ClusterProcesses {
  readonly #folder: string

  constructor(folder: string, brokers: ReadonlyMap<number, BrokerProcess>) {
    super(undefined, brokers)
    this.#folder = folder
  }

  /** Kafka's DescribeCluster names any broker, for clients that want to send it something. */
  override async controller(): Promise<number> {
    const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }]
    const answer = await this.client.request('any', describeQuorum, { topics })
    return answer.topics[0]?.partitions[0]?.leaderId ?? -1
  }

  override async remove(): Promise<void> {
    await super.remove()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
