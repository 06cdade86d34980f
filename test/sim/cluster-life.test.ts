// Goal: a cluster loses nothing that it acknowledged, shows nobody two values at one offset, and is well again when its
// troubles end. Method: whole brokers, clients and a Consul in simulated time; brokers are killed, lose power (one or all),
// hang and are stopped, disks fail or are full, links are cut one way or both or are slow, Consul loses answers, leaders,
// sessions and all of itself, while topics come and go, partitions are added and moved, leaders elected, records deleted.
// What the clients saw is judged as a history, and what must hold at any moment is looked at every 20 ms.
//
// LMQ_LONG=1 tries 20,000 seeds, LMQ_QUICK=1 tens, LMQ_SEED=n only that one, and prints its story (with LMQ_DEBUG=1 also
// what brokers log at debug).
import t from 'tap'
import { isOneSeed, liveMany, totalOf } from './lives.ts'
import { live } from './sim-life.ts'

const MANY = { seeds: { long: 20_000, quick: 10, usual: 300 }, enoughMs: 240_000, least: 10 }

t.setTimeout(6 * 3_600_000)

t.test('clusters live through what the seed brings', { timeout: 6 * 3_600_000 }, async (t) => {
  const lived = await liveMany(t, MANY)
  if (!lived) return
  const { lives, tookS } = lived
  const acknowledged = totalOf(lives, (life) => life.acknowledged)
  const polled = totalOf(lives, (life) => life.polled)
  const hours = totalOf(lives, (life) => life.simulatedMs) / 3_600_000
  const faults = new Map<string, number>()
  for (const [fault, count] of lives.flatMap((life) => [...life.faults])) {
    faults.set(fault, (faults.get(fault) ?? 0) + count)
  }
  t.ok(acknowledged > 0 && polled >= acknowledged / 2, `${acknowledged} acknowledged`)
  t.comment(
    `${lives.length} seeds, ${hours.toFixed(2)} simulated hours in ${tookS.toFixed(0)} s`,
    `(${(lives.length / tookS).toFixed(2)} seeds and ${(hours / tookS).toFixed(4)} hours a second)`,
    `${acknowledged} acknowledged, ${polled} read`,
    [...faults].map(([fault, count]) => `${fault} ${count}`).join(', '),
  )
})

t.test('the same seed gives the same life', async (t) => {
  if (isOneSeed) return
  for (const seed of [3, 4]) {
    const [one, two] = [await live(seed), await live(seed)]
    t.equal(one.events, two.events)
    t.strictSame(one.story, two.story)
    t.equal(one.acknowledged, two.acknowledged)
  }
})
