// A cluster as people run it: three Consul servers and three brokers, each a process of its own, with its own folder and
// port; and the faults that can be made to them without root. What it knows of the cluster it asks over the wire.
import { rmSync } from 'node:fs'
import { describeBrokers } from '../../src/client/admin-cluster.ts'
import { createTopic, type NewTopic } from '../../src/client/admin-topics.ts'
import { Client, type Metadata, parseBootstrap } from '../../src/client/client.ts'
import { listOffsets, OffsetSpec } from '../../src/client/offsets.ts'
import { checkOutcome } from '../../src/client/outcome-error.ts'
import { createNodeIo } from '../../src/io/node-io.ts'
import { findCoordinator } from '../../src/protocol/apis/10-find-coordinator.ts'
import { createTopics } from '../../src/protocol/apis/19-create-topics.ts'
import { startTestBroker, type TestBroker } from '../compat/harness/broker.ts'
import { until } from '../compat/harness/waiting.ts'
import { type ConsulServers, startConsul } from './consul-servers.ts'

/** Generous: two busy cores start three JVM-less brokers in a second, and thirty times slower on a bad day. */
export const patienceMs = 90_000
const askMs = 5_000

export type ClusterOptions = {
  readonly brokers?: number
  /** 1 or 3. */
  readonly consulServers?: number
  /** Settings of all brokers by Kafka's names. */
  readonly settings?: Readonly<Record<string, string>>
  /** Settings of one broker more. */
  readonly settingsOf?: (id: number) => Readonly<Record<string, string>>
  readonly withMetrics?: boolean
  /** Puts something before Consul. Given its addresses; returns those that the brokers are to use. */
  readonly beforeConsul?: (addresses: readonly string[]) => Promise<readonly string[]>
}

/** One broker's process, of any make. */
export type BrokerProcess = Pick<
  TestBroker,
  'bootstrap' | 'dataFolder' | 'pid' | 'output' | 'start' | 'crash' | 'shutDown' | 'stop'
> &
  Partial<Pick<TestBroker, 'metrics'>>

export type PartitionState = {
  readonly partition: number
  readonly leader: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
}

/** @returns undefined where there is no Consul */
export async function startClusterProcesses(
  options: ClusterOptions = {},
): Promise<ClusterProcesses | undefined> {
  const consul = await startConsul({ servers: options.consulServers ?? 3 })
  if (!consul) return undefined
  const brokers = new Map<number, TestBroker>()
  try {
    const { beforeConsul = async (addresses) => addresses } = options
    const addresses = await beforeConsul(consul.addresses)
    const ids = Array.from({ length: options.brokers ?? 3 }, (_, at) => at + 1)
    const starts = ids.map(async (id) => {
      const settings = {
        'node.id': String(id),
        'lmq.consul.address': addresses.join(','),
        'lmq.cluster.id': 'processes',
        ...options.settings,
        ...options.settingsOf?.(id),
      }
      const { withMetrics = false } = options
      brokers.set(id, await startTestBroker({ settings, withMetrics }))
    })
    const failed = (await Promise.allSettled(starts)).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
    const cluster = new ClusterProcesses(consul, brokers)
    await cluster.whole()
    return cluster
  } catch (error) {
    for (const broker of brokers.values()) await broker.stop()
    await consul.remove()
    throw error
  }
}

export class ClusterProcesses {
  readonly brokerIds: readonly number[]
  readonly #consul: ConsulServers | undefined
  readonly #brokers: ReadonlyMap<number, BrokerProcess>
  readonly #client: Client

