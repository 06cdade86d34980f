// Drives @platformatic/kafka: node platformatic.mjs FOLDER BOOTSTRAP, where FOLDER has it in node_modules.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import {
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
const { Admin, Consumer, Producer } = clientPackage(folder, '@platformatic/kafka')
const base = { clientId: 'lmq-compat', bootstrapBrokers: [bootstrap] }
const resourceTypes = { topic: 2, broker: 4 }
const [setOperation, deleteOperation] = [0, 1]
const offsetTimes = { earliest: -2n, latest: -1n, max: -3n }
const largestSend = 1_000_000
const reconnects = { retries: 20, retryDelay: 100 }

const admin = new Admin({ ...base, retries: 3, retryDelay: 100 })

/** The protocol's name of the first error below one of this client's. */
function errorName(error) {
  if (error?.apiId) return error.apiId
  for (const each of [...(error?.errors ?? []), error?.cause]) {
    const name = each && errorName(each)
    if (name) return name
  }
  return error?.apiId ?? undefined
}
const resultName = (error) => errorName(error) ?? String(error?.message ?? error)

function incoming({ topic, partition, offset, key, value, headerEntries, timestamp }) {
  return {
    topic,
    partition,
    offset: Number(offset),
    key: encode(key),
    value: encode(value),
    headers: headerEntries.map(([name, bytes]) => [name.toString(), encode(bytes)]),
    timestampMs: Number(timestamp),
  }
}

/** Keys of this map are buffers, which are never the same: names may repeat. */
const headersOf = ({ headers = [] }) =>
  new Map(headers.map(([name, value]) => [Buffer.from(name), decode(value)]))

async function produce({ topic, records, codec = 'none', acks = 'all', idempotent = false }) {
  const producer = new Producer({ ...base, ...reconnects, autocreateTopics: true })
  const messages = records.map((record) => ({
    topic,
    key: decode(record.key),
    value: decode(record.value),
    headers: headersOf(record),
    ...(record.timestampMs !== undefined && { timestamp: BigInt(record.timestampMs) }),
    ...(record.partition !== undefined && { partition: record.partition }),
  }))
  const options = {
    acks: acks === 'all' ? -1 : acks,
    compression: codec,
    idempotent,
    autocreateTopics: true,
  }
  const outcomes = []
  try {
    for (const batch of batchesOf(messages)) {
      const { offsets = [] } = await producer.send({ messages: batch, ...options })
      const next = new Map(offsets.map((place) => [place.partition, Number(place.offset)]))
      for (const { partition } of batch) {
        // The client tells offsets by partition, so a record is at a known one when it named its partition or there is one.
        const at = partition ?? (next.size === 1 ? offsets[0].partition : -1)
        outcomes.push({ partition: at, offset: next.get(at) ?? -1 })
        next.set(at, (next.get(at) ?? -1) + 1)
      }
    }
  } finally {
    await producer.close()
  }
  return { outcomes }
}

/**
 * This client sends all that it is given in one batch for each partition: parts stay below the largest batch, and their times
 * within the 31 bits that it writes rightly.
 */
function batchesOf(messages) {
  const batches = []
  let bytes = Number.POSITIVE_INFINITY
  let start
  for (const message of messages) {
    const { value, timestamp } = message
    bytes += value?.length ?? 0
    const apart = timestamp !== undefined && timestamp - (start ?? timestamp) >= 2n ** 31n
    if (bytes > largestSend || apart) {
      batches.push([])
      bytes = value?.length ?? 0
      start = timestamp
    }
    batches.at(-1).push(message)
  }
  return batches
}

async function partitionsOf(topic) {
  const metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
  const { partitionsCount } = metadata.topics.get(topic)
  return Array.from({ length: partitionsCount }, (_, partition) => partition)
}

async function listOffsets({ topic, at }) {
  const timestamp = offsetTimes[at] ?? BigInt(at)
  const partitions = (await partitionsOf(topic)).map((partitionIndex) => ({
    partitionIndex,
    timestamp,
  }))
  const [found] = await admin.listOffsets({ topics: [{ name: topic, partitions }] })
  const places = found.partitions.map((p) => [p.partitionIndex, Number(p.offset)])
  return { offsets: Object.fromEntries(places) }
}

