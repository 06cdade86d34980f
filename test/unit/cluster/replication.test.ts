import t, { type Test } from 'tap'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { ErrorCode, errorName } from '../../../src/protocol/error-code.ts'
import { deleteRecordsHandler } from '../../../src/server/handlers/21-delete-records.ts'
import { createSimIo, type SimWorld } from '../../sim/sim-io.ts'
import { recordsOf, TestCluster, TestConnection, TOPIC, TOPIC_ID } from './replication-fixture.ts'

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
    await cluster.pause(15_000)
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
  const again = await cluster.start(3, undefined, 0)
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

story(
  'a follower that is behind where its leader begins goes on from there',
  async (cluster, t) => {
    const [leader, , other] = await three(cluster)
    await leader.append('on all')
    await cluster.until('it is there', () => other.partition.logEndOffset === 1)
    other.isReachable = false
    leader.cut()
    cluster.decide({ isr: [1, 2] })
    for (let i = 0; i < 4; i++) await leader.append(`v${i}`)
    t.equal(leader.partition.deleteRecordsBefore(3).errorCode, ErrorCode.NONE)
    other.isReachable = true
    await cluster.until('it is back', () => cluster.state.isr.includes(3), 5_000)
    t.equal(other.partition.logStartOffset, 3)
    t.same(await recordsOf(other.partition, 5), await recordsOf(leader.partition, 5))
  },
)

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

story('a follower whose log parted from the leader counts for nothing', async (cluster, t) => {
  const [one, two, other] = await three(cluster)
  await one.append('a')
  await cluster.until('known', () => two.partition.highWatermark === 1)
  one.isReachable = false
  one.cut()
  for (let i = 0; i < 3; i++) await one.append(`lost${i}`, 1)
  cluster.deaf.add(1)
  cluster.decide({ leader: 2 })
  other.isReachable = false
  two.cut()
  for (let i = 0; i < 6; i++) await two.append(`b${i}`, 1)
  t.equal(two.partition.highWatermark, 1, 'nobody has it yet')
  // The old leader holds four records, none of which is what the new one has at these offsets.
  const connection = new TestConnection(two, 1)
  const { brokerEpoch } = cluster.image.brokers.get(1) ?? { brokerEpoch: -1 }
  const ask = (fetchOffset: number, lastFetchedEpoch: number, replicaEpoch = brokerEpoch) =>
    connection.request(fetch, {
      replicaState: { replicaId: 1, replicaEpoch },
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1_000_000,
      topics: [
        {
          topic: '',
          topicId: TOPIC_ID,
          partitions: [
            {
              partition: 0,
              currentLeaderEpoch: 1,
              fetchOffset,
              lastFetchedEpoch,
              partitionMaxBytes: 100_000,
            },
          ],
        },
      ],
      forgottenTopicsData: [],
    })
  const answer = (await ask(4, 0)).responses[0]?.partitions[0]
  t.match(answer, { errorCode: 0, divergingEpoch: { epoch: 0, endOffset: 1 } })
  t.equal([...two.partition.followers].find(({ brokerId }) => brokerId === 1)?.logEndOffset, -1)
  const stale = (await ask(1, 0, 0)).responses[0]?.partitions[0]
  t.equal(errorName(stale?.errorCode ?? 0), 'STALE_BROKER_EPOCH')
  const behind = (await ask(1, 0)).responses[0]?.partitions[0]
  t.match(behind, { errorCode: 0, divergingEpoch: { endOffset: -1 } })
  t.equal([...two.partition.followers].find(({ brokerId }) => brokerId === 1)?.logEndOffset, 1)
  const away = (await ask(99, 1)).responses[0]?.partitions[0]
  t.match(away, { divergingEpoch: { epoch: 1, endOffset: 7 } })
  connection.close()
})

