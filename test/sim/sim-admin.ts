// Somebody who changes the cluster while it is in use and in trouble.
import { LmqError } from '../../src/base/errors.ts'
import { alterConfigs } from '../../src/client/admin-configs.ts'
import {
  createPartitions,
  createTopic,
  deleteRecords,
  deleteTopic,
} from '../../src/client/admin-topics.ts'
import { OutcomeError } from '../../src/client/outcome-error.ts'
import { Producer } from '../../src/client/producer.ts'
import { electLeaders } from '../../src/protocol/apis/43-elect-leaders.ts'
import { alterPartitionReassignments } from '../../src/protocol/apis/45-alter-partition-reassignments.ts'
import { Actor, type Recorder } from './sim-clients.ts'

/** `unknown`: nobody knows when what was asked for will happen, if it does. */
type Fate = 'there' | 'gone' | 'unknown'

type Extra = {
  readonly name: string
  fate: Fate
  /** Acknowledged since it was created, all in the first partition. */
  records: number
}

const ACTIONS = [
  ...(['create', 'create', 'write', 'write', 'delete', 'grow'] as const),
  ...(['move', 'move', 'cancel', 'elect', 'trim', 'trim', 'set'] as const),
]
type Action = (typeof ACTIONS)[number]

const MOST_PARTITIONS = 4
const PATIENCE_MS = 8_000

/**
 * Creates, fills and deletes topics, adds partitions, moves replicas and cancels that, elects preferred leaders, deletes
 * records, changes when records count. What was acknowledged must be so in the end.
 */
export class SimAdmin extends Actor {
  readonly #extras: Extra[] = []
  /** By partition: where its replicas are to be. */
  readonly #wanted = new Map<number, readonly number[]>()
  /** Partitions of which nobody knows where their replicas will be. */
  readonly #unclear = new Set<number>()
  readonly counts = new Map<string, number>()
  isDone = false

  constructor(recorder: Recorder) {
    super(recorder, 'admin-actor', PATIENCE_MS)
  }

  async run(): Promise<void> {
    const { recorder } = this
    const { random, cluster } = recorder
    while (!recorder.isOver) {
      await this.wait(random.int(1_500))
      const action = random.pick(ACTIONS)
      try {
        const outcome = await this.#act(action)
        if (outcome !== undefined) {
          this.counts.set(action, (this.counts.get(action) ?? 0) + 1)
          cluster.tell(`admin: ${outcome}`)
        }
      } catch (error) {
        if (!(error instanceof LmqError || error instanceof OutcomeError)) throw error
        cluster.tell(`admin: ${action}: ${error.message}`)
      }
    }
    this.process.host.kill()
    this.isDone = true
  }

  /** @returns what was acknowledged and is not so; undefined: all is */
  missing(): string | undefined {
    const { image, ends } = this.recorder.cluster.observer
    for (const { name, fate, records } of this.#extras) {
      const isThere = image?.topics.has(name) ?? false
      if (fate === 'there' && !isThere) return `topic ${name} was created, and is gone`
      if (fate === 'gone' && isThere) return `topic ${name} was deleted, and is there`
      const end = ends.get(`${name}-0`) ?? 0
      if (fate === 'there' && end < records) {
        return `${name}-0 ends at ${end}, ${records} are acknowledged`
      }
    }
    const { name, partitions } = this.recorder.topic
    const count = image?.topics.get(name)?.partitions.length ?? 0
    if (count < partitions) return `${name} has ${count} partitions, ${partitions} wanted`
    for (const [partitionIndex, wanted] of this.#wanted) {
      const { replicas = [] } = image?.partition(name, partitionIndex) ?? {}
      if (String(replicas) === String(wanted)) continue
      return `${name}-${partitionIndex} is on ${replicas}, ${wanted} is wanted`
    }
    return undefined
  }