/** Reads every partition to the end that it has now, by a member of a group of its own. */
async function consume({ topic }) {
  const { offsets: starts } = await listOffsets({ topic, at: 'earliest' })
  const { offsets: ends } = await listOffsets({ topic, at: 'latest' })
  const open = new Map(Object.entries(ends).filter(([p, end]) => end > starts[p]))
  const records = []
  if (open.size === 0) return { records }
  const consumer = new Consumer({
    ...base,
    ...reconnects,
    groupId: `read-${randomUUID()}`,
    autocommit: false,
    maxWaitTime: 100,
  })
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest' })
  const limit = setTimeout(() => stream.destroy(new Error('end not reached')), patienceMs)
  for await (const message of stream) {
    records.push(incoming(message))
    const partition = String(message.partition)
    if (Number(message.offset) >= open.get(partition) - 1) open.delete(partition)
    if (open.size === 0) break
  }
  clearTimeout(limit)
  await consumer.close(true)
  return { records }
}

class Member {
  inbox = new Inbox()
  #consumer
  #stream

  static async join({ group, topics, assignor, instance, sessionTimeoutMs = 6_000 }) {
    const member = new Member()
    const cooperative = assignor === 'cooperative'
    member.#consumer = new Consumer({
      ...base,
      ...reconnects,
      groupId: group,
      ...(instance && { groupInstanceId: instance }),
      autocommit: false,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: Math.max(10_000, sessionTimeoutMs),
      heartbeatInterval: 500,
      maxWaitTime: 100,
      ...(cooperative && { protocols: [{ name: 'cooperative-sticky', version: 3 }] }),
    })
    const options = { topics, mode: 'committed', fallbackMode: 'earliest' }
    member.#stream = await member.#consumer.consume(options)
    member.#stream.on('data', (message) => member.#take(message))
    member.#stream.on('error', (error) => process.stderr.write(`${error}\n`))
    return member
  }

  #take(message) {
    const { topic, partition, offset, leaderEpoch } = message
    this.inbox.add(incoming(message), { topic, partition, offset: offset + 1n, leaderEpoch })
  }

  get assignment() {
    const owned = this.#consumer.assignments ?? []
    return places(
      owned.flatMap(({ topic, partitions }) =>
        partitions.map((partition) => ({ topic, partition })),
      ),
    )
  }

  commit(offsets) {
    return this.#consumer.commit({ offsets })
  }

  async leave() {
    await this.#stream.close()
    await this.#consumer.close(true)
  }
}

/**
 * A static member that closes leaves its group, so each is a program of its own, which is killed: then it stays a member until
 * its session ends.
 */
class MemberProgram {
  #child
  #lines

  constructor() {
    const args = [fileURLToPath(import.meta.url), folder, bootstrap]
    this.#child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    process.once('exit', () => this.#child.kill('SIGKILL'))
  }

  async call(command, args) {
    this.#child.stdin.write(`${JSON.stringify({ do: command, ...args })}\n`)
    const { value } = await this.#lines.next()
    const answer = JSON.parse(value)
    if (answer.error) throw new Error(answer.error)
    return answer
  }

  kill() {
    return new Promise((resolve) => {
      this.#child.once('close', resolve)
      this.#child.kill('SIGKILL')
    })
  }
}

const ownMembers = memberCommands(Member.join)
const programs = new Map()

/** The members' commands, for those in this program and for static ones. */
function allMembers() {
  const either = (command) => (args) =>
    programs.has(args.member)
      ? programs.get(args.member).call(command, args)
      : ownMembers[command](args)
  return {
    join: (args) => {
      if (!args.instance || args.isOwnProgram) return ownMembers.join(args)
      programs.set(args.member, new MemberProgram())
      return programs.get(args.member).call('join', { ...args, isOwnProgram: true })
    },
    assignment: either('assignment'),
    take: either('take'),
    commit: either('commit'),
    leave: async (args) => {
      if (!programs.has(args.member)) return ownMembers.leave(args)
      await programs.get(args.member).kill()
      programs.delete(args.member)
      return {}
    },
  }
}

