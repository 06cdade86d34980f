// Goal: a network that cuts one direction, delays, lets little through or resets loses, doubles and reorders nothing that
// was acknowledged, and the cluster goes on where it can. Method: three brokers on three Consul servers, with a proxy
// before each broker's inner listener and before each broker's way to Consul; librdkafka (Python) and franz-go (Go) under
// it all the time; what they noted is judged by test/checker.
import t, { type Test } from 'tap'
import type { ClientName } from '../compat/harness/driver.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { uniqueName, until } from '../compat/harness/waiting.ts'
import { pause } from './faults.ts'
import { checkJudged, Histories } from './histories.ts'
import { type Network, startProxiedCluster } from './proxied-cluster.ts'

t.setTimeout(0) // the runner limits the file

const TOPIC = 'orders'
const partitions = [0, 1, 2]
const patienceMs = 120_000
const clients: readonly ClientName[] = ['confluent-kafka (Python)', 'franz-go (Go)']

const network = await startProxiedCluster({
  'group.initial.rebalance.delay.ms': '0',
  'offsets.topic.num.partitions': '3',
  'replica.lag.time.max.ms': '4000',
})
t.teardown(() => network?.remove())
if (!network) t.pass('network', { skip: whyMissing('consul') })
else await t.test('under load', (t) => all(t, network))

async function all(t: Test, network: Network): Promise<void> {
  const { cluster } = network
  const configs = new Map([['min.insync.replicas', '2']])
  await cluster.createTopic({ name: TOPIC, partitionCount: 3, replicationFactor: 3, configs })
  const histories = new Histories(cluster.bootstrap)
  t.teardown(() => histories.remove())
  for (const client of clients) {
    const load = { topic: TOPIC, partitions, pauseMs: 20, burst: 3 }
    const producer = await histories.start(client, { role: 'produce', ...load })
    if (producer === undefined) return void t.pass('network', { skip: `${client} is missing` })
    await histories.start(client, { role: 'assign', topic: TOPIC, partitions })
  }
  const faults: [string, (t: Test) => Promise<void>][] = [
    [
      'a follower whose requests do not reach a leader leaves its ISRs',
      (t) => cutFollower(t, network),
    ],
    ['a broker that hears the others and is not heard is replaced', (t) => cutBroker(t, network)],
    ['a controller that is not heard is replaced', (t) => cutController(t, network)],
    ['slow and late connections, and resets', (t) => worse(t, network, histories)],
    ['a controller cut off from Consul', (t) => cutConsul(t, network, histories)],
  ]
  for (const [name, make] of faults) {
    await t.test(name, async (t) => {
      try {
        await make(t)
      } catch (error) {
        t.comment(cluster.output)
        throw error
      } finally {
        network.heal()
      }
      await cluster.healed()
    })
  }
  await histories.finish(() => cluster.ends(TOPIC))
  checkJudged(t, histories, { least: 1_000 })
}

async function cutFollower(t: Test, { cluster, towards }: Network): Promise<void> {
  const [state] = await cluster.partitions(TOPIC)
  if (!state) throw new Error('no partition')
  const { leader, replicas } = state
  const controller = await cluster.controller()
  // Not the controller's heartbeats: only what one broker asks of the other is held.
  const follower = replicas.find((id) => id !== leader && id !== controller) ?? -1
  towards(leader, (from) => ({ holdsRequests: from === follower && leader !== controller }))
  if (leader === controller) towards(leader, (from) => ({ holdsAnswers: from === follower }))
  await until(
    'the follower is out of sync, or leads instead',
    () => cluster.partitions(TOPIC),
    (states) => {
      const now = states.find(({ partition }) => partition === state.partition)
      return now !== undefined && (now.leader !== leader || !now.isr.includes(follower))
    },
    patienceMs,
  )
  t.pass('the others go on without it')
}

async function cutBroker(t: Test, { cluster, towards }: Network): Promise<void> {
  const controller = await cluster.controller()
  const states = await cluster.partitions(TOPIC)
  const victim = states.find(({ leader }) => leader !== controller)?.leader
  if (victim === undefined) return void t.pass('the controller leads everything')
  const led = states.filter(({ leader }) => leader === victim)
  for (const other of cluster.brokerIds) {
    if (other !== victim) towards(other, (from) => ({ holdsRequests: from === victim }))
  }
  await until(
    'others lead',
    () => cluster.partitions(TOPIC),
    (now) => led.every(({ partition }) => now[partition]?.leader !== victim),
    patienceMs,
  )
  t.pass('others lead what it led')
}

async function cutController(t: Test, { cluster, towards }: Network): Promise<void> {
  const controller = await cluster.controller()
  towards(controller, (from) => ({ holdsRequests: from !== -1, holdsAnswers: from !== -1 }))
  await until(
    'there is another controller',
    async () => {
      for (const id of cluster.brokerIds) {
        if (id === controller) continue
        const client = cluster.clientOf(id)
        try {
          return (await client.metadata([])).controllerId
        } catch {
          // The other one may know.
        } finally {
          client.close()
        }
      }
      return -1
    },
    (now) => now >= 0 && now !== controller,
    patienceMs,
  )
  t.pass('another one took over')
}

async function worse(t: Test, network: Network, histories: Histories): Promise<void> {
  const { cluster, towards, reset } = network
  for (const id of cluster.brokerIds) towards(id, () => ({ delayMs: 50 }))
  await goesOn(histories)
  for (const id of cluster.brokerIds) towards(id, () => ({ bytesPerSecond: 200_000 }))
  await goesOn(histories)
  network.heal()
  for (let times = 0; times < 3; times++) {
    reset()
    await pause(500)
  }
  await goesOn(histories)
  t.pass('records are acknowledged all the time')
}

async function cutConsul(t: Test, network: Network, histories: Histories): Promise<void> {
  const { cluster, toConsul } = network
  const controller = await cluster.controller()
  toConsul(controller, { holdsRequests: true, holdsAnswers: true })
  await goesOn(histories)
  t.pass('records are acknowledged without Consul')
  await pause(8_000)
  network.heal()
  for (const id of cluster.brokerIds) toConsul(id, { delayMs: 100 })
  await until(
    'a topic can be created again',
    () =>
      cluster
        .createTopic({
          ...{ name: uniqueName(), partitionCount: 1, replicationFactor: 3 },
          configs: new Map(),
        })
        .then(
          () => true,
          () => false,
        ),
    (isMade) => isMade,
    patienceMs,
  )
  t.pass('and metadata changes again, far from Consul')
}

/** More is acknowledged than now. */
async function goesOn(histories: Histories): Promise<void> {
  const before = histories.acknowledgedMs().length
  await until(
    'records are acknowledged',
    async () => histories.acknowledgedMs().length,
    (count) => count > before + 100,
    patienceMs,
  )
}
