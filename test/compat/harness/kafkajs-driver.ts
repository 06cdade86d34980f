import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import type { Admin, Consumer, EachBatchPayload, Kafka, KafkaMessage, Producer } from 'kafkajs'
import kafkajs from 'kafkajs'
import { installKafkajsCodecs } from './codecs.ts'
import {
  type Answer,
  type Codec,
  checked,
  type Driver,
  type Incoming,
  type Outcome,
  type Outgoing,
  Unsupported,
} from './driver.ts'

const { CompressionTypes, ConfigResourceTypes, logLevel, Partitioners } = kafkajs
const patienceMs = 120_000
const fileBatchRecords = 2_000
const requestBytes = 500_000
const adminRetry = { retries: 5, initialRetryTime: 50, maxRetryTime: 500 }

const compressionTypes: Record<Codec, number> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

type Command = Record<string, unknown>
type ProduceOptions = { topic: string; codec?: Codec; acks?: number | 'all'; idempotent?: boolean }
type Load = { stop(): Promise<Answer> }

/** kafkajs behind the same commands as the drivers in other languages. Runs in the test's own process. */
export function createKafkajsDriver(bootstrap: string): Driver {
  const driver = new KafkajsDriver(bootstrap)
  const require = createRequire(import.meta.url)
  const { version } = require('kafkajs/package.json') as { version: string }
  return {
    client: 'kafkajs',
    version,
    call: async (command, args = {}) => {
      const serve = driver.commands[command]
      if (!serve) throw new Unsupported(`no call for ${command}`)
      return checked(command, await serve(args as Command))
    },
    stop: () => driver.stop(),
  }
}

class KafkajsDriver {
  readonly #kafka: Kafka
  readonly #codecs: readonly Codec[]
  readonly #producers = new Map<string, Promise<Producer>>()
  readonly #members = new Map<string, Member>()
  #admin: Promise<Admin> | undefined
  #load: Load | undefined

