// Goal: what a replica promises in each of its parts, one broken promise at a time. Method: three brokers in simulated
// time, of which some are cut off at the moment that matters.
import t, { type Test } from 'tap'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode, errorName } from '../../../src/protocol/error-code.ts'
import { createSimIo } from '../../sim/sim-io.ts'
import {
  recordsOf,
  type TestBroker,
  TestCluster,
  TestConnection,
  TOPIC_ID,
} from './replication-fixture.ts'

type Three = readonly [TestBroker, TestBroker, TestBroker]

/** Three replicas of one partition, led by the first. */
function story(
  name: string,
  tell: (t: Test, cluster: TestCluster, brokers: Three) => Promise<void>,
): void {
  t.test(name, async (t) => {
    const world = createSimIo(1)
    await world.run(async () => {
      const cluster = new TestCluster(world.io, '/data')
      const [one, two, three] = [
        await cluster.start(1),
        await cluster.start(2),
        await cluster.start(3),
      ]
      cluster.create([1, 2, 3])
      await tell(t, cluster, [one, two, three])
      await cluster.stop()
    })
  })
}

function isolate(...brokers: readonly TestBroker[]): void {
  for (const broker of brokers) broker.isReachable = false
  for (const broker of brokers) broker.cut()
}

/** All that both have read and know to be committed. */
async function append(cluster: TestCluster, count: number): Promise<void> {
  const { leader } = cluster
  for (let at = 0; at < count; at++) await leader.append(`a${at}`)
  await cluster.until('all know it', () =>
    [...cluster.brokers.values()].every(({ partition }) => partition.highWatermark === count),
  )
}

story('consumers read what is committed, and no more', async (t, cluster, [one, two, three]) => {
  await append(cluster, 2)
  isolate(two, three)
  one.cut()
  t.equal((await one.append('on the leader alone', 1)).errorCode, ErrorCode.NONE)
  const consumer = new TestConnection(one, undefined)
  const ask = async (fetchOffset: number) => {
    const answer = await consumer.request(fetch, {
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1_000_000,
      topics: [
        {
          topic: '',
          topicId: TOPIC_ID,
          partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 100_000 }],
        },
      ],
      forgottenTopicsData: [],
    })
    return answer.responses[0]?.partitions[0]
  }
  const all = await ask(0)
  t.match(all, { errorCode: 0, highWatermark: 2 })
  t.ok(all?.records?.includes('a1'))
  t.notOk(all?.records?.includes('on the leader alone'))
  const rest = await ask(2)
  t.match(rest, { errorCode: 0, highWatermark: 2 })
  t.equal(rest?.records?.length ?? 0, 0)
  consumer.close()
})

story('a follower keeps what its new leader has, too', async (t, cluster, [one, two, three]) => {
  await append(cluster, 2)
  // The third learns what is committed with its next fetch, and gets no answer to that one.
  const acknowledged = one.append('acknowledged')
  await cluster.until('the third has it', () => three.partition.logEndOffset === 3)
  isolate(three)
  t.equal((await acknowledged).errorCode, ErrorCode.NONE)
  t.equal(three.partition.highWatermark, 2)
  isolate(one)
  cluster.decide({ leader: 2, isr: [2, 3] })
  await cluster.pause(1_000)
  isolate(two)
  cluster.decide({ leader: 3, isr: [3] })
  t.strictSame(await recordsOf(three.partition, three.partition.logEndOffset), [
    '0:0:a0',
    '1:0:a1',
    '2:0:acknowledged',
  ])
})

story('a follower gives up what its new leader does not have', async (t, cluster, brokers) => {
  const [one, two, three] = brokers
  await append(cluster, 2)
  isolate(two, three)
  one.cut()
  for (const value of ['lost', 'lost, too']) await one.append(value, 1)
  isolate(one)
  two.isReachable = true
  three.isReachable = true
  cluster.decide({ leader: 2, isr: [2, 3] })
  for (const value of ['b0', 'b1', 'b2']) {
    t.equal((await two.append(value)).errorCode, ErrorCode.NONE)
  }
  one.isReachable = true
  await cluster.pause(5_000)
  const expected = ['0:0:a0', '1:0:a1', '2:1:b0', '3:1:b1', '4:1:b2']
  for (const { partition } of brokers) {
    t.strictSame(await recordsOf(partition, partition.logEndOffset), expected)
  }
  t.strictSame([...cluster.state.isr].sort(), [1, 2, 3])
})

story('what a former leader sends is not taken', async (t, cluster, [one, , three]) => {
  await append(cluster, 2)
  const bytes = buildBatch(
    [{ key: null, value: Buffer.from('late'), timestamp: 1_000 }],
    {},
    cluster.io.crc32c,
  )
  isolate(one)
  cluster.decide({ leader: 2, isr: [2, 3] })
  const { partition } = three
  t.notOk(partition.follows(0))
  t.ok(partition.follows(1))
  partition.learn(0, 100, 1)
  t.equal(partition.leaderHighWatermark < 100, true, 'its high watermark')
  t.equal(partition.logStartOffset, 0, 'its log start')
  await partition.truncateToLeader(0, { epoch: 0, endOffset: 1 })
  await partition.startAt(0, 1)
  t.equal(partition.logEndOffset, 2, 'where its log parts')
  t.throws(() => partition.replicate(bytes, 0, 2), /not followed/)
  t.equal(partition.logEndOffset, 2, 'its records')
})

story('who hears of another leader leads no more', async (t, cluster, [one, two]) => {
  await append(cluster, 1)
  cluster.decide({ leader: 2 })
  t.notOk(one.partition.isLeader)
  t.equal(one.partitions.get('orders', 0), undefined)
  t.match(one.partition, { isFollower: true, leaderId: 2, leaderEpoch: 1 })
  t.ok(two.partition.isLeader)
  const late = await Promise.race([one.append('late', 1), cluster.pause(1_000)])
  t.equal(late && errorName(late.errorCode), 'NOT_LEADER_OR_FOLLOWER')
})

story('a new leader knows a batch again that comes twice', async (t, cluster, [one, two]) => {
  const { io } = cluster
  const batch = (value: string, baseSequence: number) =>
    buildBatch(
      [{ key: null, value: Buffer.from(value), timestamp: io.wall.nowMs() }],
      { producerId: 7, producerEpoch: 0, baseSequence },
      io.crc32c,
    )
  const send = ({ partition }: TestBroker, value: string, baseSequence: number) =>
    new Promise<{ errorCode: ErrorCode; baseOffset: number }>((resolve) => {
      partition.append(batch(value, baseSequence), { acks: -1, produceVersion: 11 }, resolve)
    })
  t.match(await send(one, 'first', 0), { errorCode: 0, baseOffset: 0 })
  t.match(await send(one, 'second', 1), { errorCode: 0, baseOffset: 1 })
  isolate(one)
  cluster.decide({ leader: 2, isr: [2, 3] })
  t.match(await send(two, 'second', 1), { errorCode: 0, baseOffset: 1 }, 'its answer was lost')
  t.equal(two.partition.logEndOffset, 2)
  t.equal(errorName((await send(two, 'a gap', 5)).errorCode), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  t.match(await send(two, 'third', 2), { errorCode: 0, baseOffset: 2 })
})