  /** @param consul undefined: these brokers have none */
  constructor(consul: ConsulServers | undefined, brokers: ReadonlyMap<number, BrokerProcess>) {
    this.#consul = consul
    this.#brokers = brokers
    this.brokerIds = [...brokers.keys()].sort()
    this.#client = new Client(createNodeIo(), {
      bootstrap: parseBootstrap(this.bootstrap),
      retryForMs: patienceMs,
      connectTimeoutMs: askMs,
      requestTimeoutMs: askMs,
    })
  }

  get consul(): ConsulServers {
    if (!this.#consul) throw new Error('this cluster has no Consul')
    return this.#consul
  }

  get bootstrap(): string {
    return this.brokerIds.map((id) => this.broker(id).bootstrap).join(',')
  }

  broker(id: number): BrokerProcess {
    const broker = this.#brokers.get(id)
    if (!broker) throw new Error(`there is no broker ${id}`)
    return broker
  }

  /** A client of one broker alone, to see what that one says. Close it. */
  clientOf(id: number): Client {
    return new Client(createNodeIo(), {
      bootstrap: parseBootstrap(this.broker(id).bootstrap),
      retryForMs: askMs,
      connectTimeoutMs: askMs,
      requestTimeoutMs: askMs,
    })
  }

  get client(): Client {
    return this.#client
  }

  async controller(): Promise<number> {
    return (await describeBrokers(this.#client)).controllerId
  }

  /** Brokers that take part. */
  async live(): Promise<number[]> {
    const { brokers } = await describeBrokers(this.#client)
    return brokers.filter(({ fenced }) => !fenced).map(({ brokerId }) => brokerId)
  }

  async createTopic(topic: NewTopic): Promise<void> {
    await createTopic(this.#client, topic)
    await this.inSync(topic.name)
  }

  /** @param replicas of each partition; the first one leads */
  async createPlacedTopic(name: string, replicas: readonly (readonly number[])[]): Promise<void> {
    const assignments = replicas.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }))
    const { topics } = await this.#client.request('controller', createTopics, {
      topics: [{ name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }],
      timeoutMs: askMs,
      validateOnly: false,
    })
    checkOutcome(topics[0]?.errorCode ?? -1, `topic ${name}`, topics[0]?.errorMessage)
    await this.inSync(name)
  }

  async partitions(topic: string): Promise<PartitionState[]> {
    return statesOf(await this.#client.metadata([topic]))
  }

  /** Where each partition of a topic ends now: the next offset. */
  async ends(topic: string): Promise<ReadonlyMap<number, number>> {
    const partitions = (await this.partitions(topic)).map(({ partition }) => partition)
    const questions = partitions.map((partitionIndex) => {
      return { topic, partitionIndex, timestamp: OffsetSpec.latest }
    })
    const answers = await listOffsets(this.#client, questions)
    return new Map(answers.map(({ partitionIndex, offset }) => [partitionIndex, offset]))
  }

  /** A counter of one topic on one broker since its start, by what stands behind `kafka_server_brokertopicmetrics_`. */
  async counted(id: number, topic: string, counter: string): Promise<number> {
    const name = `kafka_server_brokertopicmetrics_${counter}_total{topic="${topic}"} `
    const lines = ((await this.broker(id).metrics?.()) ?? '').split('\n')
    return Number(lines.find((line) => line.startsWith(name))?.slice(name.length) ?? 0)
  }

  async leaderOf(topic: string, partition: number): Promise<number> {
    const states = await this.partitions(topic)
    return states.find((each) => each.partition === partition)?.leader ?? -1
  }

  /** Who coordinates a group: the leader of its partition of the offsets topic. */
  async coordinatorOf(group: string): Promise<number> {
    return await until(
      `a coordinator of ${group}`,
      async () => {
        const request = { key: group, keyType: 0, coordinatorKeys: [] }
        const options = { maxVersion: 3 }
        return (await this.#client.request('any', findCoordinator, request, options)).nodeId
      },
      (id) => id >= 0,
      patienceMs,
    )
  }

  /** Waits until every broker takes part and all of them say so. */
  async whole(): Promise<void> {
    await until(
      'every broker takes part',
      () => this.live().catch(() => []),
      (live) => live.length === this.brokerIds.length,
      patienceMs,
    )
  }

  /** Waits until all replicas of the topics (without names: of all) are in sync. */
  async inSync(...topics: string[]): Promise<void> {
    await until(
      'all replicas are in sync',
      async () => {
        const asked = await this.#client.metadata(topics.length > 0 ? topics : null)
        const wrong = asked.topics.filter(({ errorCode }) => errorCode !== 0)
        const states = statesOf(asked).filter(({ replicas, isr }) => isr.length < replicas.length)
        return [...wrong.map(({ name }) => name), ...states]
      },
      (missing) => missing.length === 0,
      patienceMs,
    )
  }

  /** After a fault: everybody is back and in sync. */
  async healed(): Promise<void> {
    await this.whole()
    await this.inSync()
  }

  kill(id: number): Promise<void> {
    return this.broker(id).crash()
  }

  /** Asks it to stop, and waits until it has. */
  shutDown(id: number): Promise<void> {
    return this.broker(id).shutDown()
  }

  start(id: number): Promise<void> {
    return this.broker(id).start()
  }

  pause(id: number): void {
    process.kill(this.broker(id).pid, 'SIGSTOP')
  }

  resume(id: number): void {
    process.kill(this.broker(id).pid, 'SIGCONT')
  }

  /** Takes away what a dead broker has on its disk. */
  wipe(id: number): void {
    rmSync(this.broker(id).dataFolder, { recursive: true, force: true })
  }

  /** What the brokers printed, the newest part, for a test that failed. */
  get output(): string {
    return this.brokerIds
      .map((id) => `broker ${id}:\n${this.broker(id).output.slice(-6_000)}`)
      .join('\n')
  }

  async remove(): Promise<void> {
    this.#client.close()
    await Promise.all(this.brokerIds.map((id) => this.broker(id).stop()))
    await this.#consul?.remove()
  }
}

function statesOf({ topics }: Metadata): PartitionState[] {
  return topics.flatMap(({ partitions }) =>
    partitions
      .map(({ partitionIndex, leaderId, replicaNodes, isrNodes }) => ({
        partition: partitionIndex,
        leader: leaderId,
        replicas: replicaNodes,
        isr: isrNodes,
      }))
      .sort((a, b) => a.partition - b.partition),
  )
}