  constructor(bootstrap: string) {
    this.#codecs = installKafkajsCodecs()
    this.#kafka = new kafkajs.Kafka({
      clientId: 'lmq-compat',
      brokers: bootstrap.split(','),
      logLevel: logLevel.NOTHING,
      retry: { retries: 20, initialRetryTime: 50, maxRetryTime: 1_000 },
    })
  }

  readonly commands: Record<string, (args: Command) => Promise<Answer>> = {
    produce: (args) => this.#produce(args as unknown as ProduceOptions & { records: Outgoing[] }),
    produceFile: (args) => this.#produceFile(args as unknown as ProduceOptions & { path: string }),
    consume: async (args) => {
      const records: Incoming[] = []
      await this.#read(String(args['topic']), (partition, message) => {
        records.push(incoming(String(args['topic']), partition, message))
      })
      return { records }
    },
    consumeFile: (args) => this.#consumeFile(String(args['topic']), String(args['path'])),
    join: async (args) => {
      if (args['instance'] || args['assignor'] === 'cooperative')
        throw new Unsupported('no call for this kind of member')
      this.#members.set(String(args['member']), await Member.join(this.#kafka, args))
      return {}
    },
    assignment: async (args) => ({ partitions: this.#member(args).assignment }),
    take: async (args) => ({ records: this.#member(args).records.splice(0) }),
    commit: async (args) => {
      await this.#member(args).commit()
      return {}
    },
    leave: async (args) => {
      await this.#member(args).leave()
      this.#members.delete(String(args['member']))
      return {}
    },
    createTopics: async (args) => this.#createTopics(args['topics'] as TopicCommand[]),
    deleteTopics: async (args) => {
      const names = args['names'] as string[]
      return this.#eachResult(names, (name) =>
        this.#adminCall((a) => a.deleteTopics({ topics: [name] })),
      )
    },
    createPartitions: async ({ topic, total }) =>
      this.#eachResult([String(topic)], (name) =>
        this.#adminCall((a) =>
          a.createPartitions({ topicPartitions: [{ topic: name, count: Number(total) }] }),
        ),
      ),
    listTopics: async () => {
      const { topics } = await this.#adminCall((a) => a.fetchTopicMetadata())
      return { topics: Object.fromEntries(topics.map((t) => [t.name, t.partitions.length])) }
    },
    describeConfigs: (args) => this.#describeConfigs(args),
    alterConfigs: (args) => this.#alterConfigs(args),
    listGroups: async () => {
      const { groups } = await this.#adminCall((a) => a.listGroups())
      return { groups: groups.map((group) => group.groupId) }
    },
    describeGroup: async ({ group }) => {
      const { groups } = await this.#adminCall((a) => a.describeGroups([String(group)]))
      const [found] = groups
      return { state: found?.state.toLowerCase(), members: found?.members.length }
    },
    deleteGroups: async (args) =>
      this.#eachResult(args['groups'] as string[], (group) =>
        this.#adminCall((a) => a.deleteGroups([group])),
      ),
    groupOffsets: ({ group }) => this.#groupOffsets(String(group)),
    setGroupOffsets: async ({ group, topic, offsets }) => {
      const partitions = Object.entries(offsets as Record<string, number>).map(([p, offset]) => ({
        partition: Number(p),
        offset: String(offset),
      }))
      await this.#adminCall((a) =>
        a.setOffsets({ groupId: String(group), topic: String(topic), partitions }),
      )
      return {}
    },
    deleteRecords: async ({ topic, offsets }) => {
      const partitions = Object.entries(offsets as Record<string, number>).map(([p, offset]) => ({
        partition: Number(p),
        offset: String(offset),
      }))
      await this.#adminCall((a) => a.deleteTopicRecords({ topic: String(topic), partitions }))
      return {}
    },
    listOffsets: (args) => this.#listOffsets(String(args['topic']), args['at'] as string | number),
    describeCluster: async () => {
      const found = await this.#adminCall((a) => a.describeCluster())
      return {
        clusterId: found.clusterId,
        brokers: found.brokers.length,
        controller: found.controller,
      }
    },
    startLoad: async (args) => {
      this.#load = await this.#startLoad(args as unknown as LoadCommand)
      return {}
    },
    stopLoad: async () => (await this.#load?.stop()) ?? {},
  }

  async stop(): Promise<void> {
    for (const member of this.#members.values()) await member.leave()
    for (const producer of this.#producers.values()) await (await producer).disconnect()
    await (await this.#admin)?.disconnect()
  }

  async #adminCall<T>(call: (admin: Admin) => Promise<T>): Promise<T> {
    this.#admin ??= connected(this.#kafka.admin({ retry: adminRetry }))
    return call(await this.#admin)
  }

  #producer(idempotent: boolean): Promise<Producer> {
    const known = this.#producers.get(String(idempotent))
    if (known) return known
    const made = connected(
      this.#kafka.producer({
        idempotent,
        maxInFlightRequests: idempotent ? 1 : 5,
        createPartitioner: Partitioners.DefaultPartitioner,
      }),
    )
    this.#producers.set(String(idempotent), made)
    return made
  }

  #member(args: Command): Member {
    const member = this.#members.get(String(args['member']))
    if (!member) throw new Error(`no member ${args['member']}`)
    return member
  }

  #options({ topic, codec = 'none', acks = 'all' }: ProduceOptions) {
    if (!this.#codecs.includes(codec)) throw new Unsupported(`${codec} is not installed`)
    return { topic, compression: compressionTypes[codec], acks: acks === 'all' ? -1 : Number(acks) }
  }

  /** One request for all records of a partition, so that its offsets follow from the base offset. */
  async #produce(command: ProduceOptions & { records: Outgoing[] }): Promise<Answer> {
    const producer = await this.#producer(command.idempotent ?? false)
    const outcomes: Outcome[] = []
    for (const group of runsOfOneKey(command.records)) {
      const answers = await producer.send({
        ...this.#options(command),
        messages: group.map(outgoing),
      })
      const [answer] = answers
      const base = Number(answer?.baseOffset ?? -1)
      for (const [index] of group.entries()) {
        outcomes.push({ partition: answer?.partition ?? -1, offset: base < 0 ? -1 : base + index })
      }
    }
    return { outcomes }
  }

  async #produceFile(command: ProduceOptions & { path: string }): Promise<Answer> {
    const producer = await this.#producer(command.idempotent ?? false)
    let messages: { key: string; value: string }[] = []
    let acknowledged = 0
    const flush = async () => {
      await producer.send({ ...this.#options(command), messages })
      acknowledged += messages.length
      messages = []
    }
    for await (const line of createInterface({ input: createReadStream(command.path) })) {
      const tab = line.indexOf('\t')
      messages.push({ key: line.slice(0, tab), value: line.slice(tab + 1) })
      if (messages.length >= fileBatchRecords) await flush()
    }
    if (messages.length > 0) await flush()
    return { acknowledged, errors: [] }
  }

  async #consumeFile(topic: string, path: string): Promise<Answer> {
    const file = await open(path, 'w')
    let parts: Buffer[] = []
    await this.#read(topic, (partition, message) => {
      parts.push(Buffer.from(`${partition}\t${message.offset}\t`), message.key ?? Buffer.alloc(0))
      parts.push(Buffer.from('\t'), message.value ?? Buffer.alloc(0), Buffer.from('\n'))
    })
    await file.write(Buffer.concat(parts))
    parts = []
    await file.close()
    return {}
  }

  /** Reads every partition to the end that it has now, with a group of its own: kafkajs has no other way. */
  async #read(
    topic: string,
    visit: (partition: number, message: KafkaMessage) => void,
  ): Promise<void> {
    const ends = await this.#adminCall((a) => a.fetchTopicOffsets(topic))
    const open = new Map<number, number>()
    for (const { partition, low, high } of ends) {
      if (Number(high) > Number(low)) open.set(partition, Number(high))
    }
    if (open.size === 0) return
    const consumer = this.#kafka.consumer({ groupId: `read-${randomUUID()}`, ...quick })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    try {
      await new Promise<void>((resolve, reject) => {
        const limit = setTimeout(() => reject(new Error('the end was not reached')), patienceMs)
        const eachBatch = async ({ batch }: EachBatchPayload) => {
          const end = open.get(batch.partition)
          if (end === undefined) return
          for (const message of batch.messages) {
            if (Number(message.offset) < end) visit(batch.partition, message)
          }
          if (Number(batch.lastOffset()) >= end - 1) open.delete(batch.partition)
          if (open.size > 0) return
          clearTimeout(limit)
          resolve()
        }
        consumer
          .run({ eachBatch, autoCommit: false, partitionsConsumedConcurrently: 1 })
          .catch(reject)
      })
    } finally {
      await consumer.disconnect()
    }
  }

  async #createTopics(topics: readonly TopicCommand[]): Promise<Answer> {
    return this.#eachResult(
      topics.map((topic) => topic.name),
      async (name) => {
        const wanted = topics.find((topic) => topic.name === name)
        const configEntries = Object.entries(wanted?.configs ?? {})
        const created = await this.#adminCall((a) =>
          a.createTopics({
            topics: [
              {
                topic: name,
                numPartitions: wanted?.partitions ?? -1,
                replicationFactor: wanted?.replicationFactor ?? -1,
                configEntries: configEntries.map(([entry, value]) => ({ name: entry, value })),
              },
            ],
          }),
        )
        if (!created) return false
        const made = await this.#adminCall((a) => a.listTopics())
        if (!made.includes(name)) throw new Error(`${name} is not listed`)
        return true
      },
    )
  }

  async #eachResult(names: readonly string[], call: (name: string) => Promise<unknown>) {
    const results: Record<string, string | null> = {}
    for (const name of names) {
      try {
        const answer = await call(name)
        results[name] = answer === false ? 'TOPIC_ALREADY_EXISTS' : null
      } catch (error) {
        results[name] = errorName(error)
      }
    }
    return { results }
  }

  async #describeConfigs({ type, name }: Command): Promise<Answer> {
    const kind = type === 'broker' ? ConfigResourceTypes.BROKER : ConfigResourceTypes.TOPIC
    const { resources } = await this.#adminCall((a) =>
      a.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: kind, name: String(name) }],
      }),
    )
    const entries = resources[0]?.configEntries ?? []
    return { configs: Object.fromEntries(entries.map((e) => [e.configName, e.configValue])) }
  }

  /** kafkajs has only the older call, which replaces all of a resource's settings. */
  async #alterConfigs({ type, name, set }: Command): Promise<Answer> {
    const kind = type === 'broker' ? ConfigResourceTypes.BROKER : ConfigResourceTypes.TOPIC
    const configEntries = Object.entries((set ?? {}) as Record<string, string>).map(
      ([entry, value]) => ({ name: entry, value }),
    )
    return this.#eachResult([String(name)], () =>
      this.#adminCall((a) =>
        a.alterConfigs({
          validateOnly: false,
          resources: [{ type: kind, name: String(name), configEntries }],
        }),
      ),
    )
  }

  async #groupOffsets(groupId: string): Promise<Answer> {
    const found = await this.#adminCall((a) => a.fetchOffsets({ groupId }))
    const offsets: Record<string, Record<string, number>> = {}
    for (const { topic, partitions } of found) {
      const places = partitions.map((p) => [p.partition, Number(p.offset)] as const)
      offsets[topic] = Object.fromEntries(places.filter(([, offset]) => offset >= 0))
    }
    return { offsets }
  }

  async #listOffsets(topic: string, at: string | number): Promise<Answer> {
    if (at === 'max') throw new Unsupported('no call for the highest timestamp')
    if (typeof at === 'number') {
      const found = await this.#adminCall((a) => a.fetchTopicOffsetsByTimestamp(topic, at))
      return { offsets: Object.fromEntries(found.map((p) => [p.partition, Number(p.offset)])) }
    }
    const found = await this.#adminCall((a) => a.fetchTopicOffsets(topic))
    const place = (p: { low: string; high: string }) => Number(at === 'earliest' ? p.low : p.high)
    return { offsets: Object.fromEntries(found.map((p) => [p.partition, place(p)])) }
  }

  /** Numbered records, one request at a time, until stopped. What throws was not acknowledged and is sent again. */
  async #startLoad(command: LoadCommand): Promise<Load> {
    const producer = await this.#producer(true)
    const acknowledged: [number, number, number][] = []
    let running = true
    let number = 0
    const burst = command.burst ?? 20
    const run = async () => {
      while (running) {
        const partition = command.partitions[(number / burst) % command.partitions.length] ?? 0
        const numbers = Array.from({ length: burst }, (_, index) => number + index)
        const messages = numbers.map((n) => ({
          key: command.name,
          value: `${command.name}:${n}:${'x'.repeat(100)}`,
          partition,
        }))
        const [answer] = await producer.send({ topic: command.topic, acks: -1, messages })
        const base = Number(answer?.baseOffset ?? -1)
        for (const [index, n] of numbers.entries()) acknowledged.push([n, partition, base + index])
        number += burst
      }
    }
    let failure: string | undefined
    const done = run().catch((error: unknown) => {
      failure = errorName(error)
    })
    return {
      stop: async () => {
        running = false
        await done
        return { sent: number, acknowledged, errors: failure ? [failure] : [], left: 0 }
      },
    }
  }
}

