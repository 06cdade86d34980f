// Clients inside the simulation, which write down what they see.
import { Client } from '../../src/client/client.ts'
import { Fetcher } from '../../src/client/fetcher.ts'
import { GroupMember } from '../../src/client/group-member.ts'
import { listOffsets, OffsetSpec } from '../../src/client/offsets.ts'
import { Producer } from '../../src/client/producer.ts'
import type { HistoryEvent, SendValue } from '../checker/history-checker.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { SimProcess } from './sim-host.ts'
import type { SimRandom } from './sim-random.ts'

/** `partitions` grows when partitions were added for sure. */
export type Topic = { readonly name: string; partitions: number }

export type Recorder = {
  readonly cluster: SimCluster
  readonly random: SimRandom
  readonly history: HistoryEvent[]
  readonly topic: Topic
  /** Nothing new is begun any more. */
  isOver: boolean
}

const PATIENCE_MS = 20_000

function connect(
  cluster: SimCluster,
  { io }: SimProcess,
  patienceMs: number = PATIENCE_MS,
  onRetry: () => void = () => {},
): Client {
  const { bootstrap } = cluster
  return new Client(io, {
    bootstrap,
    connectTimeoutMs: 2_000,
    requestTimeoutMs: 5_000,
    retryForMs: patienceMs,
    onRetry,
  })
}

/** A client's machine: its processes come and go. */
export abstract class Actor {
  protected readonly recorder: Recorder
  readonly name: string
  protected process: SimProcess
  protected client: Client
  readonly #patienceMs: number
  #sessions = 0
  /** Requests that were sent again: the first ones may still be on their way. */
  protected retries = 0
  sessionName = ''

  constructor(recorder: Recorder, name: string, patienceMs: number = PATIENCE_MS) {
    this.recorder = recorder
    this.name = name
    this.#patienceMs = patienceMs
    this.process = recorder.cluster.client(name)
    this.client = connect(recorder.cluster, this.process, patienceMs)
    this.renew()
  }

  /** Another process takes the place of this one. */
  protected renew(): void {
    this.process = this.recorder.cluster.client(this.name)
    const onRetry = () => void this.retries++
    this.client = connect(this.recorder.cluster, this.process, this.#patienceMs, onRetry)
    this.sessionName = `${this.name}.${++this.#sessions}`
  }

  protected note(event: Omit<HistoryEvent, 'process' | 't'>): void {
    const { cluster, history } = this.recorder
    history.push({ ...event, process: this.sessionName, t: cluster.nowMs } as HistoryEvent)
  }

  /** On the outside's clock: it comes also when the client's process is gone. */
  protected wait(ms: number): Promise<void> {
    return this.recorder.cluster.wait(ms)
  }
}

export type SendHow = Pick<SendValue, 'acks' | 'idempotent'>

/** Sends values without end, and starts over when it fails or dies. */
export class SimProducer extends Actor {
  readonly #how: SendHow
  readonly #pauseMs: number
  #waiting = new Map<number, SendValue[]>()
  #sent = 0
  isDone = false

  constructor(recorder: Recorder, name: string, how: SendHow, pauseMs: number) {
    super(recorder, name)
    this.#how = how
    this.#pauseMs = pauseMs
  }

  async run(): Promise<void> {
    const { recorder } = this
    while (!recorder.isOver) {
      const livesMs = recorder.random.chance(0.5) ? recorder.random.int(30_000) : 1e9
      try {
        const producer = this.#open()
        const endMs = recorder.cluster.nowMs + livesMs
        const sending = this.#send(producer, endMs)
        // Some die in the middle of it.
        const isSudden = recorder.random.chance(0.5)
        await (isSudden ? Promise.race([sending, this.wait(livesMs)]) : sending)
        if (recorder.isOver) await this.#flush(producer)
      } catch {
        // What was sent and not acknowledged may be there or not.
      }
      this.#crash()
      await this.wait(recorder.random.int(500))
    }
    this.isDone = true
  }

