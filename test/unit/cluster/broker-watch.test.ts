// Goal: a broker that was fenced takes part again only when it knows that it was, and nobody waits for one that stops.
// Method: the controller's eye on one broker that falls silent, over an image and a clock that the test moves.
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { BrokerWatch } from '../../../src/cluster/broker-watch.ts'
import { configRulesOf } from '../../../src/cluster/config-rules.ts'
import { ControllerMachine } from '../../../src/cluster/controller-machine.ts'
import type { Decision } from '../../../src/cluster/decision.ts'
import { MetadataDelta } from '../../../src/cluster/metadata-delta.ts'
import { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import type { MetadataRecord } from '../../../src/cluster/metadata-records.ts'
import type { DialOutcome } from '../../../src/cluster/peers.ts'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { createSimIo, type SimWorld } from '../../sim/sim-io.ts'
import { defaults, newId, registration, topic } from './machine-fixture.ts'

const OWN = newId()

/** The controller is broker 1; its image has what is committed at once. */
function watchedCluster(world: SimWorld, former?: { readonly dial: DialOutcome }) {
  const { io } = world
  const image = new MetadataImage()
  let index = 0
  const commit = async <Answer>({ answer, records }: Decision<Answer>): Promise<Answer> => {
    if (records.length > 0)
      image.applyEntry(++index, records as MetadataRecord[], new MetadataDelta())
    return answer
  }
  const config = brokerConfigOf()
  const machine = () => new ControllerMachine(configRulesOf(config), image.copy())
  const stillWanted: (() => boolean)[] = []
  const watch = new BrokerWatch({
    io,
    brokerId: 1,
    incarnationId: OWN,
    image,
    controller: {
      isActive: true,
      controllerEpoch: 1,
      registerBroker: (command) => commit(machine().registerBroker(command)),
      changeBroker: (command) => commit(machine().changeBroker(command)),
      fenceBrokers: (runs, isWanted) => {
        stillWanted.push(isWanted)
        return commit(machine().fenceBrokers(runs))
      },
    },
    peers: { dial: async () => former?.dial ?? 'silent' },
    ...(former && { goneBefore: () => 2 }),
    config,
    logger: silentLogger,
  })
  const beat = (brokerEpoch: number, appliedIndex: number, wantShutDown = false) =>
    watch.heartbeat(
      { brokerId: 2, brokerEpoch, appliedIndex, wantFence: false, wantShutDown },
      { onEnd() {} },
    )
  const sessionMs = config['broker.session.timeout.ms']
  return { image, machine, commit, watch, beat, sessionMs, stillWanted }
}

t.test('a silent broker is unfenced when it has read that it was fenced', async (t) => {
  const world = createSimIo(5)
  await world.run(async () => {
    const { image, watch, beat, sessionMs } = watchedCluster(world)
    watch.start()
    const { brokerEpoch } = await watch.register(registration(2, { unfenced: false }))
    const known = image.index
    t.match(await beat(brokerEpoch, known), { errorCode: ErrorCode.NONE, isFenced: false })
    await new Promise<void>((resolve) => world.io.timers.schedule(2 * sessionMs, resolve))
    t.equal(image.brokers.get(2)?.fenced, true)
    const told = await beat(brokerEpoch, known)
    t.match(told, { isCaughtUp: false, isFenced: true }, 'it does not know yet')
    t.match(await beat(brokerEpoch, image.index), { isCaughtUp: true, isFenced: false })
    watch.close()
  })
})

t.test('a fence is wanted until its broker is heard again', async (t) => {
  const world = createSimIo(5)
  await world.run(async () => {
    const { watch, beat, sessionMs, stillWanted } = watchedCluster(world)
    watch.start()
    const { brokerEpoch } = await watch.register(registration(2, { unfenced: true }))
    await new Promise<void>((resolve) => world.io.timers.schedule(2 * sessionMs, resolve))
    const wanted = () => stillWanted.map((isWanted) => isWanted())
    t.same(wanted(), [true])
    await beat(brokerEpoch, 0)
    t.same(wanted(), [false])
    watch.close()
  })
})

t.test('brokers that fell silent together are fenced together', async (t) => {
  const world = createSimIo(5)
  await world.run(async () => {
    const { image, machine, commit, watch, sessionMs } = watchedCluster(world)
    await commit(machine().registerBroker(registration(1, { unfenced: true })))
    watch.start()
    for (const id of [2, 3]) await watch.register(registration(id, { unfenced: true }))
    const assignments = [{ partitionIndex: 0, brokerIds: [2, 3] }]
    const topics = [topic('a', { assignments })]
    await commit(
      machine().createTopics({ topics, validateOnly: false, defaults, topicIds: [newId()] }),
    )
    const { index } = image
    await new Promise<void>((resolve) => world.io.timers.schedule(2 * sessionMs, resolve))
    t.match(image.partition('a', 0), { leader: -1, isr: [], elr: [2, 3] }, 'either may lead again')
    t.equal(image.index, index + 1)
    watch.close()
  })
})

for (const dial of ['answers', 'silent', 'refused'] as const) {
  t.test(`who was lost as the controller and whose port now says: ${dial}`, async (t) => {
    const world = createSimIo(5)
    await world.run(async () => {
      const { image, machine, commit, watch } = watchedCluster(world, { dial })
      await commit(machine().registerBroker(registration(2, { unfenced: true })))
      watch.begin()
      await new Promise<void>((resolve) => world.io.timers.schedule(10, resolve))
      t.equal(image.brokers.get(2)?.fenced, dial !== 'answers')
      watch.close()
    })
  })
}

t.test('a fenced broker that stops holds up nobody', async (t) => {
  const world = createSimIo(5)
  await world.run(async () => {
    const { image, machine, commit, watch, beat } = watchedCluster(world)
    const kept = { bootId: 'boot', logsWhole: true }
    await commit(machine().registerBroker(registration(1, kept)))
    await commit(machine().registerBroker(registration(2, kept)))
    const assignments = [{ partitionIndex: 0, brokerIds: [1, 2] }]
    const topics = [topic('a', { assignments })]
    const command = { topics, validateOnly: false, defaults, topicIds: [newId()] }
    await commit(machine().createTopics(command))
    const again = registration(2, { ...kept, unfenced: false })
    const { brokerEpoch } = await watch.register(again)
    t.same(image.partition('a', 0)?.isr, [1, 2], 'it came back with everything')
    t.equal(image.brokers.get(2)?.fenced, true)
    const answer = await beat(brokerEpoch, -1, true)
    t.match(answer, { errorCode: ErrorCode.NONE, isFenced: true, shouldShutDown: true })
    t.same(image.partition('a', 0)?.isr, [1])
    const { index } = image
    t.match(await beat(brokerEpoch, -1, true), { shouldShutDown: true })
    t.equal(image.index, index, 'there is nothing more to do')
    watch.close()
  })
})

t.test(
  'an earlier process of the controller itself is fenced, too, when it is silent',
  async (t) => {
    const world = createSimIo(5)
    await world.run(async () => {
      const { image, machine, commit, watch, sessionMs } = watchedCluster(world)
      watch.start()
      await commit(machine().registerBroker(registration(1, { directoryIds: ['lost'] })))
      const own = registration(1, { incarnationId: OWN, directoryIds: ['new'], unfenced: false })
      const refused = { errorCode: ErrorCode.DUPLICATE_BROKER_REGISTRATION }
      t.match(await watch.register(own), refused, 'it may be alive')
      await new Promise<void>((resolve) => world.io.timers.schedule(2 * sessionMs, resolve))
      t.match(await watch.register(own), { errorCode: ErrorCode.NONE })
      await new Promise<void>((resolve) => world.io.timers.schedule(3 * sessionMs, resolve))
      t.equal(image.brokers.get(1)?.incarnationId, OWN)
      watch.close()
    })
  },
)
