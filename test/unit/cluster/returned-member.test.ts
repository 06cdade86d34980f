// Goal: a member of the ISR that came back with everything, and has not fetched yet, keeps no other from joining.
import t from 'tap'
import { createSimIo } from '../../sim/sim-io.ts'
import { TestCluster } from './replication-fixture.ts'

t.test('the ISR grows beside a member whose process is a new one', async (t) => {
  const world = createSimIo(7)
  await world.run(async () => {
    const cluster = new TestCluster(world.io, '/data', { 'replica.lag.time.max.ms': '60000' })
    for (const id of [1, 2, 3]) await cluster.start(id)
    cluster.create([1, 2, 3])
    await cluster.broker(1).append('on all')
    const three = cluster.broker(3)
    three.isReachable = false
    cluster.broker(1).cut()
    cluster.decide({ isr: [1, 2] })
    await cluster.broker(2).stop()
    const two = await cluster.start(2)
    two.isReachable = false
    cluster.broker(1).cut()
    three.isReachable = true
    await cluster.until('the third is in', () => cluster.state.isr.includes(3), 5_000)
    t.same(cluster.state.isr, [1, 2, 3])
    await cluster.stop()
  })
})
