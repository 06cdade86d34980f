// Goal: a broker that was fenced takes part again only when it knows that it was.
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
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { createSimIo } from '../../sim/sim-io.ts'
import { registration } from './machine-fixture.ts'

t.test('a silent broker is unfenced when it has read that it was fenced', async (t) => {
  const world = createSimIo(5)
  await world.run(async () => {
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
    const watch = new BrokerWatch({
      io,
      brokerId: 1,
      image,
      controller: {
        isActive: true,
        controllerEpoch: 1,
        registerBroker: (command) => commit(machine().registerBroker(command)),
        changeBroker: (command) => commit(machine().changeBroker(command)),
      },
      peers: { dial: async () => 'silent' },
      config,
      logger: silentLogger,
    })
    watch.start()
    const { brokerEpoch } = await watch.register(registration(2, { unfenced: false }))
    const beat = (appliedIndex: number) =>
      watch.heartbeat(
        { brokerId: 2, brokerEpoch, appliedIndex, wantFence: false, wantShutDown: false },
        { onEnd() {} },
      )
    const known = index
    t.match(await beat(known), { errorCode: ErrorCode.NONE, isFenced: false })
    const pause = (ms: number) =>
      new Promise<void>((resolve) => io.timers.schedule(ms, () => resolve()))
    await pause(2 * config['broker.session.timeout.ms'])
    t.equal(image.brokers.get(2)?.fenced, true)
    t.match(await beat(known), { isCaughtUp: false, isFenced: true }, 'it does not know yet')
    t.match(await beat(index), { isCaughtUp: true, isFenced: false })
    watch.close()
  })
})
