// Goal: a broker of which one disk fails is relieved of what lay there and of nothing else: others lead, acknowledged
// records stay, a producer with acks=all goes on; and what only that disk has is not begun anew beside it.
// Method: three brokers of this process with two log directories each. A directory is taken away and a file put in its
// place, so that the next checkpoint fails; later it comes back, and the broker starts again.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { Broker } from '../../../src/broker.ts'
import { createTopic } from '../../../src/client/admin-topics.ts'
import { Client, parseBootstrap } from '../../../src/client/client.ts'
import { Fetcher } from '../../../src/client/fetcher.ts'
import { Producer } from '../../../src/client/producer.ts'
import { loadStartOptions } from '../../../src/config/start-options.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { LocalCluster } from '../../../src/server/local-cluster.ts'
import { registration, TestMachine, topic } from './machine-fixture.ts'

const BROKER = 1
const PARTITIONS = 6
/** Kafka's `replica.lag.time.max.ms`. */
const LAG_MS = 30_000
const patienceMs = 60_000
t.setTimeout(120_000)

type Running = { readonly broker: Broker; readonly port: number; stop(): Promise<void> }

class Disks {
  readonly folder = mkdtempSync(join(tmpdir(), 'lmq-failed-disk-'))
  readonly #failed: string[] = []

  dirs(brokerId: number): string[] {
    return ['first', 'second'].map((name) => join(this.folder, `broker-${brokerId}`, name))
  }

  fail(dir: string): void {
    renameSync(dir, `${dir}-away`)
    writeFileSync(dir, 'no folder')
    this.#failed.push(dir)
  }

  mend(): void {
    for (const dir of this.#failed.splice(0)) {
      rmSync(dir)
      renameSync(`${dir}-away`, dir)
    }
  }
}

async function open(t: Test, disks: Disks) {
  const cluster = await LocalCluster.open<Running>({
    io: createNodeIo(),
    createIo: createNodeIo,
    dataDir: disks.folder,
    brokerIds: [1, 2, 3],
    clusterId: undefined,
    logger: silentLogger,
    portOf: () => 0,
    boundPort: ({ port }) => port,
    async start({ brokerId, port, io, place }) {
      const dataDirs = disks.dirs(brokerId)
      const settings = {
        'lmq.http.port': '-1',
        'min.insync.replicas': '2',
        'replica.high.watermark.checkpoint.interval.ms': '100',
      }
      const dataDir = dataDirs.join(',')
      const options = { brokerId, port, dataDir, settings, inCluster: true, defaultPort: 0 }
      const loaded = loadStartOptions(options, () => '')
      const logger = silentLogger
      const around = { io, loaded, dataDirs, logger, cluster: place, onFatal: () => {} }
      const broker = await Broker.start(around)
      return { broker, port: broker.listeners[0]?.port ?? 0, stop: () => broker.stop() }
    },
  })
  t.teardown(async () => {
    await cluster.stop()
    rmSync(disks.folder, { recursive: true, force: true })
  })
  await cluster.startAll()
  const bootstrap = cluster.running.map(({ broker }) => broker.bootstrap).join(',')
  const client = new Client(createNodeIo(), {
    bootstrap: parseBootstrap(bootstrap),
    retryForMs: patienceMs,
  })
  t.teardown(() => client.close())
  return { cluster, client }
}

async function partitionsOf(client: Client, name: string) {
  const { topics } = await client.metadata([name])
  const partitions = topics[0]?.partitions ?? []
  return partitions.sort((a, b) => a.partitionIndex - b.partitionIndex)
}

