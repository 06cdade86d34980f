// What ConsulMetadataStore promises when Consul misbehaves. For every ConsulPort: a real Consul and the simulator's.
import type { Test } from 'tap'
import type { ConsulMetadataStore } from '../../src/cluster/consul/consul-metadata-store.ts'
import {
  ConsulFailure,
  type ConsulOperation,
  type ConsulPort,
  type GetOptions,
} from '../../src/cluster/consul/consul-port.ts'
import type { Leadership, MetadataStore, StoreEntry } from '../../src/cluster/metadata-store.ts'
import { type Faults, faultyPort, type LostAnswer } from './faulty-consul-port.ts'

export type ConsulUnderTest = {
  /** A connection of its own to the same Consul. */
  connect(): ConsulPort
  /** Opens a store of the cluster that this test has; `broker` tells the folders of several stores apart. */
  open(port: ConsulPort, broker: string): Promise<ConsulMetadataStore>
  /** `lmq/<cluster id>/` of this test. */
  readonly root: string
  until(condition: () => Promise<boolean> | boolean, what: string): Promise<void>
  /** Closes nothing: the tests close their stores. */
  remove(): Promise<void>
}

const candidate = (brokerId: number) => ({ brokerId, incarnationId: `run-${brokerId}` })
const bytes = (text: string) => Buffer.from(text)
const texts = (entries: readonly StoreEntry[]) => entries.map((entry) => entry.payload.toString())

async function win(store: MetadataStore, brokerId = 1): Promise<Leadership> {
  const leadership = await store.lead(candidate(brokerId))
  if (!leadership) throw new Error('the leadership is taken')
  return leadership
}

function incompressible(sizeBytes: number): Buffer {
  const buffer = Buffer.alloc(sizeBytes)
  for (let at = 0, state = 1; at < sizeBytes; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    buffer[at] = state >>> 24
  }
  return buffer
}

type Scene = ConsulUnderTest & {
  readonly store: ConsulMetadataStore
  readonly faults: Faults
  /** Another broker's, without faults. */
  readonly other: ConsulMetadataStore
}

/** A broker's files may lag a little behind what it has in memory. */
async function refusesToStart({ open, connect }: Scene, broker: string): Promise<boolean> {
  try {
    const store = await open(connect(), broker)
    await store.close()
    return false
  } catch (error) {
    return (error as { code?: string }).code === 'LMQ_STORE_DIVERGED'
  }
}

