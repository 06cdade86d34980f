// Goal: a Consul that is late, refuses calls, fails at writes or does not say what became of them costs clients nothing but
// patience with changes of metadata: producing and consuming go on, nobody loses the place that he has in the cluster, what
// was to be made is made once, and nobody asks Consul again and again without a pause. Method: three brokers on three Consul
// servers with an HTTP proxy before each of these; librdkafka (Python) produces, consumes and creates topics all the time;
// what it noted is judged by test/checker.
import t, { type Test } from 'tap'
import { ConsulKeys, decodeValue, type LockValue } from '../../src/cluster/consul/consul-keys.ts'
import { startDriver } from '../compat/harness/client-drivers.ts'
import type { Driver } from '../compat/harness/driver.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { uniqueName, until } from '../compat/harness/waiting.ts'
import { create } from './cells.ts'
import { type ClusterProcesses, patienceMs, startClusterProcesses } from './cluster-processes.ts'
import { type ConsulCall, ConsulProxies, type Treatment } from './consul-proxy.ts'
import { pause } from './faults.ts'
import { Histories, longestGapMs } from './histories.ts'

t.setTimeout(0) // the runner limits the file

const CLIENT = 'confluent-kafka (Python)'
const TOPIC = 'orders'
const partitions = [0, 1, 2]
/** Shorter than any trouble here: whoever waits for Consul is seen. */
const gapCeilingMs = 4_000
/** For a creation when all is well again. */
const ceilingMs = 30_000
/** Of a death Consul is told in some ten calls, a second each, if none of them takes longer than brokers wait. */
const deathCeilingMs = 90_000
/** Of all three brokers together: twice what they need. A loop without a pause makes thousands. */
const mostCallsPerSecond = 60

type Scene = {
  readonly cluster: ClusterProcesses
  readonly proxies: ConsulProxies
  readonly histories: Histories
  readonly driver: Driver
}

type Trouble = {
  /** One after the other. */
  readonly stages: readonly { readonly forMs: number; readonly treat: Treat }[]
  /** Whether a creation in its midst must be done; otherwise the client may be told that its time is over. */
  readonly mustMake?: boolean
}

type Treat = (call: ConsulCall) => Treatment

const isWrite = ({ method }: ConsulCall): boolean => method !== 'GET'
const tooMany = { status: 429, text: 'rate limit exceeded, try again later' }
const noLeader = { status: 500, text: 'No cluster leader' }
const leadershipLost = { status: 500, text: 'leadership lost while committing log' }

function everySecond(treatment: Treatment): Treat {
  let count = 0
  return () => (++count % 2 === 0 ? treatment : {})
}

/** Of the next writes of the metadata log, so many. */
function nextEntries(count: number, treatment: Treatment): Treat {
  let left = count
  return ({ body }) => (body.includes('/head"') && left-- > 0 ? treatment : {})
}

const troubles: Readonly<Record<string, Trouble>> = {
  'every answer is 5 s late': { stages: [{ forMs: 15_000, treat: () => ({ lateMs: 5_000 }) }] },
  'writes reach Consul 5 s late': {
    stages: [{ forMs: 8_000, treat: (call) => (isWrite(call) ? { heldMs: 5_000 } : {}) }],
  },
  'every second call is refused (429), then all are': {
    stages: [
      { forMs: 4_000, treat: everySecond({ instead: tooMany, isPassedOn: false }) },
      { forMs: 5_000, treat: () => ({ instead: tooMany, isPassedOn: false }) },
    ],
  },
  'writes fail (500)': {
    stages: [
      {
        forMs: 2_500,
        treat: (call) => (isWrite(call) ? { instead: noLeader, isPassedOn: false } : {}),
      },
      { forMs: 2_500, treat: (call) => (isWrite(call) ? { instead: leadershipLost } : {}) },
    ],
  },
  'the answer to a write is lost': {
    stages: [{ forMs: 1_000, treat: nextEntries(1, { instead: 'cut' }) }],
    mustMake: true,
  },
  'all answers to writes are lost': {
    stages: [{ forMs: 5_000, treat: (call) => (isWrite(call) ? { instead: 'cut' } : {}) }],
    mustMake: true,
  },
  'whoever waits for news is cut off every 200 ms': {
    stages: [{ forMs: 6_000, treat: ({ isBlocking }) => (isBlocking ? { cutAfterMs: 200 } : {}) }],
    mustMake: true,
  },
}

