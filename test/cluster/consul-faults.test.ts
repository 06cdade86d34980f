// Goal: each way in which a Consul server fails has the behaviour that is stated for it. Method: one real server with its
// data on disk; its process is killed, its data wiped or restored, its sessions and services removed by hand.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { ConsulKeys } from '../../src/cluster/consul/consul-keys.ts'
import type { ConsulMetadataStore } from '../../src/cluster/consul/consul-metadata-store.ts'
import { recoverFromCopy } from '../../src/cluster/consul/consul-recovery.ts'
import type { BrokerFacts, Leadership } from '../../src/cluster/metadata-store.ts'
import { whyMissing } from '../compat/harness/tools.ts'
import { faultyPort } from '../contract/faulty-consul-port.ts'
import { candidate, io, openStore, portTo, until, win } from './consul-fixture.ts'
import { type ConsulServers, startConsul } from './consul-servers.ts'
import { pause } from './faults.ts'

t.setTimeout(300_000)
const consul = await startConsul()
let clusters = 0
const sessionTtlMs = 10_000

type Scene = {
  readonly consul: ConsulServers
  readonly clusterId: string
  readonly keys: ConsulKeys
  open(broker: string, settings?: { startTimeoutMs?: number }): Promise<ConsulMetadataStore>
  folderOf(broker: string): string
  close(store: ConsulMetadataStore): Promise<void>
}

function check(name: string, body: (t: Test, scene: Scene) => Promise<void>): void {
  if (!consul) {
    t.test(name, { skip: whyMissing('consul') }, async () => {})
    return
  }
  t.test(name, async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'lmq-store-'))
    const clusterId = `faults-${++clusters}`
    const opened = new Set<ConsulMetadataStore>()
    const folderOf = (broker: string) => join(root, broker)
    const scene: Scene = {
      consul,
      clusterId,
      keys: new ConsulKeys('lmq', clusterId),
      folderOf,
      async open(broker, settings = {}) {
        const port = portTo(consul.addresses)
        const store = await openStore({ port, clusterId, folder: folderOf(broker), ...settings })
        opened.add(store)
        return store
      },
      async close(store) {
        opened.delete(store)
        await store.close()
      },
    }
    try {
      await body(t, scene)
    } finally {
      for (const store of opened) await store.close()
      await rm(root, { recursive: true })
    }
  })
}

async function append(store: ConsulMetadataStore, leadership: Leadership, ...values: string[]) {
  for (const value of values) {
    const { index } = await store.head()
    await store.append(leadership, index, Buffer.from(value))
  }
}

async function history(store: ConsulMetadataStore): Promise<string[]> {
  const { snapshot, entries } = await store.read(0, 1e9)
  const past = snapshot ? [`snapshot ${snapshot.index}`] : []
  return [...past, ...entries.map(({ payload }) => payload.toString())]
}

const code = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (error: { code?: string }) => error.code,
  )

check('a session destroyed by hand: the controller steps down, another leads', async (t, scene) => {
  const one = await scene.open('one')
  const two = await scene.open('two')
  const leadership = await win(one)
  await append(one, leadership, 'a')
  const sessions = (await scene.consul.json('/v1/session/list')) as { ID: string; Name: string }[]
  t.equal(sessions.length, 1)
  t.equal(sessions[0]?.Name, 'lmq-controller-1')
  await scene.consul.call('PUT', `/v1/session/destroy/${sessions[0]?.ID}`)
  await until(() => !leadership.held, 'the loss')
  await t.rejects(one.append(leadership, 0, Buffer.from('late')), { code: 'LMQ_NOT_CONTROLLER' })
  const next = await win(two, 2)
  await append(two, next, 'b')
  t.strictSame(await history(one), ['a', 'b'])
})

