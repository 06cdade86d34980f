// Goal: what the README says an acknowledgement means holds on a cluster, level by level: with acks=0 and 1 records may be
// lost, but nothing is damaged, made up or out of order; acks=all loses nothing; an idempotent producer's records are there
// once. Method: a producer (librdkafka, Python) and a reader for each level while every broker is killed (kill -9) in
// turn, judged by test/checker; and the cases in which only one replica has a record.
import t, { type Test } from 'tap'
import { startDriver } from '../compat/harness/client-drivers.ts'
import { uniqueName, until } from '../compat/harness/context.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { soonMs } from './cells.ts'
import { type ClusterProcesses, patienceMs, startClusterProcesses } from './cluster-processes.ts'
import { Histories } from './histories.ts'
import { Ledger, type WriteOptions } from './ledger.ts'

t.setTimeout(0) // the runner limits the file

const client = 'confluent-kafka (Python)'
const partitions = [0, 1, 2]
const rounds = process.env['LMQ_LONG'] === '1' ? 5 : 1

const levels = [
  { name: 'acks=0', acks: 0, idempotent: false },
  { name: 'acks=1', acks: 1, idempotent: false },
  { name: 'acks=all', acks: -1, idempotent: false },
  { name: 'idempotent', acks: -1, idempotent: true },
] as const

const cluster = await startClusterProcesses()
t.teardown(() => cluster?.remove())
if (!cluster) t.pass('acknowledgements', { skip: whyMissing('consul') })
else {
  await t.test('every broker is killed', (t) => everyBroker(t, cluster))
  await t.test('one replica: acks=1 survives kill -9', (t) => oneReplica(t, cluster))
  await t.test('only the leader has it, and another one leads', (t) => onlyTheLeader(t, cluster))
}

async function everyBroker(t: Test, cluster: ClusterProcesses): Promise<void> {
  const all = levels.map((level) => {
    return { ...level, topic: uniqueName(), histories: new Histories(cluster.bootstrap) }
  })
  t.teardown(() => Promise.all(all.map(({ histories }) => histories.remove())))
  for (const { topic, histories, acks, idempotent } of all) {
    const configs = new Map([['min.insync.replicas', '2']])
    await cluster.createTopic({ name: topic, partitionCount: 3, replicationFactor: 3, configs })
    const work = { topic, partitions, acks, idempotent }
    const producer = await histories.start(client, { ...work, role: 'produce', burst: 3 })
    if (!producer) return void t.pass('acknowledgements', { skip: whyMissing('python') })
    await histories.start(client, { role: 'assign', topic, partitions })
  }
  const goOn = async () => {
    for (const { histories, name } of all) await moreAcknowledged(name, histories)
  }
  await goOn()
  for (let round = 0; round < rounds; round++) {
    for (const id of cluster.brokerIds) {
      await cluster.kill(id)
      await goOn()
      await cluster.start(id)
      await cluster.healed()
    }
  }
  for (const { name, topic, histories } of all) {
    await t.test(name, async (t) => {
      await histories.finish(() => cluster.ends(topic))
      const { anomalies, ...counts } = histories.judge()
      t.comment(JSON.stringify(counts))
      t.ok(counts.acknowledged > 300, `${counts.acknowledged} records acknowledged`)
      t.same(anomalies.slice(0, 10), [], 'nothing that this level excludes')
      t.same(histories.errors.slice(0, 10), [], 'no error reached the application')
    })
  }
}

async function moreAcknowledged(name: string, histories: Histories): Promise<void> {
  const before = histories.acknowledgedMs().length
  await until(
    `${name}: records are acknowledged`,
    async () => histories.acknowledgedMs().length,
    (count) => count > before + 100,
    patienceMs,
  )
}

async function oneReplica(t: Test, cluster: ClusterProcesses): Promise<void> {
  const driver = startDriver(client, cluster.bootstrap)
  if (!driver) return void t.pass('one replica', { skip: whyMissing('python') })
  t.teardown(() => driver.stop())
  const ledger = new Ledger(driver)
  const topic = uniqueName()
  const configs = new Map<string, string>()
  await cluster.createTopic({ name: topic, partitionCount: 3, replicationFactor: 1, configs })
  for (let times = 0; times < 10; times++) {
    t.same(await ledger.write(topic, { acks: '1', idempotent: false }), [])
  }
  await Promise.all(cluster.brokerIds.map((id) => cluster.kill(id)))
  await Promise.all(cluster.brokerIds.map((id) => cluster.start(id)))
  await cluster.healed()
  t.same(await ledger.wrong(topic), [], 'all that was acknowledged is there')
}

/**
 * The followers hang. What they had asked for before, one answer, may be on its way to them: the second record is not.
 * Then the leader dies, and one of them leads.
 */
async function onlyTheLeader(t: Test, cluster: ClusterProcesses): Promise<void> {
  const topic = uniqueName()
  const configs = new Map<string, string>()
  await cluster.createTopic({ name: topic, partitionCount: 3, replicationFactor: 3, configs })
  // Nobody takes followers out of the ISR while the controller hangs.
  const controller = await cluster.controller()
  const state = (await cluster.partitions(topic)).find(({ leader }) => leader !== controller)
  if (!state) throw new Error('the controller leads everything')
  const { leader, partition } = state
  const driver = startDriver(client, cluster.broker(leader).bootstrap)
  if (!driver) return void t.pass('only the leader', { skip: whyMissing('python') })
  t.teardown(() => driver.stop())
  const ledger = new Ledger(driver)
  const places = [partition]
  const byLeader: WriteOptions = { places, acks: '1', idempotent: false }
  t.same(await ledger.write(topic, { places }), [], 'acks=all, three in sync')
  const followers = cluster.brokerIds.filter((id) => id !== leader)
  for (const id of followers) cluster.pause(id)
  t.same(await ledger.write(topic, byLeader), [], 'acks=1')
  t.same(await ledger.write(topic, byLeader), [], 'acks=1')
  const refused = await ledger.write(topic, { places, deliveryTimeoutMs: soonMs })
  t.same(refused, ['MSG_TIMED_OUT'], 'acks=all is not acknowledged')
  await cluster.kill(leader)
  for (const id of followers) cluster.resume(id)
  await until(
    'another one leads',
    () => cluster.leaderOf(topic, partition),
    (now) => followers.includes(now),
    patienceMs,
  )
  await cluster.start(leader)
  await cluster.healed()
  t.same(await ledger.write(topic, { places }), [], 'acks=all')
  const wrong = await ledger.wrong(topic, places)
  t.ok(wrong.length === 1 || wrong.length === 2, `of acks=1: ${wrong.join(', ')}`)
  for (const each of wrong) t.match(each, /is lost$/)
}
