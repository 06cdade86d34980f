// Goal: a leader counts by a new ISR only when it knows all that the controller decided before it.
// Method: min.insync.replicas is raised while the leader does not hear of the metadata, then a follower dies and the
// leader is answered that it is out of the ISR. From then on the controller holds the follower for eligible, because
// nobody commits alone any more; so the leader must not.
import t from 'tap'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { createSimIo } from '../../sim/sim-io.ts'
import { TestCluster, TOPIC } from './replication-fixture.ts'

t.test('an answer to a change of the ISR does not overtake the metadata', async (t) => {
  const world = createSimIo(4)
  await world.run(async () => {
    const cluster = new TestCluster(world.io, '/data', { 'replica.lag.time.max.ms': '2000' })
    for (const id of [1, 2]) await cluster.start(id)
    cluster.create([1, 2], { 'min.insync.replicas': '1' })
    const leader = cluster.broker(1)
    t.equal((await leader.append('on both')).errorCode, ErrorCode.NONE)
    cluster.deaf.add(1)
    cluster.commit([
      {
        kind: 'config',
        resourceType: 2,
        resourceName: TOPIC,
        name: 'min.insync.replicas',
        value: '2',
      },
    ])
    const two = cluster.broker(2)
    two.isReachable = false
    leader.cut()
    const alone = leader.append('on one')
    let isAnswered = false
    void alone.then(() => (isAnswered = true))
    await cluster.until('the follower is out', () => !cluster.state.isr.includes(2))
    await cluster.pause(1_000)
    t.equal(leader.partition.highWatermark, 1)
    t.notOk(isAnswered)
    cluster.deaf.delete(1)
    cluster.tell(leader)
    t.same(leader.partition.isr, [1])
    await cluster.pause(1_000)
    t.equal(leader.partition.highWatermark, 1, 'one is not enough now')
    t.notOk(isAnswered)
    await cluster.stop()
  })
})