story(
  'while a shrink is not decided the member that leaves is waited for',
  async (cluster, t) => {
    const [leader] = await three(cluster)
    await leader.append('a')
    cluster.isControllerReachable = false
    cluster.broker(3).isReachable = false
    leader.cut()
    const pending = leader.append('b')
    let isDone = false
    pending.then(() => {
      isDone = true
    })
    await cluster.until('it is asked for', () => cluster.alterations.length > 0)
    await cluster.pause(3_000)
    t.notOk(isDone)
    cluster.isControllerReachable = true
    t.equal((await pending).errorCode, ErrorCode.NONE)
    t.same(cluster.state.isr, [1, 2])
  },
  { 'replica.lag.time.max.ms': '2000' },
)

story('who becomes the leader is not cut any more', async (cluster, t) => {
  const [one, two] = await three(cluster)
  for (let i = 0; i < 4; i++) await one.append(`a${i}`)
  const cutting = two.partition.truncateToLeader(0, { epoch: 0, endOffset: 2 })
  cluster.decide({ leader: 2 })
  await cutting
  t.equal(two.partition.logEndOffset, 4)
})

story('a new leader tells no end before it knows what is committed', async (cluster, t) => {
  const [one, two, other] = await three(cluster)
  for (let i = 0; i < 4; i++) await one.append(`a${i}`)
  t.notOk(one.partition.isHighWatermarkBehind)
  one.isReachable = false
  other.isReachable = false
  one.cut()
  two.partition.log.highWatermark = 2
  cluster.decide({ leader: 2 })
  t.ok(two.partition.isHighWatermarkBehind)
  t.equal(two.partition.highWatermark, 2)
  one.isReachable = true
  other.isReachable = true
  await cluster.until('both have fetched', () => two.partition.highWatermark === 4)
  t.notOk(two.partition.isHighWatermarkBehind)
})

story('DeleteRecords waits for the followers', async (cluster, t) => {
  const [one, , other] = await three(cluster)
  for (let i = 0; i < 4; i++) await one.append(`a${i}`)
  other.isReachable = false
  one.cut()
  const ask = async (offset: number, timeoutMs: number) => {
    const context = { services: one.services } as never
    const topics = [{ name: TOPIC, partitions: [{ partitionIndex: 0, offset }] }]
    const answer = await deleteRecordsHandler.serve?.({ topics, timeoutMs }, context)
    return (answer as unknown as { topics: { partitions: unknown[] }[] }).topics[0]?.partitions[0]
  }
  t.match(await ask(2, 500), { errorCode: ErrorCode.REQUEST_TIMED_OUT, lowWatermark: -1 })
  const waiting = ask(3, 60_000)
  await cluster.pause(100)
  other.isReachable = true
  t.match(await waiting, { errorCode: ErrorCode.NONE, lowWatermark: 3 })
  // A broker that is gone holds nobody up.
  other.isReachable = false
  one.cut()
  cluster.fence(3)
  t.match(await ask(4, 60_000), { errorCode: ErrorCode.NONE, lowWatermark: 4 })
})

/** A consumer in a rack, which asks one broker. */
const asker =
  (cluster: TestCluster) =>
  async (brokerId: number, rackId: string, fetchOffset = 0, maxWaitMs = 0) => {
    const connection = new TestConnection(cluster.broker(brokerId), undefined)
    const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 100_000 }]
    const answer = await connection.request(fetch, {
      maxWaitMs,
      minBytes: 1,
      maxBytes: 1_000_000,
      rackId,
      topics: [{ topic: '', topicId: TOPIC_ID, partitions }],
      forgottenTopicsData: [],
    })
    connection.close()
    return answer.responses[0]?.partitions[0]
  }

