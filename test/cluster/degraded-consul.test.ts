// Goal: what the README promises of a cluster without Consul holds, whether all of its servers are away or most of them, so
// that nobody knows whether a write was made; also when a broker dies meanwhile, and for brokers that start. Method: Consul
// servers and brokers are killed (kill -9), each cell of the table is a test, and when all are back everything that was
// ever acknowledged is read.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { TestBroker } from '../compat/harness/broker.ts'
import { uniqueName, until } from '../compat/harness/context.ts'
import { type Cells, onCluster, soonMs } from './cells.ts'
import { patienceMs } from './cluster-processes.ts'

t.setTimeout(0) // the runner limits the file

/** Which servers go, by who leads: `most` are two of three, with the leader or without. */
const absences = {
  'two that follow': (leader: number) => [0, 1, 2].filter((at) => at !== leader),
  'the leader and another': (leader: number) => [leader, (leader + 1) % 3],
  'all three': () => [0, 1, 2],
} as const

type Absence = keyof typeof absences

await t.test('Consul away', (t) =>
  onCluster(t, async (cells) => {
    await t.test('everybody there', (t) => cells.works(t, { strict: true }))
    for (const absence of ['two that follow', 'all three'] as const) {
      await t.test(`${absence} away`, (t) => withoutConsul(t, cells, absence))
    }
    for (const absence of ['the leader and another', 'all three'] as const) {
      await t.test(`${absence} away, and a broker dies`, (t) => lostBoth(t, cells, absence))
    }
    await t.test('everybody there again', (t) => cells.works(t, { strict: true }))
  }),
)

async function killed({ cluster }: Cells, absence: Absence): Promise<number[]> {
  const { consul } = cluster
  const servers = absences[absence](await consul.leader())
  await Promise.all(servers.map((at) => consul.kill(at)))
  return servers
}

async function back({ cluster }: Cells, servers: readonly number[]): Promise<void> {
  await Promise.all(servers.map((at) => cluster.consul.start(at)))
  await cluster.consul.ready()
}

async function withoutConsul(t: Test, cells: Cells, absence: Absence): Promise<void> {
  const { topics, cluster } = cells
  const maker = await cells.maker()
  const away = await killed(cells, absence)
  // A leader of Consul that has just lost the others takes it, and nobody knows what becomes of it.
  const name = uniqueName()
  const making = maker.make(name).catch((error: Error) => error.message)
  for (const topic of Object.values(topics)) {
    await cells.produces(t, topic)
    await cells.consumes(t, topic)
  }
  await cells.commits(t)
  await t.test('create a topic: it times out', async (t) => {
    t.match(await made(cells, uniqueName()), /TIMED_OUT|TIMEOUT/)
  })
  await t.test('a broker that starts waits for Consul, then ends', async (t) => {
    await t.rejects(newcomer(cells), /the metadata store does not answer/)
  })
  const told = await making
  await maker.stop()
  t.match(told, /TIMED_OUT|TIMEOUT/, 'a creation while it went')
  await back(cells, away)
  await t.test('that creation may be tried again', async (t) => {
    const answer = await until(
      'an answer',
      () => made(cells, name),
      (each) => each === null || each === 'TOPIC_ALREADY_EXISTS',
      patienceMs,
    )
    t.pass(`told first ${told}, then ${answer}`)
    // Another broker than the one that answered may still be waiting to look at Consul again.
    const [state, ...more] = await until(
      'a broker that knows the topic',
      () => cluster.partitions(name),
      (found) => found.length > 0,
      patienceMs,
    )
    t.equal(state?.replicas.length, 3)
    t.equal(more.length, 0)
  })
  await cells.heals(t)
}

/** Made by a client that has just started. @returns null, or what it was told */
function made(cells: Cells, name: string): Promise<string | null> {
  return cells.created(name, 3).catch((error: Error) => error.message)
}

/** A fourth broker that has little patience. It never serves. */
async function newcomer({ cluster }: Cells): Promise<void> {
  const broker = new TestBroker('', {
    folder: mkdtempSync(join(tmpdir(), 'lmq-newcomer-')),
    settings: {
      'node.id': '4',
      'lmq.cluster.id': 'processes',
      'lmq.consul.address': cluster.consul.addresses.join(','),
      'lmq.consul.start.timeout.ms': '3000',
    },
  })
  try {
    await broker.start()
  } finally {
    await broker.stop()
  }
}

async function lostBoth(t: Test, cells: Cells, absence: Absence): Promise<void> {
  const { cluster, ledger } = cells
  const victim = await cluster.controller()
  const { name, whole, led, followed } = await spread(cells, victim)
  await cells.produces(t, name)
  const away = await killed(cells, absence)
  await cluster.kill(victim)
  await t.test('where all replicas are there', async (t) => {
    await cells.produces(t, name, { places: whole })
    await cells.consumes(t, name, whole)
  })
  await t.test('where the broker was in sync: produce waits, consume goes on', async (t) => {
    const refused = await ledger.write(name, { places: followed, deliveryTimeoutMs: soonMs })
    t.same(refused, Array(followed.length).fill('MSG_TIMED_OUT'))
    await cells.consumes(t, name, followed)
  })
  await t.test('what the broker led waits', async (t) => {
    const refused = await ledger.write(name, { places: led, deliveryTimeoutMs: soonMs })
    t.same(refused, Array(led.length).fill('MSG_TIMED_OUT'))
  })
  await t.test('what waits is not lost, and the broker starts when Consul is there', async (t) => {
    let isStarted = false
    const starting = cluster.start(victim).then(() => {
      isStarted = true
    })
    t.same(await ledger.write(name, { places: led, deliveryTimeoutMs: soonMs }), ['MSG_TIMED_OUT'])
    t.notOk(isStarted, 'it waits')
    const waiting = ledger.write(name, { deliveryTimeoutMs: 120_000 })
    await back(cells, away)
    t.same(await waiting, [])
    await starting
  })
  await cells.heals(t)
}

/** A topic with a partition that a broker leads, one that it follows, and one that it has no part in. */
async function spread({ cluster }: Cells, brokerId: number) {
  const name = uniqueName()
  const [one = 0, two = 0] = cluster.brokerIds.filter((id) => id !== brokerId)
  await cluster.createPlacedTopic(name, [
    [brokerId, one],
    [two, brokerId],
    [one, two],
  ])
  return { name, led: [0], followed: [1], whole: [2] }
}