  #open(): Producer {
    this.renew()
    this.#waiting = new Map()
    const { sessionName } = this
    const { acks, idempotent } = this.#how
    return new Producer(this.client, {
      acks,
      idempotent,
      batchBytes: 400,
      retryForMs: PATIENCE_MS,
      timeoutMs: 3_000,
      onAcknowledged: ({ partitionIndex, baseOffset, recordCount }) => {
        if (sessionName !== this.sessionName || acks === 0) return
        const sent = this.#waiting.get(partitionIndex)?.splice(0, recordCount) ?? []
        sent.forEach((value, at) => {
          const offset = baseOffset < 0 ? -1 : baseOffset + at
          this.note({ type: 'ok', f: 'send', value: { ...value, offset } })
        })
      },
    })
  }

  async #send(producer: Producer, untilMs: number): Promise<void> {
    const { recorder } = this
    const { topic, random, cluster } = recorder
    const { sessionName } = this
    while (!recorder.isOver && cluster.nowMs < untilMs && sessionName === this.sessionName) {
      const partition = random.int(topic.partitions)
      const count = 1 + random.int(3)
      const sends: Promise<void>[] = []
      for (let at = 0; at < count; at++) {
        const value = {
          topic: topic.name,
          partition,
          value: `${this.name}:${++this.#sent}`,
          ...this.#how,
        }
        const waiting = this.#waiting.get(partition)
        if (waiting) waiting.push(value)
        else this.#waiting.set(partition, [value])
        this.note({ type: 'invoke', f: 'send', value })
        // Producers of which nothing was heard for long, by their own records' times, are forgotten.
        const timestamp = this.process.io.wall.nowMs()
        const record = { key: null, value: Buffer.from(value.value), timestamp }
        sends.push(producer.send(topic.name, record, partition))
      }
      const sent = Promise.all(sends)
      const isStuck = await Promise.race([
        sent.then(() => false),
        this.wait(60_000).then(() => true),
      ])
      if (isStuck) throw new Error('stuck')
      await this.wait(random.int(this.#pauseMs))
    }
  }

  #flush(producer: Producer): Promise<unknown> {
    return Promise.race([producer.flush(), this.wait(2 * PATIENCE_MS)])
  }

  #crash(): void {
    this.note({ type: 'info', f: 'crash', value: null })
    this.sessionName = ''
    this.#waiting = new Map()
    this.process.host.kill()
  }
}

/** Reads all partitions from their beginning, and on. */
export class SimReader extends Actor {
  readonly positions = new Map<number, number>()
  readonly #pauseMs: number
  readonly #rack: string
  isDone = false

  /**
   * @param pauseMs after each answer
   * @param rack where it is: it reads from the closest replica
   */
  constructor(recorder: Recorder, name: string, pauseMs: number, rack = '') {
    super(recorder, name)
    this.#pauseMs = pauseMs
    this.#rack = rack
  }

