// Goal: a metadata log that is brought back into Consul is whole, whoever else is at it: a broker that knows less and would
// lead, a second recovery, a Consul that does not answer. Method: real stores on the simulated Consul; what comes in between
// comes just before the recovery's first deletion.
import t from 'tap'
import { silentLogger } from '../../../../src/base/logger.ts'
import { ConsulKeys } from '../../../../src/cluster/consul/consul-keys.ts'
import { ConsulMetadataStore } from '../../../../src/cluster/consul/consul-metadata-store.ts'
import type { ConsulOperation, ConsulPort } from '../../../../src/cluster/consul/consul-port.ts'
import { recoverFromCopy } from '../../../../src/cluster/consul/consul-recovery.ts'
import type { Leadership } from '../../../../src/cluster/metadata-store.ts'
import { SimConsul } from '../../../sim/sim-consul.ts'
import { createSimIo, type SimWorld } from '../../../sim/sim-io.ts'

const keys = new ConsulKeys('lmq', 'cluster')
const sessionTtlMs = 10_000
const candidate = (brokerId: number) => ({ brokerId, incarnationId: `run of ${brokerId}` })

class Scene {
  readonly #world: SimWorld
  readonly consul: SimConsul

  constructor(world: SimWorld) {
    this.#world = world
    this.consul = new SimConsul(world.scheduler, world.random)
  }

  open(broker: string): Promise<ConsulMetadataStore> {
    return ConsulMetadataStore.open({
      ...{ io: this.#world.io, port: this.consul.connect(), prefix: 'lmq', clusterId: 'cluster' },
      ...{ folder: `/${broker}`, logger: silentLogger, sessionTtlMs, startTimeoutMs: 5_000 },
    })
  }

  recover(broker: string, port: ConsulPort = this.consul.connect()) {
    const folder = `/${broker}`
    const { io } = this.#world
    return recoverFromCopy({ io, port, keys, folder, logger: silentLogger, sessionTtlMs })
  }

  /** What a broker sees that has nothing yet. */
  async seen(): Promise<string[]> {
    const store = await this.open('fresh')
    const { snapshot, entries } = await store.read(0, 1e6)
    await store.close()
    const past = snapshot ? [snapshot.payload.toString()] : []
    return [...past, ...entries.map(({ payload }) => payload.toString())]
  }
}

async function win(store: ConsulMetadataStore, brokerId: number): Promise<Leadership> {
  const leadership = await store.lead(candidate(brokerId))
  if (!leadership) throw new Error('the leadership is taken')
  return leadership
}

async function append(store: ConsulMetadataStore, leadership: Leadership, ...values: string[]) {
  for (const value of values) {
    const { index } = await store.head()
    await store.append(leadership, index, Buffer.from(value))
  }
}

/** A port that does something else just before it deletes for the first time. */
function beforeDeleting(port: ConsulPort, intrude: () => Promise<void>): ConsulPort {
  let hasIntruded = false
  const transaction = async (operations: readonly ConsulOperation[]) => {
    if (!hasIntruded && operations.some(({ verb }) => verb === 'delete-tree')) {
      hasIntruded = true
      await intrude()
    }
    return port.transaction(operations)
  }
  return new Proxy(port, {
    get(target, name: keyof ConsulPort) {
      if (name === 'transaction') return transaction
      const member = target[name] as (...args: unknown[]) => unknown
      return member.bind(target)
    },
  })
}

/** Two brokers know a log with a snapshot; the first one leads it. */
async function twoCopies(scene: Scene) {
  const one = await scene.open('one')
  const leadership = await win(one, 1)
  await append(one, leadership, 'a', 'b')
  await one.writeSnapshot(leadership, { index: 1, payload: Buffer.from('a and b') })
  const two = await scene.open('two')
  return { one, two, leadership }
}

t.test('no broker that knows less leads meanwhile', async (t) => {
  const world = createSimIo(11)
  const scene = new Scene(world)
  await world.run(async () => {
    const { one, two, leadership } = await twoCopies(scene)
    await two.close()
    const backup = scene.consul.backup()
    await append(one, leadership, 'c')
    await one.close()
    scene.consul.restore(backup)
    const behind = await scene.open('two')
    let led: Leadership | undefined
    const port = beforeDeleting(scene.consul.connect(), async () => {
      led = await behind.lead(candidate(2))
      if (led) await append(behind, led, 'of another log')
    })
    const { index, controllerEpoch } = await scene.recover('one', port)
    t.equal(led, undefined)
    t.equal(index, 2)
    t.ok(controllerEpoch > leadership.controllerEpoch)
    t.same(await scene.seen(), ['a and b', 'c'])
    const next = await win(behind, 2)
    t.ok(next.controllerEpoch > controllerEpoch)
    await append(behind, next, 'd')
    t.same(await scene.seen(), ['a and b', 'c', 'd'])
    await behind.close()
  })
})

t.test('of two at once the earlier one leaves the work to the other', async (t) => {
  const world = createSimIo(12)
  const scene = new Scene(world)
  await world.run(async () => {
    const { one, two } = await twoCopies(scene)
    await one.close()
    await two.close()
    const port = beforeDeleting(scene.consul.connect(), async () => {
      await scene.recover('two')
    })
    await t.rejects(scene.recover('one', port), { code: 'LMQ_LOCK_LOST' })
    t.same(await scene.seen(), ['a and b'])
    await scene.recover('one')
    t.same(await scene.seen(), ['a and b'])
  })
})

t.test('it goes on while Consul refuses calls and loses answers', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = createSimIo(seed)
    const scene = new Scene(world)
    await world.run(async () => {
      const { one, two, leadership } = await twoCopies(scene)
      await append(one, leadership, 'c', 'd')
      await one.close()
      await two.close()
      scene.consul.trouble = { busy: 0.1, failed: 0.1, lost: 0.1, late: 0, slow: 0 }
      await scene.recover('one')
      scene.consul.heal()
      t.same(await scene.seen(), ['a and b', 'c', 'd'], `seed ${seed}`)
    })
  }
})