  /** @returns what was done; undefined when there was nothing to do */
  async #act(action: Action): Promise<string | undefined> {
    const { topic, random, cluster } = this.recorder
    const partitionIndex = random.int(topic.partitions)
    switch (action) {
      case 'create':
        return this.#create()
      case 'write':
        return this.#write()
      case 'delete':
        return this.#delete()
      case 'grow': {
        const count = topic.partitions + 1
        if (count > MOST_PARTITIONS) return undefined
        await createPartitions(this.client, topic.name, count)
        topic.partitions = count
        return `${topic.name} has ${count} partitions`
      }
      case 'move': {
        const known = cluster.observer.image?.partition(topic.name, partitionIndex)
        if (!known) return undefined
        const size = known.replicas.length - known.addingReplicas.length
        const replicas = shuffled(cluster.brokerIds, random).slice(0, size)
        await this.#reassign(partitionIndex, replicas)
        return `${topic.name}-${partitionIndex} moves from ${known.replicas} to ${replicas}`
      }
      case 'cancel': {
        const known = cluster.observer.image?.partition(topic.name, partitionIndex)
        if (!known || known.addingReplicas.length + known.removingReplicas.length === 0) {
          return undefined
        }
        await this.#reassign(partitionIndex, null)
        return `${topic.name}-${partitionIndex} does not move`
      }
      case 'elect':
        await this.client.request('controller', electLeaders, {
          electionType: 0,
          topicPartitions: null,
          timeoutMs: 2_000,
        })
        return 'preferred leaders are elected'
      case 'set':
        return this.#set()
      default:
        return this.#trim(partitionIndex)
    }
  }

  async #create(): Promise<string | undefined> {
    const { random } = this.recorder
    if (this.#extras.filter(({ fate }) => fate === 'there').length > 2) return undefined
    // A name that was there before stands for another topic then.
    let extra = this.#extras.find(({ fate }) => fate === 'gone')
    if (!extra || random.chance(0.3)) {
      extra = { name: `extra${this.#extras.length}`, fate: 'gone', records: 0 }
      this.#extras.push(extra)
    }
    extra.fate = 'unknown'
    const { retries } = this
    await createTopic(this.client, {
      name: extra.name,
      partitionCount: 1 + random.int(2),
      replicationFactor: -1,
      configs: new Map(),
    })
    if (retries === this.retries) extra.fate = 'there'
    extra.records = 0
    return `${extra.name} is there`
  }

  async #delete(): Promise<string | undefined> {
    const extra = this.#pick()
    if (!extra) return undefined
    extra.fate = 'unknown'
    const { retries } = this
    await deleteTopic(this.client, extra.name)
    if (retries === this.retries) extra.fate = 'gone'
    return `${extra.name} is deleted`
  }

  async #write(): Promise<string | undefined> {
    const extra = this.#pick()
    if (!extra) return undefined
    const producer = new Producer(this.client, { acks: -1, retryForMs: PATIENCE_MS })
    const count = 1 + this.recorder.random.int(5)
    for (let at = 0; at < count; at++) {
      const timestamp = this.process.io.wall.nowMs()
      const record = { key: null, value: Buffer.from(`${at}`), timestamp }
      await producer.send(extra.name, record, 0)
    }
    await producer.flush()
    extra.records += count
    return `${extra.name} has ${count} records more`
  }

  async #reassign(partitionIndex: number, replicas: readonly number[] | null): Promise<void> {
    const { name } = this.recorder.topic
    this.#wanted.delete(partitionIndex)
    const { retries } = this
    const isClear = !this.#unclear.has(partitionIndex)
    this.#unclear.add(partitionIndex)
    const answer = await this.client.request('controller', alterPartitionReassignments, {
      timeoutMs: 5_000,
      topics: [{ name, partitions: [{ partitionIndex, replicas }] }],
    })
    const errorCode = answer.responses[0]?.partitions[0]?.errorCode ?? answer.errorCode
    if (errorCode !== 0) throw new OutcomeError(errorCode, `partition ${name}-${partitionIndex}`)
    if (!isClear || retries !== this.retries) return
    this.#unclear.delete(partitionIndex)
    if (replicas) this.#wanted.set(partitionIndex, replicas)
  }

  async #trim(partitionIndex: number): Promise<string | undefined> {
    const { topic, random, cluster } = this.recorder
    const end = cluster.observer.ends.get(`${topic.name}-${partitionIndex}`) ?? 0
    if (end === 0) return undefined
    const offset = random.chance(0.2) ? end : random.int(end)
    this.note({
      type: 'invoke',
      f: 'trim',
      value: { topic: topic.name, partition: partitionIndex, offset },
    })
    await deleteRecords(this.client, [{ topic: topic.name, partitionIndex, offset }])
    return `${topic.name}-${partitionIndex} begins at ${offset}`
  }

  /** Records count when they are durable, or again as the brokers' setting says. */
  async #set(): Promise<string> {
    const { topic, random } = this.recorder
    const change = random.chance(0.6)
      ? ({ operation: 'set', value: '1' } as const)
      : ({ operation: 'delete', value: null } as const)
    const resource = { type: 'topic', name: topic.name } as const
    await alterConfigs(this.client, resource, [{ name: 'flush.messages', ...change }])
    return `${topic.name}: flush.messages ${change.value ?? 'as the brokers have it'}`
  }

  #pick(): Extra | undefined {
    const there = this.#extras.filter(({ fate }) => fate === 'there')
    return there.length === 0 ? undefined : this.recorder.random.pick(there)
  }
}

function shuffled(list: readonly number[], random: Recorder['random']): number[] {
  const left = [...list]
  return list.map(() => left.splice(random.int(left.length), 1)[0] as number)
}