async function until<T>(what: string, look: () => Promise<T>, isGood: (found: T) => boolean) {
  const endMs = performance.now() + patienceMs
  for (;;) {
    const found = await look()
    if (isGood(found)) return found
    if (performance.now() > endMs) throw new Error(`${what}: ${JSON.stringify(found)}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function read(client: Client, name: string, count: number): Promise<Set<string>> {
  const fetcher = new Fetcher(client, { maxWaitMs: 100 })
  fetcher.assign(
    Array.from({ length: PARTITIONS }, (_, partitionIndex) => {
      return { topic: name, partitionIndex, offset: 0 }
    }),
  )
  const found = new Set<string>()
  const endMs = performance.now() + patienceMs
  while (found.size < count && performance.now() < endMs) {
    for (const { value } of await fetcher.poll()) found.add(String(value))
  }
  return found
}

t.test('a failed disk moves leaders while a producer goes on', async (t) => {
  const disks = new Disks()
  const { cluster, client } = await open(t, disks)
  const name = 'orders'
  const configs = new Map([['min.insync.replicas', '2']])
  await createTopic(client, { name, partitionCount: PARTITIONS, replicationFactor: 3, configs })
  await createTopic(client, {
    name: 'alone',
    partitionCount: PARTITIONS,
    replicationFactor: 1,
    configs: new Map(),
  })
  const acknowledged: number[] = []
  const producer = new Producer(client, {
    onAcknowledged: ({ partitionIndex, recordCount }) => {
      acknowledged[partitionIndex] = (acknowledged[partitionIndex] ?? 0) + recordCount
    },
  })
  let sent = 0
  const send = () =>
    producer.send(
      name,
      { key: null, timestamp: Date.now(), value: Buffer.from(`${sent}`) },
      sent++ % PARTITIONS,
    )
  for (let index = 0; index < PARTITIONS; index++) {
    await producer.send(
      'alone',
      { key: null, timestamp: Date.now(), value: Buffer.from(`alone ${index}`) },
      index,
    )
  }
  for (let round = 0; round < 100; round++) await send()
  await producer.flush()
  let isOver = false
  const load = (async () => {
    while (!isOver) {
      await send()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })()

  const second = disks.dirs(BROKER)[1] as string
  disks.fail(second)
  const isOut = ({ offlineReplicas }: { offlineReplicas: number[] }) =>
    offlineReplicas.includes(BROKER)
  const after = await until(
    'others lead what lay on the disk',
    () => partitionsOf(client, name),
    (all) => all.some(isOut) && all.every(({ leaderId }) => leaderId > 0),
  )
  const relieved = after.filter(isOut)
  t.ok(relieved.length < PARTITIONS, 'what lies on the other disk is not touched')
  for (const { leaderId, isrNodes } of relieved) {
    t.not(leaderId, BROKER)
    t.notOk(isrNodes.includes(BROKER))
  }
  const beside = await until(
    'the other disk serves',
    () => partitionsOf(client, name),
    (all) => all.every((each) => isOut(each) || each.isrNodes.includes(BROKER)),
  )
  t.ok(beside.length === PARTITIONS)
  const before = [...acknowledged]
  const beganMs = performance.now()
  await until(
    'the producer goes on',
    async () => acknowledged,
    (counts) => counts.every((count, index) => count > (before[index] ?? 0) + 8),
  )
  // Who left the ISR with its disk is not waited for until it would count as too slow.
  const tookMs = performance.now() - beganMs
  t.ok(tookMs < LAG_MS, `every partition went on after ${Math.round(tookMs)} ms`)

  const alone = await partitionsOf(client, 'alone')
  const lost = alone
    .filter(isOut)
    .map(({ partitionIndex, leaderId }) => ({ partitionIndex, leaderId }))
  t.ok(
    lost.every(({ leaderId }) => leaderId === -1),
    'nobody leads what only that disk has',
  )

  // Without the disk: nothing is begun anew in its place, and what others have is copied to the disk that is left.
  await cluster.stopBroker(BROKER)
  await cluster.startBroker(BROKER)
  await until(
    'all is copied to the other disk',
    () => partitionsOf(client, name),
    (all) => all.every(({ isrNodes }) => isrNodes.length === 3),
  )
  const still = await partitionsOf(client, 'alone')
  t.same(
    still.filter(({ leaderId }) => leaderId === -1).map(({ partitionIndex }) => partitionIndex),
    lost.map(({ partitionIndex }) => partitionIndex),
    'it waits for the disk',
  )

  await cluster.stopBroker(BROKER)
  disks.mend()
  await cluster.startBroker(BROKER)
  await until(
    'everybody is in sync',
    async () => [...(await partitionsOf(client, name)), ...(await partitionsOf(client, 'alone'))],
    (all) =>
      all.every((each) => each.isrNodes.length === each.replicaNodes.length && each.leaderId > 0),
  )
  isOver = true
  await load
  await producer.flush()
  t.equal((await read(client, name, sent)).size, sent, 'every acknowledged record is read')
  t.equal((await read(client, 'alone', PARTITIONS)).size, PARTITIONS, 'what waited is there, too')
})

t.test('the controller takes a broker out where its disk failed, and nowhere else', async (t) => {
  const machine = new TestMachine(3)
  machine.create([topic('orders', { numPartitions: 3, replicationFactor: 3 })])
  const found = () => machine.image.topic('orders')?.partitions ?? []
  const led = found().find(({ leader }) => leader === BROKER)
  if (!led) throw new Error('broker 1 leads nothing')
  const topicId = machine.image.topic('orders')?.topicId ?? ''
  const brokerEpoch = machine.image.brokers.get(BROKER)?.brokerEpoch ?? -1
  const { partitionIndex } = led
  const command = {
    brokerId: BROKER,
    brokerEpoch,
    topics: [{ topicId, partitions: [partitionIndex, partitionIndex, 99] }],
  }
  const stale = { ...command, brokerEpoch: brokerEpoch - 1 }
  t.equal(machine.run(machine.machine.failReplicas(stale)), ErrorCode.STALE_BROKER_EPOCH)
  t.equal(machine.run(machine.machine.failReplicas(command)), ErrorCode.NONE)
  for (const each of found()) {
    const isFailed = each.partitionIndex === partitionIndex
    t.equal(each.isr.includes(BROKER), !isFailed)
    t.equal(machine.image.isOffline(BROKER, topicId, each.partitionIndex), isFailed)
  }
  t.not(found()[partitionIndex]?.leader, BROKER)
  const again = machine.machine.failReplicas(command)
  t.same(again.records, [], 'told twice, it is one change')

  const isr = [...(found()[partitionIndex]?.isr ?? []), BROKER]
  t.equal(
    machine.alterIsr('orders', isr, { partitionIndex }).errorCode,
    ErrorCode.INELIGIBLE_REPLICA,
  )
  for (const other of [2, 3]) machine.change(other, { fenced: true })
  t.equal(
    found()[partitionIndex]?.leader,
    -1,
    'a broker that lives does not lead what it cannot serve',
  )

  t.test('a snapshot keeps it, a new process of the broker ends it', async (t) => {
    const records = [...machine.image.toRecords()]
    t.ok(records.some(({ kind }) => kind === 'failedReplicas'))
    machine.run(machine.machine.registerBroker(registration(BROKER, { unfenced: false })))
    t.notOk(machine.image.failedReplicas.has(BROKER, topicId, partitionIndex))
  })
})
