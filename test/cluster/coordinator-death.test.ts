// Goal: a consumer group rides through the death of its coordinator: nobody is evicted or given a new member id, and
// commits go on; where another replica of the group's partition leads (and there is no new generation), and where the only
// one returns within the members' session: then a client that could not reach it may join again by itself, as franz-go
// does. Method: one member of franz-go (Go) and one of librdkafka (Python) in one group; the coordinator is killed
// (kill -9) twice. What they noted is also judged by test/checker. The members' one bootstrap server is a broker that
// stays: franz-go gives a heartbeat up, and joins again, when two of those that it asks for the coordinator refuse its
// connection one after the other, and a broker that is dead and also in that list counts as two.
import t, { type Test } from 'tap'
import { describeGroup } from '../../src/client/admin-groups.ts'
import { until } from '../compat/harness/context.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { type ClusterProcesses, patienceMs, startClusterProcesses } from './cluster-processes.ts'
import { Histories } from './histories.ts'

t.setTimeout(0) // the runner limits the file

const topic = 'orders'
const group = 'riders'
const partitions = [0, 1, 2]
const sessionTimeoutMs = 20_000
const deaths = 2

for (const replicas of [3, 1]) {
  await t.test(`${replicas} replicas of __consumer_offsets`, async (t) => {
    const cluster = await startClusterProcesses({
      settings: {
        'offsets.topic.replication.factor': String(replicas),
        'offsets.topic.num.partitions': '3',
      },
    })
    t.teardown(() => cluster?.remove())
    if (!cluster) return void t.pass('coordinator', { skip: whyMissing('consul') })
    try {
      await ridesThrough(t, cluster, replicas)
    } finally {
      if (!t.passing()) t.comment(cluster.output)
    }
  })
}

async function ridesThrough(t: Test, cluster: ClusterProcesses, replicas: number): Promise<void> {
  const configs = new Map<string, string>()
  await cluster.createTopic({ name: topic, partitionCount: 3, replicationFactor: 3, configs })
  const survivor = await survivorOf(cluster)
  const histories = new Histories(cluster.broker(survivor).bootstrap)
  t.teardown(() => histories.remove())
  const load = { role: 'produce', topic, partitions, pauseMs: 20, burst: 3 } as const
  await histories.start('confluent-kafka (Python)', load)
  const work = { role: 'group', topic, partitions, group, sessionTimeoutMs } as const
  const members = [
    await histories.start('franz-go (Go)', work),
    await histories.start('confluent-kafka (Python)', work),
  ]
  if (members.includes(undefined)) return void t.pass('group', { skip: whyMissing('go') })
  await shared(cluster)
  await commits(histories, members, Date.now())
  const before = await memberIds(cluster)
  const toldBefore = turnsOf(histories)
  t.ok(
    toldBefore.some(({ value }) => value.includes(before[0] ?? '')),
    'members know their ids',
  )
  let lastMs = 0
  for (let death = 0; death < deaths; death++) {
    const coordinator = await cluster.coordinatorOf(group)
    t.not(coordinator, survivor, 'the bootstrap server stays')
    lastMs = Date.now()
    await cluster.kill(coordinator)
    if (replicas > 1) {
      await commits(histories, members, lastMs)
      t.not(await cluster.coordinatorOf(group), coordinator, 'another one coordinates')
    }
    await cluster.start(coordinator)
    await cluster.healed()
    await commits(histories, members, Date.now())
  }
  // Whoever was to be evicted is by now.
  await commits(histories, members, lastMs + 1.2 * sessionTimeoutMs)
  t.same(await memberIds(cluster), before, 'the group has the members that it had')
  t.notMatch(cluster.output, /member \S+ removed/, 'nobody was evicted')
  const turns = turnsOf(histories).slice(toldBefore.length)
  if (replicas > 1) t.same(turns, [], 'no revoke, no assignment, no new generation')
  else t.comment(`turns that clients took by themselves: ${JSON.stringify(turns)}`)
  await histories.finish(() => cluster.ends(topic))
  t.same(histories.judge().anomalies.slice(0, 10), [], 'nothing lost, and no offset went back')
  t.same(histories.errors.slice(0, 10), [], 'no error reached an application')
}

type Turn = { readonly process: string; readonly f: string; readonly value: string }

function turnsOf(histories: Histories): Turn[] {
  const turns = histories.notes('assign', 'revoke', 'member')
  return turns
    .filter(({ process }) => process.includes('-group-'))
    .map(({ process, f, value }) => ({ process, f, value: JSON.stringify(value) }))
}

/** A broker that is not the group's coordinator, and the last to become it. Asking for one makes the offsets topic. */
async function survivorOf(cluster: ClusterProcesses): Promise<number> {
  const coordinator = await cluster.coordinatorOf(group)
  await cluster.inSync('__consumer_offsets')
  const states = await cluster.partitions('__consumer_offsets')
  const replicas = states.find(({ leader }) => leader === coordinator)?.replicas ?? []
  const others = cluster.brokerIds.filter((id) => id !== coordinator)
  return others.find((id) => id === replicas.at(-1)) ?? others[0] ?? -1
}

/** Waits until both members have a part, and there is a group at all. */
async function shared(cluster: ClusterProcesses): Promise<void> {
  await until(
    'the group is stable with two members that have a part each',
    async () => {
      const described = await describeGroup(cluster.client, group).catch(() => undefined)
      const parts = described?.members.map(({ assignment }) => assignment.length) ?? []
      return { state: described?.state, parts }
    },
    ({ state, parts }) => state === 'Stable' && parts.length === 2 && Math.min(...parts) > 0,
    patienceMs,
  )
}

async function memberIds(cluster: ClusterProcesses): Promise<string[]> {
  const { members } = await describeGroup(cluster.client, group)
  return members.map(({ memberId }) => memberId).sort()
}

/** Waits until each member has begun and ended a commit after a moment. */
async function commits(
  histories: Histories,
  members: readonly (string | undefined)[],
  sinceMs: number,
): Promise<void> {
  await until(
    'all members commit',
    async () => {
      const notes = histories.notes('commit').filter(({ t }) => t > sinceMs)
      return members.filter((member) => {
        const own = notes.filter(({ process }) => process === member)
        const begun = own.findIndex(({ type }) => type === 'invoke')
        return begun < 0 || !own.slice(begun).some(({ type }) => type === 'ok')
      })
    },
    (waiting) => waiting.length === 0,
    patienceMs,
  )
}
