// Goal: all brokers are restarted one after the other, as for a new version, and no request of an application fails, whether
// topics have two replicas or three of which two must be in sync. Method: librdkafka (Python) and franz-go (Go) produce
// idempotently and consume in groups and by assignment; each broker gets SIGTERM, starts again, and the next one has its
// turn when all replicas are in sync. What the clients noted is judged by test/checker.
import t, { type Test } from 'tap'
import type { ClientName } from '../compat/harness/driver.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { type ClusterProcesses, startClusterProcesses } from './cluster-processes.ts'
import { Faults } from './faults.ts'
import { checkJudged, Histories, longestGapMs } from './histories.ts'

t.setTimeout(0) // the runner limits the file

const rounds = process.env['LMQ_LONG'] === '1' ? 5 : 1
const partitions = [0, 1, 2]
const clients: readonly ClientName[] = ['confluent-kafka (Python)', 'franz-go (Go)']
const topics = [
  { name: 'three', replicationFactor: 3, minInSync: 2 },
  { name: 'two', replicationFactor: 2, minInSync: 1 },
]

const cluster = await startClusterProcesses({ settings: { 'offsets.topic.num.partitions': '5' } })
t.teardown(() => cluster?.remove())
if (!cluster) t.pass('rolling restart', { skip: whyMissing('consul') })
else await t.test('under load', (t) => restarted(t, cluster))

async function restarted(t: Test, cluster: ClusterProcesses): Promise<void> {
  const all: { name: string; histories: Histories; producers: string[] }[] = []
  t.teardown(async () => {
    for (const { histories } of all) await histories.remove()
  })
  for (const { name, replicationFactor, minInSync } of topics) {
    const configs = new Map([['min.insync.replicas', String(minInSync)]])
    await cluster.createTopic({ name, partitionCount: 3, replicationFactor, configs })
    const histories = new Histories(cluster.bootstrap)
    const producers: string[] = []
    all.push({ name, histories, producers })
    const work = { topic: name, partitions }
    const group = { group: `of ${name}`, sessionTimeoutMs: 30_000 }
    for (const client of clients) {
      const started = await histories.start(client, { role: 'produce', ...work, pauseMs: 20 })
      if (!started) return void t.pass('rolling restart', { skip: `${client} is missing` })
      producers.push(started)
    }
    await histories.start(clients[0] as ClientName, { role: 'group', ...work, ...group })
    await histories.start(clients[1] as ClientName, { role: 'assign', ...work })
  }
  for (const { histories } of all) await histories.begun()
  const fromMs = Date.now()
  const faults = new Faults(cluster, { seed: 1, topic: 'three', group: 'of three' })
  try {
    for (let round = 0; round < rounds; round++) await faults.rollingRestart()
    const toMs = Date.now()
    for (const { name, histories, producers } of all) {
      for (const producer of producers) {
        const gapMs = longestGapMs(histories.acknowledgedMs(producer), fromMs, toMs)
        t.comment(`${name}, ${producer}: longest gap ${Math.round(gapMs)} ms`)
      }
      await histories.finish(() => cluster.ends(name))
    }
  } catch (error) {
    t.comment(cluster.output)
    throw error
  }
  for (const { name, histories } of all) {
    checkJudged(t, histories, { least: 300, about: `${name}: ` })
  }
}
