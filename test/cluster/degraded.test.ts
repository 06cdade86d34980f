// Goal: what the README promises of a cluster that lacks brokers holds: with two of three, with one, with none. Method:
// processes are killed (kill -9), each cell of the table is a test, and when all are back everything that was ever
// acknowledged is read. degraded-consul.test.ts has the rows without Consul.
import t, { type Test } from 'tap'
import { type Cells, onCluster, soonMs } from './cells.ts'

t.setTimeout(0) // the runner limits the file

await t.test('brokers away', (t) =>
  onCluster(t, async (cells) => {
    await t.test('three of three', (t) => cells.works(t, { strict: true }))
    await t.test('two of three', (t) => withTwo(t, cells))
    await t.test('one of three', (t) => withOne(t, cells))
    await t.test('one of three: the others died at once', (t) => withOneAtOnce(t, cells))
    await t.test('none of three', (t) => withNone(t, cells))
    await t.test('three of three again', (t) => cells.works(t, { strict: true }))
  }),
)

/** The controller first: its death is the harder one. */
async function withTwo(t: Test, cells: Cells): Promise<void> {
  const { cluster, topics } = cells
  const controller = await cluster.controller()
  for (const id of [controller, (controller % cluster.brokerIds.length) + 1]) {
    const live = cluster.brokerIds.filter((each) => each !== id)
    await cluster.kill(id)
    await t.test(`broker ${id} is dead`, async (t) => {
      for (const topic of Object.values(topics)) await cells.led(topic, live)
      t.pass('others lead')
      await cells.works(t, { strict: true })
      await t.test('two replicas', async (t) => {
        await cells.produces(t, topics.two)
        await cells.consumes(t, topics.two)
      })
    })
    await cluster.start(id)
    await cells.heals(t)
  }
}

async function withOne(t: Test, cells: Cells): Promise<void> {
  const { cluster, topics } = cells
  const [last, ...others] = await lastAndOthers(cells)
  const before = await cluster.partitions(topics.two)
  for (const id of others) {
    await cluster.kill(id)
    // The next one dies when it is in sync without this one.
    await cells.known(cluster.brokerIds.filter((each) => each === last || each > id))
  }
  await cells.led(topics.three, [last])
  await cells.works(t, { strict: false })
  await t.test('two replicas: what has one here goes on, the rest has no leader', async (t) => {
    const here = before.filter(({ replicas }) => replicas.includes(last))
    const places = here.map(({ partition }) => partition)
    await cells.led(topics.two, [last], places)
    await cells.produces(t, topics.two, { places })
    await cells.consumes(t, topics.two, places)
    const states = await cluster.partitions(topics.two)
    const offline = states.filter(({ leader }) => leader === -1)
    t.equal(offline.length, before.length - places.length)
  })
  for (const id of others) await cluster.start(id)
  await cells.heals(t)
}

async function withOneAtOnce(t: Test, cells: Cells): Promise<void> {
  const { cluster, topics } = cells
  const [last, ...others] = await lastAndOthers(cells)
  await Promise.all(others.map((id) => cluster.kill(id)))
  await cells.led(topics.three, [last])
  await cells.works(t, { strict: false })
  await Promise.all(others.map((id) => cluster.start(id)))
  await cells.heals(t)
}

/** The last one has what the others do not: they lead nothing of that before it is back. */
async function withNone(t: Test, cells: Cells): Promise<void> {
  const { cluster, ledger, topics } = cells
  const [last, ...others] = await lastAndOthers(cells)
  await Promise.all(others.map((id) => cluster.kill(id)))
  await cells.led(topics.three, [last])
  await cells.produces(t, topics.three)
  await cluster.kill(last)
  await t.test('nothing is left', async (t) => {
    const refused = await ledger.write(topics.three, { deliveryTimeoutMs: soonMs })
    t.same(refused, ['MSG_TIMED_OUT', 'MSG_TIMED_OUT', 'MSG_TIMED_OUT'])
  })
  for (const id of others) await cluster.start(id)
  await cells.known(others)
  await t.test('the others are back, and lack what the last one has', async (t) => {
    const leaders = (await cluster.partitions(topics.three)).map(({ leader }) => leader)
    t.same(leaders, [-1, -1, -1], 'nobody leads')
    t.equal(await cells.created('made-by-two', 2), null, 'topics are made')
  })
  await cluster.start(last)
  await cells.heals(t)
}

/** The one that is to be left is the controller or not, as it comes; the others are in the order of their numbers. */
async function lastAndOthers({ cluster }: Cells): Promise<[number, ...number[]]> {
  const last = ((await cluster.controller()) % cluster.brokerIds.length) + 1
  return [last, ...cluster.brokerIds.filter((id) => id !== last)]
}
