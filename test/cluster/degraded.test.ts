// Goal: what the README promises of a cluster that is not whole holds: which of producing, consuming, committing and
// creating topics goes on with two brokers of three, with one, and without Consul. Method: librdkafka (Python) against a
// cluster from which processes are taken; each cell of the table is a test. What does not go on is refused with an error
// that clients take as passing, and works again when the processes are back.
import t, { type Test } from 'tap'
import { startDriver } from '../compat/harness/client-drivers.ts'
import { uniqueName } from '../compat/harness/context.ts'
import type { Driver, Incoming, Outcome } from '../compat/harness/driver.ts'
import { runOrThrow } from '../compat/harness/program.ts'
import { tool, whyMissing } from '../compat/harness/tools.ts'
import { type ClusterProcesses, startClusterProcesses } from './cluster-processes.ts'

t.setTimeout(0) // the runner limits the file

const partitions = [0, 1, 2]
const soonMs = 4_000

const cluster = await startClusterProcesses({ settings: { 'offsets.topic.num.partitions': '3' } })
const driver = cluster && startDriver('confluent-kafka (Python)', cluster.bootstrap)
t.teardown(async () => {
  await driver?.stop()
  await cluster?.remove()
})
if (!cluster) t.pass('degraded', { skip: whyMissing('consul') })
else if (!driver) t.pass('degraded', { skip: whyMissing('python') })
else await all(cluster, driver)

/** Topics by what they can bear: all brokers have all of `three`, `strict` needs two of them, `two` has two replicas. */
type Topics = { readonly two: string; readonly three: string; readonly strict: string }

async function all(cluster: ClusterProcesses, driver: Driver): Promise<void> {
  const topics = { two: uniqueName(), three: uniqueName(), strict: uniqueName() }
  const create = (name: string, replicationFactor: number, configs: [string, string][] = []) =>
    cluster.createTopic({
      name,
      partitionCount: partitions.length,
      replicationFactor,
      configs: new Map(configs),
    })
  await create(topics.two, 2)
  await create(topics.three, 3)
  await create(topics.strict, 3, [['min.insync.replicas', '2']])
  await t.test('three brokers', (t) => works(t, cluster, driver, topics, { strict: true }))
  await t.test('two of three brokers', (t) => withTwo(t, cluster, driver, topics))
  await t.test('one of three brokers', (t) => withOne(t, cluster, driver, topics))
  await t.test('without Consul', (t) => withoutConsul(t, cluster, driver, topics))
  await t.test('without Consul, and a broker dies', (t) => lostBoth(t, cluster, driver))
  await t.test('three brokers again', (t) => works(t, cluster, driver, topics, { strict: true }))
}

/** What must work: everything but what `can` says. */
async function works(
  t: Test,
  cluster: ClusterProcesses,
  driver: Driver,
  { three, strict }: Topics,
  can: { readonly strict: boolean },
): Promise<void> {
  await t.test('produce', async (t) => t.same(await refusals(driver, three), []))
  await t.test('produce where two replicas must be in sync', async (t) => {
    const refused = await refusals(driver, strict, can.strict ? {} : { deliveryTimeoutMs: soonMs })
    t.equal(refused.length, can.strict ? 0 : partitions.length)
  })
  await t.test('consume', async (t) => t.ok((await consumed(driver, three)) > 0))
  await t.test('commit', async (t) => t.resolves(groupOf(driver, uniqueName(), three)))
  await t.test('create a topic', async (t) => {
    // As with Kafka: replicas on brokers that are away come when those do.
    for (const replicationFactor of [1, 2, 3]) {
      t.equal(await created(cluster, replicationFactor), null, `${replicationFactor} replicas`)
    }
  })
}

async function withTwo(t: Test, cluster: ClusterProcesses, driver: Driver, topics: Topics) {
  const controller = await cluster.controller()
  for (const id of [controller, (controller % cluster.brokerIds.length) + 1]) {
    await cluster.kill(id)
    await t.test(`broker ${id} is dead`, async (t) => {
      await works(t, cluster, driver, topics, { strict: true })
      await t.test('produce with two replicas', async (t) => {
        t.same(await refusals(driver, topics.two), [])
      })
      await t.test('consume with two replicas', async (t) => {
        t.ok((await consumed(driver, topics.two)) > 0)
      })
    })
    await cluster.start(id)
    await cluster.healed()
  }
}

async function withOne(t: Test, cluster: ClusterProcesses, driver: Driver, topics: Topics) {
  const [last = 1, ...others] = cluster.brokerIds
  // One after the other: the last one has to be in sync alone.
  for (const id of others) await cluster.shutDown(id)
  await works(t, cluster, driver, topics, { strict: false })
  for (const id of others) await cluster.start(id)
  await cluster.healed()
  t.ok((await cluster.live()).includes(last))
}

