// Goal: the client does its work against a real broker in this process: records there and back, groups, admin
// questions, and all of it across a restart of the broker.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  describeApis,
  describeCluster,
  describeLogDirs,
} from '../../../src/client/admin-cluster.ts'
import { alterConfigs, describeConfigs } from '../../../src/client/admin-configs.ts'
import {
  deleteCommitted,
  deleteGroup,
  describeGroup,
  groupLag,
  listGroups,
} from '../../../src/client/admin-groups.ts'
import {
  createPartitions,
  createTopic,
  deleteRecords,
  deleteTopic,
  listTopics,
} from '../../../src/client/admin-topics.ts'
import { Client, parseBootstrap } from '../../../src/client/client.ts'
import { commitOffsets } from '../../../src/client/committed-offsets.ts'
import { Fetcher } from '../../../src/client/fetcher.ts'
import { GroupMember } from '../../../src/client/group-member.ts'
import { listOffsets, OffsetSpec } from '../../../src/client/offsets.ts'
import type { ConsumedRecord } from '../../../src/client/opened-batch.ts'
import { Producer } from '../../../src/client/producer.ts'
import { startBroker } from '../../../src/index.ts'
import { Codec } from '../../../src/io/io.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'

type T = { teardown(task: () => unknown): void }

const io = createNodeIo()

function clientOf(t: T, bootstrap: string): Client {
  const client = new Client(io, { bootstrap: parseBootstrap(bootstrap), retryForMs: 20_000 })
  t.teardown(() => client.close())
  return client
}

async function setUp(t: T): Promise<{ client: Client; bootstrap: string }> {
  const broker = await startBroker({ port: 0, httpPort: -1 })
  t.teardown(() => broker.stop())
  return { client: clientOf(t, broker.bootstrap), bootstrap: broker.bootstrap }
}

const plain = (name: string, partitionCount: number) => ({
  name,
  partitionCount,
  replicationFactor: -1,
  configs: new Map<string, string>(),
})

async function readAll(fetcher: Fetcher, count: number): Promise<ConsumedRecord[]> {
  const found: ConsumedRecord[] = []
  while (found.length < count) found.push(...(await fetcher.poll()))
  return found
}

const positionsOf = (topic: string, count: number) =>
  Array.from({ length: count }, (_, partitionIndex) => ({ topic, partitionIndex, offset: 0 }))

t.test('records survive the way there and back with every codec', async (t) => {
  const { client } = await setUp(t)
  await createTopic(client, plain('codecs', 3))
  const sent: string[] = []
  for (const codec of Object.values(Codec)) {
    const producer = new Producer(client, { codec, batchBytes: 4_000 })
    for (let i = 0; i < 300; i++) {
      const key = i % 7 === 0 ? null : Buffer.from(`key ${i % 20}`)
      const value = i % 11 === 0 ? null : Buffer.from(`value ${codec} ${i}`)
      const headers = i % 5 === 0 ? [{ key: 'h', value: Buffer.from([255, i & 255]) }] : []
      await producer.send('codecs', { key, value, headers, timestamp: 1_700_000_000_000 + i })
      sent.push(JSON.stringify({ key, value, headers, i }))
    }
    await producer.flush()
  }
  const fetcher = new Fetcher(client)
  fetcher.assign(positionsOf('codecs', 3))
  const records = await readAll(fetcher, sent.length)
  const read = records.map(({ key, value, headers, timestamp }) =>
    JSON.stringify({ key, value, headers, i: timestamp - 1_700_000_000_000 }),
  )
  t.same(read.sort(), sent.sort())
  const byKey = new Map<string, Set<number>>()
  for (const { key, partitionIndex } of records) {
    if (!key) continue
    const seen = byKey.get(String(key)) ?? new Set()
    byKey.set(String(key), seen.add(partitionIndex))
  }
  t.ok([...byKey.values()].every((partitions) => partitions.size === 1))
})

