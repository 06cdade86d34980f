// Goal: a broker with many partitions or connections costs no more for each record than one with few, and for each of
// them only so much memory and no open file. Method: one broker process, the same number of requests of one record, by
// the CPU time of its process; bounds are generous, the exact figures are the benchmark's (`npm run bench -- --many`).
// LMQ_LONG=1: 50,000 partitions and 10,000 connections.
import t, { type Test } from 'tap'
import { cpuSecondsOf, openFilesOf, residentMbOf } from '../../bench/process-stat.ts'
import { crc32c } from '../../src/io/crc32c.ts'
import { produce } from '../../src/protocol/apis/00-produce.ts'
import { metadata } from '../../src/protocol/apis/03-metadata.ts'
import { createTopics } from '../../src/protocol/apis/19-create-topics.ts'
import { buildBatch } from '../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import { RawClient } from '../unit/server/raw-client.ts'
import { givenBootstrap, startTestBroker, type TestBroker } from './harness/broker.ts'

const isLong = process.env['LMQ_LONG'] === '1'
t.setTimeout(isLong ? 1_800_000 : 240_000)

const isLinux = process.platform === 'linux'
const skip = (givenBootstrap || !isLinux) && 'needs the process of a broker that this test starts'

/** Partitions of one topic. */
const perTopic = 100
const few = isLong ? 1_000 : 200
const many = isLong ? 50_000 : 2_000
const senders = 8
const requests = 4_000
const openFiles = 128
/** Few sockets and files stay in the processor's caches, many do not; the rest is what a busy machine needs. */
const flatWithin = 3
const floorSeconds = 0.05
const connections = isLong ? 10_000 : 800

const PRODUCE_VERSION = 9

async function connect(t: Test, broker: TestBroker, count: number): Promise<RawClient[]> {
  const port = Number(broker.bootstrap.split(':').at(-1))
  const clients: RawClient[] = []
  t.teardown(() => {
    for (const client of clients) client.close()
  })
  for (let left = count; left > 0; left -= senders) {
    const some = Array.from({ length: Math.min(senders, left) }, () => RawClient.connect(port))
    clients.push(...(await Promise.all(some)))
  }
  return clients
}

/** Topics `from` to `to` (exclusive), and all of their partitions are led when this resolves. */
async function create(client: RawClient, from: number, to: number): Promise<void> {
  for (let topic = from; topic < to; topic++) {
    const one = { name: `t-${topic}`, numPartitions: perTopic, replicationFactor: 1 }
    const answer = await client.ask(createTopics, 7, {
      topics: [{ ...one, assignments: [], configs: [] }],
      timeoutMs: 30_000,
      validateOnly: false,
    })
    if (answer.topics[0]?.errorCode !== ErrorCode.NONE) throw new Error(`no topic ${one.name}`)
  }
}

const records = buildBatch(
  [{ key: null, value: Buffer.alloc(100), timestamp: Date.now() }],
  {},
  crc32c,
)

async function send(client: RawClient, partition: number): Promise<void> {
  const index = partition % perTopic
  const name = `t-${Math.floor(partition / perTopic)}`
  const topicData = [{ name, topicId: ZERO_UUID, partitionData: [{ index, records }] }]
  const request = { transactionalId: null, acks: -1, timeoutMs: 30_000, topicData }
  const answer = await client.ask(produce, PRODUCE_VERSION, request)
  const code = answer.responses[0]?.partitionResponses[0]?.errorCode
  if (code !== ErrorCode.NONE) throw new Error(`partition ${partition} answers ${code}`)
}

/** Sends `count` requests to the first `partitions` in turn, from all connections in turn, eight at a time. */
async function load(
  clients: readonly RawClient[],
  partitions: number,
  count: number,
): Promise<void> {
  const own = Math.floor(clients.length / senders)
  const sender = async (at: number) => {
    for (let i = 0; at + i * senders < count; i++) {
      const client = clients[at + (i % own) * senders] as RawClient
      await send(client, (at + i * senders) % partitions)
    }
  }
  await Promise.all(Array.from({ length: senders }, (_, at) => sender(at)))
}

/** CPU seconds of the broker for the load of this test. */
async function cost(broker: TestBroker, clients: readonly RawClient[]): Promise<number> {
  const before = cpuSecondsOf(broker.pid) ?? 0
  await load(clients, senders, requests)
  return Math.max(floorSeconds, (cpuSecondsOf(broker.pid) ?? 0) - before)
}

t.test(`${many / few} times as many partitions`, { skip }, async (t) => {
  const settings = { 'lmq.open.files': String(openFiles), 'auto.create.topics.enable': 'false' }
  const broker = await startTestBroker({ settings })
  t.teardown(() => broker.stop())
  let clients = await connect(t, broker, senders)
  const [first] = clients as [RawClient]

  await create(first, 0, few / perTopic)
  await load(clients, few, few)
  await load(clients, senders, requests)
  const withFew = await cost(broker, clients)
  const memoryOfFew = residentMbOf(broker.pid) ?? 0

  await create(first, few / perTopic, many / perTopic)
  await load(clients, many, many)
  const withMany = await cost(broker, clients)
  t.ok(withMany <= flatWithin * withFew, `${withMany} s after ${withFew} s for the same records`)

  const kb = (((residentMbOf(broker.pid) ?? 0) - memoryOfFew) * 1024) / (many - few)
  t.ok(kb < 64, `${kb.toFixed(1)} KB for each partition that was written to`)
  const open = openFilesOf(broker.pid) ?? 0
  t.ok(open < openFiles + 100, `${open} files are open`)

  await broker.shutDown()
  await broker.start()
  const started = cpuSecondsOf(broker.pid) ?? 0
  t.ok(started < 20, `${started} CPU seconds for the start`)
  clients = await connect(t, broker, senders)
  const { topics } = await (clients[0] as RawClient).ask(metadata, 12, {
    topics: null,
    allowAutoTopicCreation: false,
    includeTopicAuthorizedOperations: false,
    includeClusterAuthorizedOperations: false,
  })
  const led = topics.flatMap(({ partitions }) => partitions).filter(({ leaderId }) => leaderId > 0)
  t.equal(led.length, many, 'all are led after a restart')
  t.notMatch(broker.output, /recovered the logs/, 'the stop was in order: nothing was recovered')
  const afterStart = openFilesOf(broker.pid) ?? 0
  t.ok(afterStart < 100, `${afterStart} files are open before anybody asks`)
})

t.test(`${connections / senders} times as many connections`, { skip }, async (t) => {
  const broker = await startTestBroker()
  t.teardown(() => broker.stop())
  const few = await connect(t, broker, senders)
  await create(few[0] as RawClient, 0, 1)
  await load(few, senders, 2 * requests)
  const withFew = await cost(broker, few)
  const memoryOfFew = residentMbOf(broker.pid) ?? 0

  const many = await connect(t, broker, connections)
  await load(many, senders, requests)
  const withMany = await cost(broker, many)
  t.ok(withMany <= flatWithin * withFew, `${withMany} s after ${withFew} s for the same records`)
  const kb = (((residentMbOf(broker.pid) ?? 0) - memoryOfFew) * 1024) / many.length
  t.ok(kb < 128, `${kb.toFixed(1)} KB for each connection`)
})
