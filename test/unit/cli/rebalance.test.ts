// Goal: an operator sees what would move and why, moves it within a throttle while traffic flows, takes it back, and gets
// a broker out of the cluster. Method: a cluster of this process to which a fourth broker comes, the command line as a
// process of its own.
import { existsSync, mkdirSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import t, { type Test } from 'tap'
import { describeConfigs } from '../../../src/client/admin-configs.ts'
import { createTopic } from '../../../src/client/admin-topics.ts'
import type { Client } from '../../../src/client/client.ts'
import { Fetcher } from '../../../src/client/fetcher.ts'
import { Producer } from '../../../src/client/producer.ts'
import type { RunningCluster } from '../../../src/index.ts'
import { runLmq } from '../../tools/lmq-program.ts'
import { clusterOf, patienceMs } from '../cluster/cluster-of.ts'

const PARTITIONS = 6
const NEW = 4

t.setTimeout(300_000)

// Brokers with a disk that is three quarters full are given nothing for evenness' sake: here they all lie on the same one.
if (existsSync('/dev/shm')) {
  // The runner removes the one that it names, however this process ends.
  const memory = process.env['LMQ_TEST_MEMORY'] ?? '/dev/shm'
  mkdirSync(memory, { recursive: true })
  process.env['TMPDIR'] = memory
}
const { blocks, bavail } = statfsSync(tmpdir())
const isFull = 1 - bavail / blocks > 0.7
const skip = isFull && `the disk under ${tmpdir()} is too full: no broker would be given anything`

const lmq = (bootstrap: string, words: string) => runLmq(`${words} -b ${bootstrap}`)

async function open(t: Test, settings: Record<string, string> = {}) {
  const { cluster, client } = await clusterOf(t, {
    brokers: 3,
    settings: {
      'lmq.rebalance.interval.ms': '200',
      'replica.fetch.max.bytes': '65536',
      'replica.fetch.response.max.bytes': '65536',
      ...settings,
    },
  })
  const topic = { partitionCount: PARTITIONS, replicationFactor: 2, configs: new Map() }
  await createTopic(client, { name: 'orders', ...topic })
  return { cluster, client }
}

class Load {
  readonly #producer: Producer
  #isOver = false
  readonly #running: Promise<void>
  sent = 0

  constructor(client: Client) {
    // A batch comes whole, however small the rate is.
    this.#producer = new Producer(client, { batchBytes: 32 * 1024 })
    this.#running = this.#run()
  }

  async send(value: Buffer): Promise<void> {
    const record = { key: null, value, timestamp: Date.now() }
    await this.#producer.send('orders', record, this.sent++ % PARTITIONS)
  }

  flush(): Promise<void> {
    return this.#producer.flush()
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      await this.send(Buffer.from(`small ${this.sent}`))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  async end(): Promise<void> {
    this.#isOver = true
    await this.#running
    await this.#producer.flush()
  }
}

async function replicasOf(client: Client): Promise<number[][]> {
  const { topics } = await client.metadata(['orders'])
  return (topics[0]?.partitions ?? []).map(({ replicaNodes }) => replicaNodes)
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + patienceMs
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`did not happen in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function countOf(client: Client, least: number): Promise<number> {
  const fetcher = new Fetcher(client, { maxWaitMs: 100 })
  fetcher.assign(
    Array.from({ length: PARTITIONS }, (_, partitionIndex) => {
      return { topic: 'orders', partitionIndex, offset: 0 }
    }),
  )
  let count = 0
  const endMs = performance.now() + patienceMs
  while (count < least && performance.now() < endMs) count += (await fetcher.poll()).length
  return count
}

/** Settings that only a throttle leaves. */
async function throttles(client: Client): Promise<string[]> {
  const topic = await describeConfigs(client, { type: 'topic', name: 'orders' })
  const brokers = await describeConfigs(client, { type: 'broker', name: '' })
  return [...topic, ...brokers]
    .filter(({ name, value }) => name.includes('.throttled.') && value)
    .map(({ name }) => name)
}

const has = (lists: readonly number[][], id: number) => lists.filter((each) => each.includes(id))
const addressesOf = (cluster: RunningCluster) =>
  cluster.brokers.map(({ bootstrap }) => bootstrap).join(',')

t.test(
  'a broker that comes gets its share within the throttle, and one that goes gives it back',
  { skip },
  async (t) => {
    const { cluster, client } = await open(t)
    const bootstrap = addressesOf(cluster)
    const load = new Load(client)
    const large = Buffer.alloc(32 * 1024, 'x')
    for (let i = 0; i < 20 * PARTITIONS; i++) await load.send(large)
    await load.flush()
    const nothing = await lmq(bootstrap, 'cluster rebalance')
    t.match(nothing, { code: 0, err: /Nothing needs to move/ })

    await cluster.restart(NEW)
    const plan = await lmq(bootstrap, 'cluster rebalance --json')
    t.equal(plan.code, 0, plan.err)
    const moves = JSON.parse(plan.out) as { after: number[]; sizeBytes: number }[]
    const copies = moves.filter(({ after }) => after.includes(NEW))
    t.equal(copies.length, 3, 'a fourth of all replicas')
    const bytes = copies.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    t.ok(bytes > 1_000_000, `${bytes} bytes to copy`)
    t.equal(has(await replicasOf(client), NEW).length, 0, 'a plan moves nothing')

    const rate = 150_000
    const beganMs = performance.now()
    const begun = await lmq(bootstrap, `cluster rebalance start --throttle ${rate}`)
    t.equal(begun.code, 0, begun.err)
    const status = await lmq(bootstrap, 'cluster status')
    t.match(status.out, /MOVING +TO BROKER +FROM BROKER\norders-\d +4/)
    t.not((await throttles(client)).length, 0)
    const isMoved = async () => {
      const { out } = await lmq(bootstrap, 'cluster status --json')
      return (JSON.parse(out) as { reassignments: unknown[] }).reassignments.length === 0
    }
    await until('all is moved', isMoved)
    const tookMs = performance.now() - beganMs
    // A batch comes whole, and the first ones before there is any debt: half of the time is surely needed.
    t.ok(tookMs > (500 * bytes) / rate, `${Math.round(tookMs)} ms for ${bytes} bytes`)
    t.equal(has(await replicasOf(client), NEW).length, 3)
    await until('the throttle is gone', async () => (await throttles(client)).length === 0)

    const off = await lmq(bootstrap, `cluster remove-broker ${NEW}`)
    t.match(off, { code: 0, out: /has no replicas any more: stop it/ }, off.err)
    t.equal(has(await replicasOf(client), NEW).length, 0)
    await cluster.stopBroker(NEW)
    await until('it is away', async () => {
      const { out } = await lmq(bootstrap, 'cluster status --json')
      const { brokers } = JSON.parse(out) as { brokers: { brokerId: number; fenced: boolean }[] }
      return brokers.some(({ brokerId, fenced }) => brokerId === NEW && fenced)
    })
    const removed = await lmq(bootstrap, `cluster remove-broker ${NEW}`)
    t.match(removed, { code: 0, out: /broker 4 is removed/ }, removed.err)
    t.notMatch((await lmq(bootstrap, 'cluster status')).out, /^ +4 /m)
    t.match(await lmq(bootstrap, `cluster remove-broker ${NEW}`), { code: 2, err: /is not known/ })
    const few = await lmq(bootstrap, 'cluster rebalance --without 1,2')
    t.match(few, { code: 0 }, 'what cannot be done is not in the plan')

    await load.end()
    t.equal(await countOf(client, load.sent), load.sent, 'nothing was lost meanwhile')
  },
)

t.test('moves are taken back, and automatic ones are paused and resumed', { skip }, async (t) => {
  const { cluster, client } = await open(t)
  const bootstrap = addressesOf(cluster)
  const load = new Load(client)
  for (let i = 0; i < 20 * PARTITIONS; i++) await load.send(Buffer.alloc(32 * 1024, 'x'))
  await load.flush()
  const before = (await replicasOf(client)).map((list) => [...list].sort())
  await cluster.restart(NEW)
  t.equal((await lmq(bootstrap, 'cluster rebalance start --throttle 1024')).code, 0)
  t.match(await lmq(bootstrap, 'cluster rebalance cancel'), {
    code: 0,
    out: /moves were taken back/,
  })
  const isBack = async () => {
    const lists = (await replicasOf(client)).map((list) => [...list].sort())
    return JSON.stringify(lists) === JSON.stringify(before)
  }
  await until('everything is where it was', isBack)
  await until('the throttle is gone', async () => (await throttles(client)).length === 0)

  t.match(await lmq(bootstrap, 'cluster rebalance resume'), { code: 0, out: /are on/ })
  await until(
    'the new broker has its share',
    async () => has(await replicasOf(client), NEW).length === 3,
  )
  t.match(await lmq(bootstrap, 'cluster rebalance pause'), { code: 0, out: /are paused/ })
  await load.end()
  t.equal(await countOf(client, load.sent), load.sent, 'nothing was lost meanwhile')
})
