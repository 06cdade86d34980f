// Goal: what the metadata log has acknowledged is there after any crash, in order, once, and the log goes on.
// Method: random appends and snapshots on a simulated disk that loses or tears what was not synced; the process is killed
// or the machine loses power at a random moment, again and again.
import type { Test } from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { EmbeddedMetadataStore } from '../../src/cluster/embedded-metadata-store.ts'
import type { Leadership } from '../../src/cluster/metadata-store.ts'
import type { SimWorld } from './sim-io.ts'
import { simulate } from './simulate.ts'

const folder = '/data/metadata'

const open = ({ io }: SimWorld): EmbeddedMetadataStore =>
  EmbeddedMetadataStore.open({ io, folder, logger: silentLogger })

async function lead(store: EmbeddedMetadataStore): Promise<Leadership> {
  const leadership = await store.lead({ brokerId: 1, incarnationId: 'i' })
  if (!leadership) throw new Error('led by another')
  return leadership
}

/** The whole history as text: a snapshot holds the entries that it replaces. */
async function read(store: EmbeddedMetadataStore): Promise<string[]> {
  const { snapshot, entries } = await store.read(0, 1e9)
  const past = snapshot ? (JSON.parse(snapshot.payload.toString()) as string[]) : []
  return [...past, ...entries.map(({ payload }) => payload.toString())]
}

simulate('acknowledged metadata outlives crashes', async (world, t) => {
  const { random } = world
  const log: Sent = { history: [], acknowledged: -1, value: 0 }
  for (let round = 0; round < 6; round++) {
    const store = open(world)
    check(t, await read(store), log)
    await writeSome(world, store, log)
    if (random.int(4) === 0) await store.close()
    else if (random.int(2) === 0) await pause(world, random.int(5))
    if (random.int(2) === 0) world.losePower()
    else world.kill()
  }
  const store = open(world)
  check(t, await read(store), log)
  await store.close()
})

const pause = ({ io }: SimWorld, forMs: number) =>
  new Promise<void>((resolve) => io.timers.schedule(forMs, resolve))

type Sent = {
  /** In the order of their indexes; what lies behind `acknowledged` may be there or not. */
  history: string[]
  /** The highest index that a writer was told of. */
  acknowledged: number
  value: number
}

/** Appends, and sometimes a snapshot; some are waited for, some are under way when the crash comes. */
async function writeSome(
  { random }: SimWorld,
  store: EmbeddedMetadataStore,
  log: Sent,
): Promise<void> {
  const leadership = await lead(store)
  for (let left = random.int(30); left > 0; left--) {
    const size = random.int(3) === 0 ? random.int(100_000) : random.int(50)
    const payload = `${log.value++} ${'x'.repeat(size)}`
    const index = log.history.push(payload) - 1
    const appended = store.append(leadership, index - 1, Buffer.from(payload)).then(() => {
      log.acknowledged = Math.max(log.acknowledged, index)
    })
    if (random.int(3) > 0) await appended
    if (random.int(8) > 0) continue
    const { index: last } = await store.head()
    const past = Buffer.from(JSON.stringify(log.history.slice(0, last + 1)))
    const written = store.writeSnapshot(leadership, { index: last, payload: past })
    if (random.int(2) === 0) await written
  }
}

/** What is there must be a beginning of what was sent, and hold all that was acknowledged. The log goes on from there. */
function check(t: Test, found: string[], log: Sent): void {
  const { history, acknowledged } = log
  if (found.length <= acknowledged) t.fail(`entry ${acknowledged} was acknowledged and is lost`)
  const wrong = found.findIndex((entry, index) => entry !== history[index])
  if (wrong >= 0) t.fail(`entry ${wrong} is not what was sent`)
  log.history = found
  log.acknowledged = found.length - 1
}

simulate('what a killed process left counts only once it is durable', async (world, t) => {
  const store = open(world)
  const leadership = await lead(store)
  const count = 1 + world.random.int(5)
  for (let index = 0; index < count; index++) {
    void store.append(leadership, index - 1, Buffer.from(`entry ${index}`))
  }
  await pause(world, world.random.int(4))
  world.kill()
  const again = open(world)
  const found = await read(again)
  world.losePower()
  t.same(await read(open(world)), found)
})