async function withoutConsul(t: Test, cluster: ClusterProcesses, driver: Driver, topics: Topics) {
  const { consul } = cluster
  await Promise.all([0, 1, 2].map((at) => consul.kill(at)))
  await t.test('produce', async (t) => t.same(await refusals(driver, topics.two), []))
  await t.test('produce where two replicas must be in sync', async (t) => {
    t.same(await refusals(driver, topics.strict), [])
  })
  await t.test('consume', async (t) => t.ok((await consumed(driver, topics.two)) > 0))
  await t.test('commit', async (t) => t.resolves(groupOf(driver, uniqueName(), topics.three)))
  await t.test('create a topic: refused for the time being', async (t) => {
    const answer = await created(cluster, 2).catch((error: Error) => error.message)
    t.match(answer, /TIMED_OUT|NOT_CONTROLLER|TIMEOUT|COORDINATOR|NOT_AVAILABLE/)
  })
  await Promise.all([0, 1, 2].map((at) => consul.start(at)))
  await consul.ready()
  await cluster.healed()
  t.equal(await createdSoon(cluster), null, 'a topic can be created again')
}

async function lostBoth(t: Test, cluster: ClusterProcesses, driver: Driver) {
  const { consul } = cluster
  const name = uniqueName()
  await cluster.createTopic({
    ...{ name, partitionCount: 3, replicationFactor: 2 },
    configs: new Map(),
  })
  t.same(await refusals(driver, name), [])
  const victim = await cluster.controller()
  const states = await cluster.partitions(name)
  const whole = states.filter(({ replicas }) => !replicas.includes(victim))
  t.ok(whole.length > 0, 'a partition that the broker has no part in')
  const places = whole.map(({ partition }) => partition)
  await Promise.all([0, 1, 2].map((at) => consul.kill(at)))
  await cluster.kill(victim)
  await t.test('produce where all replicas are there', async (t) => {
    t.same(await refusals(driver, name, {}, places), [])
  })
  await t.test('consume where all replicas are there', async (t) => {
    const kcat = tool('kcat')
    if (!kcat) return void t.pass('kcat', { skip: whyMissing('kcat') })
    const from = ['-C', '-t', name, '-p', String(places[0]), '-o', 'beginning', '-e', '-q']
    const { stdout } = await runOrThrow(kcat.path, ['-b', cluster.bootstrap, ...from])
    t.equal(stdout.toString().trimEnd().split('\n').length, 2)
  })
  await t.test('produce elsewhere waits for Consul, and is not lost', async (t) => {
    const waiting = refusals(driver, name, { deliveryTimeoutMs: 120_000 })
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    await Promise.all([0, 1, 2].map((at) => consul.start(at)))
    await consul.ready()
    t.same(await waiting, [])
  })
  await cluster.start(victim)
  await cluster.healed()
}

/** One record for each partition. @returns what those were told that were not taken */
async function refusals(
  driver: Driver,
  topic: string,
  more: object = {},
  places = partitions,
): Promise<string[]> {
  const records = places.map((partition) => {
    return { key: null, value: Buffer.from(uniqueName()).toString('base64'), partition }
  })
  const load = { topic, records, idempotent: true, deliveryTimeoutMs: 60_000, ...more }
  const { outcomes } = (await driver.call('produce', load)) as { outcomes: (Outcome | null)[] }
  return outcomes.flatMap((each) => {
    if (each === null) return ['not answered']
    return 'error' in each ? [each.error] : []
  })
}

async function consumed(driver: Driver, topic: string): Promise<number> {
  return ((await driver.call('consume', { topic })) as { records: Incoming[] }).records.length
}

/** Commits for a group, and asks for what it has committed. */
async function groupOf(driver: Driver, group: string, topic: string): Promise<void> {
  await driver.call('setGroupOffsets', { group, topic, offsets: { 0: 1, 1: 0, 2: 0 } })
  const { offsets } = (await driver.call('groupOffsets', { group })) as {
    offsets: Record<string, Record<string, number>>
  }
  if (offsets[topic]?.['0'] !== 1) throw new Error(`committed is ${JSON.stringify(offsets)}`)
}

/** By a client of its own: librdkafka's does not look for another controller while the one that it knows is away. */
async function created(
  cluster: ClusterProcesses,
  replicationFactor: number,
): Promise<string | null> {
  const driver = startDriver('confluent-kafka (Python)', cluster.bootstrap)
  const name = uniqueName()
  const topics = [{ name, partitions: 1, replicationFactor }]
  try {
    const answer = (await driver?.call('createTopics', { topics })) as {
      results: Record<string, string | null>
    }
    return answer.results[name] ?? null
  } finally {
    await driver?.stop()
  }
}

/** After Consul is back a controller may have to be elected first. */
async function createdSoon(cluster: ClusterProcesses): Promise<string | null> {
  let answer: string | null = null
  for (let tries = 0; tries < 10; tries++) {
    answer = await created(cluster, 2).catch((error: Error) => error.message)
    if (answer === null) return null
  }
  return answer
}
