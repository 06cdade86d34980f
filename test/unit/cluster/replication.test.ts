import t, { type Test } from 'tap'
import { ErrorCode, errorName } from '../../../src/protocol/error-code.ts'
import { createSimIo, type SimWorld } from '../../sim/sim-io.ts'
import { recordsOf, TestCluster } from './replication-fixture.ts'

/** Runs a story of a cluster in simulated time. */
function story(
  name: string,
  tell: (cluster: TestCluster, t: Test, world: SimWorld) => Promise<void>,
  texts: Record<string, string> = {},
): void {
  t.test(name, async (t) => {
    const world = createSimIo(1)
    await world.run(async () => {
      const cluster = new TestCluster(world.io, '/data', texts)
      await tell(cluster, t, world)
      await cluster.stop()
    })
  })
}

async function three(cluster: TestCluster, configs: Record<string, string> = {}) {
  for (const id of [1, 2, 3]) await cluster.start(id)
  cluster.create([1, 2, 3], configs)
  return [1, 2, 3].map((id) => cluster.broker(id)) as [
    ReturnType<TestCluster['broker']>,
    ReturnType<TestCluster['broker']>,
    ReturnType<TestCluster['broker']>,
  ]
}

const allSame = async (cluster: TestCluster) => {
  const logs = await Promise.all(
    [...cluster.brokers.values()].map(({ partition }) =>
      recordsOf(partition, partition.logEndOffset),
    ),
  )
  return logs
}

story('what is acknowledged with acks=all is on every member of the ISR', async (cluster, t) => {
  const [leader, two, other] = await three(cluster)
  for (let i = 0; i < 20; i++) {
    const result = await leader.append(`v${i}`)
    t.match(result, { errorCode: ErrorCode.NONE, baseOffset: i })
    t.ok(two.partition.log.writtenEndOffset >= result.end, 'on the second')
    t.ok(other.partition.log.writtenEndOffset >= result.end, 'on the third')
  }
  await cluster.until('the followers know it', () => two.partition.highWatermark === 20)
  const [a, b, c] = await allSame(cluster)
  t.equal(a?.length, 20)
  t.same(b, a)
  t.same(c, a)
  t.same(cluster.alterations, [])
})

story('with flush.messages=1 it is durable on every member', async (cluster, t) => {
  const [leader, two, other] = await three(cluster, { 'flush.messages': '1' })
  for (let i = 0; i < 5; i++) {
    const { end } = await leader.append(`v${i}`)
    for (const { partition } of [leader, two, other]) {
      t.ok(partition.log.flushedEndOffset >= end)
    }
  }
})

story(
  'an acknowledgement takes two ways over the net, also to an idle partition',
  async (cluster, t) => {
    const [leader] = await three(cluster)
    await leader.append('first')
    await cluster.pause(2_345)
    const startMs = cluster.io.monotonic.nowMs()
    await leader.append('second')
    const tookMs = cluster.io.monotonic.nowMs() - startMs
    t.ok(tookMs < 4, `took ${tookMs} ms of simulated disk time`)
  },
)

story('a quiet cluster asks twice a second, and no more', async (cluster, t) => {
  const [leader] = await three(cluster)
  await leader.append('x')
  await cluster.pause(1_000)
  const before = leader.requests
  await cluster.pause(10_000)
  t.ok(leader.requests - before <= 42, `${leader.requests - before} requests of two followers`)
})

story(
  'a follower that does not come leaves the ISR, and comes back',
  async (cluster, t) => {
    const [leader, , other] = await three(cluster)
    await leader.append('a')
    other.isReachable = false
    cluster.broker(1).cut()
    const pending = leader.append('b')
    let isDone = false
    pending.then(() => {
      isDone = true
    })
    await cluster.pause(9_000)
    t.notOk(isDone, 'the ISR waits for it')
    t.equal((await pending).errorCode, ErrorCode.NONE)
    t.same(cluster.state.isr, [1, 2])
    t.equal(leader.partitions.counts.isrShrinks, 1)
    await leader.append('c')
    other.isReachable = true
    await cluster.until('it is back', () => cluster.state.isr.length === 3, 5_000)
    t.equal(leader.partitions.counts.isrExpands, 1)
    t.equal((await leader.append('d')).errorCode, ErrorCode.NONE)
    t.equal(other.partition.logEndOffset, 4)
  },
  { 'replica.lag.time.max.ms': '10000' },
)

