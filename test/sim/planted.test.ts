// Goal: know that the tests and the simulator would find what such systems are caught with (PLANTED.md). Method: bugs are
// put into the running code one at a time. The test that is to catch a bug runs with it and has to fail, and runs without
// it and has to pass; LMQ_QUICK=1 does that for every third bug. Simulated clusters live under a few of the bugs until
// something is found that is not there without the bug; LMQ_LONG=1 does that for all of them, up to 2,000 seeds each.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { plantedBugs } from './planted.ts'
import { runTests, whyNotCaught } from './planted-catcher.ts'
import { hunt } from './planted-hunt.ts'
import { readHunted, tableFile, tableText } from './planted-table.ts'
import { live } from './sim-life.ts'

const IS_LONG = process.env['LMQ_LONG'] !== undefined
const EVERY = process.env['LMQ_QUICK'] ? 3 : 1
/** Processes at a time. */
const LANES = 2
const SEEDS = IS_LONG ? 2_000 : 60
/** For one bug: the whole has to end within the time that a file has. */
const HUNT_MS = 120_000
const ENOUGH = 25
/** Found by simulated clusters within a few seeds, each in another way. */
const SOON: readonly string[] = [
  'the high watermark is the end of the leader alone',
  'use a leader epoch again',
  'a broker misses an entry of the metadata',
]

t.setTimeout(24 * 3_600_000)

const sample = plantedBugs.filter((_, at) => at % EVERY === 0)

async function inLanes<Item>(items: readonly Item[], work: (item: Item) => Promise<void>) {
  const left = [...items]
  const lane = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

t.test('there are enough, each under a name of its own', async (t) => {
  t.ok(plantedBugs.length >= ENOUGH)
  t.equal(new Set(plantedBugs.map(({ name }) => name)).size, plantedBugs.length)
})

t.test('the table is current', async (t) => {
  t.equal(readFileSync(tableFile, 'utf8'), tableText(readHunted()))
})

t.test('each planted bug is caught', { timeout: 3_600_000 }, async (t) => {
  await inLanes(sample, async ({ name, caughtBy }) => {
    t.equal(await whyNotCaught(name, caughtBy), undefined, `${name}: ${caughtBy.test}`)
  })
})

t.test('what catches them passes without them', { timeout: 3_600_000 }, async (t) => {
  const files = new Map<string, Set<string>>()
  for (const { caughtBy } of sample) {
    const { file, test } = caughtBy
    files.set(file, (files.get(file) ?? new Set()).add(test))
  }
  await inLanes([...files], async ([file, tests]) => {
    const outcome = await runTests(file, [...tests], undefined)
    t.strictSame(outcome.broken, undefined, file)
    t.strictSame([...outcome.tests.keys()].sort(), [...tests].sort())
    for (const [test, isPassed] of outcome.tests) t.ok(isPassed, test)
  })
})

t.test('simulated clusters show them', { timeout: 24 * 3_600_000 }, async (t) => {
  const hunted = readHunted()
  const lines: string[] = []
  let found = 0
  for (const bug of plantedBugs) {
    const isSoon = SOON.includes(bug.name)
    if (!isSoon && !IS_LONG) continue
    const { seed, tried, by } = await hunt(bug, SEEDS, HUNT_MS, hunted[bug.name]?.seed)
    if (seed !== null) found++
    lines.push(`| ${bug.name} | ${seed ?? `not in ${tried} seeds`} | ${by} |`)
    if (isSoon) t.ok(seed !== null, bug.name)
  }
  t.comment(`${found} of ${lines.length} found\n${lines.join('\n')}`)
})

t.test('what was planted is taken out again', async (t) => {
  for (const { plant } of plantedBugs) plant()()
  const { failure, anomalies } = await live(1)
  t.equal(failure, undefined)
  t.strictSame(anomalies, [])
})
