// Goal: a controller that hears nobody, and therefore fences everybody, is deposed by those whom it fenced; a broker that is
// fenced because it is away has no say. Method: one broker's part with ballots that are given.
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type { Connection } from '../../../src/client/connection.ts'
import { Succession } from '../../../src/cluster/succession.ts'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import { createSimIo } from '../../sim/sim-io.ts'
import { registration, TestMachine } from './machine-fixture.ts'

const OWN = 1
const CONTROLLER = 2

/** @param answers of the other brokers: whether they grant; undefined: silence */
async function deposed(
  answers: ReadonlyMap<number, boolean | undefined>,
  fenced: readonly number[],
): Promise<boolean> {
  const world = createSimIo(7)
  const { io } = world
  const machine = new TestMachine(2)
  for (const brokerId of answers.keys()) {
    machine.run(machine.machine.registerBroker(registration(brokerId)))
  }
  for (const brokerId of fenced) machine.change(brokerId, { fenced: true })
  const config = brokerConfigOf()
  const epochs: number[] = []
  const connection = async (brokerId: number) => {
    const voteGranted = answers.get(brokerId)
    if (voteGranted === undefined) throw new LmqError('LMQ_CONNECTION_CLOSED', { brokerId })
    const answer = { topics: [{ partitions: [{ voteGranted }] }] }
    return { request: async () => answer } as unknown as Connection
  }
  const succession = new Succession({
    io,
    brokerId: OWN,
    image: machine.image,
    store: { depose: async (epoch: number) => void epochs.push(epoch) },
    peers: { connection, dial: async () => 'silent' },
    known: () => ({ controllerId: CONTROLLER, controllerEpoch: 5 }),
    heardMs: () => 0,
    config,
    logger: silentLogger,
  })
  const sessionMs = config['broker.session.timeout.ms']
  await world.run(async () => {
    succession.start()
    await new Promise<void>((resolve) => io.timers.schedule(2 * sessionMs, resolve))
    succession.close()
  })
  return epochs.includes(5)
}

t.test('who was fenced by a controller that hears nobody has a say', async (t) => {
  t.ok(await deposed(new Map([[3, true]]), [OWN, 3]))
  t.notOk(await deposed(new Map([[3, false]]), [OWN, 3]), 'the other one hears it')
  t.notOk(await deposed(new Map([[3, undefined]]), [OWN, 3]), 'nobody else says so')
})

t.test('who is fenced and away does not count, who is not fenced does', async (t) => {
  const away = [
    [4, undefined],
    [5, undefined],
  ] as const
  t.ok(await deposed(new Map<number, boolean | undefined>([[3, true], ...away]), [4, 5]))
  t.notOk(await deposed(new Map<number, boolean | undefined>([[3, true], ...away]), []))
})

t.test(
  'a controller that was lost and heard again is no longer gone for its successor',
  async (t) => {
    const world = createSimIo(7)
    const { io } = world
    let heardMs = 0
    const config = brokerConfigOf()
    const succession = new Succession({
      io,
      brokerId: OWN,
      image: new TestMachine(2).image,
      store: { depose: async () => {} },
      peers: {
        connection: async (brokerId) => {
          throw new LmqError('LMQ_CONNECTION_CLOSED', { brokerId })
        },
        dial: async () => 'silent',
      },
      known: () => ({ controllerId: CONTROLLER, controllerEpoch: 5 }),
      heardMs: () => heardMs,
      config,
      logger: silentLogger,
    })
    await world.run(async () => {
      const pause = () =>
        new Promise<void>((resolve) =>
          io.timers.schedule(config['broker.session.timeout.ms'] + 1, resolve),
        )
      await pause()
      t.ok(await succession.grants(5))
      t.equal(succession.goneBefore(6), CONTROLLER)
      await pause()
      t.ok(await succession.grants(5))
      await pause()
      heardMs = io.monotonic.nowMs()
      t.equal(succession.goneBefore(6), undefined)
    })
  },
)