t.test('nothing is lost or doubled when the broker restarts', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'lmq-client-'))
  t.teardown(() => rm(dataDir, { recursive: true, force: true }))
  let broker = await startBroker({ port: 0, httpPort: -1, dataDir })
  t.teardown(() => broker.stop())
  const port = Number(broker.bootstrap.split(':').at(-1))
  const client = clientOf(t, broker.bootstrap)
  await createTopic(client, plain('restart', 2))
  const producer = new Producer(client, { batchBytes: 500 })
  const fetcher = new Fetcher(client)
  fetcher.assign(positionsOf('restart', 2))
  const count = 4_000
  const reading = readAll(fetcher, count)
  const restart = async (): Promise<void> => {
    await broker.stop()
    broker = await startBroker({ port, httpPort: -1, dataDir })
  }
  let restarting: Promise<void> | undefined
  for (let i = 0; i < count; i++) {
    const record = { key: Buffer.from(`k${i % 10}`), value: Buffer.from(String(i)), timestamp: i }
    await producer.send('restart', record)
    if (i === count / 4) {
      await producer.flush()
      restarting = restart()
    }
  }
  await producer.flush()
  await restarting
  const records = await reading
  t.equal(records.length, count)
  t.equal(new Set(records.map(({ value }) => String(value))).size, count)
  const lastOf = new Map<string, number>()
  let ordered = true
  for (const { key, value } of records) {
    const number = Number(String(value))
    if (number < (lastOf.get(String(key)) ?? -1)) ordered = false
    lastOf.set(String(key), number)
  }
  t.ok(ordered, 'in order for each key')
})

t.test('two members share the partitions, commit, and leave', async (t) => {
  const { client, bootstrap } = await setUp(t)
  const other = clientOf(t, bootstrap)
  await createTopic(client, plain('shared', 3))
  const first = new GroupMember(client, {
    groupId: 'g',
    topics: ['shared'],
    sessionTimeoutMs: 6_000,
  })
  t.equal((await first.join()).length, 3)
  const second = new GroupMember(other, {
    groupId: 'g',
    topics: ['shared'],
    sessionTimeoutMs: 6_000,
  })
  const joining = second.join()
  while (!first.mustRejoin) await client.pause(20)
  const shares = [await first.join(), await joining].flat()
  t.same(shares.map(({ partitionIndex }) => partitionIndex).sort(), [0, 1, 2])
  await first.commit([{ topic: 'shared', partitionIndex: 0, offset: 0 }])
  const described = await describeGroup(client, 'g')
  t.match(described, { state: 'Stable', protocol: 'range' })
  t.equal(described.members.length, 2)
  t.equal(described.members.flatMap(({ assignment }) => assignment).length, 3)
  await first.leave()
  await second.leave()
  t.match(await listGroups(client), [{ groupId: 'g', groupState: 'Empty' }])
  t.match(await groupLag(client, 'g'), [{ topic: 'shared', partitionIndex: 0, lagRecords: 0 }])
})

t.test('groups without members: commits, lag, forgetting', async (t) => {
  const { client } = await setUp(t)
  await createTopic(client, plain('lagging', 2))
  const producer = new Producer(client)
  for (let i = 0; i < 10; i++) {
    await producer.send('lagging', { key: null, value: Buffer.from('x'), timestamp: i }, 1)
  }
  await producer.flush()
  t.same(
    await commitOffsets(client, 'lag', [{ topic: 'lagging', partitionIndex: 1, offset: 4 }]),
    [],
  )
  t.match(await groupLag(client, 'lag'), [{ committedOffset: 4, logEndOffset: 10, lagRecords: 6 }])
  await deleteCommitted(client, 'lag', [{ topic: 'lagging', partitionIndex: 1 }])
  t.same(await groupLag(client, 'lag'), [])
  await commitOffsets(client, 'lag', [{ topic: 'lagging', partitionIndex: 1, offset: 4 }])
  await deleteGroup(client, 'lag')
  await t.rejects(deleteGroup(client, 'lag'), { message: /GROUP_ID_NOT_FOUND/ })
})

