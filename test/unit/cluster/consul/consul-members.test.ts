// Goal: a Consul that comes back empty and goes away again takes no broker with it.
import t from 'tap'
import { ConsulKeys } from '../../../../src/cluster/consul/consul-keys.ts'
import { ConsulMembers } from '../../../../src/cluster/consul/consul-members.ts'
import {
  ConsulFailure,
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