story(
  'an idle partition keeps its ISR',
  async (cluster, t) => {
    const [leader] = await three(cluster)
    await leader.append('a')
    await cluster.pause(60_000)
    t.same(cluster.state.isr, [1, 2, 3])
    await leader.append('b')
    await cluster.pause(2_000)
    t.same(cluster.alterations, [])
  },
  { 'replica.lag.time.max.ms': '10000' },
)

story(
  'who is about to join counts, until it is known that it did not',
  async (cluster, t) => {
    const [leader, two] = await three(cluster, { 'min.insync.replicas': '1' })
    cluster.decide({ isr: [1] })
    cluster.isControllerReachable = false
    await cluster.until('it is asked for', () => cluster.alterations.length > 0)
    t.same([...leader.partition.maximalIsr].sort(), [1, 2].sort())
    two.isReachable = false
    leader.cut()
    cluster.broker(3).isReachable = false
    const pending = leader.append('x')
    let isDone = false
    pending.then(() => {
      isDone = true
    })
    await cluster.pause(3_000)
    t.notOk(isDone, 'the second may be in the ISR already')
    cluster.isControllerReachable = true
    // The controller takes it in; it is gone; it leaves.
    t.equal((await pending).errorCode, ErrorCode.NONE)
    t.same(cluster.state.isr, [1])
  },
  { 'replica.lag.time.max.ms': '10000' },
)

story(
  'too few replicas: refused before, told after',
  async (cluster, t) => {
    const [leader] = await three(cluster, { 'min.insync.replicas': '2' })
    await leader.append('a')
    cluster.broker(2).isReachable = false
    cluster.broker(3).isReachable = false
    leader.cut()
    const pending = leader.append('b')
    await cluster.until('both are out', () => cluster.state.isr.length === 1)
    t.equal(errorName((await leader.append('c')).errorCode), 'NOT_ENOUGH_REPLICAS')
    t.equal(leader.partition.highWatermark, 1, 'below the minimum nothing is committed')
    t.equal((await leader.append('d', 1)).errorCode, ErrorCode.NONE)
    cluster.broker(2).isReachable = true
    t.equal((await pending).errorCode, ErrorCode.NONE)
  },
  { 'replica.lag.time.max.ms': '2000' },
)

story('refused changes of the ISR', async (cluster, t) => {
  const [leader] = await three(cluster)
  cluster.refuseWith = ErrorCode.INELIGIBLE_REPLICA
  cluster.decide({ isr: [1, 2] })
  await cluster.until('it was asked for twice', () => cluster.alterations.length > 1)
  t.ok(cluster.alterations.length < 5, 'not in a hurry')
  cluster.refuseWith = ErrorCode.INVALID_UPDATE_VERSION
  await cluster.pause(2_000)
  const asked = cluster.alterations.length
  await cluster.pause(2_000)
  t.equal(cluster.alterations.length, asked, 'the metadata decides')
  t.same([...leader.partition.maximalIsr].sort(), [1, 2, 3])
  cluster.refuseWith = ErrorCode.NONE
  cluster.decide({ isr: [1, 2] })
  await cluster.until('it is in', () => cluster.state.isr.length === 3)
})