const proxies = new ConsulProxies()
const cluster = await startClusterProcesses({
  beforeConsul: (addresses) => proxies.open(addresses),
})
const driver = cluster && startDriver(CLIENT, cluster.bootstrap)
t.teardown(async () => {
  await driver?.stop()
  await cluster?.remove()
  await proxies.close()
})
if (!cluster) t.pass('slow', { skip: whyMissing('consul') })
else if (!driver) t.pass('slow', { skip: whyMissing('python') })
else await t.test('under load', (t) => all(t, cluster, driver))

async function all(t: Test, cluster: ClusterProcesses, driver: Driver): Promise<void> {
  const configs = new Map([['min.insync.replicas', '2']])
  await cluster.createTopic({ name: TOPIC, partitionCount: 3, replicationFactor: 3, configs })
  const histories = new Histories(cluster.bootstrap)
  t.teardown(() => histories.remove())
  const load = { topic: TOPIC, partitions, pauseMs: 20, burst: 3 }
  await histories.start(CLIENT, { role: 'produce', ...load })
  await histories.start(CLIENT, { role: 'assign', ...load })
  const scene = { cluster, proxies, histories, driver }
  await until(
    'all partitions are read',
    async () => [...momentsOf(histories, 'poll', 0).values()],
    (moments) => moments.every(({ length }) => length > 0),
    patienceMs,
  )
  try {
    for (const [name, trouble] of Object.entries(troubles)) {
      await t.test(name, (t) => goesOn(t, scene, trouble))
    }
    await t.test('a leader dies while Consul is slow', (t) => dies(t, scene))
    await histories.finish(() => cluster.ends(TOPIC))
    const { anomalies, ...counts } = histories.judge()
    t.comment(JSON.stringify(counts))
    t.ok(counts.acknowledged > 1_000, `${counts.acknowledged} records acknowledged`)
    t.same(anomalies.slice(0, 10), [], 'nothing lost, doubled, out of order or gone back')
    t.same(histories.errors.slice(0, 10), [], 'no error reached an application')
  } finally {
    if (!t.passing()) t.comment(cluster.output)
  }
}

async function goesOn(t: Test, scene: Scene, trouble: Trouble): Promise<void> {
  const { cluster, driver, histories } = scene
  const name = uniqueName()
  const places = await placesIn(cluster)
  const epoch = await controllerEpoch(cluster)
  const startMs = Date.now()
  const making = create(driver, name, 3).then((told) => {
    t.comment(`a creation meanwhile: ${told ?? 'made'} after ${Date.now() - startMs} ms`)
    return told
  })
  await troubled(t, scene, trouble)
  const told = await making
  if (told !== null) {
    t.notOk(trouble.mustMake, `a creation meanwhile was told ${told}`)
    t.match(told, /TIMED_OUT|TIMEOUT/)
    t.match(await create(driver, name, 3), /null|TOPIC_ALREADY_EXISTS/, 'it may be tried again')
  }
  t.match(
    await agreed(cluster, name),
    { partitions: [{ replicas: 3 }] },
    'all brokers say the same',
  )
  const healedMs = Date.now()
  const next = uniqueName()
  t.equal(await create(driver, next, 3), null, 'the next creation')
  await agreed(cluster, next)
  const tookMs = Date.now() - healedMs
  t.comment(`the next creation was known to all after ${tookMs} ms`)
  t.ok(tookMs < ceilingMs, 'at once')
  t.same(await placesIn(cluster), places, 'everybody leads what he led, in the same epoch')
  const changes = (await controllerEpoch(cluster)) - epoch
  t.comment(`controllers since: ${changes}`)
  t.ok(changes <= 2, 'the controller stays')
  for (const kind of ['send', 'poll'] as const) {
    const gapMs = longestOf(histories, kind, startMs, Date.now())
    t.comment(`longest gap of a partition (${kind}): ${Math.round(gapMs)} ms`)
    t.ok(gapMs < gapCeilingMs, kind)
  }
}

/** Lets the stages pass, and holds the calls that the brokers make meanwhile below a bound. */
async function troubled(t: Test, { proxies }: Scene, { stages }: Trouble): Promise<void> {
  try {
    for (const { forMs, treat } of stages) {
      proxies.counted()
      proxies.treat(treat)
      await pause(forMs)
      const counted = proxies.counted()
      let calls = 0
      for (const count of counted.values()) calls += count
      const perSecond = Math.round((calls * 1_000) / forMs)
      t.comment(`${perSecond} calls a second: ${JSON.stringify([...counted])}`)
      t.ok(perSecond < mostCallsPerSecond, 'nobody asks without a pause')
    }
  } finally {
    proxies.heal()
  }
}

