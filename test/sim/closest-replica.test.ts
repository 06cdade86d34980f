// Goal: who reads from the closest replica (KIP-392) sees nothing but what is committed, every record once and in order,
// while followers fall behind, are cut off, truncated, replaced and become leaders; and gets to the end when all is well.
// Method: the lives of cluster-life.test.ts, with brokers in racks and readers in each of them besides the others. No
// reader, near or not, may show an offset that no leader had below its high watermark; a follower into which that bug is
// planted is found.
//
// LMQ_LONG=1 tries 2,000 seeds, LMQ_QUICK=1 five, LMQ_SEED=n only that one, and prints its story.
import t from 'tap'
import { Partition } from '../../src/cluster/partition.ts'
import { isOneSeed, liveMany, totalOf } from './lives.ts'
import { given } from './planted-code.ts'
import { live } from './sim-life.ts'

const MANY = { seeds: { long: 2_000, quick: 5, usual: 40 }, enoughMs: 40_000, least: 5 }
const RACKS = ['a', 'b', 'c']
/** More than half of the seeds find the planted bug. */
const FOUND_WITHIN = 10

t.setTimeout(6 * 3_600_000)

t.test('readers of the closest replica live through it', { timeout: 6 * 3_600_000 }, async (t) => {
  const lived = await liveMany(t, MANY, { racks: RACKS })
  if (!lived) return
  const { lives, tookS } = lived
  const followerReads = totalOf(lives, (life) => life.followerReads)
  const polled = totalOf(lives, (life) => life.polled)
  t.ok(followerReads > lives.length, 'followers were read from')
  t.comment(
    `${lives.length} seeds in ${tookS.toFixed(0)} s: ${polled} read, ${followerReads} reads by followers`,
  )
})

t.test('a follower that shows what is not committed yet is found', async (t) => {
  if (isOneSeed) return
  const unplant = given(Partition, 'learn', ({ log }, epoch, highWatermark, start) => [
    epoch,
    Math.max(highWatermark, log.writtenEndOffset),
    start,
  ])()
  let failure: string | undefined
  for (let seed = 1; failure === undefined && seed <= FOUND_WITHIN; seed++) {
    failure = (await live(seed, { racks: RACKS })).failure
  }
  unplant()
  t.match(failure, /is shown, \d+ is committed/)
})