story('a fenced broker does not join before it is unfenced', async (cluster, t) => {
  await three(cluster)
  cluster.decide({ isr: [1, 2] })
  await cluster.until('in', () => cluster.state.isr.length === 3)
  cluster.fence(3)
  cluster.decide({ isr: [1, 2] })
  await cluster.pause(3_000)
  t.same(cluster.state.isr, [1, 2])
  cluster.fence(3, false)
  await cluster.until('in again', () => cluster.state.isr.length === 3, 1_000)
})

story(
  'a new leader: nothing acknowledged is lost, logs agree, nobody serves beyond',
  async (cluster, t) => {
    const [one, two, three_] = await three(cluster)
    for (let i = 0; i < 5; i++) await one.append(`a${i}`)
    // The old leader takes what nobody else gets.
    two.isReachable = false
    three_.isReachable = false
    one.cut()
    for (let i = 0; i < 3; i++) await one.append(`lost${i}`, 1)
    const waiting = one.append('waits')
    two.isReachable = true
    three_.isReachable = true
    one.isReachable = false
    one.cut()
    cluster.deaf.add(1)
    cluster.decide({ leader: 2, isr: [2, 3] })
    t.equal((await two.append('b0')).errorCode, ErrorCode.NONE)
    cluster.deaf.delete(1)
    one.isReachable = true
    cluster.tell(one)
    t.equal(errorName((await waiting).errorCode), 'NOT_LEADER_OR_FOLLOWER')
    await cluster.until('the old leader is back', () => cluster.state.isr.length === 3)
    t.equal((await two.append('b1')).errorCode, ErrorCode.NONE)
    const [a, b, c] = await allSame(cluster)
    t.same(b, ['0:0:a0', '1:0:a1', '2:0:a2', '3:0:a3', '4:0:a4', '5:1:b0', '6:1:b1'])
    t.same(a, b)
    t.same(c, b)
  },
)

story(
  'a change of leaders is over in no time, whatever the fetchers wait for',
  async (cluster, t) => {
    const [one, two] = await three(cluster)
    await one.append('a')
    await cluster.pause(1_234)
    one.isReachable = false
    one.cut()
    const startMs = cluster.io.monotonic.nowMs()
    cluster.decide({ leader: 2, isr: [2, 3] })
    t.equal((await two.append('b')).errorCode, ErrorCode.NONE)
    t.ok(cluster.io.monotonic.nowMs() - startMs < 100)
  },
)

story('a broker that was wiped is not counted for what it had', async (cluster, t) => {
  const [one] = await three(cluster)
  for (let i = 0; i < 5; i++) await one.append(`a${i}`)
  await cluster.broker(3).stop()
  cluster.decide({ isr: [1, 2] })
  await one.append('b')
  const again = await cluster.start(3)
  await again.partition.log.truncateTo(0)
  await cluster.until('it has all', () => cluster.state.isr.length === 3)
  t.equal(again.partition.logEndOffset, 6)
})

story('a leader that starts anew leads nothing before it is registered', async (cluster, t) => {
  const [one] = await three(cluster)
  await one.append('a')
  await one.stop()
  cluster.deaf.add(1)
  const again = await cluster.start(1)
  t.notOk(again.partition.isLeader, 'the metadata means its earlier process')
  t.equal(again.partitions.get('orders', 0), undefined)
  cluster.deaf.delete(1)
  cluster.tell(again)
  t.ok(again.partition.isLeader)
})

story('followers follow the log start of the leader', async (cluster, t) => {
  const [one, two] = await three(cluster)
  for (let i = 0; i < 6; i++) await one.append(`a${i}`)
  one.partition.deleteRecordsBefore(3)
  await cluster.until('it moved', () => two.partition.logStartOffset === 3)
  // One that has nothing of what is left begins there.
  await cluster.broker(3).stop()
  cluster.decide({ isr: [1, 2] })
  const again = await cluster.start(3)
  await again.partition.log.startAt(0)
  await cluster.until('it is in sync', () => cluster.state.isr.length === 3)
  t.equal(again.partition.logStartOffset, 3)
  t.equal(again.partition.logEndOffset, 6)
})