  /** @param isEnough asked after every round */
  async run(isEnough: (reader: SimReader) => boolean): Promise<void> {
    const { topic, cluster } = this.recorder
    this.renew()
    while (!isEnough(this)) {
      const how = { maxWaitMs: 300, reset: 'earliest', rack: this.#rack } as const
      const fetcher = new Fetcher(this.client, how)
      for (let partition = this.positions.size; partition < topic.partitions; partition++) {
        this.positions.set(partition, 0)
      }
      fetcher.assign(this.#places())
      try {
        while (!isEnough(this) && this.positions.size === topic.partitions) {
          const records = await fetcher.poll()
          const byPartition = new Map<number, [number, string][]>()
          for (const { partitionIndex, offset, value } of records) {
            const list = byPartition.get(partitionIndex)
            if (list) list.push([offset, String(value)])
            else byPartition.set(partitionIndex, [[offset, String(value)]])
          }
          for (const [partition, list] of byPartition) {
            cluster.observer.shown(`${topic.name}-${partition}`, list.at(-1)?.[0] ?? -1)
            this.note({
              type: 'ok',
              f: 'poll',
              value: { topic: topic.name, partition, records: list },
            })
          }
          for (const { partitionIndex, offset } of fetcher.positions) {
            this.positions.set(partitionIndex, offset)
          }
          if (records.length > 0) await this.wait(this.#pauseMs)
        }
      } catch (error) {
        cluster.tell(`${this.name} begins anew: ${String(error)}`)
        await this.wait(200)
      }
    }
    this.client.close()
    this.isDone = true
  }

  #places() {
    const { name } = this.recorder.topic
    return [...this.positions].map(([partitionIndex, offset]) => ({
      topic: name,
      partitionIndex,
      offset,
    }))
  }
}

/** Reads its share as a member of a group, and commits as it goes; dies and comes back now and then. */
export class SimMember extends Actor {
  readonly #group: string
  readonly #rack: string
  isDone = false

  constructor(recorder: Recorder, name: string, group: string, rack = '') {
    super(recorder, name)
    this.#group = group
    this.#rack = rack
  }

  async run(): Promise<void> {
    const { recorder } = this
    while (!recorder.isOver) {
      this.renew()
      const livesMs = recorder.random.chance(0.5) ? recorder.random.int(40_000) : 1e9
      const member = new GroupMember(this.client, {
        groupId: this.#group,
        topics: [recorder.topic.name],
        sessionTimeoutMs: 6_000,
        rebalanceTimeoutMs: 10_000,
      })
      const died = this.wait(livesMs).then(() => true)
      const ended = this.#live(member).then(
        () => false,
        () => false,
      )
      const isDead = await Promise.race([died, ended])
      if (!isDead && recorder.isOver) await Promise.race([member.leave(), this.wait(5_000)])
      this.process.host.kill()
      await this.wait(recorder.random.int(2_000))
    }
    this.isDone = true
  }

  async #live(member: GroupMember): Promise<void> {
    const { recorder } = this
    const how = { maxWaitMs: 200, reset: 'earliest', rack: this.#rack } as const
    const fetcher = new Fetcher(this.client, how)
    while (!recorder.isOver) {
      if (member.mustRejoin) {
        const places = await member.join()
        for (const place of places) this.#noteOffset('committed', 'invoke', place, -1)
        const committed = await member.committed(places)
        for (const each of committed) this.#noteOffset('committed', 'ok', each, each.offset)
        this.note({
          type: 'ok',
          f: 'assign',
          value: places.map(({ topic, partitionIndex }) => ({ topic, partition: partitionIndex })),
        })
        fetcher.assign(committed.map((each) => ({ ...each, offset: Math.max(0, each.offset) })))
      }
      await fetcher.poll()
      const offsets = fetcher.positions.filter(({ offset }) => offset > 0)
      const before = offsets.map((each) => ({ ...each }))
      await member.commit(before)
      if (!member.mustRejoin) {
        for (const each of before) this.#noteOffset('commit', 'ok', each, each.offset)
      }
      await this.wait(recorder.random.int(400))
    }
  }

  #noteOffset(
    f: 'commit' | 'committed',
    type: 'invoke' | 'ok',
    { topic, partitionIndex }: { readonly topic: string; readonly partitionIndex: number },
    offset: number,
  ): void {
    this.note({ type, f, value: { group: this.#group, topic, partition: partitionIndex, offset } })
  }
}

/** The ends of all partitions, asked of their leaders. */
export async function endsOf(cluster: SimCluster, topic: Topic): Promise<number[]> {
  const client = connect(cluster, cluster.client('asker'))
  const questions = Array.from({ length: topic.partitions }, (_, partitionIndex) => ({
    topic: topic.name,
    partitionIndex,
    timestamp: OffsetSpec.latest,
  }))
  const listed = await listOffsets(client, questions)
  client.close()
  return listed.map(({ offset }) => offset)
}

/** For the set-up. */
export const adminOf = (cluster: SimCluster): Client => connect(cluster, cluster.client('admin'))
