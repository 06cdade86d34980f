// Goal: who reads from the closest replica (KIP-392) sees nothing but what is committed, every record once and in order,
// while followers fall behind, are cut off, truncated, replaced and become leaders; and gets to the end when all is well.
// Method: the lives of cluster-life.test.ts, with brokers in racks and readers in each of them besides the others. No
// reader, near or not, may show an offset that no leader had below its high watermark; a follower into which that bug is
// planted is found.
//
// LMQ_LONG=1 tries 2,000 seeds, LMQ_QUICK=1 five, LMQ_SEED=n only that one, and prints its story.
import t from 'tap'
import { Partition } from '../../src/cluster/partition.ts'
import { given } from './planted-code.ts'
import { live, told } from './sim-life.ts'

const ONLY = process.env['LMQ_SEED']
const SEEDS = process.env['LMQ_LONG'] ? 2_000 : process.env['LMQ_QUICK'] ? 5 : 40
/** An ordinary run ends after this time, however slow the machine. */
const ENOUGH_MS = process.env['LMQ_LONG'] ? Number.POSITIVE_INFINITY : 40_000
const AT_LEAST = 5
const RACKS = ['a', 'b', 'c']
/** More than half of the seeds find the planted bug. */
const FOUND_WITHIN = 10

t.setTimeout(6 * 3_600_000)

t.test('readers of the closest replica live through it', { timeout: 6 * 3_600_000 }, async (t) => {
  const startMs = Date.now()
  let [lives, polled, followerReads] = [0, 0, 0]
  const first = ONLY ? Number(ONLY) : 1
  for (let seed = first; seed < first + (ONLY ? 1 : SEEDS); seed++) {
    if (lives >= AT_LEAST && Date.now() - startMs > ENOUGH_MS) break
    const life = await live(seed, { racks: RACKS })
    if (ONLY) t.comment(life.story.join('\n'))
    if (life.failure !== undefined || life.anomalies.length > 0) {
      t.fail(told(life))
      return
    }
    lives++
    polled += life.polled
    followerReads += life.followerReads
  }
  const tookS = ((Date.now() - startMs) / 1_000).toFixed(0)
  t.ok(followerReads > lives, 'followers were read from')
  t.comment(`${lives} seeds in ${tookS} s: ${polled} read, ${followerReads} reads by followers`)
})

t.test('a follower that shows what is not committed yet is found', async (t) => {
  if (ONLY) return
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
