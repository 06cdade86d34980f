// Goal: a Consul that comes back empty and goes away again takes no broker with it, and keeps none that is gone for good.
import t from 'tap'
import { ConsulKeys } from '../../../../src/cluster/consul/consul-keys.ts'
import { ConsulHold } from '../../../../src/cluster/consul/consul-locks.ts'
import {
  ConsulMembers,
  FORGET_MS,
  REFRESH_MS,
} from '../../../../src/cluster/consul/consul-members.ts'
import {
  ConsulFailure,
  type ConsulOperation,
  type ConsulPair,
  type ConsulPort,
} from '../../../../src/cluster/consul/consul-port.ts'
import { Pauses } from '../../../../src/cluster/consul/pauses.ts'
import { createSimIo } from '../../../sim/sim-io.ts'

t.test('a membership that cannot be written again is tried with the next news', async (t) => {
  const world = createSimIo(6)
  const rejections: unknown[] = []
  const note = (reason: unknown) => rejections.push(reason)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  await world.run(async () => {
    let isAway = false
    let pair: ConsulPair | undefined
    const port = {
      get: async () => ({ index: 1, pair }),
      transaction: async ([operation]: readonly { key: string; value: Buffer }[]) => {
        if (isAway) throw new ConsulFailure('unknown', 'no cluster leader')
        pair = { ...operation, modifyIndex: 1, sessionId: undefined } as unknown as ConsulPair
        return { committed: true, modifyIndexes: new Map() }
      },
    } as unknown as ConsulPort
    const members = new ConsulMembers({
      io: world.io,
      hold: () => undefined,
      port,
      keys: new ConsulKeys('lmq', 'cluster'),
      pauses: new Pauses(world.io),
    })
    await members.join({ brokerId: 1, incarnationId: 'run', address: 'localhost:9092' })
    pair = undefined
    isAway = true
    members.refresh()
    const pause = (ms: number) =>
      new Promise<void>((resolve) => world.io.timers.schedule(ms, () => resolve()))
    await pause(60_000)
    isAway = false
    members.refresh()
    await pause(1_000)
    t.ok(pair)
  })
  await new Promise<void>((resolve) => setImmediate(resolve))
  t.same(rejections, [])
})

t.test(
  'the key of a broker that is gone for good is removed, of one that runs it stays',
  async (t) => {
    const world = createSimIo(7)
    const { io } = world
    const keys = new ConsulKeys('lmq', 'cluster')
    const pairs = new Map<string, ConsulPair>()
    let index = 0
    const transactions: (readonly ConsulOperation[])[] = []
    const port = {
      get: async (key: string) => ({ index, pair: pairs.get(key) }),
      list: async () => [...pairs.values()],
      transaction: async (operations: readonly ConsulOperation[]) => {
        transactions.push(operations)
        for (const operation of operations) {
          if (operation.verb === 'check-session') continue
          const { key, verb } = operation
          const isCurrent =
            !('modifyIndex' in operation) || pairs.get(key)?.modifyIndex === operation.modifyIndex
          if (!isCurrent) return { committed: false, why: 'another index' }
          if (verb === 'delete-cas') pairs.delete(key)
          else if ('value' in operation) {
            const { value } = operation
            pairs.set(key, { key, value, modifyIndex: ++index, sessionId: undefined })
          }
        }
        return { committed: true, modifyIndexes: new Map() }
      },
    } as unknown as ConsulPort
    const candidate = { brokerId: 1, incarnationId: 'run' }
    const session = {
      sessionId: 'session',
      modifyIndex: 1,
      modifyIndexes: new Map(),
      release: async () => {},
    }
    const hold = new ConsulHold('controller', 1, candidate, session)
    const membersOf = (leads: boolean) =>
      new ConsulMembers({
        io,
        port,
        keys,
        pauses: new Pauses(io),
        hold: () => (leads ? hold : undefined),
      })
    await world.run(async () => {
      const pause = (ms: number) =>
        new Promise<void>((resolve) => io.timers.schedule(ms, () => resolve()))
      const [leader, follower, gone] = [membersOf(true), membersOf(false), membersOf(false)]
      await leader.join({ brokerId: 1, incarnationId: 'run', address: 'a:1' })
      await follower.join({ brokerId: 2, incarnationId: 'other run', address: 'b:1' })
      await gone.join({ brokerId: 3, incarnationId: 'last run', address: 'c:1' })
      const left = pairs.get(keys.member(3))
      await gone.close()
      // It was killed: nobody took its key away.
      if (left) pairs.set(left.key, left)
      await pause(FORGET_MS / 2)
      t.same(
        [...pairs.keys()].sort(),
        [1, 2, 3].map((id) => keys.member(id)),
      )
      await pause(FORGET_MS + 2 * REFRESH_MS)
      t.same(
        [...pairs.keys()].sort(),
        [1, 2].map((id) => keys.member(id)),
      )
      const removal = transactions.find((each) =>
        each.some(({ verb }) => verb === 'delete-cas' && each.length > 1),
      )
      t.match(removal?.[0], { verb: 'check-session', sessionId: 'session' })
      await pause(3 * FORGET_MS)
      t.equal(pairs.size, 2)
      await leader.close()
      await follower.close()
      t.equal(pairs.size, 0)
    })
  },
)
