// Drives node-rdkafka: node node-rdkafka.mjs FOLDER BOOTSTRAP, where FOLDER has it in node_modules.
import {
  called,
  clientPackage,
  decode,
  eachResult,
  encode,
  Inbox,
  memberCommands,
  patienceMs,
  places,
  serve,
  Unsupported,
} from './serve.mjs'

const [folder, bootstrap] = process.argv.slice(2)
const Kafka = clientPackage(folder, 'node-rdkafka')
const base = { 'metadata.broker.list': bootstrap, 'client.id': 'lmq-compat' }
const readCount = 1_000
const pollMs = 20

/** librdkafka's name of an error without its prefix: TOPIC_ALREADY_EXISTS. */
function errorName(error) {
  const entry = Object.entries(Kafka.CODES.ERRORS).find(([, code]) => code === error?.code)
  return entry ? entry[0].replace(/^ERR_+/, '') : String(error?.message ?? error)
}

function incoming({ topic, partition, offset, key, value, headers, timestamp }) {
  const pairs = (headers ?? []).flatMap((header) => Object.entries(header))
  return {
    topic,
    partition,
    offset,
    key: encode(key),
    value: encode(value),
    headers: pairs.map(([name, bytes]) => [name, encode(bytes)]),
    timestampMs: timestamp,
  }
}

const headersOf = ({ headers = [] }) => headers.map(([name, value]) => ({ [name]: decode(value) }))

const connected = async (client) => {
  await called((done) => client.connect({ timeout: patienceMs }, done))
  return client
}
const disconnected = (client) => called((done) => client.disconnect(done))

async function produce({ topic, records, codec = 'none', acks = 'all', idempotent = false }) {
  const headers = records.map(headersOf)
  const producer = await connected(
    new Kafka.Producer(
      {
        ...base,
        'compression.codec': codec,
        'enable.idempotence': idempotent,
        'message.max.bytes': 20_000_000,
        'linger.ms': 5,
        dr_cb: true,
      },
      { acks: acks === 'all' ? -1 : acks, partitioner: 'murmur2_random' },
    ),
  )
  const outcomes = new Array(records.length).fill(null)
  producer.on('delivery-report', (error, { partition, offset, opaque }) => {
    outcomes[opaque] = error ? { error: errorName(error) } : { partition, offset }
  })
  producer.setPollInterval(pollMs)
  for (const [index, record] of records.entries()) {
    const { partition = null, timestampMs = null } = record
    const [key, value] = [decode(record.key), decode(record.value)]
    producer.produce(topic, partition, value, key, timestampMs, index, headers[index])
  }
  await called((done) => producer.flush(patienceMs, done))
  for (const until = Date.now() + patienceMs; outcomes.includes(null) && Date.now() < until; )
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  await disconnected(producer)
  return { outcomes }
}

/** A client that never joins: for metadata, offsets and reads. */
const reader = (group = 'unused') =>
  connected(
    new Kafka.KafkaConsumer(
      {
        ...base,
        'group.id': group,
        'enable.auto.commit': false,
        'fetch.message.max.bytes': 4_000_000,
      },
      { 'auto.offset.reset': 'earliest' },
    ),
  )

async function withReader(use, group) {
  const client = await reader(group)
  try {
    return await use(client)
  } finally {
    await disconnected(client)
  }
}

async function partitionsOf(client, topic) {
  const { topics } = await called((done) =>
    client.getMetadata({ topic, timeout: patienceMs }, done),
  )
  return topics.find(({ name }) => name === topic)?.partitions.map(({ id }) => id) ?? []
}

const watermarks = (client, topic, partition) =>
  called((done) => client.queryWatermarkOffsets(topic, partition, patienceMs, done))

/** Reads every partition from its start to the end that it has now. */
async function consume({ topic }) {
  return withReader(async (client) => {
    const open = new Map()
    const starts = []
    for (const partition of await partitionsOf(client, topic)) {
      const { lowOffset, highOffset } = await watermarks(client, topic, partition)
      if (highOffset <= lowOffset) continue
      open.set(partition, highOffset)
      starts.push({ topic, partition, offset: lowOffset })
    }
    const records = []
    client.assign(starts)
    client.setDefaultConsumeTimeout(100)
    for (const until = Date.now() + patienceMs; open.size > 0; ) {
      if (Date.now() > until) throw new Error('the end was not reached')
      for (const message of await called((done) => client.consume(readCount, done))) {
        records.push(incoming(message))
        if (message.offset >= open.get(message.partition) - 1) open.delete(message.partition)
      }
    }
    return { records }
  })
}

class Member {
  inbox = new Inbox()
  #consumer
  #reading
  #leaving = false