export function consulStoreContract(t: Test, prepare: (t: Test) => Promise<ConsulUnderTest>): void {
  const check = (name: string, body: (t: Test, scene: Scene) => Promise<void>) =>
    t.test(`Consul: ${name}`, async (t) => {
      const under = await prepare(t)
      const { port, faults } = faultyPort(under.connect())
      const store = await under.open(port, 'one')
      const other = await under.open(under.connect(), 'two')
      try {
        await body(t, { ...under, store, faults, other })
      } finally {
        await store.close()
        await other.close()
        await under.remove()
      }
    })

  const fates: readonly (readonly LostAnswer[])[] = [
    ['happened'],
    ['never'],
    ['happens later'],
    ['never', 'happened'],
    ['happens later', 'never', 'happens later'],
  ]
  for (const fate of fates) {
    check(`an append whose answer is lost is there once: ${fate.join(', ')}`, async (t, scene) => {
      const { store, other, faults } = scene
      const leadership = await win(store)
      await store.append(leadership, -1, bytes('a'))
      faults.lost.push(...fate)
      t.equal(await store.append(leadership, 0, bytes('b')), 1)
      t.equal(await store.append(leadership, 1, bytes('c')), 2)
      t.strictSame(texts((await other.read(0, 1_000)).entries), ['a', 'b', 'c'])
      t.strictSame(texts((await store.read(0, 1_000)).entries), ['a', 'b', 'c'])
      t.ok(leadership.held)
    })
  }

  for (const fate of ['happened', 'never'] as const) {
    check(`deposed after the answer was lost, which ${fate}`, async (t, scene) => {
      const { store, other, faults } = scene
      const leadership = await win(store)
      await store.append(leadership, -1, bytes('a'))
      faults.lost.push(fate)
      faults.before = async () => {
        await other.depose(leadership.controllerEpoch)
        const next = await win(other, 2)
        const { index } = await other.head()
        await other.append(next, index, bytes('of the next'))
      }
      const appended = store.append(leadership, 0, bytes('b'))
      if (fate === 'happened') t.equal(await appended, 1, 'it is told what is true')
      else await t.rejects(appended, { code: 'LMQ_NOT_CONTROLLER' })
      const expected = fate === 'happened' ? ['a', 'b', 'of the next'] : ['a', 'of the next']
      t.strictSame(texts((await other.read(0, 1_000)).entries), expected)
      t.strictSame(texts((await store.read(0, 1_000)).entries), expected)
      t.notOk(leadership.held)
    })
  }

  check('a write of a deposed controller that arrives later is void', async (t, scene) => {
    const { store, other, faults } = scene
    const leadership = await win(store)
    await store.append(leadership, -1, bytes('a'))
    faults.lost.push('happens later')
    faults.before = async () => {
      await other.depose(leadership.controllerEpoch)
      await win(other, 2)
    }
    await t.rejects(store.append(leadership, 0, bytes('late')), { code: 'LMQ_NOT_CONTROLLER' })
    t.strictSame(texts((await other.read(0, 1_000)).entries), ['a'])
  })

  check('a copy of an append that arrives behind later ones is void', async (t, scene) => {
    const { store, other, faults } = scene
    const leadership = await win(store)
    await store.append(leadership, -1, bytes('a'))
    const copies: (readonly ConsulOperation[])[] = []
    faults.lost.push('happens later')
    faults.before = async () => void copies.push(...faults.late.splice(0))
    t.equal(await store.append(leadership, 0, bytes('b')), 1)
    t.equal(await store.append(leadership, 1, bytes('c')), 2)
    const port = scene.connect()
    for (const copy of copies) t.match(await port.transaction(copy), { committed: false })
    t.equal(copies.length, 1)
    await port.close()
    t.match(await other.head(), { index: 2 })
    t.equal(await store.append(leadership, 2, bytes('d')), 3)
    t.strictSame(texts((await other.read(0, 1_000)).entries), ['a', 'b', 'c', 'd'])
  })

  for (const fate of ['happened', 'happens later', 'never'] as const) {
    check(`an attempt to lead whose answer is lost binds nobody: ${fate}`, async (t, scene) => {
      const { store, other, faults, until } = scene
      const first = await win(other, 2)
      await other.append(first, -1, bytes('a'))
      await first.release()
      faults.lostLeads.push(fate)
      await t.rejects(store.lead(candidate(1)), { code: 'LMQ_STORE_UNREACHABLE' })
      let next: Leadership | undefined
      await until(async () => {
        next = await other.lead(candidate(2))
        return next !== undefined
      }, 'the lead')
      t.ok((next?.controllerEpoch ?? 0) > first.controllerEpoch)
      t.equal(await store.lead(candidate(1)), undefined)
      t.equal(await other.append(next as Leadership, 0, bytes('b')), 1)
      t.equal((await store.head()).controllerId, 2)
    })
  }

  check('an attempt to lead outlives single calls that fail', async (t, scene) => {
    const inner = scene.connect()
    const failed = new Set<string>()
    let isTroubled = false
    const port = new Proxy(inner, {
      get(target, name: keyof ConsulPort) {
        const call = (target[name] as (...args: unknown[]) => unknown).bind(target)
        if (name !== 'get' && name !== 'createSession') return call
        return async (...args: unknown[]) => {
          const isWatch = name === 'get' && !(args[1] as GetOptions).consistent
          const kind = name === 'get' ? String(args[0]) : name
          if (!isTroubled || isWatch || failed.has(kind)) return call(...args)
          failed.add(kind)
          throw new ConsulFailure('unknown', 'no answer')
        }
      },
    })
    const troubled = await scene.open(port, 'three')
    isTroubled = true
    t.ok((await troubled.lead(candidate(3)))?.held)
    t.strictSame([...failed].map((kind) => kind.replace(scene.root, '')).sort(), [
      'createSession',
      'head',
      'locks/controller',
    ])
    await troubled.close()
  })

  check('an attempt to lead that arrives after it was given up is void', async (t, scene) => {
    const { store, other, faults, until } = scene
    faults.lostLeads.push('happens later')
    await t.rejects(store.lead(candidate(1)), { code: 'LMQ_STORE_UNREACHABLE' })
    const late = faults.late[0] ?? []
    const sessionId = late[1]?.verb === 'lock' ? late[1].sessionId : ''
    const port = scene.connect()
    await until(async () => !(await port.renewSession(sessionId)), 'the end of its session')
    t.match(await port.transaction(late), { committed: false })
    t.equal((await other.head()).controllerId, -1)
    await port.close()
  })

  check('a broker that starts again takes the lead from its former run', async (t, scene) => {
    const { store, other } = scene
    const former = await win(store)
    await store.append(former, -1, bytes('a'))
    const again = { brokerId: 1, incarnationId: 'second run' }
    await other.join({ ...candidate(2), address: 'b:2' })
    t.equal((await other.head()).controllerId, 1, 'no business of others')
    await other.join({ ...again, address: 'a:1' })
    t.equal((await other.head()).controllerId, -1)
    const next = await other.lead(again)
    t.ok(next?.held)
    await t.rejects(store.append(former, 0, bytes('late')), { code: 'LMQ_NOT_CONTROLLER' })
  })

  check('a snapshot whose answer is lost', async (t, { store, other, faults }) => {
    const leadership = await win(store)
    for (let index = -1; index < 3; index++) {
      await store.append(leadership, index, bytes(`e${index + 1}`))
    }
    faults.lost.push('happened')
    await store.writeSnapshot(leadership, { index: 2, payload: bytes('up to 2') })
    t.equal(await store.append(leadership, 3, bytes('e4')), 4)
    const { snapshot, entries } = await other.read(0, 1_000)
    t.equal(snapshot?.payload.toString(), 'up to 2')
    t.strictSame(texts(entries), ['e3', 'e4'])
  })

  check('a change of the head that fails half-way leaves nothing', async (t, scene) => {
    const { store, other, faults, root } = scene
    const leadership = await win(store)
    await store.append(leadership, -1, bytes('a'))
    // The chunks of a large entry are written, then the lead is lost.
    faults.before = () => other.depose(leadership.controllerEpoch)
    const noise = incompressible(600_000)
    await t.rejects(store.append(leadership, 0, noise), { code: 'LMQ_NOT_CONTROLLER' })
    const port = scene.connect()
    t.strictSame(
      (await port.keys(`${root}log/`)).length,
      1,
      'no entry is there that the head does not name',
    )
    await port.close()
    t.strictSame(texts((await other.read(0, 1_000)).entries), ['a'])
    const next = await win(other, 2)
    t.equal(await other.append(next, 0, noise), 1)
    const { entries } = await store.read(1, 1)
    t.ok(entries[0]?.payload.equals(noise))
  })

  check('readers are served while Consul is away, and hear what they missed', async (t, scene) => {
    const { store, other, faults } = scene
    const leadership = await win(other, 2)
    await other.append(leadership, -1, bytes('a'))
    let news = 0
    const watch = store.watch(() => news++)
    await scene.until(async () => (await store.read(0, 1_000)).entries.length === 1, 'the first')
    faults.isAway = true
    await other.append(leadership, 0, bytes('b'))
    t.equal((await store.read(0, 1_000)).entries.length >= 1, true)
    await t.rejects(store.lead(candidate(1)), { code: 'LMQ_STORE_UNREACHABLE' })
    await t.rejects(store.head(), { code: 'LMQ_STORE_UNREACHABLE' })
    faults.isAway = false
    await scene.until(async () => (await store.read(0, 1_000)).entries.length === 2, 'the second')
    t.ok(news > 0)
    watch.stop()
  })

  check('an append waits for a Consul that is away', async (t, { store, other, faults, until }) => {
    const leadership = await win(store)
    faults.isAway = true
    let isDone = false
    const appended = store.append(leadership, -1, bytes('a')).then((index) => {
      isDone = true
      return index
    })
    t.notOk(isDone)
    faults.isAway = false
    t.equal(await appended, 0)
    await until(async () => (await other.read(0, 1_000)).entries.length === 1, 'the entry')
  })

  check('what an older log was restored to is refused', async (t, scene) => {
    const { store, other, root, until } = scene
    const port = scene.connect()
    const leadership = await win(store)
    await store.append(leadership, -1, bytes('a'))
    const old = await port.get(`${root}head`, { consistent: true })
    if (!old.pair) throw new Error('there is no head')
    await store.append(leadership, 0, bytes('b'))
    t.equal((await other.read(0, 1_000)).entries.length, 2)
    await port.transaction([{ verb: 'set', key: `${root}head`, value: old.pair.value }])
    await t.rejects(store.append(leadership, 1, bytes('c')), { code: 'LMQ_NOT_CONTROLLER' })
    await t.rejects(other.head(), { code: 'LMQ_STORE_DIVERGED' })
    await t.rejects(other.lead(candidate(2)), { code: 'LMQ_STORE_DIVERGED' })
    t.strictSame(texts((await other.read(0, 1_000)).entries), ['a', 'b'], 'serving goes on')
    await until(() => refusesToStart(scene, 'two'), 'a start that is refused')

    // Another broker, which knew no more than the backup, leads: what it writes is another log.
    const third = await scene.open(scene.connect(), 'three')
    const next = await win(third, 3)
    await third.append(next, 0, bytes('other b'))
    await third.append(next, 1, bytes('other c'))
    await t.rejects(other.head(), { code: 'LMQ_STORE_DIVERGED' })
    t.strictSame(texts((await other.read(0, 1_000)).entries), ['a', 'b'])
    await third.close()
    await until(async () => {
      await t.rejects(store.head(), { code: 'LMQ_STORE_DIVERGED' })
      return true
    }, 'both to refuse')
    await port.close()
  })

  check('an emptied Consul is not started over in', async (t, scene) => {
    const { store, other, root } = scene
    const port = scene.connect()
    const leadership = await win(store)
    await store.append(leadership, -1, bytes('a'))
    t.equal((await other.read(0, 1_000)).entries.length, 1)
    await port.transaction([{ verb: 'delete-tree', key: root }])
    await t.rejects(other.lead(candidate(2)), { code: 'LMQ_STORE_DIVERGED' })
    await t.rejects(store.append(leadership, 0, bytes('b')), { code: 'LMQ_NOT_CONTROLLER' })
    await scene.until(() => refusesToStart(scene, 'one'), 'a start that is refused')
    t.strictSame(texts((await store.read(0, 1_000)).entries), ['a'])
    t.strictSame(await port.keys(root), [], 'nothing was written')
    await port.close()
  })

  check('the clean-up of a deposed controller removes nothing', async (t, scene) => {
    const { other, root, until } = scene
    const inner = scene.connect()
    const refused: string[] = []
    let next: Leadership | undefined
    const transaction = async (operations: readonly ConsulOperation[]) => {
      const isCleaning = operations.some(({ verb }) => verb === 'delete-tree')
      if (isCleaning && !next) {
        await other.depose(leadership.controllerEpoch)
        next = await win(other, 2)
      }
      const answer = await inner.transaction(operations)
      if (isCleaning && !answer.committed) refused.push(answer.why)
      return answer
    }
    const port = new Proxy(inner, {
      get(target, name: keyof ConsulPort) {
        if (name === 'transaction') return transaction
        return (target[name] as (...args: unknown[]) => unknown).bind(target)
      },
    })
    const deposed = await scene.open(port, 'three')
    const leadership = await win(deposed, 3)
    let index = -1
    for (let round = 0; round < 2; round++) {
      for (let count = 0; count < 70; count++) {
        index = await deposed.append(leadership, index, bytes(`e${index + 1}`))
      }
      await deposed.writeSnapshot(leadership, { index, payload: bytes(`up to ${index}`) })
    }
    const before = await inner.keys(root)
    await until(() => refused.length > 0, 'the clean-up')
    t.ok(next?.held)
    t.equal(refused.length, 1, 'it ends with the first refusal')
    t.strictSame(await inner.keys(root), before)
    await deposed.close()
  })

  check('what two snapshots replaced is removed', async (t, scene) => {
    const { store, root, until } = scene
    const late = await scene.open(scene.connect(), 'late')
    const leadership = await win(store)
    let index = -1
    const port = scene.connect()
    for (let round = 0; round < 3; round++) {
      for (let count = 0; count < 70; count++) {
        index = await store.append(leadership, index, bytes(`e${index + 1}`))
      }
      await store.writeSnapshot(leadership, { index, payload: bytes(`up to ${index}`) })
    }
    await until(async () => {
      const buckets = await port.keys(`${root}log/`, '/')
      const snapshots = await port.keys(`${root}snapshots/`, '/')
      return buckets.length === 2 && snapshots.length === 2
    }, 'the cleaning')
    t.equal(await store.append(leadership, index, bytes('last')), index + 1)
    for (const [name, reader] of Object.entries({
      late,
      new: await scene.open(scene.connect(), 'new'),
    })) {
      const { snapshot, entries } = await reader.read(0, 1_000)
      t.equal(snapshot?.payload.toString(), 'up to 209', name)
      t.strictSame(texts(entries), ['last'])
      await reader.close()
    }
    await port.close()
  })
}
