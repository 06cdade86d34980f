// Goal: know what the simulator would find. Method: bugs are put into the running code one at a time, and clusters live
// under them until something is found. An ordinary run takes a few bugs that show soon; LMQ_LONG=1 takes all of them, up
// to 2,000 seeds each, and prints the table.
import t from 'tap'
import { type PlantedBug, plantedBugs } from './planted.ts'
import { live } from './sim-life.ts'

const IS_LONG = process.env['LMQ_LONG'] !== undefined
const SEEDS = IS_LONG ? 2_000 : 40
/** For one bug in a long run: one that is not found by then is told as not found. */
const ENOUGH_MS = 1_800_000

/** Found within a few seeds, each in another way. */
const QUICK: readonly string[] = [
  'the high watermark is the end of the leader alone',
  'do not recognize a batch that comes again',
  'use a leader epoch again',
  'a broker misses an entry of the metadata',
]

t.setTimeout(24 * 3_600_000)

type Caught = { readonly seed: number; readonly by: string }

async function hunt({ profile, plant }: PlantedBug): Promise<Caught | undefined> {
  const startMs = Date.now()
  const takeOut = plant()
  try {
    for (let seed = 1; seed <= SEEDS && Date.now() - startMs < ENOUGH_MS; seed++) {
      const { failure, anomalies } = await live(seed, { profile })
      const [anomaly] = anomalies
      const by = failure?.split('\n')[0] ?? (anomaly && `${anomaly.kind}: ${anomaly.what}`)
      if (by !== undefined) return { seed, by }
    }
    return undefined
  } finally {
    takeOut()
  }
}

t.test('planted bugs are found', { timeout: 24 * 3_600_000 }, async (t) => {
  const table: string[] = ['| planted | seeds until found | by |', '|---|---|---|']
  let count = 0
  const hunted = plantedBugs.filter(({ name }) => IS_LONG || QUICK.includes(name))
  for (const bug of hunted) {
    const caught = await hunt(bug)
    if (caught) count++
    table.push(
      `| ${bug.name} | ${caught?.seed ?? 'not found'} | ${caught?.by.slice(0, 120) ?? ''} |`,
    )
    if (!IS_LONG) t.ok(caught, bug.name)
  }
  t.comment(`${count} of ${hunted.length} found\n${table.join('\n')}`)
  t.ok(count >= Math.min(hunted.length, 25), `${count} of ${hunted.length} found`)
})

t.test('what was planted is taken out again', async (t) => {
  for (const { plant } of plantedBugs) plant()()
  const { failure, anomalies } = await live(1)
  t.equal(failure, undefined)
  t.strictSame(anomalies, [])
})
