// Drives confluent-kafka-javascript by its KafkaJS calls: node confluent-javascript.mjs FOLDER BOOTSTRAP, where FOLDER has it
// in node_modules.
import { randomUUID } from 'node:crypto'
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
} from './serve.mjs'

const [folder, bootstrap] = process.argv.slice(2)
const { AdminClient, KafkaJS, OffsetSpec } = clientPackage(folder, '@confluentinc/kafka-javascript')
const { ConsumerGroupStates, ErrorCodes, Kafka, logLevel } = KafkaJS
const kafka = new Kafka({
  kafkaJS: { brokers: [bootstrap], clientId: 'lmq-compat', logLevel: logLevel.NOTHING },
})
const timeout = patienceMs

/** librdkafka's name of an error without its prefix: TOPIC_ALREADY_EXISTS. */
function errorName(error) {
  const { code } = error?.groups?.[0]?.error ?? error?.errors?.[0] ?? error ?? {}
  const entry = Object.entries(ErrorCodes).find(([, each]) => each === code)
  return entry ? entry[0].replace(/^ERR_+/, '') : String(error?.message ?? error)
}

function incoming(topic, partition, { offset, key, value, headers, timestamp }) {
  const pairs = []
  for (const [name, bytes] of Object.entries(headers ?? {}))
    for (const each of Array.isArray(bytes) ? bytes : [bytes]) pairs.push([name, encode(each)])
  return {
    topic,
    partition,
    offset: Number(offset),
    key: encode(key),
    value: encode(value),
    headers: pairs,
    timestampMs: Number(timestamp),
  }
}

function outgoing({ key, value, headers = [], timestampMs, partition }) {
  const byName = {}
  for (const [name, bytes] of headers) {
    byName[name] = [...(byName[name] ?? []), decode(bytes)]
  }
  return {
    key: decode(key),
    value: decode(value),
    headers: byName,
    ...(timestampMs !== undefined && { timestamp: String(timestampMs) }),
    ...(partition !== undefined && { partition }),
  }
}

/** One call for all records of a partition, so that its offsets follow from the base offset. */
async function produce({ topic, records, codec = 'none', acks = 'all', idempotent = false }) {
  const producer = kafka.producer({
    kafkaJS: { acks: acks === 'all' ? -1 : acks, compression: codec, idempotent },
    'message.max.bytes': 20_000_000,
    partitioner: 'murmur2_random',
  })
  await producer.connect()
  const groups = new Map()
  for (const [index, record] of records.entries()) {
    const group = record.partition ?? `free ${index}`
    groups.set(group, [...(groups.get(group) ?? []), index])
  }
  const outcomes = new Array(records.length).fill(null)
  try {
    const sent = [...groups.values()].map(async (indexes) => {
      const messages = indexes.map((index) => outgoing(records[index]))
      const [answer] = await producer.send({ topic, messages })
      const base = Number(answer.baseOffset ?? -1)
      for (const [at, index] of indexes.entries())
        outcomes[index] = { partition: answer.partition, offset: base < 0 ? -1 : base + at }
    })
    await Promise.all(sent)
  } finally {
    await producer.disconnect()
  }
  return { outcomes }
}

let admin
async function adminCall(call) {
  if (!admin) {
    admin = kafka.admin()
    await admin.connect()
  }
  return call(admin)
}

/** Reads every partition to the end that it has now, with a group of its own: these calls have no other way. */
async function consume({ topic }) {
  const open = new Map()
  for (const { partition, low, high } of await adminCall((a) => a.fetchTopicOffsets(topic)))
    if (Number(high) > Number(low)) open.set(partition, Number(high))
  const records = []
  if (open.size === 0) return { records }
  const consumer = kafka.consumer({
    kafkaJS: { groupId: `read-${randomUUID()}`, fromBeginning: true, autoCommit: false },
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic] })
  try {
    await new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error('the end was not reached')), patienceMs)
      const eachMessage = async ({ partition, message }) => {
        const end = open.get(partition)
        if (end === undefined) return
        records.push(incoming(topic, partition, message))
        if (Number(message.offset) >= end - 1) open.delete(partition)
        if (open.size > 0) return
        clearTimeout(limit)
        resolve()
      }
      consumer.run({ eachMessage }).catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  return { records }
}

class Member {
  inbox = new Inbox()
  #consumer

  static async join({ group, topics, assignor = 'range', instance, sessionTimeoutMs = 6_000 }) {
    const member = new Member()
    const partitionAssigners = [assignor === 'cooperative' ? 'cooperative-sticky' : assignor]
    const consumer = kafka.consumer({
      kafkaJS: {
        groupId: group,
        fromBeginning: true,
        autoCommit: false,
        sessionTimeout: sessionTimeoutMs,
        heartbeatInterval: 500,
        partitionAssigners,
      },
      ...(instance && { 'group.instance.id': instance }),
    })
    await consumer.connect()
    await consumer.subscribe({ topics })
    await consumer.run({
      eachMessage: async ({ topic, partition, message }) => member.#take(topic, partition, message),
    })
    member.#consumer = consumer
    return member
  }