type TopicCommand = {
  name: string
  partitions?: number
  replicationFactor?: number
  configs?: Record<string, string>
}
type LoadCommand = { topic: string; partitions: number[]; name: string; burst?: number }

const quick = {
  sessionTimeout: 6_000,
  heartbeatInterval: 500,
  maxWaitTimeInMs: 100,
  rebalanceTimeout: 10_000,
}

class Member {
  readonly records: Incoming[] = []
  assignment: [string, number][] = []
  readonly #consumer: Consumer
  readonly #positions = new Map<string, { topic: string; partition: number; offset: string }>()

  private constructor(consumer: Consumer) {
    this.#consumer = consumer
  }

  static async join(kafka: Kafka, args: Command): Promise<Member> {
    const consumer = kafka.consumer({ groupId: String(args['group']), ...quick })
    const member = new Member(consumer)
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      member.assignment = Object.entries(payload.memberAssignment)
        .flatMap(([topic, partitions]) => partitions.map((p): [string, number] => [topic, p]))
        .sort((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] < b[0] ? -1 : 1))
    })
    await consumer.connect()
    await consumer.subscribe({ topics: args['topics'] as string[], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message }) => {
        member.records.push(incoming(topic, partition, message))
        const offset = String(Number(message.offset) + 1)
        member.#positions.set(`${topic}-${partition}`, { topic, partition, offset })
      },
    })
    return member
  }

  async commit(): Promise<void> {
    await this.#consumer.commitOffsets([...this.#positions.values()])
  }

  async leave(): Promise<void> {
    await this.#consumer.disconnect()
  }
}

