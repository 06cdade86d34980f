// Goal: three brokers on three Consul servers lose, double and reorder nothing that was acknowledged, and no group goes back,
// whichever process dies, hangs, loses its disk or is restarted. Method: librdkafka (Python) and franz-go (Go) produce
// idempotently with acks=all and consume in a group and by assignment, while a seeded schedule makes faults: with
// replication factor 2 one at a time, the replicas back in sync in between; with 3 and min.insync.replicas=2 overlapping
// ones. What all clients noted is judged by test/checker. LMQ_SEED=n repeats a schedule, LMQ_LONG=1 runs more rounds.
import t, { type Test } from 'tap'
import type { ClientName } from '../compat/harness/driver.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { type ClusterProcesses, startClusterProcesses } from './cluster-processes.ts'
import { Faults } from './faults.ts'
import { type ClientWork, checkJudged, Histories } from './histories.ts'

const isLong = process.env['LMQ_LONG'] === '1'
const seed = Number(process.env['LMQ_SEED'] ?? Math.floor(Math.random() * 1e6))
const partitions = [0, 1, 2]
const librdkafka = 'confluent-kafka (Python)'
const franz = 'franz-go (Go)'

t.setTimeout(0) // the runner limits the file

const settings = {
  'group.initial.rebalance.delay.ms': '0',
  'offsets.topic.num.partitions': '5',
  'replica.lag.time.max.ms': '10000',
}

type Scene = { readonly cluster: ClusterProcesses; readonly histories: Histories }

async function underLoad(
  t: Test,
  more: { readonly replicationFactor: number; readonly minInSync: number },
  body: (scene: Scene & { readonly topic: string }) => Promise<void>,
): Promise<void> {
  const cluster = await startClusterProcesses({ settings })
  if (!cluster) return void t.pass('chaos', { skip: whyMissing('consul') })
  const histories = new Histories(cluster.bootstrap)
  t.teardown(async () => {
    await histories.remove()
    await cluster.remove()
  })
  const topic = 'orders'
  await cluster.createTopic({
    name: topic,
    partitionCount: partitions.length,
    replicationFactor: more.replicationFactor,
    configs: new Map([
      ['min.insync.replicas', String(more.minInSync)],
      ['segment.bytes', '1048576'],
    ]),
  })
  const start = (client: ClientName, work: Omit<ClientWork, 'topic' | 'partitions'>) =>
    histories.start(client, { topic, partitions, ...work })
  const load = { pauseMs: 20, burst: 3 }
  const group = { role: 'group', group: 'riders', sessionTimeoutMs: 30_000 } as const
  const started = [
    await start(librdkafka, { role: 'produce', ...load }),
    await start(franz, { role: 'produce', ...load }),
    await start(librdkafka, { role: 'assign' }),
    await start(franz, { role: 'assign' }),
    await start(librdkafka, group),
    await start(franz, group),
  ]
  if (started.includes(undefined)) {
    return void t.pass('chaos', { skip: 'Python or Go is missing' })
  }
  try {
    await body({ cluster, histories, topic })
    await cluster.healed()
    await histories.finish(() => cluster.ends(topic))
  } catch (error) {
    t.comment(cluster.output)
    throw error
  }
  checkJudged(t, histories, { least: 1_000 })
  if (!t.passing()) t.comment(cluster.output)
}

await t.test(`replication factor 2, one fault at a time (LMQ_SEED=${seed})`, async (t) => {
  await underLoad(t, { replicationFactor: 2, minInSync: 1 }, async ({ cluster, topic }) => {
    const faults = new Faults(cluster, { seed, topic, group: 'riders' })
    for (let round = 0; round < (isLong ? 6 : 1); round++) {
      for (const fault of faults.shuffled(faults.single)) {
        t.comment(`${new Date().toISOString()} ${fault}`)
        await faults.make(fault)
        await cluster.healed()
      }
    }
  })
})

await t.test(`replication factor 3, overlapping faults (LMQ_SEED=${seed})`, async (t) => {
  await underLoad(t, { replicationFactor: 3, minInSync: 2 }, async ({ cluster, topic }) => {
    const faults = new Faults(cluster, { seed, topic, group: 'riders' })
    for (let round = 0; round < (isLong ? 40 : 5); round++) {
      const pair = faults.overlapping()
      t.comment(`${new Date().toISOString()} ${pair.names.join(' and ')}`)
      await pair.make()
    }
  })
})
