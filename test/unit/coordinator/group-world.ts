/**
 * A group coordinator with nothing real around it: time that moves only when told, a log in memory that survives a crash
 * of the coordinator, topics by a table. Requests and answers pass through the wire format.
 */
import { gunzipSync, gzipSync } from 'node:zlib'
import { silentLogger } from '../../../src/base/logger.ts'
import { GroupCoordinator } from '../../../src/coordinator/group-coordinator.ts'
import type { AppendDone, CoordinatorLog, GroupSettings } from '../../../src/coordinator/ports.ts'
import { crc32c } from '../../../src/io/crc32c.ts'
import type { Io } from '../../../src/io/io.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { assignOffset, lastOffsetDeltaOf } from '../../../src/protocol/record-batch.ts'
import type {
  Api,
  RequestInput,
  RequestOf,
  ResponseInput,
  ResponseOf,
} from '../../../src/protocol/schema.ts'
import { offsetCommitHandler } from '../../../src/server/handlers/08-offset-commit.ts'
import { offsetFetchHandler } from '../../../src/server/handlers/09-offset-fetch.ts'
import { findCoordinatorHandler } from '../../../src/server/handlers/10-find-coordinator.ts'
import { joinGroupHandler } from '../../../src/server/handlers/11-join-group.ts'
import { heartbeatHandler } from '../../../src/server/handlers/12-heartbeat.ts'
import { leaveGroupHandler } from '../../../src/server/handlers/13-leave-group.ts'
import { syncGroupHandler } from '../../../src/server/handlers/14-sync-group.ts'
import { describeGroupsHandler } from '../../../src/server/handlers/15-describe-groups.ts'
import { listGroupsHandler } from '../../../src/server/handlers/16-list-groups.ts'
import { deleteGroupsHandler } from '../../../src/server/handlers/42-delete-groups.ts'
import { offsetDeleteHandler } from '../../../src/server/handlers/47-offset-delete.ts'

/** Time, timers and chance under the test's control. */
export class SimulatedTime {
  /** Some day in 2026. */
  nowMs = 1_790_000_000_000
  readonly #timers = new Set<{ atMs: number; order: number; task: () => void }>()
  #turn: (() => void)[] = []
  #order = 0
  #seed: number

  constructor(seed = 1) {
    this.#seed = seed
  }