t.test('topics, offsets, settings, the cluster', async (t) => {
  const { client, bootstrap } = await setUp(t)
  const made = await createTopic(client, {
    ...plain('admin', 2),
    configs: new Map([['retention.ms', '5000']]),
  })
  t.match(made, { partitionCount: 2, replicationFactor: 1 })
  await t.rejects(createTopic(client, plain('admin', 2)), { message: /TOPIC_ALREADY_EXISTS/ })
  await createPartitions(client, 'admin', 4)
  const [topic] = await listTopics(client, ['admin'])
  t.equal(topic?.partitions.length, 4)
  await t.rejects(listTopics(client, ['missing']), { message: /UNKNOWN_TOPIC_OR_PARTITION/ })

  const producer = new Producer(client)
  for (let i = 0; i < 10; i++) {
    await producer.send('admin', { key: null, value: Buffer.from('x'), timestamp: 100 + i }, 0)
  }
  await producer.flush()
  t.same(await deleteRecords(client, [{ topic: 'admin', partitionIndex: 0, offset: 4 }]), [4])
  const at = (timestamp: number) => ({ topic: 'admin', partitionIndex: 0, timestamp })
  const asked = [at(OffsetSpec.earliest), at(OffsetSpec.latest), at(107), at(1_000)]
  t.same(
    (await listOffsets(client, asked)).map(({ offset }) => offset),
    [4, 10, 7, -1],
  )

  const resource = { type: 'topic', name: 'admin' } as const
  await alterConfigs(client, resource, [{ name: 'retention.ms', operation: 'set', value: '7000' }])
  const entries = await describeConfigs(client, resource)
  t.match(
    entries.find(({ name }) => name === 'retention.ms'),
    { value: '7000', configSource: 1 },
  )
  const bad = [{ name: 'retention.ms', operation: 'set', value: 'x' }] as const
  await t.rejects(alterConfigs(client, resource, bad), { message: /INVALID_CONFIG/ })

  const cluster = await describeCluster(client)
  const [broker] = cluster.brokers
  t.equal(`${broker?.host}:${broker?.port}`, bootstrap)
  const brokerId = broker?.brokerId ?? -1
  t.ok((await describeApis(client, brokerId)).apiKeys.some(({ apiKey }) => apiKey === 0))
  t.ok((await describeLogDirs(client, brokerId)).length > 0)
  await deleteTopic(client, 'admin')
  await t.rejects(deleteTopic(client, 'admin'), { message: /UNKNOWN_TOPIC_OR_PARTITION/ })
})

t.test('a position that is gone is reset, or is an error', async (t) => {
  const { client } = await setUp(t)
  await createTopic(client, plain('reset', 1))
  const producer = new Producer(client)
  for (let i = 0; i < 5; i++) {
    await producer.send('reset', { key: null, value: Buffer.from(String(i)), timestamp: i })
  }
  await producer.flush()
  await deleteRecords(client, [{ topic: 'reset', partitionIndex: 0, offset: 2 }])
  const earliest = new Fetcher(client, { reset: 'earliest', maxWaitMs: 50 })
  earliest.assign(positionsOf('reset', 1))
  t.same(
    (await readAll(earliest, 3)).map(({ offset }) => offset),
    [2, 3, 4],
  )
  t.match(earliest.positions, [{ offset: 5 }])
  const strict = new Fetcher(client, { reset: 'none', maxWaitMs: 50 })
  strict.assign(positionsOf('reset', 1))
  await t.rejects(readAll(strict, 1), { message: /OFFSET_OUT_OF_RANGE/ })
})

t.test('nobody there', async (t) => {
  const client = new Client(io, { bootstrap: [{ host: '127.0.0.1', port: 1 }], retryForMs: 0 })
  t.teardown(() => client.close())
  await t.rejects(client.metadata(null), { code: 'LMQ_CONNECTION_CLOSED' })
  t.throws(() => parseBootstrap(''), { code: 'LMQ_CONFIG_INVALID' })
  t.throws(() => parseBootstrap('host:x'), { code: 'LMQ_CONFIG_INVALID' })
  t.same(parseBootstrap('a, [::1]:5,PLAINTEXT://b:7'), [
    { host: 'a', port: 9092 },
    { host: '::1', port: 5 },
    { host: 'b', port: 7 },
  ])
})
