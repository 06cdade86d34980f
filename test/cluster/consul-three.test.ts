// Goal: the metadata store outlives the death of any Consul server, and of all of them. Method: three real servers with
// their data on disk, killed and paused by signal.
import t, { type Test } from 'tap'
import type { ConsulMetadataStore } from '../../src/cluster/consul/consul-metadata-store.ts'
import type { Leadership } from '../../src/cluster/metadata-store.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { openStore, portTo, until, win } from './consul-fixture.ts'
import { type ConsulServers, startConsul } from './consul-servers.ts'

t.setTimeout(300_000)
const consul = await startConsul({ servers: 3 })
let clusters = 0

type Scene = {
  readonly consul: ConsulServers
  readonly one: ConsulMetadataStore
  readonly two: ConsulMetadataStore
  readonly leadership: Leadership
}

function check(name: string, body: (t: Test, scene: Scene) => Promise<void>): void {
  if (!consul) {
    t.test(name, { skip: whyMissing('consul') }, async () => {})
    return
  }
  t.test(name, async (t) => {
    const clusterId = `three-${++clusters}`
    const [a = '', b = '', c = ''] = consul.addresses
    const one = await openStore({ port: portTo([a, b, c]), clusterId })
    const two = await openStore({ port: portTo([b, c, a]), clusterId })
    two.watch(() => {})
    const leadership = await win(one)
    try {
      await body(t, { consul, one, two, leadership })
    } finally {
      await one.close()
      await two.close()
    }
  })
}

/** Appends until it is told to stop, and gives what was acknowledged. */
function load(store: ConsulMetadataStore, leadership: Leadership) {
  const acknowledged: string[] = []
  let longestMs = 0
  let isOver = false
  const ended = (async () => {
    let { index } = await store.head()
    while (!isOver) {
      const value = `value ${acknowledged.length}`
      const startMs = performance.now()
      index = await store.append(leadership, index, Buffer.from(value))
      longestMs = Math.max(longestMs, performance.now() - startMs)
      acknowledged.push(value)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })()
  return {
    acknowledged,
    async stop(): Promise<number> {
      isOver = true
      await ended
      return longestMs
    },
  }
}

const texts = async (store: ConsulMetadataStore): Promise<string[]> =>
  (await store.read(0, 1e9)).entries.map(({ payload }) => payload.toString())

async function agree(t: Test, { one, two }: Scene, acknowledged: readonly string[]) {
  await until(async () => (await texts(two)).length === acknowledged.length, 'the other broker')
  t.strictSame(await texts(one), acknowledged)
  t.strictSame(await texts(two), acknowledged)
}

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  check(`the leader of Consul gets ${signal}: appends wait and go on`, async (t, scene) => {
    const { consul, one, leadership } = scene
    const writing = load(one, leadership)
    await until(() => writing.acknowledged.length > 20, 'the first appends')
    const at = await consul.leader()
    if (signal === 'SIGKILL') await consul.kill(at)
    else consul.signal(at, signal)
    const before = writing.acknowledged.length
    await until(() => writing.acknowledged.length > before + 20, 'appends after the death')
    const longestMs = await writing.stop()
    t.comment(`longest append: ${Math.round(longestMs)} ms`)
    t.ok(longestMs < 30_000)
    t.ok(leadership.held, 'the lead stays')
    if (signal === 'SIGKILL') await consul.start(at)
    else consul.signal(at, 'SIGCONT')
    await consul.ready()
    await agree(t, scene, writing.acknowledged)
  })
}

check('a follower of Consul dies: appends go on', async (t, scene) => {
  const { consul, one, leadership } = scene
  const writing = load(one, leadership)
  await until(() => writing.acknowledged.length > 20, 'the first appends')
  const at = ((await consul.leader()) + 1) % 3
  await consul.kill(at)
  const before = writing.acknowledged.length
  await until(() => writing.acknowledged.length > before + 20, 'appends after the death')
  const longestMs = await writing.stop()
  t.comment(`longest append: ${Math.round(longestMs)} ms`)
  t.ok(leadership.held)
  await consul.start(at)
  await consul.ready()
  await agree(t, scene, writing.acknowledged)
})

check(
  'all servers die and come back: the lead stays, nothing is lost or doubled',
  async (t, scene) => {
    const { consul, one, two, leadership } = scene
    const writing = load(one, leadership)
    await until(() => writing.acknowledged.length > 20, 'the first appends')
    await Promise.all([0, 1, 2].map((at) => consul.kill(at)))
    t.ok((await texts(two)).length > 0, 'reading goes on')
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    t.ok(leadership.held)
    const before = writing.acknowledged.length
    await Promise.all([0, 1, 2].map((at) => consul.start(at)))
    await until(() => writing.acknowledged.length > before + 20, 'appends after the return')
    await writing.stop()
    t.ok(leadership.held)
    await consul.ready()
    await agree(t, scene, writing.acknowledged)
  },
)

check('a broker whose agent dies is shown by another one, and once only', async (t, scene) => {
  const { consul, one } = scene
  const [, second = ''] = consul.addresses
  const operator = portTo([second])
  const instances = async () => await operator.serviceInstances('lmq')
  const listener = { name: 'PLAINTEXT', host: '127.0.0.1', port: 9, securityProtocol: 'PLAINTEXT' }
  one.announce({
    ...{ brokerId: 1, brokerEpoch: 1, incarnationId: 'run', rack: null, version: '1.0.0' },
    ...{ listeners: [listener], httpAddress: undefined },
  })
  await until(async () => (await instances()).some(({ passing }) => passing), 'the service')
  const agents = await agentsWithService(consul)
  t.equal(agents.length, 1)
  const [first] = agents as [number]
  await consul.kill(first)
  await until(async () => {
    const others = await agentsWithService(consul)
    return others.some((at) => at !== first)
  }, 'another agent')
  await consul.start(first)
  await consul.ready()
  await until(async () => (await agentsWithService(consul)).length === 1, 'the former to forget')
  t.notSame(await agentsWithService(consul), [first])
  await operator.close()
})

/** The servers on which a broker is registered; those that do not answer have none. */
async function agentsWithService(consul: ConsulServers): Promise<number[]> {
  const found: number[] = []
  for (const at of [0, 1, 2]) {
    const answer = await consul.call('GET', '/v1/agent/services', undefined, at).catch(() => null)
    if (answer?.body.includes('"lmq-')) found.push(at)
  }
  return found
}

t.teardown(() => consul?.remove())