  io(): Io {
    const clock = { nowMs: () => this.nowMs }
    const io: Partial<Io> = {
      monotonic: clock,
      brokerClock: { ...clock, advance: (byMs) => this.skip(byMs) },
      wall: clock,
      crc32c,
      codecs: {
        compress: async (_codec, plain) => gzipSync(plain),
        decompress: async (_codec, packed) => gunzipSync(packed),
      },
      timers: {
        schedule: (delayMs, task) => {
          const timer = { atMs: this.nowMs + Math.max(1, delayMs), order: this.#order++, task }
          this.#timers.add(timer)
          return { cancel: () => void this.#timers.delete(timer) }
        },
        endOfTurn: (task) => void this.#turn.push(task),
        nextTurn: (task) => void this.#turn.push(task),
      },
      random: {
        int: (max) => this.#next() % max,
        uuid: () => this.#bytes(16).toString('base64url'),
        bytes: (size) => this.#bytes(size),
      },
    }
    return io as Io
  }

  /** The clock of rules jumps; no timer fires for it. */
  skip(ms: number): void {
    this.nowMs += ms
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    do {
      const tasks = this.#turn
      this.#turn = []
      for (const task of tasks) task()
      for (let i = 0; i < 20; i++) await Promise.resolve()
    } while (this.#turn.length > 0)
  }

  /** Lets everything happen that needs no time, then moves on to the next timer. */
  async step(): Promise<void> {
    for (let i = 0; i < 5; i++) await this.settle()
    const next = Math.min(...[...this.#timers].map(({ atMs }) => atMs))
    if (Number.isFinite(next)) await this.advance(Math.max(0, next - this.nowMs))
  }

  /** Moves time on, stopping at each timer on the way. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    await this.settle()
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.atMs <= endMs)
      const first = due.sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0]
      if (!first) break
      this.#timers.delete(first)
      this.nowMs = Math.max(this.nowMs, first.atMs)
      first.task()
      await this.settle()
    }
    this.nowMs = endMs
  }

  get timers(): number {
    return this.#timers.size
  }

  #next(): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) & 0x7fffffff
    return this.#seed
  }

  #bytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => (this.#next() >> 8) & 0xff))
  }
}

const PIECE_BYTES = 40_009

/** `__consumer_offsets` in memory. */
export class MemoryLog implements CoordinatorLog {
  readonly partitions = new Map<number, Buffer[]>()
  /** What the next appends are answered with instead of being stored. */
  failures: ErrorCode[] = []
  /** Appends wait until this is false again. */
  isStalled = false
  appends = 0
  readonly #io: Io
  #committedEnd = Number.POSITIVE_INFINITY
  readonly #watchers = new Set<() => void>()
  #waiting: (() => void)[] = []
  #loads: Promise<void> | undefined
  #letLoad: () => void = () => {}

  constructor(io: Io) {
    this.#io = io
  }

  maxBatchBytes(): number {
    return 1_048_588
  }

  append(partitionIndex: number, batch: Buffer, done: AppendDone): void {
    this.appends++
    const failure = this.failures.shift()
    if (failure !== undefined) {
      this.#io.timers.endOfTurn(() => done(failure, -1))
      return
    }
    const batches = this.partitions.get(partitionIndex) ?? []
    this.partitions.set(partitionIndex, batches)
    const last = batches.at(-1)
    const baseOffset = last ? Number(last.readBigInt64BE(0)) + lastOffsetDeltaOf(last, 0) + 1 : 0
    assignOffset(batch, 0, baseOffset, 0)
    batches.push(batch)
    const commit = (): void => done(ErrorCode.NONE, baseOffset)
    if (this.isStalled) this.#waiting.push(commit)
    else this.#io.timers.endOfTurn(commit)
  }

  /** Loads that begin from now on wait for `letLoad`. */
  holdLoads(): void {
    this.#loads = new Promise((resolve) => {
      this.#letLoad = resolve
    })
  }

  letLoad(): void {
    this.#letLoad()
  }

  goOn(): void {
    this.isStalled = false
    for (const commit of this.#waiting.splice(0)) commit()
  }

  /** What is in the log from `end` on may be lost; until `commitUpTo` is called again. */
  commitUpTo(end: number): void {
    this.#committedEnd = end
    for (const watcher of [...this.#watchers]) watcher()
  }

  highWatermark(): number {
    return this.#committedEnd
  }

  whenCommitted(_partitionIndex: number, end: number, done: () => void): () => void {
    const watcher = () => {
      if (this.#committedEnd < end) return
      this.#watchers.delete(watcher)
      done()
    }
    this.#watchers.add(watcher)
    watcher()
    return () => this.#watchers.delete(watcher)
  }

  async load(
    partitionIndex: number,
    _maxBytes: number,
    visit: (batches: Buffer) => Promise<void> | void,
  ): Promise<void> {
    await this.#loads
    const batches = this.partitions.get(partitionIndex) ?? []
    const all = Buffer.concat(batches)
    // In pieces that cut batches anywhere.
    for (let at = 0; at < all.length; at += PIECE_BYTES) {
      await visit(all.subarray(at, at + PIECE_BYTES))
    }
  }
}

export const defaultSettings: GroupSettings = {
  'group.min.session.timeout.ms': 6_000,
  'group.max.session.timeout.ms': 1_800_000,
  'group.initial.rebalance.delay.ms': 0,
  'group.max.size': 2_147_483_647,
  'group.coordinator.append.linger.ms': -1,
  'offset.metadata.max.bytes': 4_096,
  'offsets.commit.timeout.ms': 5_000,
  'offsets.load.buffer.size': 5_242_880,
  'offsets.retention.minutes': 10_080,
  'offsets.retention.check.interval.ms': 600_000,
  'offsets.topic.num.partitions': 50,
  'offsets.topic.compression.codec': 0,
}

export type WorldTopic = { topicId: string; partitions: number }

export class GroupWorld {
  readonly time: SimulatedTime
  readonly log: MemoryLog
  readonly settings: GroupSettings
  readonly topics = new Map<string, WorldTopic>([
    ['orders', { topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partitions: 4 }],
    ['payments', { topicId: 'AAAAAAAAAAAAAAAAAAAAAg', partitions: 2 }],
  ])
  coordinator: GroupCoordinator
  #offsetsTopicPartitions: number | undefined

  constructor(settings: Partial<GroupSettings> = {}, seed = 1) {
    this.time = new SimulatedTime(seed)
    this.log = new MemoryLog(this.time.io())
    this.settings = { ...defaultSettings, ...settings }
    this.coordinator = this.#newCoordinator()
  }

  #newCoordinator(): GroupCoordinator {
    return new GroupCoordinator({
      io: this.time.io(),
      logger: silentLogger,
      settings: this.settings,
      log: this.log,
      topics: {
        idOf: (topic) => this.topics.get(topic)?.topicId,
        nameOf: (id) => [...this.topics].find(([, { topicId }]) => topicId === id)?.[0],
        partitionCount: (topic) => this.topics.get(topic)?.partitions,
      },
      offsetsTopic: {
        partitionCount: () => this.#offsetsTopicPartitions,
        leaderOf: () => ({ brokerId: 1, host: 'localhost', port: 9092 }),
        create: async () => this.lead(),
      },
    })
  }

  /** The topic is there and this broker leads all of it. */
  lead(): void {
    const count = this.settings['offsets.topic.num.partitions']
    this.#offsetsTopicPartitions = count
    for (let i = 0; i < count; i++) this.coordinator.lead(i, 0)
  }

  async start(): Promise<this> {
    this.lead()
    await this.time.settle()
    return this
  }

  /** As `kill -9` and a new start: only the log is left. */
  async crash(): Promise<void> {
    this.coordinator.close()
    await this.time.settle()
    this.coordinator = this.#newCoordinator()
    await this.start()
  }

  /** Sends a request as a client of some version and gives the decoded answer, when there is one. */
  async call<A extends Api>(
    api: A,
    apiVersion: number,
    input: RequestInput<A>,
    clientId = 'client',
  ): Promise<ResponseOf<A>> {
    const bytes = api.request.encode(input as never, apiVersion)
    const request = api.request.decode(bytes, apiVersion) as RequestOf<A>
    const answer = this.#dispatch(api, request, apiVersion, clientId)
    // The bytes of a request are reused by its connection once the handler has returned.
    bytes.fill(0xee)
    const response = api.response.encode((await answer) as never, apiVersion)
    return api.response.decode(response, apiVersion) as ResponseOf<A>
  }

  #dispatch<A extends Api>(
    api: A,
    request: RequestOf<A>,
    apiVersion: number,
    clientId: string,
  ): Promise<ResponseInput<A>> | ResponseInput<A> {
    const serve = handlers.get(api.key)
    if (!serve) throw new Error(`no group API: ${api.name}`)
    return serve(request, {
      apiVersion,
      clientId,
      connection: { listenerName: 'PLAINTEXT', remoteAddress: '127.0.0.1' },
      services: { groups: this.coordinator },
    }) as Promise<ResponseInput<A>>
  }
}

/** A handler with the types of its API forgotten: the table pairs them by key. */
type Serve = (request: unknown, context: unknown) => unknown

const handlers = new Map<number, Serve>(
  [
    offsetCommitHandler,
    offsetFetchHandler,
    findCoordinatorHandler,
    joinGroupHandler,
    heartbeatHandler,
    leaveGroupHandler,
    syncGroupHandler,
    describeGroupsHandler,
    listGroupsHandler,
    deleteGroupsHandler,
    offsetDeleteHandler,
  ].map((handler) => [handler.api.key, handler.serve as Serve]),
)
