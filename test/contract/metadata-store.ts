// What every MetadataStore promises. One file per implementation calls `metadataStoreContract`.
import type { Test } from 'tap'
import type {
  Candidate,
  Leadership,
  MetadataStore,
  StoreEntry,
} from '../../src/cluster/metadata-store.ts'

export type StoreUnderTest = {
  readonly store: MetadataStore
  /** Another view of the same log, as a second broker has it. */
  second(): Promise<MetadataStore>
  /** Closes everything and opens the same log again, as after a restart of the whole cluster. */
  reopen(): Promise<MetadataStore>
  remove(): Promise<void>
}

type Opener = (t: Test) => Promise<StoreUnderTest>

const broker1 = { brokerId: 1, incarnationId: 'one' }
const broker2 = { brokerId: 2, incarnationId: 'two' }
const bytes = (text: string) => Buffer.from(text)
const texts = (entries: readonly StoreEntry[]) => entries.map((entry) => entry.payload.toString())

async function win(store: MetadataStore, candidate = broker1): Promise<Leadership> {
  const leadership = await store.lead(candidate)
  if (!leadership) throw new Error('the leadership is taken')
  return leadership
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2))
}

export function metadataStoreContract(t: Test, open: Opener): void {
  const check = (name: string, body: (t: Test, under: StoreUnderTest) => Promise<void>) =>
    t.test(name, async (t) => {
      const under = await open(t)
      try {
        await body(t, under)
      } finally {
        await under.remove()
      }
    })

  check('a new log is empty and led by nobody', async (t, { store }) => {
    t.strictSame(await store.head(), { index: -1, controllerEpoch: 0, controllerId: -1 })
    t.strictSame(await store.read(0, 1_000), { snapshot: undefined, entries: [] })
  })

  check('entries are read in the order of their appends', async (t, { store, second }) => {
    const leadership = await win(store)
    t.equal(await store.append(leadership, -1, bytes('a')), 0)
    t.equal(await store.append(leadership, 0, bytes('b')), 1)
    const other = await second()
    const { entries } = await other.read(0, 1_000)
    t.strictSame(texts(entries), ['a', 'b'])
    t.strictSame(
      entries.map(({ index, controllerEpoch }) => [index, controllerEpoch]),
      [
        [0, leadership.controllerEpoch],
        [1, leadership.controllerEpoch],
      ],
    )
    t.strictSame(texts((await other.read(1, 1_000)).entries), ['b'])
    t.strictSame(texts((await other.read(2, 1_000)).entries), [])
  })

  check('a read is bounded but gives one entry at least', async (t, { store }) => {
    const leadership = await win(store)
    for (let index = -1; index < 4; index++)
      await store.append(leadership, index, bytes('x'.repeat(10)))
    t.equal((await store.read(0, 1)).entries.length, 1)
    t.equal((await store.read(0, 25)).entries.length, 2)
    t.equal((await store.read(2, 1_000)).entries.length, 3)
  })

  check('a reader goes on from any entry', async (t, { store, second }) => {
    const leadership = await win(store)
    const count = 20
    for (let index = -1; index < count - 1; index++)
      await store.append(leadership, index, bytes(`e${index + 1}`))
    const other = await second()
    for (let from = 0; from <= count; from++) {
      const expected = Array.from({ length: count - from }, (_, at) => from + at)
      for (const reader of [store, other]) {
        const { entries } = await reader.read(from, 1_000)
        if (entries.map(({ index }) => index).join() === expected.join()) continue
        t.same(entries, expected, `from ${from}`)
      }
    }
    t.pass()
  })

  check('an append behind anything but the last entry is refused', async (t, { store }) => {
    const leadership = await win(store)
    await store.append(leadership, -1, bytes('a'))
    await t.rejects(store.append(leadership, -1, bytes('again')), { code: 'LMQ_NOT_CONTROLLER' })
    await t.rejects(store.append(leadership, 5, bytes('gap')), { code: 'LMQ_NOT_CONTROLLER' })
    t.strictSame(texts((await store.read(0, 1_000)).entries), ['a'])
  })

  check('one candidate leads at a time, epochs rise', async (t, { store, second }) => {
    const other = await second()
    const first = await win(store, broker1)
    t.equal(await other.lead(broker2), undefined)
    t.match(await other.head(), { controllerId: 1, controllerEpoch: first.controllerEpoch })
    await first.release()
    t.notOk(first.held)
    const next = await win(other, broker2)
    t.ok(next.controllerEpoch > first.controllerEpoch)
    t.match(await store.head(), { controllerId: 2, controllerEpoch: next.controllerEpoch })
  })

  check('of two that race one wins', async (t, { store, second }) => {
    const other = await second()
    const won = await Promise.all([store.lead(broker1), other.lead(broker2)])
    t.equal(won.filter(Boolean).length, 1)
  })

  check('a deposed controller writes nothing, however late', async (t, { store, second }) => {
    const other = await second()
    const deposed = await win(store, broker1)
    await store.append(deposed, -1, bytes('before'))
    let told = 0
    deposed.onLost(() => told++)
    await other.depose(deposed.controllerEpoch)
    const next = await win(other, broker2)
    await t.rejects(store.append(deposed, 0, bytes('late')), { code: 'LMQ_NOT_CONTROLLER' })
    t.equal(await other.append(next, 0, bytes('after')), 1)
    await t.rejects(store.append(deposed, 1, bytes('later')), { code: 'LMQ_NOT_CONTROLLER' })
    await t.rejects(store.writeSnapshot(deposed, { index: 1, payload: bytes('s') }), {
      code: 'LMQ_NOT_CONTROLLER',
    })
    t.strictSame(texts((await store.read(0, 1_000)).entries), ['before', 'after'])
    await until(() => told > 0)
    t.equal(told, 1)
    t.notOk(deposed.held)
  })

  check('a deposed controller writes nothing, though nobody followed', async (t, under) => {
    const { store } = under
    const other = await under.second()
    const deposed = await win(store)
    await store.append(deposed, -1, bytes('before'))
    await other.depose(deposed.controllerEpoch)
    await t.rejects(store.append(deposed, 0, bytes('late')), { code: 'LMQ_NOT_CONTROLLER' })
    t.strictSame(texts((await other.read(0, 1_000)).entries), ['before'])
    t.match(await other.head(), { index: 0, controllerId: -1 })
  })

  check('deposing an epoch that is over changes nothing', async (t, { store }) => {
    const first = await win(store)
    await first.release()
    const next = await win(store)
    await store.depose(first.controllerEpoch)
    t.ok(next.held)
    t.equal(await store.append(next, (await store.head()).index, bytes('a')), 0)
  })

  check('watchers hear of entries and of leaders', async (t, { store, second }) => {
    const other = await second()
    let calls = 0
    const watch = other.watch(() => calls++)
    const leadership = await win(store)
    await until(() => calls > 0)
    await store.append(leadership, -1, bytes('a'))
    await until(async () => (await other.read(0, 1_000)).entries.length === 1)
    const before = calls
    await store.append(leadership, 0, bytes('b'))
    await until(() => calls > before)
    watch.stop()
    await leadership.release()
    t.pass()
  })

  check('a snapshot takes the place of old entries', async (t, { store, second }) => {
    const leadership = await win(store)
    for (let index = -1; index < 9; index++)
      await store.append(leadership, index, bytes(`e${index + 1}`))
    t.ok((await store.bytesSinceSnapshot()) >= 20)
    await store.writeSnapshot(leadership, { index: 6, payload: bytes('up to 6') })
    const other = await second()
    const { snapshot, entries } = await other.read(0, 1_000)
    t.equal(snapshot?.index, 6)
    t.equal(snapshot?.payload.toString(), 'up to 6')
    t.strictSame(texts(entries), ['e7', 'e8', 'e9'])
    t.equal((await other.read(7, 1_000)).snapshot, undefined)
    t.strictSame(texts((await other.read(8, 1_000)).entries), ['e8', 'e9'])
    t.ok((await store.bytesSinceSnapshot()) < 20)
    t.equal(await store.append(leadership, 9, bytes('e10')), 10)
  })

  check('all of it outlives a restart', async (t, { store, reopen }) => {
    const leadership = await win(store)
    let index = -1
    for (; index < 30; index++) {
      await store.append(leadership, index, bytes(`e${index + 1}`))
      if (index % 10 === 5) {
        await store.writeSnapshot(leadership, { index, payload: bytes(`up to ${index}`) })
      }
    }
    const again = await reopen()
    t.match(await again.head(), { index: 30, controllerId: -1 })
    const { snapshot, entries } = await again.read(0, 10_000)
    t.equal(snapshot?.payload.toString(), 'up to 25')
    t.strictSame(texts(entries), ['e26', 'e27', 'e28', 'e29', 'e30'])
    const next = await win(again)
    t.ok(next.controllerEpoch > leadership.controllerEpoch)
    t.equal(await again.append(next, 30, bytes('e31')), 31)
  })

  check('two writers race: what is acknowledged is there, once, in one order', async (t, under) => {
    const { store } = under
    const other = await under.second()
    const acknowledged = new Map<number, string>()
    const write = async (mine: MetadataStore, who: Candidate): Promise<void> => {
      for (let round = 0; round < 8; ) {
        const head = await mine.head()
        if (head.controllerId >= 0) await mine.depose(head.controllerEpoch)
        const leadership = await mine.lead(who)
        if (!leadership) continue
        round++
        try {
          let { index } = await mine.head()
          for (let at = 0; at < 5; at++) {
            const value = `${who.brokerId}: ${round}.${at}`
            index = await mine.append(leadership, index, bytes(value))
            acknowledged.set(index, value)
          }
        } catch (error) {
          if ((error as { code?: string }).code !== 'LMQ_NOT_CONTROLLER') throw error
        }
      }
    }
    await Promise.all([write(store, broker1), write(other, broker2)])
    const { entries } = await (await under.second()).read(0, 1_000_000)
    const epochs = entries.map(({ controllerEpoch }) => controllerEpoch)
    t.strictSame(
      entries.map(({ index }) => index),
      entries.map((_, at) => at),
    )
    t.strictSame(
      epochs,
      [...epochs].sort((a, b) => a - b),
    )
    t.equal(new Set(texts(entries)).size, entries.length, 'no value is there twice')
    for (const [index, value] of acknowledged) t.equal(entries[index]?.payload.toString(), value)
  })

  check('a reader that fell behind a snapshot goes on from it', async (t, { store, second }) => {
    const other = await second()
    const leadership = await win(store)
    await store.append(leadership, -1, bytes('e0'))
    t.strictSame(texts((await other.read(0, 1_000)).entries), ['e0'])
    let index = 0
    for (; index < 200; ) {
      index = await store.append(leadership, index, bytes(`e${index + 1}`))
      if (index % 60 !== 0) continue
      await store.writeSnapshot(leadership, { index, payload: bytes(`up to ${index}`) })
    }
    const { snapshot, entries } = await other.read(1, 1_000_000)
    t.equal(snapshot?.index, 180)
    t.equal(snapshot?.payload.toString(), 'up to 180')
    t.strictSame(
      entries.map((entry) => entry.index),
      Array.from({ length: 20 }, (_, at) => 181 + at),
    )
  })

  check('members come and go', async (t, { store, second }) => {
    const other = await second()
    const one = await store.join({ ...broker1, address: 'a:1' })
    await other.join({ ...broker2, address: 'b:2' })
    const ids = async () => (await store.members()).map((member) => member.brokerId).sort()
    t.strictSame(await ids(), [1, 2])
    await one.leave()
    t.strictSame(await ids(), [2])
  })

  check('a large entry and an empty one', async (t, { store, reopen }) => {
    const leadership = await win(store)
    const large = Buffer.alloc(3_000_000, 'lmq')
    await store.append(leadership, -1, large)
    await store.append(leadership, 0, Buffer.alloc(0))
    const { entries } = await (await reopen()).read(0, 10_000_000)
    t.ok(entries[0]?.payload.equals(large))
    t.equal(entries[1]?.payload.length, 0)
  })
}
