// Goal: a writing that Consul will not take ends, and nobody is told a wrong outcome of it.
// Method: a Consul that gives no answer at first, and calls every repetition invalid.
import t from 'tap'
import { silentLogger } from '../../../../src/base/logger.ts'
import { ConsulKeys, emptyHead, encodeHead } from '../../../../src/cluster/consul/consul-keys.ts'
import { ConsulHold } from '../../../../src/cluster/consul/consul-locks.ts'
import { ConsulLog } from '../../../../src/cluster/consul/consul-log.ts'
import {
  type ConsulAnswer,
  ConsulFailure,
  type ConsulPort,
} from '../../../../src/cluster/consul/consul-port.ts'
import { HeadWriter } from '../../../../src/cluster/consul/head-writer.ts'
import { Pauses } from '../../../../src/cluster/consul/pauses.ts'
import { createSimIo } from '../../../sim/sim-io.ts'

const keys = new ConsulKeys('lmq', 'cluster')
const next = { ...emptyHead, writeId: 'this writing', index: 0, controllerEpoch: 1 }

/** @param firstArrives whether the copy without an answer was taken */
function refusingConsul(firstArrives: boolean) {
  const world = createSimIo(3)
  const calls: string[] = []
  let isWritten = false
  const port = {
    transaction: async () => {
      calls.push('transaction')
      if (calls.length > 1) throw new ConsulFailure('invalid', 'value is too large')
      isWritten = firstArrives
      throw new ConsulFailure('unknown', 'no answer')
    },
    destroySession: async (sessionId: string) => {
      calls.push(`destroy ${sessionId}`)
    },
    get: async (key: string): Promise<ConsulAnswer> => {
      calls.push('read')
      const value = encodeHead(next, undefined)
      const pair = { key, value, modifyIndex: 7, sessionId: undefined }
      return { index: 7, pair: isWritten ? pair : undefined }
    },
  } as unknown as ConsulPort
  const { io } = world
  const hold = new ConsulHold(
    'controller',
    1,
    { brokerId: 1, incarnationId: 'run' },
    {
      sessionId: 'session',
      modifyIndex: 1,
      modifyIndexes: new Map(),
      release: async () => {},
    },
  )
  const writer = new HeadWriter(
    port,
    keys,
    new ConsulLog(io, port, keys),
    new Pauses(io),
    silentLogger,
  )
  const write = (isWanted?: () => boolean) =>
    writer.write({
      ...(isWanted && { isWanted }),
      hold,
      from: emptyHead,
      next,
      inline: undefined,
      also: [],
      landed: async () => false,
    })
  return { world, calls, hold, write }
}

t.test('a writing that stays refused is given up with the lead', async (t) => {
  const { world, calls, hold, write } = refusingConsul(false)
  await world.run(async () => {
    await t.rejects(write(), { code: 'LMQ_STORE_REFUSED', message: /value is too large/ })
  })
  t.equal(hold.held, false)
  t.same(calls.slice(-2), ['destroy session', 'read'], 'first nothing can happen any more')
  t.ok(calls.length < 10, `${calls.length} calls`)
})

t.test('one whose first copy was taken is known to be written', async (t) => {
  const { world, hold, write } = refusingConsul(true)
  await world.run(async () => {
    t.equal(await write(), undefined)
  })
  t.equal(hold.held, false)
})

t.test('one that has outlived its reason is given up with the lead', async (t) => {
  const late = refusingConsul(false)
  await late.world.run(async () => {
    await t.rejects(
      late.write(() => false),
      { code: 'LMQ_NOT_CONTROLLER' },
    )
  })
  t.equal(late.hold.held, false)
  t.same(late.calls, ['transaction', 'destroy session', 'read'])
  const taken = refusingConsul(true)
  await taken.world.run(async () => {
    t.equal(await taken.write(() => false), undefined, 'its first copy was taken')
  })
  t.equal(taken.hold.held, false)
})