story(
  'consumers are sent to the replica in their rack, and read there',
  async (cluster, t) => {
    for (const id of [1, 2, 3]) await cluster.start(id, `rack${id}`)
    cluster.create([1, 2, 3])
    const one = cluster.broker(1)
    for (let i = 0; i < 4; i++) await one.append(`a${i}`)
    const ask = asker(cluster)
    const sent = await ask(1, 'rack2', 0, 30_000)
    t.equal(sent?.preferredReadReplica, 2)
    t.equal(sent?.records?.length ?? 0, 0)
    for (const [rack, offset] of [
      ['rack1', 0],
      ['elsewhere', 0],
      ['', 0],
      ['rack3', 99],
    ] as const) {
      t.equal((await ask(1, rack, offset))?.preferredReadReplica, -1, rack)
    }
    await cluster.until('it knows', () => cluster.broker(2).partition.highWatermark === 4)
    const read = await ask(2, 'rack2', 0)
    t.match(read, { errorCode: 0, highWatermark: 4 })
    t.ok((read?.records?.length ?? 0) > 200)
    const startMs = cluster.io.monotonic.nowMs()
    const waiting = ask(2, 'rack2', 4, 30_000)
    await one.append('news')
    t.ok(((await waiting)?.records?.length ?? 0) > 50, 'it hears of what is committed')
    t.ok(cluster.io.monotonic.nowMs() - startMs < 100)
    cluster.fence(2)
    t.equal((await ask(1, 'rack2', 0))?.preferredReadReplica, -1)
  },
  { 'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector' },
)

story(
  'consumers are not sent to a replica that is behind, though it has what they ask for',
  async (cluster, t) => {
    for (const id of [1, 2]) await cluster.start(id, `rack${id}`)
    cluster.create([1, 2], { 'follower.replication.throttled.replicas': '*' })
    const one = cluster.broker(1)
    const ask = asker(cluster)
    await one.append('a')
    t.equal((await ask(1, 'rack2'))?.preferredReadReplica, 2)
    await cluster.broker(2).stop()
    cluster.decide({ isr: [1] })
    for (let i = 0; i < 20; i++) await one.append('x'.repeat(10_000))
    await cluster.start(2, 'rack2')
    const [follower] = one.partition.followers
    await cluster.until('it has begun', () => (follower?.logEndOffset ?? 0) > 1)
    t.same(cluster.state.isr, [1], 'and is behind')
    const read = await ask(1, 'rack2')
    t.equal(read?.preferredReadReplica, -1)
    t.ok((read?.records?.length ?? 0) > 10_000, 'the leader serves them')
    await cluster.until('it is in sync', () => cluster.state.isr.length === 2)
    t.equal((await ask(1, 'rack2'))?.preferredReadReplica, 2)
  },
  {
    'replica.selector.class': 'RackAwareReplicaSelector',
    'follower.replication.throttled.rate': '100000',
    'replica.fetch.max.bytes': '20000',
  },
)

story('who claims to be a broker and is none sees nothing', async (cluster, t) => {
  const [one] = await three(cluster)
  await one.append('a')
  for (const replicaId of [1, 2, 3]) {
    const connection = new TestConnection(one, replicaId === 3 ? 2 : undefined)
    const answer = await connection.request(fetch, {
      replicaState: { replicaId, replicaEpoch: 2 },
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1000,
      topics: [
        {
          topic: '',
          topicId: TOPIC_ID,
          partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }],
        },
      ],
      forgottenTopicsData: [],
    })
    t.match(answer.responses[0]?.partitions[0], {
      errorCode: ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    })
    connection.close()
  }
})

story(
  'replicas that are throttled catch up at the rate, those in sync are not held',
  async (cluster, t) => {
    const [one] = await three(cluster, {
      'leader.replication.throttled.replicas': '*',
      'follower.replication.throttled.replicas': '*',
    })
    const large = 'x'.repeat(10_000)
    await cluster.broker(3).stop()
    cluster.decide({ isr: [1, 2] })
    const startMs = cluster.io.monotonic.nowMs()
    for (let i = 0; i < 50; i++) await one.append(large)
    t.ok(cluster.io.monotonic.nowMs() - startMs < 2_000, 'members of the ISR are served at once')
    const again = await cluster.start(3)
    await again.partition.log.truncateTo(0)
    const fromMs = cluster.io.monotonic.nowMs()
    await cluster.until('it is in sync', () => cluster.state.isr.length === 3)
    const tookMs = cluster.io.monotonic.nowMs() - fromMs
    t.ok(tookMs > 4_000 && tookMs < 15_000, `500 kB at 100 kB/s took ${tookMs} ms`)
  },
  {
    'leader.replication.throttled.rate': '100000',
    'follower.replication.throttled.rate': '100000',
    'replica.fetch.max.bytes': '20000',
  },
)