async function dies(t: Test, { cluster, proxies, histories }: Scene): Promise<void> {
  const controller = await cluster.controller()
  const other = cluster.brokerIds.find((id) => id !== controller) ?? 0
  const victims = { 'who is not the controller': other, 'who is the controller, too': controller }
  for (const [name, victim] of Object.entries(victims)) {
    await t.test(name, async (t) => {
      const led = (await cluster.partitions(TOPIC)).filter(({ leader }) => leader === victim)
      t.ok(led.length > 0, 'it leads')
      proxies.treat(() => ({ lateMs: 1_000 }))
      const startMs = Date.now()
      await cluster.kill(victim)
      try {
        await until(
          'all partitions are written and read again',
          async () => [
            ...momentsOf(histories, 'send', startMs + 1_000).values(),
            ...momentsOf(histories, 'poll', startMs + 1_000).values(),
          ],
          (moments) => moments.every(({ length }) => length > 0),
          deathCeilingMs,
        )
        const gapMs = longestOf(histories, 'send', startMs - 100, Date.now())
        t.comment(`longest gap of a partition: ${Math.round(gapMs)} ms`)
        t.ok(gapMs < deathCeilingMs, 'others lead in time')
      } finally {
        proxies.heal()
      }
      await cluster.start(victim)
      await cluster.healed()
    })
  }
}

/** Who leads what, in which epoch. */
async function placesIn(cluster: ClusterProcesses): Promise<unknown> {
  const { topics } = await cluster.client.metadata([TOPIC])
  const leaders = topics.flatMap(({ partitions }) =>
    partitions.map(({ partitionIndex, leaderId, leaderEpoch }) => {
      return { partitionIndex, leaderId, leaderEpoch }
    }),
  )
  leaders.sort((a, b) => a.partitionIndex - b.partitionIndex)
  return { leaders, live: (await cluster.live()).sort() }
}

async function controllerEpoch({ consul }: ClusterProcesses): Promise<number> {
  const key = new ConsulKeys('lmq', 'processes').lock('controller')
  const { body } = await consul.call('GET', `/v1/kv/${key}?raw`)
  return decodeValue<LockValue>(key, body).json.epoch
}

/** Waits until each broker says the same of a topic that all have. @returns what they say */
async function agreed(cluster: ClusterProcesses, name: string): Promise<unknown> {
  const clients = cluster.brokerIds.map((id) => cluster.clientOf(id))
  try {
    const [first] = await until(
      'all brokers say the same',
      () => Promise.all(clients.map(async (client) => factsOf(await client.metadata([name])))),
      (facts) => new Set(facts.map((each) => JSON.stringify(each))).size === 1 && !facts[0]?.error,
      patienceMs,
    )
    return first
  } finally {
    for (const client of clients) client.close()
  }
}

function factsOf({ topics }: Awaited<ReturnType<ClusterProcesses['client']['metadata']>>) {
  const [topic] = topics
  const states = topic?.partitions ?? []
  return {
    error: topic?.errorCode ?? -1,
    topicId: topic?.topicId,
    partitions: states.map(({ partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes }) => {
      const [replicas, inSync] = [replicaNodes.length, isrNodes.length]
      return { partitionIndex, leaderId, leaderEpoch, replicas, inSync }
    }),
  }
}

/** When records of each partition were acknowledged or read, from a moment on. */
function momentsOf(histories: Histories, kind: 'send' | 'poll', fromMs: number) {
  const moments = new Map<number, number[]>(partitions.map((partition) => [partition, []]))
  for (const { type, value, t } of histories.notes(kind)) {
    if (type !== 'ok' || t < fromMs) continue
    const records = kind === 'send' ? [value] : (value as unknown[])
    const found = new Set(records.map((record) => (record as [number])[0]))
    for (const partition of found) moments.get(partition)?.push(t)
  }
  return moments
}

function longestOf(histories: Histories, kind: 'send' | 'poll', fromMs: number, toMs: number) {
  const all = momentsOf(histories, kind, fromMs).values()
  return Math.max(...[...all].map((moments) => longestGapMs(moments, fromMs, toMs)))
}
