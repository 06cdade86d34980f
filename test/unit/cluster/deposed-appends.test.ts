// Goal: a leader that was deposed while a batch was being opened does not put it into the log that it follows with now.
// Method: the topic's own codec makes each append wait for a compressor that is held back until another broker leads.
import t from 'tap'
import { ErrorCode, errorName } from '../../../src/protocol/error-code.ts'
import { createSimIo } from '../../sim/sim-io.ts'
import { recordsOf, TestCluster } from './replication-fixture.ts'

t.test('a batch that waits while the leader changes is refused', async (t) => {
  const world = createSimIo(3)
  await world.run(async () => {
    const { io } = world
    let isHeld = false
    const codecs: typeof io.codecs = {
      ...io.codecs,
      compress: async (codec, bytes) => {
        const packed = await io.codecs.compress(codec, bytes)
        while (isHeld) await new Promise<void>((resolve) => io.timers.schedule(5, resolve))
        return packed
      },
    }
    const cluster = new TestCluster({ ...io, codecs }, '/data')
    for (const id of [1, 2, 3]) await cluster.start(id)
    cluster.create([1, 2, 3], { 'compression.type': 'gzip' })
    const [one, two, three] = [1, 2, 3].map((id) => cluster.broker(id))
    if (!one || !two || !three) throw new Error('three brokers')
    t.equal((await one.append('first')).errorCode, ErrorCode.NONE)

    isHeld = true
    const late = one.append('late')
    const hurried = one.append('late, acknowledged by the leader alone', 1)
    await cluster.pause(20)
    cluster.decide({ leader: 2 })
    isHeld = false
    for (const append of [late, hurried]) {
      const result = await Promise.race([append, cluster.pause(1_000)])
      t.equal(result && errorName(result.errorCode), 'NOT_LEADER_OR_FOLLOWER')
    }
    for (let i = 0; i < 3; i++) t.equal((await two.append(`v${i}`)).errorCode, ErrorCode.NONE)
    await cluster.until('the first replica has all', () => one.partition.highWatermark === 4, 5_000)
    const [a, b, c] = await Promise.all(
      [one, two, three].map(({ partition }) => recordsOf(partition, 4)),
    )
    t.same(a, b)
    t.same(c, b)
    t.equal(one.partition.logEndOffset, 4)
    await cluster.stop()
  })
})
