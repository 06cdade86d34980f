// Goal: a cluster loses nothing that it acknowledged, shows nobody two values at one offset, and is well again when its
// troubles end. Method: whole brokers, clients and a Consul in simulated time; brokers are killed, lose power (one or all),
// hang and are stopped, disks fail or are full, links are cut one way or both or are slow, Consul loses answers, leaders,
// sessions and all of itself, while topics come and go, partitions are added and moved, leaders elected, records deleted.
// What the clients saw is judged as a history, and what must hold at any moment is looked at every 20 ms.
//
// LMQ_LONG=1 tries 20,000 seeds, LMQ_QUICK=1 tens, LMQ_SEED=n only that one, and prints its story (with LMQ_DEBUG=1 also
// what brokers log at debug).
import t from 'tap'
import { live, told } from './sim-life.ts'

const ONLY = process.env['LMQ_SEED']
const SEEDS = process.env['LMQ_LONG'] ? 20_000 : process.env['LMQ_QUICK'] ? 10 : 300
/** An ordinary run ends after this time, however slow the machine: it then tells how many seeds it tried. */
const ENOUGH_MS = process.env['LMQ_LONG'] ? Number.POSITIVE_INFINITY : 240_000
const AT_LEAST = 10

t.setTimeout(6 * 3_600_000)

t.test('clusters live through what the seed brings', { timeout: 6 * 3_600_000 }, async (t) => {
  const startMs = Date.now()
  const faults = new Map<string, number>()
  let [lives, simulatedMs, acknowledged, polled] = [0, 0, 0, 0]
  const first = ONLY ? Number(ONLY) : 1
  for (let seed = first; seed < first + (ONLY ? 1 : SEEDS); seed++) {
    if (lives >= AT_LEAST && Date.now() - startMs > ENOUGH_MS) break
    const life = await live(seed)
    if (ONLY) t.comment(life.story.join('\n'))
    if (life.failure !== undefined || life.anomalies.length > 0) {
      t.fail(told(life))
      return
    }
    lives++
    simulatedMs += life.simulatedMs
    acknowledged += life.acknowledged
    polled += life.polled
    for (const [fault, count] of life.faults) faults.set(fault, (faults.get(fault) ?? 0) + count)
  }
  const realMs = Date.now() - startMs
  t.ok(acknowledged > 0 && polled >= acknowledged / 2, `${acknowledged} acknowledged`)
  const hours = simulatedMs / 3_600_000
  t.comment(
    `${lives} seeds, ${hours.toFixed(2)} simulated hours in ${(realMs / 1_000).toFixed(0)} s`,
    `(${(lives / (realMs / 1_000)).toFixed(2)} seeds and ${(hours / (realMs / 1_000)).toFixed(4)} hours a second)`,
    `${acknowledged} acknowledged, ${polled} read`,
    [...faults].map(([fault, count]) => `${fault} ${count}`).join(', '),
  )
})

t.test('the same seed gives the same life', async (t) => {
  if (ONLY) return
  for (const seed of [3, 4]) {
    const [one, two] = [await live(seed), await live(seed)]
    t.equal(one.events, two.events)
    t.strictSame(one.story, two.story)
    t.equal(one.acknowledged, two.acknowledged)
  }
})
