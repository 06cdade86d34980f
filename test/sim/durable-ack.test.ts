// Goal: with flush.messages=1 an acknowledged record is durable, also when the acknowledgement is for a batch that an
// earlier process had stored and that was sent again.
// Method: a simulated disk; the process is killed between write and flush, the producer sends again to the next one, and
// after its acknowledgement the machine loses power.
import { silentLogger } from '../../src/base/logger.ts'
import { Partition } from '../../src/cluster/partition.ts'
import { BrokerSettings } from '../../src/config/broker-settings.ts'
import { topicConfigOf } from '../../src/config/topic-config.ts'
import { LogDirs } from '../../src/log/log-dirs.ts'
import type { AppendResult } from '../../src/log/log-outcomes.ts'
import { buildBatch } from '../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import type { SimWorld } from './sim-io.ts'
import { simulate } from './simulate.ts'

const identity = { topic: 'a', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partitionIndex: 0 }
const settings = new BrokerSettings(new Map())
const config = topicConfigOf(new Map([['flush.messages', '1']]), settings.config)
const nobody = {
  brokerId: 1,
  eligibleEpoch: () => -1,
  lagTimeMaxMs: () => 30_000,
  nowMs: () => 0,
  submit: () => {},
}

async function open({ io }: SimWorld, leaderEpoch: number) {
  const logDirs = await LogDirs.open(io, {
    dirs: ['/data'],
    clusterId: 'c',
    brokerId: 1,
    logger: silentLogger,
    settings: settings.config,
  })
  const log = logDirs.create(identity.topic, 0, identity.topicId, config)
  const partition = new Partition(1, io.brokerClock, identity, log, config, nobody as never)
  const image = {
    partitionIndex: 0,
    replicas: [1],
    isr: [1],
    elr: [],
    lastKnownElr: [],
    emptied: [],
    addingReplicas: [],
    removingReplicas: [],
    leader: 1,
    leaderRecoveryState: 0,
    leaderEpoch,
    partitionEpoch: leaderEpoch,
  }
  partition.update(image)
  return partition
}

function append(world: SimWorld, partition: Partition, acks: number): Promise<AppendResult> {
  const timestamp = world.io.wall.nowMs()
  const records = [{ key: null, value: Buffer.from('x'), timestamp }]
  const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0 }
  const batch = buildBatch(records, producer, world.io.crc32c)
  return new Promise((done) => partition.append(batch, { acks, produceVersion: 11 }, done))
}

simulate('a batch that is sent again is durable when it is acknowledged', async (world, t) => {
  const { io, random } = world
  const acks = random.pick([1, -1])
  void append(world, await open(world, 0), acks)
  await new Promise<void>((resolve) => io.timers.schedule(random.int(5), resolve))
  world.kill()
  const again = await append(world, await open(world, 1), acks)
  t.equal(again.errorCode, ErrorCode.NONE)
  world.losePower()
  t.equal((await open(world, 2)).logEndOffset, 1)
})