  static async join({ group, topics, assignor = 'range', instance, sessionTimeoutMs = 6_000 }) {
    const member = new Member()
    const consumer = new Kafka.KafkaConsumer(
      {
        ...base,
        'group.id': group,
        'enable.auto.commit': false,
        'session.timeout.ms': sessionTimeoutMs,
        'heartbeat.interval.ms': 500,
        'partition.assignment.strategy':
          assignor === 'cooperative' ? 'cooperative-sticky' : assignor,
        ...(instance && { 'group.instance.id': instance }),
        rebalance_cb: true,
      },
      { 'auto.offset.reset': 'earliest' },
    )
    await connected(consumer)
    consumer.setDefaultConsumeTimeout(pollMs)
    consumer.subscribe(topics)
    member.#consumer = consumer
    member.#reading = member.#read()
    return member
  }

  /** Batch by batch: the client's own loop may leave a message behind, with which its disconnecting would wait for ever. */
  async #read() {
    while (!this.#leaving) {
      const messages = await called((done) => this.#consumer.consume(readCount, done))
      for (const message of messages) this.#take(message)
    }
  }

  #take(message) {
    const { topic, partition, offset } = message
    this.inbox.add(incoming(message), { topic, partition, offset: offset + 1 })
  }

  get assignment() {
    return places(this.#consumer.assignments())
  }

  commit(positions) {
    this.#consumer.commitSync(positions)
  }

  async leave() {
    this.#leaving = true
    await this.#reading
    await disconnected(this.#consumer)
  }
}

/** The client asks for committed offsets by partition, so a group's topics are remembered. */
const topicsOfGroups = new Map()
const noteTopics = (group, topics) =>
  topicsOfGroups.set(group, new Set([...(topicsOfGroups.get(group) ?? []), ...topics]))

async function groupOffsets({ group }) {
  return withReader(async (client) => {
    const wanted = []
    for (const topic of topicsOfGroups.get(group) ?? [])
      for (const partition of await partitionsOf(client, topic)) wanted.push({ topic, partition })
    const found = await called((done) => client.committed(wanted, patienceMs, done))
    const offsets = {}
    for (const { topic, partition, offset } of found) {
      offsets[topic] ??= {}
      if (offset >= 0) offsets[topic][partition] = offset
    }
    return { offsets }
  }, group)
}

async function listOffsets({ topic, at }) {
  if (at === 'max') throw new Unsupported('the highest timestamp')
  return withReader(async (client) => {
    const offsets = {}
    for (const partition of await partitionsOf(client, topic)) {
      if (typeof at === 'number') {
        const asked = [{ topic, partition, offset: at }]
        const [found] = await called((done) => client.offsetsForTimes(asked, patienceMs, done))
        offsets[partition] = found.offset
      } else {
        const { lowOffset, highOffset } = await watermarks(client, topic, partition)
        offsets[partition] = at === 'earliest' ? lowOffset : highOffset
      }
    }
    return { offsets }
  })
}

const admin = Kafka.AdminClient.create(base)

await serve({
  produce,
  consume,
  ...memberCommands((args) => {
    noteTopics(args.group, args.topics)
    return Member.join(args)
  }),
  createTopics: ({ topics }) =>
    eachResult(
      topics.map(({ name }) => name),
      (name) => {
        const wanted = topics.find((topic) => topic.name === name)
        const topic = {
          topic: name,
          num_partitions: wanted.partitions ?? -1,
          replication_factor: wanted.replicationFactor ?? -1,
          config: wanted.configs ?? {},
        }
        return called((done) => admin.createTopic(topic, patienceMs, done))
      },
      errorName,
    ),
  deleteTopics: ({ names }) =>
    eachResult(
      names,
      (name) => called((done) => admin.deleteTopic(name, patienceMs, done)),
      errorName,
    ),
  createPartitions: ({ topic, total }) =>
    eachResult(
      [topic],
      () => called((done) => admin.createPartitions(topic, total, patienceMs, done)),
      errorName,
    ),
  listTopics: () =>
    withReader(async (client) => {
      const { topics } = await called((done) => client.getMetadata({ timeout: patienceMs }, done))
      return {
        topics: Object.fromEntries(topics.map(({ name, partitions }) => [name, partitions.length])),
      }
    }),
  groupOffsets,
  setGroupOffsets: ({ group, topic, offsets }) =>
    withReader(async (client) => {
      noteTopics(group, [topic])
      const wanted = Object.entries(offsets)
      client.commitSync(
        wanted.map(([partition, offset]) => ({ topic, partition: Number(partition), offset })),
      )
      return {}
    }, group),
  listOffsets,
})
process.exit(0)