  #take(topic, partition, message) {
    this.inbox.add(incoming(topic, partition, message), {
      topic,
      partition,
      offset: String(Number(message.offset) + 1),
    })
  }

  get assignment() {
    return places(this.#consumer.assignment())
  }

  commit(positions) {
    return this.#consumer.commitOffsets(positions)
  }

  leave() {
    return this.#consumer.disconnect()
  }
}

async function createTopics({ topics }) {
  const create = async (name) => {
    const wanted = topics.find((topic) => topic.name === name)
    const configEntries = Object.entries(wanted.configs ?? {})
    const made = await adminCall((a) =>
      a.createTopics({
        topics: [
          {
            topic: name,
            numPartitions: wanted.partitions ?? -1,
            replicationFactor: wanted.replicationFactor ?? -1,
            configEntries: configEntries.map(([entry, value]) => ({ name: entry, value })),
          },
        ],
        timeout,
      }),
    )
    if (!made) throw new Error('TOPIC_ALREADY_EXISTS')
  }
  return eachResult(
    topics.map(({ name }) => name),
    create,
    errorName,
  )
}

/** What its KafkaJS calls lack is in those that it took over from node-rdkafka. */
let plainAdmin
const plainCall = (call) => {
  plainAdmin ??= AdminClient.create({ 'bootstrap.servers': bootstrap })
  return called((done) => call(plainAdmin, done))
}

async function highestTimestamps(topic) {
  const places = (await adminCall((a) => a.fetchTopicOffsets(topic, { timeout }))).map(
    ({ partition }) => ({ topic, partition, offset: OffsetSpec.MAX_TIMESTAMP }),
  )
  const found = await plainCall((a, done) => a.listOffsets(places, { timeout }, done))
  return { offsets: Object.fromEntries(found.map((p) => [p.partition, Number(p.offset)])) }
}

async function listOffsets({ topic, at }) {
  if (at === 'max') return highestTimestamps(topic)
  if (typeof at === 'number') {
    const found = await adminCall((a) => a.fetchTopicOffsetsByTimestamp(topic, at, { timeout }))
    return { offsets: Object.fromEntries(found.map((p) => [p.partition, Number(p.offset)])) }
  }
  const found = await adminCall((a) => a.fetchTopicOffsets(topic, { timeout }))
  const place = ({ low, high }) => Number(at === 'earliest' ? low : high)
  return { offsets: Object.fromEntries(found.map((each) => [each.partition, place(each)])) }
}

const stateName = (state) =>
  Object.entries(ConsumerGroupStates)
    .find(([, each]) => each === state)?.[0]
    .replaceAll('_', '')
    .toLowerCase()

await serve({
  produce,
  consume,
  ...memberCommands(Member.join),
  createTopics,
  deleteTopics: ({ names }) =>
    eachResult(
      names,
      (name) => adminCall((a) => a.deleteTopics({ topics: [name], timeout })),
      errorName,
    ),
  createPartitions: ({ topic, total }) =>
    eachResult(
      [topic],
      () => plainCall((a, done) => a.createPartitions(topic, total, timeout, done)),
      errorName,
    ),
  listTopics: async () => {
    const found = await adminCall((a) => a.fetchTopicMetadata({ timeout }))
    const topics = found.topics ?? found
    return {
      topics: Object.fromEntries(topics.map(({ name, partitions }) => [name, partitions.length])),
    }
  },
  listGroups: async () => {
    const { groups } = await adminCall((a) => a.listGroups({ timeout }))
    return { groups: groups.map(({ groupId }) => groupId) }
  },
  describeGroup: async ({ group }) => {
    const { groups } = await adminCall((a) => a.describeGroups([group], { timeout }))
    return { state: stateName(groups[0].state), members: groups[0].members.length }
  },
  deleteGroups: ({ groups }) =>
    eachResult(
      groups,
      (group) => adminCall((a) => a.deleteGroups([group], { timeout })),
      errorName,
    ),
  groupOffsets: async ({ group }) => {
    const found = await adminCall((a) => a.fetchOffsets({ groupId: group, timeout }))
    const offsets = {}
    for (const { topic, partitions } of found) {
      const known = partitions.filter(({ offset }) => Number(offset) >= 0)
      offsets[topic] = Object.fromEntries(known.map((p) => [p.partition, Number(p.offset)]))
    }
    return { offsets }
  },
  /** A consumer that subscribes to nothing commits as an operator would. */
  setGroupOffsets: async ({ group, topic, offsets }) => {
    const consumer = kafka.consumer({ kafkaJS: { groupId: group, autoCommit: false } })
    await consumer.connect()
    const places = Object.entries(offsets).map(([partition, offset]) => ({
      topic,
      partition: Number(partition),
      offset: String(offset),
    }))
    await consumer.commitOffsets(places)
    await consumer.disconnect()
    return {}
  },
  deleteRecords: async ({ topic, offsets }) => {
    const partitions = Object.entries(offsets).map(([partition, offset]) => ({
      partition: Number(partition),
      offset: String(offset),
    }))
    await adminCall((a) => a.deleteTopicRecords({ topic, partitions, timeout }))
    return {}
  },
  listOffsets,
})
process.exit(0)
