// Goal: where records count when they are durable (flush.messages=1), what was written without a flush (by an earlier
// process, or under another setting) is made durable before it counts, and nobody leaves the ISR over it.
import t, { type Test } from 'tap'
import { createSimIo } from '../../sim/sim-io.ts'
import { TestCluster, TOPIC } from './replication-fixture.ts'

const setting = (value: string) => ({
  kind: 'config' as const,
  ...{ resourceType: 2, resourceName: TOPIC, name: 'flush.messages', value },
})

/** Three brokers with a record that none of them has flushed, and that must be durable from now on. */
function story(name: string, tell: (cluster: TestCluster, t: Test) => Promise<void>): void {
  t.test(name, async (t) => {
    const world = createSimIo(5)
    await world.run(async () => {
      const cluster = new TestCluster(world.io, '/data', { 'replica.lag.time.max.ms': '2000' })
      for (const id of [1, 2, 3]) await cluster.start(id)
      cluster.create([1, 2, 3])
      await cluster.broker(1).append('not flushed')
      await cluster.pause(1_000)
      for (const { partition } of cluster.brokers.values()) {
        t.equal(partition.log.flushedEndOffset, 0)
      }
      await tell(cluster, t)
      await cluster.stop()
    })
  })
}

story('everybody makes durable what counts from now on', async (cluster, t) => {
  cluster.commit([setting('1')])
  await cluster.until(
    'all is durable',
    () => [...cluster.brokers.values()].every(({ partition }) => partition.countedEnd === 1),
    5_000,
  )
  await cluster.pause(10_000)
  t.same(cluster.alterations, [], 'nobody was taken for late')
  t.same(cluster.state.isr, [1, 2, 3])
})

story('a follower tells its leader of durable records only', async (cluster, t) => {
  const [leader, two] = [cluster.broker(1), cluster.broker(2)]
  two.isReachable = false
  leader.cut()
  cluster.commit([setting('1')])
  const { partition } = two
  let toldBeforeDurable = false
  const { replicaFetched } = leader.partition
  leader.partition.replicaFetched = function (fetch) {
    if (fetch.brokerId === 2 && fetch.fetchOffset > partition.log.flushedEndOffset) {
      toldBeforeDurable = true
    }
    return replicaFetched.call(this, fetch)
  }
  two.isReachable = true
  await cluster.until('it is durable', () => partition.log.flushedEndOffset === 1, 5_000)
  t.notOk(toldBeforeDurable)
})

story('a follower that becomes the leader makes durable what it has', async (cluster, t) => {
  const three = cluster.broker(3)
  three.isReachable = false
  cluster.broker(1).cut()
  // Both at once, as a broker hears them that reads several entries of the metadata log together.
  cluster.deaf.add(3)
  cluster.commit([setting('1')])
  cluster.decide({ leader: 3, isr: [3] })
  cluster.deaf.clear()
  cluster.tell(three)
  three.isReachable = true
  await cluster.until('it is durable', () => three.partition.countedEnd === 1, 5_000)
  await cluster.until('all are in sync', () => cluster.state.isr.length === 3, 5_000)
  const { length } = cluster.alterations
  await cluster.pause(10_000)
  t.equal(cluster.alterations.length, length, 'nobody was taken for late')
})

t.test('a follower that is ahead of what counts at the leader is not late', async (t) => {
  const world = createSimIo(6)
  await world.run(async () => {
    const cluster = new TestCluster(world.io, '/data', { 'replica.lag.time.max.ms': '2000' })
    for (const id of [1, 2, 3]) await cluster.start(id)
    cluster.create([1, 2, 3], { 'flush.messages': '1' })
    const leader = cluster.broker(1)
    // Its disk does not come to an end.
    leader.partition.log.flusher.flushSoon = () => {}
    void leader.append('durable on the followers')
    await cluster.pause(10_000)
    t.equal(cluster.broker(2).partition.countedEnd, 1)
    t.equal(leader.partition.countedEnd, 0)
    t.same(cluster.state.isr, [1, 2, 3])
    await cluster.stop()
  })
})