check('a controller that is cut off loses its lock in time, and learns of it', async (t, scene) => {
  const { clusterId, consul } = scene
  const { port, faults } = faultyPort(portTo(consul.addresses))
  const one = await openStore({ port, clusterId, sessionTtlMs: 500 })
  const two = await scene.open('two')
  const leadership = await win(one)
  await append(one, leadership, 'a')
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  t.ok(leadership.held, 'it is renewed')
  t.equal((await two.head()).controllerId, 1)
  faults.isAway = true
  const waiting = code(one.append(leadership, 0, Buffer.from('late')))
  let next: Leadership | undefined
  await until(async () => {
    next = await two.lead(candidate(2))
    return next !== undefined
  }, 'the end of the session')
  await append(two, next as Leadership, 'b')
  faults.isAway = false
  t.equal(await waiting, 'LMQ_NOT_CONTROLLER')
  t.notOk(leadership.held)
  await until(async () => (await history(one)).join() === 'a,b', 'the news')
  await one.close()
})

check(
  'Consul is killed and comes back: the lead stays, what waited is written',
  async (t, scene) => {
    const { consul } = scene
    const one = await scene.open('one')
    const two = await scene.open('two')
    const leadership = await win(one)
    await append(one, leadership, 'a')
    two.watch(() => {})
    await until(async () => (await history(two)).length === 1, 'the first')
    await consul.kill(0)
    const waiting = one.append(leadership, 0, Buffer.from('b'))
    t.strictSame(await history(two), ['a'], 'reading goes on')
    t.equal(await code(two.lead(candidate(2))), 'LMQ_STORE_UNREACHABLE')
    await consul.start(0)
    t.equal(await waiting, 1)
    t.ok(leadership.held)
    await until(async () => (await history(two)).length === 2, 'the news')
  },
)

check('a broker is shown in the catalogue, and again when its agent lost it', async (t, scene) => {
  const { consul, clusterId } = scene
  const store = await scene.open('one')
  const facts: BrokerFacts = {
    brokerId: 7,
    brokerEpoch: 12,
    incarnationId: 'run',
    rack: 'r1',
    version: '1.2.3',
    listeners: [
      { name: 'PLAINTEXT', host: '127.0.0.1', port: 9092, securityProtocol: 'PLAINTEXT' },
      { name: 'INTERNAL', host: 'inside', port: 9093, securityProtocol: 'SSL' },
    ],
    httpAddress: undefined,
  }
  const id = `lmq-${clusterId}-7`
  const instance = async () => {
    const all = await portOf(scene).serviceInstances('lmq')
    return all.find((each) => each.id === id)
  }
  store.announce(facts)
  await until(async () => (await instance())?.passing === true, 'the service')
  store.announce({ ...facts, httpAddress: '127.0.0.1:9644' })
  await until(async () => (await instance())?.meta['http-address'] !== undefined, 'the address')
  t.match(await instance(), {
    address: '127.0.0.1',
    port: 9092,
    meta: {
      'cluster-id': clusterId,
      'broker-id': '7',
      'broker-epoch': '12',
      version: '1.2.3',
      rack: 'r1',
      'listener-PLAINTEXT': 'PLAINTEXT://127.0.0.1:9092',
      'listener-INTERNAL': 'SSL://inside:9093',
    },
  })
  await consul.call('PUT', `/v1/agent/service/deregister/${id}`)
  t.equal(await instance(), undefined)
  await until(async () => (await instance())?.passing === true, 'the service again')
  await scene.close(store)
  t.equal(await instance(), undefined, 'it goes with its broker')
})

check(
  'Consul restored from an old backup is refused, until a broker gives what it knows',
  async (t, scene) => {
    const { consul, keys } = scene
    const one = await scene.open('one')
    const two = await scene.open('two')
    const leadership = await win(one)
    await append(one, leadership, 'a', 'b')
    const backup = await consul.call('GET', '/v1/snapshot')
    t.equal(backup.status, 200)
    await append(one, leadership, 'c')
    await one.writeSnapshot(leadership, { index: 1, payload: Buffer.from('a b') })
    await append(one, leadership, 'd')
    await until(async () => (await history(two)).join() === 'snapshot 1,c,d', 'the log')
    two.watch(() => {})
    const restored = await consul.call('PUT', '/v1/snapshot', backup.body)
    t.equal(restored.status, 200, restored.body.toString())

    await until(async () => (await code(two.head())) === 'LMQ_STORE_DIVERGED', 'the refusal')
    t.equal(await code(one.append(leadership, 3, Buffer.from('e'))), 'LMQ_NOT_CONTROLLER')
    t.equal(await code(one.lead(candidate(1))), 'LMQ_STORE_DIVERGED')
    t.strictSame(await history(two), ['snapshot 1', 'c', 'd'], 'serving goes on')

    await scene.close(one)
    const port = portOf(scene)
    const recovered = await recoverFromCopy({
      ...{ io, port, keys, folder: scene.folderOf('one'), logger: silentLogger, sessionTtlMs },
    })
    t.equal(recovered.index, 3)
    t.ok(recovered.controllerEpoch > leadership.controllerEpoch)
    await until(async () => (await code(two.head())) === undefined, 'the return')
    const next = await win(two, 2)
    t.ok(next.controllerEpoch > recovered.controllerEpoch)
    await append(two, next, 'e')
    const again = await scene.open('one')
    t.strictSame(await history(again), ['snapshot 1', 'c', 'd', 'e'])
    const fresh = await scene.open('three')
    t.strictSame(await history(fresh), ['snapshot 1', 'c', 'd', 'e'])
  },
)