async function connected<T extends { connect(): Promise<void> }>(client: T): Promise<T> {
  await client.connect()
  return client
}

type KafkajsError = Error & {
  type?: string
  cause?: KafkajsError
  errors?: KafkajsError[]
  groups?: { errorCode: number; error?: KafkajsError }[]
}

/** Kafka's name of an error, found at the bottom of what kafkajs wraps around it. */
function errorName(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { type, cause, errors, groups, message } = error as KafkajsError
  const inner = errors?.[0] ?? groups?.[0]?.error ?? cause
  return type ?? (inner ? errorName(inner) : message)
}

function outgoing(record: Outgoing) {
  const headers: Record<string, Buffer[]> = {}
  for (const [name, value] of record.headers ?? []) {
    const bytes = value === null ? (null as unknown as Buffer) : Buffer.from(value, 'base64') // its types know no null
    headers[name] = [...(headers[name] ?? []), bytes]
  }
  return {
    key: record.key === null ? null : Buffer.from(record.key, 'base64'),
    value: record.value === null ? null : Buffer.from(record.value, 'base64'),
    headers,
    ...(record.timestampMs !== undefined && { timestamp: String(record.timestampMs) }),
    ...(record.partition !== undefined && { partition: record.partition }),
  }
}

/** Splits where the partition may change (records without a partition go one by one) and before a request is too large. */
function runsOfOneKey(records: readonly Outgoing[]): Outgoing[][] {
  const runs: Outgoing[][] = []
  let partition: number | undefined
  let bytes = 0
  for (const record of records) {
    const size = record.value?.length ?? 0
    const fits = partition !== undefined && partition === record.partition
    if (fits && bytes + size < requestBytes) runs.at(-1)?.push(record)
    else runs.push([record])
    bytes = runs.at(-1)?.length === 1 ? size : bytes + size
    partition = record.partition
  }
  return runs
}

function incoming(topic: string, partition: number, message: KafkaMessage): Incoming {
  const base64 = (data: Buffer | string | null | undefined) =>
    data === null || data === undefined ? null : Buffer.from(data).toString('base64')
  const headers: [string, string | null][] = []
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    for (const each of Array.isArray(value) ? value : [value]) headers.push([name, base64(each)])
  }
  return {
    topic,
    partition,
    offset: Number(message.offset),
    key: base64(message.key),
    value: base64(message.value),
    headers,
    timestampMs: Number(message.timestamp),
  }
}
