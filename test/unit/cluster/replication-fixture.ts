/**
 * Brokers' partitions, logs, replication and the server's fetching, coupled in memory: no sockets, no controller but a
 * small one here. Requests and answers go through their wire form.
 */

import { LmqError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type {
  AlterPartitionRequest,
  AlterPartitionResponse,
} from '../../../src/cluster/isr-changes.ts'
import { MetadataDelta } from '../../../src/cluster/metadata-delta.ts'
import { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import type { MetadataRecord } from '../../../src/cluster/metadata-records.ts'
import type { Partition } from '../../../src/cluster/partition.ts'
import { Partitions } from '../../../src/cluster/partitions.ts'
import type { ReplicaConnection } from '../../../src/cluster/replica-fetcher.ts'
import { Replication } from '../../../src/cluster/replication.ts'
import type { PartitionImage } from '../../../src/cluster/topic-image.ts'
import { BrokerSettings } from '../../../src/config/broker-settings.ts'
import type { Io } from '../../../src/io/io.ts'
import { LogDirs } from '../../../src/log/log-dirs.ts'
import type { AppendResult } from '../../../src/log/log-outcomes.ts'
import { TopicMetricsTable } from '../../../src/metrics/topic-metrics.ts'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { Reader } from '../../../src/protocol/reader.ts'
import type { Api, RequestInput, RequestOf, ResponseOf } from '../../../src/protocol/schema.ts'
import { Writer } from '../../../src/protocol/writer.ts'
import { FetchSessionCache } from '../../../src/server/fetch-session-cache.ts'
import type { ConnectionFacts, Services } from '../../../src/server/handler.ts'
import { fetchHandler } from '../../../src/server/handlers/01-fetch.ts'
import { MemoryBudget } from '../../../src/server/memory-budget.ts'

export const TOPIC = 'orders'
export const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'
const NEWEST = fetch.versions.max

/** Goes through the wire form, so that nothing passes that the wire would not carry. */
function carried<A extends Api>(api: A, part: 'request' | 'response', message: object): object {
  const writer = new Writer()
  writer.int32(0)
  api[part].write(writer, message as never, NEWEST)
  const [...chunks] = writer.finishFrame()
  const bytes = Buffer.concat(chunks)
  return api[part].read(new Reader(bytes, 4, bytes.length), NEWEST) as object
}

export type RackedBroker = { readonly id: number; readonly rack?: string | undefined }

export class TestBroker {
  readonly id: number
  readonly cluster: TestCluster
  readonly image = new MetadataImage()
  readonly incarnationId: string
  readonly logDirs: LogDirs
  readonly partitions: Partitions
  readonly replication: Replication
  readonly services: Services
  readonly connections = new Set<TestConnection>()
  /** False: its port refuses, and what is under way is cut. */
  isReachable = true
  requests = 0

  constructor(cluster: TestCluster, id: number, rack: string | undefined, logDirs: LogDirs) {
    const { io, logger } = cluster
    this.id = id
    this.cluster = cluster
    this.logDirs = logDirs
    this.incarnationId = io.random.uuid()
    const settings = new BrokerSettings(new Map(Object.entries(cluster.texts)))
    const { config } = settings
    const { image, incarnationId } = this
    const brokerId = id
    this.partitions = new Partitions({
      io,
      brokerId,
      incarnationId,
      image,
      logDirs,
      config,
      logger,
    })
    const topicMetrics = new TopicMetricsTable()
    this.replication = new Replication({
      io,
      brokerId,
      partitions: this.partitions,
      config,
      topicMetrics,
      open: (leaderId) => cluster.connect(this, leaderId),
      alterPartition: (request) => cluster.alterPartition(this, request),
      logger,
    })
    this.services = {
      io,
      config,
      image,
      partitions: this.partitions,
      fetchSessions: new FetchSessionCache(1000, io.monotonic, io.random),
      answerMemory: new MemoryBudget(64 * 1024 * 1024),
      topicMetrics,
      logger,
      broker: { brokerId, clusterId: 'cluster', rack: rack ?? null },
    } as unknown as Services
  }

  get partition(): Partition {
    const partition = this.partitions.replica(TOPIC, 0)
    if (!partition) throw new Error(`broker ${this.id} has no replica`)
    return partition
  }

  append(value: string, acks = -1): Promise<AppendResult> {
    const batch = buildBatch(
      [{ key: null, value: Buffer.from(value), timestamp: 1_000 }],
      {},
      this.cluster.io.crc32c,
    )
    return new Promise((resolve) => {
      this.partition.append(batch, { acks, produceVersion: 11 }, resolve)
    })
  }

  cut(): void {
    for (const connection of [...this.connections]) connection.close()
  }

  async stop(): Promise<void> {
    this.isReachable = false
    this.cut()
    this.replication.close()
    this.services.fetchSessions.close()
    this.partitions.close()
    await this.logDirs.close()
  }
}

/** One connection of a broker to another, or of a consumer. */
export class TestConnection implements ReplicaConnection {
  readonly #server: TestBroker
  readonly #facts: ConnectionFacts
  readonly #enders = new Set<() => void>()
  readonly #rejects = new Set<(error: Error) => void>()
  #queue: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #next: (() => void) | undefined
  #closed = false

  constructor(server: TestBroker, brokerId: number | undefined) {
    this.#server = server
    const isClosed = () => this.#closed
    this.#facts = {
      id: 1,
      listenerName: 'PLAINTEXT',
      remoteAddress: '127.0.0.1',
      principal: brokerId === undefined ? 'User:ANONYMOUS' : `Broker:${brokerId}`,
      brokerId,
      get closed() {
        return isClosed()
      },
      onEnd: (listener: () => void) => this.#enders.add(listener),
      offEnd: (listener: () => void) => this.#enders.delete(listener),
      onNext: (listener: (() => void) | undefined) => {
        this.#next = listener
        if (listener && this.#waiting > 1) server.cluster.io.timers.endOfTurn(listener)
      },
    } as unknown as ConnectionFacts
    server.connections.add(this)
  }

  get isClosed(): boolean {
    return this.#closed
  }

  request(
    api: typeof fetch,
    request: RequestInput<typeof fetch>,
  ): Promise<ResponseOf<typeof fetch>> {
    const { io } = this.#server.cluster
    if (this.#closed) return Promise.reject(new LmqError('LMQ_CONNECTION_CLOSED', {}))
    const message = carried(api, 'request', request) as RequestOf<typeof fetch>
    this.#waiting++
    this.#next?.()
    const before = this.#queue
    const answer = new Promise<ResponseOf<typeof fetch>>((resolve, reject) => {
      this.#rejects.add(reject)
      const serve = () => {
        if (this.#closed) return
        this.#server.requests++
        const { services } = this.#server
        const context = { apiVersion: NEWEST, clientId: 'test', connection: this.#facts, services }
        fetchHandler.start(message, context, (answered) => {
          this.#waiting--
          if (this.#closed) return
          this.#rejects.delete(reject)
          const back = carried(api, 'response', answered as object)
          io.timers.endOfTurn(() => resolve(back as ResponseOf<typeof fetch>))
        })
      }
      before.then(() => io.timers.endOfTurn(serve))
    })
    this.#queue = answer.catch(() => {})
    return answer
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#server.connections.delete(this)
    for (const end of [...this.#enders]) end()
    for (const reject of this.#rejects) reject(new LmqError('LMQ_CONNECTION_CLOSED', {}))
  }
}

export class TestCluster {
  readonly io: Io
  readonly logger = silentLogger
  readonly texts: Record<string, string>
  readonly brokers = new Map<number, TestBroker>()
  /** The controller's state. */
  readonly image = new MetadataImage()
  /** What the controller is asked; it may be made to fail. */
  alterations: AlterPartitionRequest[] = []
  refuseWith: ErrorCode = ErrorCode.NONE
  isControllerReachable = true
  #folder: string
  #index = 0
  #epoch = 0
  /** Brokers that do not hear of the metadata. */
  readonly deaf = new Set<number>()
  readonly #log: MetadataRecord[][] = []

  constructor(io: Io, folder: string, texts: Record<string, string> = {}) {
    this.io = io
    this.#folder = folder
    this.texts = { 'replica.fetch.backoff.ms': '200', ...texts }
  }

  /**
   * Starts the broker's process, registers it, and lets it hear everything.
   *
   * @param share of its log that it still has
   */
  async start(id: number, rack?: string, share = 1): Promise<TestBroker> {
    const { io, logger } = this
    const settings = new BrokerSettings(new Map(Object.entries(this.texts))).config
    const logDirs = await LogDirs.open(io, {
      dirs: [`${this.#folder}/b${id}`],
      clusterId: 'cluster',
      brokerId: id,
      logger,
      settings,
    })
    const broker = new TestBroker(this, id, rack, logDirs)
    this.brokers.set(id, broker)
    for (const [index, records] of this.#log.entries()) {
      broker.image.applyEntry(index + 1, records, new MetadataDelta())
    }
    broker.partitions.start()
    if (share < 1) {
      const { log } = broker.partition
      await log.truncateTo(Math.floor(log.logEndOffset * share))
    }
    broker.replication.start()
    this.commit([
      {
        kind: 'registerBroker',
        brokerId: id,
        brokerEpoch: ++this.#epoch,
        incarnationId: broker.incarnationId,
        directoryIds: [],
        bootId: null,
        rack: rack ?? null,
        hostId: null,
        listeners: [],
        fenced: false,
      } as unknown as MetadataRecord,
    ])
    return broker
  }

  broker(id: number): TestBroker {
    const broker = this.brokers.get(id)
    if (!broker) throw new Error(`no broker ${id}`)
    return broker
  }

  get state(): PartitionImage {
    const state = this.image.partition(TOPIC, 0)
    if (!state) throw new Error('no partition')
    return state
  }

  get leader(): TestBroker {
    return this.broker(this.state.leader)
  }

  /** One entry of the metadata log, applied everywhere at once but on the deaf. */
  commit(records: MetadataRecord[]): void {
    this.#log.push(records)
    this.#index = this.#log.length
    this.image.applyEntry(this.#index, records, new MetadataDelta())
    for (const broker of this.brokers.values()) {
      if (!this.deaf.has(broker.id)) this.tell(broker)
    }
  }

  /** The broker hears what it has not heard yet. */
  tell(broker: TestBroker): void {
    const delta = new MetadataDelta()
    for (let index = broker.image.index + 1; index <= this.#log.length; index++) {
      if (index < 1) continue
      broker.image.applyEntry(index, this.#log[index - 1] as MetadataRecord[], delta)
    }
    broker.partitions.apply(delta)
  }

  create(replicas: readonly number[], configs: Record<string, string> = {}): void {
    const [leader = -1] = replicas
    this.commit([
      { kind: 'topic', name: TOPIC, topicId: TOPIC_ID },
      {
        kind: 'partition',
        topicId: TOPIC_ID,
        partitionIndex: 0,
        replicas,
        isr: replicas,
        elr: [],
        lastKnownElr: [],
        emptied: [],
        addingReplicas: [],
        removingReplicas: [],
        leader,
        leaderRecoveryState: 0,
        leaderEpoch: 0,
        partitionEpoch: 0,
      } as unknown as MetadataRecord,
      ...Object.entries(configs).map(
        ([name, value]): MetadataRecord => ({
          kind: 'config',
          resourceType: 2,
          resourceName: TOPIC,
          name,
          value,
        }),
      ),
    ])
  }

  /** The controller decides. Leader epoch rises when the leader changes or `renew` says so. */
  decide(change: { leader?: number; isr?: readonly number[]; renew?: boolean }): void {
    const { isr, leader, leaderEpoch, partitionEpoch } = this.state
    const next = change.leader ?? leader
    const isNew = next !== leader || change.renew === true
    this.commit([
      {
        kind: 'partitionChange',
        topicId: TOPIC_ID,
        partitionIndex: 0,
        isr: change.isr ?? isr,
        elr: [],
        lastKnownElr: [],
        emptied: [],
        leader: next,
        leaderRecoveryState: 0,
        leaderEpoch: leaderEpoch + (isNew ? 1 : 0),
        partitionEpoch: partitionEpoch + 1,
      } as unknown as MetadataRecord,
    ])
  }

  fence(id: number, fenced = true): void {
    const { brokerEpoch } = this.image.brokers.get(id) as { brokerEpoch: number }
    this.commit([
      { kind: 'brokerChange', brokerId: id, brokerEpoch, fenced, inControlledShutdown: false },
    ])
  }

  async connect(_from: TestBroker, to: number): Promise<TestConnection> {
    const server = this.brokers.get(to)
    if (!server?.isReachable || !_from.isReachable) {
      throw new LmqError('LMQ_CONNECTION_CLOSED', { to })
    }
    return new TestConnection(server, _from.id)
  }

  async alterPartition(
    from: TestBroker,
    request: AlterPartitionRequest,
  ): Promise<AlterPartitionResponse> {
    this.alterations.push(request)
    await new Promise<void>((resolve) => this.io.timers.schedule(1, resolve))
    if (!this.isControllerReachable) throw new LmqError('LMQ_NOT_CONTROLLER', {})
    const registered = this.image.brokers.get(from.id)
    const answer = (errorCode: ErrorCode, partitionError: ErrorCode): AlterPartitionResponse => ({
      throttleTimeMs: 0,
      errorCode,
      topics: [
        {
          topicName: '',
          topicId: TOPIC_ID,
          partitions: [
            {
              partitionIndex: 0,
              errorCode: partitionError,
              leaderId: this.state.leader,
              leaderEpoch: this.state.leaderEpoch,
              isr: [...this.state.isr],
              leaderRecoveryState: 0,
              partitionEpoch: this.state.partitionEpoch,
            },
          ],
        },
      ],
    })
    if (registered?.brokerEpoch !== request.brokerEpoch) {
      return answer(ErrorCode.STALE_BROKER_EPOCH, ErrorCode.NONE)
    }
    if (this.refuseWith !== ErrorCode.NONE) return answer(ErrorCode.NONE, this.refuseWith)
    const [partition] = request.topics[0]?.partitions ?? []
    if (!partition) throw new Error('an empty request')
    const { leaderEpoch, partitionEpoch } = this.state
    if (partition.leaderEpoch !== leaderEpoch) {
      return answer(ErrorCode.NONE, ErrorCode.FENCED_LEADER_EPOCH)
    }
    if (partition.partitionEpoch !== partitionEpoch) {
      return answer(ErrorCode.NONE, ErrorCode.INVALID_UPDATE_VERSION)
    }
    for (const { brokerId, brokerEpoch = -1 } of partition.newIsrWithEpochs) {
      const member = this.image.brokers.get(brokerId)
      const isStale = brokerEpoch >= 0 && member?.brokerEpoch !== brokerEpoch
      if (!member || member.fenced || isStale) {
        return answer(ErrorCode.NONE, ErrorCode.INELIGIBLE_REPLICA)
      }
    }
    this.decide({ isr: partition.newIsrWithEpochs.map(({ brokerId }) => brokerId) })
    return answer(ErrorCode.NONE, ErrorCode.NONE)
  }

  /** Waits in simulated or real time until something holds. */
  async until(what: string, holds: () => boolean, withinMs = 60_000): Promise<void> {
    const endMs = this.io.monotonic.nowMs() + withinMs
    while (!holds()) {
      if (this.io.monotonic.nowMs() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`)
      await this.pause(5)
    }
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.io.timers.schedule(ms, resolve))
  }

  async stop(): Promise<void> {
    for (const broker of this.brokers.values()) await broker.stop()
  }
}

/** All records of a replica up to `end`, as `offset:epoch:value`. */
export async function recordsOf(partition: Partition, end: number): Promise<string[]> {
  const { log } = partition
  const found: string[] = []
  for (let offset = log.logStartOffset; offset < end; ) {
    const { records, nextOffset, errorCode } = await log.read(offset, 1_000_000, {
      upTo: end,
      minOneBatch: true,
    })
    if (errorCode !== ErrorCode.NONE) throw new Error(`read gives ${errorCode}`)
    if (nextOffset <= offset) break
    for (const part of records) found.push(...batchesIn(part))
    offset = nextOffset
  }
  return found
}

/** Batches here hold one record of a value without key or headers. */
function* batchesIn(part: Buffer): Iterable<string> {
  for (let at = 0; at < part.length; at += part.readInt32BE(at + 8) + 12) {
    const size = part.readInt32BE(at + 8) + 12
    const value = part.subarray(at + 61 + 6, at + size - 1).toString()
    yield `${part.readBigInt64BE(at)}:${part.readInt32BE(at + 12)}:${value}`
  }
}