/** Whether a call is left without an answer: a stopped process stops a moment after it was told to. */
function isSilent(consul: ConsulServers): Promise<boolean> {
  const asked = consul.call('GET', '/v1/status/leader').then(
    () => false,
    () => true,
  )
  return Promise.race([asked, pause(300).then(() => true)])
}

check('without Consul a broker does not start, and stops in time', async (t, scene) => {
  const { consul } = scene
  const one = await scene.open('one')
  const leadership = await win(one)
  await append(one, leadership, 'a')
  await one.join({ ...candidate(1), address: 'one:1' })
  consul.signal(0, 'SIGSTOP')
  try {
    await until(() => isSilent(consul), 'the end of its answers')
    const unsettled = code(one.append(leadership, 0, Buffer.from('b')))
    const startMs = Date.now()
    await scene.close(one)
    t.ok(Date.now() - startMs < 15_000)
    t.equal(await unsettled, 'LMQ_STORE_UNREACHABLE')
    t.equal(await code(scene.open('two', { startTimeoutMs: 500 })), 'LMQ_STORE_UNREACHABLE')
  } finally {
    consul.signal(0, 'SIGCONT')
  }
  await consul.ready()
  const again = await scene.open('one')
  const known = await history(again)
  t.ok(known.join() === 'a' || known.join() === 'a,b', 'what was not acknowledged is there or not')
})

check('Consul comes back empty: nothing starts over; recovered, all goes on', async (t, scene) => {
  const { consul, keys } = scene
  const one = await scene.open('one')
  const two = await scene.open('two')
  const leadership = await win(one)
  await append(one, leadership, 'a', 'b')
  await one.join({ ...candidate(1), address: 'one:1' })
  await until(async () => (await history(two)).length === 2, 'the log')
  two.watch(() => {})
  await consul.kill(0)
  consul.wipe(0)
  await consul.start(0)
  await consul.ready()
  await until(async () => (await code(two.head())) === 'LMQ_STORE_DIVERGED', 'the refusal')
  await until(() => !leadership.held, 'the loss of the lead')
  t.equal(await code(two.lead(candidate(2))), 'LMQ_STORE_DIVERGED')
  t.strictSame(await history(two), ['a', 'b'])
  await scene.close(one)
  t.equal(await code(scene.open('one')), 'LMQ_STORE_DIVERGED', 'a start is refused')
  const port = portOf(scene)
  await recoverFromCopy({
    ...{ io, port, keys, folder: scene.folderOf('one'), logger: silentLogger, sessionTtlMs },
  })
  await until(async () => (await code(two.head())) === undefined, 'the return')
  const next = await win(two, 2)
  await append(two, next, 'c')
  const again = await scene.open('one')
  t.strictSame(await history(again), ['a', 'b', 'c'])
})

const ports = new Map<string, ReturnType<typeof portTo>>()

/** The operator's own connection. */
function portOf({ consul, clusterId }: Scene): ReturnType<typeof portTo> {
  const port = ports.get(clusterId) ?? portTo(consul.addresses)
  ports.set(clusterId, port)
  return port
}

t.teardown(async () => {
  for (const port of ports.values()) await port.close()
  await consul?.remove()
})
