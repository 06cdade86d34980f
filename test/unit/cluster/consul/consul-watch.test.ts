// Goal: a watch asks no more than it must, and tells of a return when there was an absence. Method: an agent by script, on
// simulated time.
import t from 'tap'
import {
  type ConsulAnswer,
  ConsulFailure,
  type ConsulPort,
  type GetOptions,
} from '../../../../src/cluster/consul/consul-port.ts'
import { ConsulWatch } from '../../../../src/cluster/consul/consul-watch.ts'
import { createSimIo, type SimWorld } from '../../../sim/sim-io.ts'

const pair = { key: 'k', value: Buffer.from('v'), modifyIndex: 7, sessionId: undefined }

/** @param answer of the agent; the n-th call is 1 */
function watched(world: SimWorld, answer: (options: GetOptions, n: number) => Promise<unknown>) {
  const seen = { calls: 0, changes: 0, failures: 0, returns: 0 }
  const port = {
    get: async (_key: string, options: GetOptions): Promise<ConsulAnswer> => {
      await answer(options, ++seen.calls)
      return { index: 7, pair }
    },
  } as unknown as ConsulPort
  const watch = new ConsulWatch({
    ...{ io: world.io, port, key: 'k', waitMs: 3_000 },
    onChange: async () => void seen.changes++,
    onFailure: () => void seen.failures++,
    onRecovered: () => void seen.returns++,
  })
  watch.start(7)
  return { watch, seen }
}

const pauseOf = (world: SimWorld) => (ms: number) =>
  new Promise<void>((resolve) => world.io.timers.schedule(ms, () => resolve()))
const cut = () => Promise.reject(new ConsulFailure('unknown', 'socket hang up'))

t.test('queries that are cut off all the time are no return of Consul each time', async (t) => {
  const world = createSimIo(31)
  const pause = pauseOf(world)
  await world.run(async () => {
    const { watch, seen } = watched(world, async ({ waitIndex = 0 }) => {
      await pause(waitIndex > 0 ? 200 : 1)
      if (waitIndex > 0) await cut()
    })
    await pause(60_000)
    watch.stop()
    t.ok(seen.failures > 100, `cut off ${seen.failures} times`)
    t.ok(seen.calls < 500, `${seen.calls} calls a minute`)
    t.equal(seen.returns, 0)
    t.equal(seen.changes, 0, 'nothing changed')
  })
})

t.test('after an absence nothing is taken as known', async (t) => {
  const world = createSimIo(32)
  const pause = pauseOf(world)
  await world.run(async () => {
    const { watch, seen } = watched(world, async ({ waitIndex = 0 }, n) => {
      await pause(waitIndex > 0 ? 3_000 : 1)
      if (n > 1 && n < 6) await cut()
    })
    await pause(30_000)
    watch.stop()
    t.equal(seen.failures, 4)
    t.equal(seen.returns, 1)
    t.equal(seen.changes, 1)
  })
})