async function groupOffsets({ group }) {
  const [found] = await admin.listConsumerGroupOffsets({ groups: [group] })
  const offsets = {}
  for (const { name, partitions } of found?.topics ?? []) {
    const known = partitions.filter(({ committedOffset }) => committedOffset >= 0n)
    offsets[name] = Object.fromEntries(
      known.map((p) => [p.partitionIndex, Number(p.committedOffset)]),
    )
  }
  return { offsets }
}

async function alterConfigs({ type, name, set = {}, unset = [] }) {
  const resource = {
    resourceType: resourceTypes[type],
    resourceName: name,
    configs: [
      ...Object.entries(set).map(([key, value]) => ({
        name: key,
        value,
        configOperation: setOperation,
      })),
      ...unset.map((key) => ({ name: key, configOperation: deleteOperation })),
    ],
  }
  return eachResult(
    [name],
    () => admin.incrementalAlterConfigs({ resources: [resource] }),
    resultName,
  )
}

const partitionOffsets = (offsets) =>
  Object.entries(offsets).map(([partition, offset]) => ({
    partition: Number(partition),
    offset: BigInt(offset),
  }))

function createTopics({ topics }) {
  const create = (name) => {
    const wanted = topics.find((topic) => topic.name === name)
    const configs = Object.entries(wanted.configs ?? {})
    return admin.createTopics({
      topics: [name],
      partitions: wanted.partitions ?? -1,
      replicas: wanted.replicationFactor ?? -1,
      configs: configs.map(([key, value]) => ({ name: key, value })),
    })
  }
  return eachResult(
    topics.map(({ name }) => name),
    create,
    resultName,
  )
}

await serve({
  produce,
  consume,
  ...allMembers(),
  createTopics,
  deleteTopics: ({ names }) =>
    eachResult(names, (name) => admin.deleteTopics({ topics: [name] }), resultName),
  createPartitions: ({ topic, total }) => {
    const wanted = { name: topic, count: total }
    return eachResult([topic], () => admin.createPartitions({ topics: [wanted] }), resultName)
  },
  listTopics: async () => {
    const names = await admin.listTopics()
    const counts = []
    for (const name of names) counts.push([name, (await partitionsOf(name)).length])
    return { topics: Object.fromEntries(counts) }
  },
  describeConfigs: async ({ type, name }) => {
    const resource = { resourceType: resourceTypes[type], resourceName: name }
    const [found] = await admin.describeConfigs({ resources: [resource] })
    return { configs: Object.fromEntries(found.configs.map((each) => [each.name, each.value])) }
  },
  alterConfigs,
  listGroups: async () => ({ groups: [...(await admin.listGroups()).keys()] }),
  describeGroup: async ({ group }) => {
    const found = (await admin.describeGroups({ groups: [group] })).get(group)
    return { state: found.state.replaceAll('_', '').toLowerCase(), members: found.members.size }
  },
  deleteGroups: ({ groups }) =>
    eachResult(groups, (group) => admin.deleteGroups({ groups: [group] }), resultName),
  groupOffsets,
  setGroupOffsets: async ({ group, topic, offsets }) => {
    const wanted = { name: topic, partitionOffsets: partitionOffsets(offsets) }
    await admin.alterConsumerGroupOffsets({ groupId: group, topics: [wanted] })
    return {}
  },
  deleteGroupOffsets: async ({ group, topic, partitions }) => {
    const wanted = { name: topic, partitionIndexes: partitions }
    await admin.deleteConsumerGroupOffsets({ groupId: group, topics: [wanted] })
    return {}
  },
  deleteRecords: async ({ topic, offsets }) => {
    const wanted = { name: topic, partitions: partitionOffsets(offsets) }
    const [found] = await admin.deleteRecords({ topics: [wanted] })
    const lows = found.partitions.map((p) => [p.partition, Number(p.lowWatermark)])
    return { lows: Object.fromEntries(lows) }
  },
  listOffsets,
  describeCluster: async () => {
    const { id, brokers, controllerId } = await admin.metadata({ topics: [], forceUpdate: true })
    return { clusterId: id, brokers: brokers.size, controller: controllerId }
  },
})
process.exit(0)
