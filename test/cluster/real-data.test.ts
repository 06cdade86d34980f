// Goal: the main job on real input survives the death of every broker. Method: the data of test/compat/real-data.test.ts
// (larger CSV and JSON files, keyed) are produced with acks=all by librdkafka and by Java to topics of three partitions and
// two replicas; while they are, each of the three brokers is killed with -9 once and comes back. Other clients read every
// record once, byte for byte, in order per key.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startDriver } from '../compat/harness/client-drivers.ts'
import { uniqueName, until } from '../compat/harness/context.ts'
import type { ClientName, Driver } from '../compat/harness/driver.ts'
import { compareWithFile, type RealData, writeRealData } from '../compat/harness/real-data.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { type ClusterProcesses, patienceMs, startClusterProcesses } from './cluster-processes.ts'

t.setTimeout(0) // the runner limits the file

const producers: readonly ClientName[] = ['confluent-kafka (Python)', 'Java']
const readers: readonly ClientName[] = ['franz-go (Go)', 'kafkajs']
/** Between two groups of 500 records: a third of the data takes some seconds, in which a broker dies. */
const pauseMs = 60

const folder = mkdtempSync(join(tmpdir(), 'lmq-cluster-data-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const data = writeRealData(folder, process.env['LMQ_LONG'] === '1')
const cluster = await startClusterProcesses()
if (!cluster) t.pass('real data', { skip: whyMissing('consul') })
else await all(cluster)

async function all(cluster: ClusterProcesses): Promise<void> {
  const drivers = new Map<ClientName, Driver>()
  for (const client of [...producers, ...readers]) {
    const driver = startDriver(client, cluster.bootstrap)
    if (driver) drivers.set(client, driver)
  }
  t.teardown(async () => {
    for (const driver of drivers.values()) await driver.stop()
    await cluster.remove()
  })
  const parts = partsOf(data, cluster.brokerIds.length)
  for (const client of producers) {
    await t.test(`${client}, ${data.recordCount} records of ${data.fileCount} files`, async (t) => {
      const producer = drivers.get(client)
      if (!producer) return void t.pass(client, { skip: `${client} is missing` })
      const topic = uniqueName()
      const facts = { name: topic, partitionCount: -1, replicationFactor: -1, configs: new Map() }
      await cluster.createTopic(facts)
      const states = await cluster.partitions(topic)
      t.same([states.length, states[0]?.replicas.length], [3, 2], 'three partitions, two replicas')
      for (const [at, id] of cluster.brokerIds.entries()) {
        await producedWhileKilled(t, cluster, producer, { topic, id, path: parts[at] ?? '' })
      }
      for (const reader of readers) await readBack(t, topic, drivers.get(reader))
    })
  }
}

/** Each part has a share of the lines, in order. */
function partsOf({ path }: RealData, count: number): string[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  const size = Math.ceil(lines.length / count)
  return Array.from({ length: count }, (_, at) => {
    const part = join(folder, `part-${at}`)
    const own = lines.slice(at * size, (at + 1) * size)
    writeFileSync(part, own.map((line) => `${line}\n`).join(''))
    return part
  })
}

type Part = { readonly topic: string; readonly id: number; readonly path: string }

async function producedWhileKilled(
  t: Test,
  cluster: ClusterProcesses,
  producer: Driver,
  { topic, id, path }: Part,
): Promise<void> {
  const written = async () => [...(await cluster.ends(topic)).values()].reduce((a, b) => a + b, 0)
  const before = await written()
  const count = readFileSync(path, 'utf8').split('\n').length - 1
  let isOver = false
  const load = { topic, path, pauseMs, idempotent: true, codec: 'lz4', acks: 'all' }
  const produced = producer.call('produceFile', load).finally(() => {
    isOver = true
  })
  await until('some is written', written, (end) => end > before + count / 20, patienceMs)
  t.notOk(isOver, `broker ${id} is killed before the end`)
  await cluster.kill(id)
  await cluster.start(id)
  const answer = await produced
  t.same([answer['acknowledged'], answer['errors']], [count, []], 'all are acknowledged')
  await cluster.healed()
}

async function readBack(t: Test, topic: string, reader: Driver | undefined): Promise<void> {
  if (!reader) return void t.pass('read back', { skip: 'the client is missing' })
  const path = join(folder, `${topic}-${reader.client.replaceAll(/\W/g, '')}`)
  await reader.call('consumeFile', { topic, path })
  const { wrong } = compareWithFile(data, path, true)
  t.same(wrong, [], `${reader.client} reads every record once, in order per key`)
  rmSync(path)
}
