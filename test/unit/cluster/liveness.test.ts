// Goal: silence fences exactly those who are silent, and a look that comes late accuses nobody.
import t from 'tap'
import { Liveness } from '../../../src/cluster/liveness.ts'
import { type Ballot, mayDepose } from '../../../src/cluster/succession.ts'

const SESSION = 2_000
const LATE = 1_250
const broker = (brokerId: number, brokerEpoch = brokerId) => ({ brokerId, brokerEpoch })

/** Looks every 250 ms; `speak` says who is heard at which time. */
function live(
  liveness: Liveness,
  untilMs: number,
  speaks: (brokerId: number, atMs: number) => boolean,
) {
  const brokers = [broker(1), broker(2)]
  liveness.reset(brokers, 0)
  for (let nowMs = 250; nowMs <= untilMs; nowMs += 250) {
    for (const { brokerId, brokerEpoch } of brokers) {
      if (speaks(brokerId, nowMs)) liveness.heard(brokerId, brokerEpoch, nowMs, nowMs)
    }
    const silent = liveness.silent(brokers, SESSION, LATE, nowMs)
    if (silent.length > 0) return { silent, nowMs }
  }
  return { silent: [], nowMs: untilMs }
}

t.test('who is heard lives; who is silent for a session is named then', async (t) => {
  t.same(
    live(new Liveness(), 20_000, () => true),
    { silent: [], nowMs: 20_000 },
  )
  t.same(
    live(new Liveness(), 20_000, (brokerId, atMs) => brokerId === 1 || atMs < 5_000),
    { silent: [2], nowMs: 6_750 },
  )
})

t.test('a look that comes late gives everybody a whole session', async (t) => {
  const liveness = new Liveness()
  const brokers = [broker(1), broker(2)]
  liveness.reset(brokers, 0)
  t.same(liveness.silent(brokers, SESSION, LATE, 250), [])
  t.same(liveness.silent(brokers, SESSION, LATE, 30_000), [], 'this process hung')
  t.same(liveness.silent(brokers, SESSION, LATE, 31_000), [])
  t.same(liveness.silent(brokers, SESSION, LATE, 32_000), [1, 2])
})

t.test('a new run of a broker begins a session; its former self says nothing for it', async (t) => {
  const liveness = new Liveness()
  liveness.reset([broker(1, 7)], 0)
  liveness.heard(1, 7, 100, 500)
  t.equal(liveness.appliedIndex(1), 100)
  t.same(liveness.silent([broker(1, 9)], SESSION, LATE, 1_000), [])
  t.equal(liveness.appliedIndex(1), -1)
  liveness.heard(1, 9, 50, 1_200)
  liveness.heard(1, 9, 40, 1_300)
  t.equal(liveness.appliedIndex(1), 50, 'it never moves back')
})

t.test('deposing the controller takes most of the other brokers', async (t) => {
  const cases: [Ballot[], boolean, boolean][] = [
    [['granted'], true, true],
    [['granted'], false, true],
    [['denied'], true, false],
    [['silent'], true, false],
    [['gone'], true, true],
    [['gone'], false, false],
    [[], true, true],
    [[], false, false],
    [['granted', 'denied'], true, true],
    [['granted', 'denied', 'denied'], true, false],
    [['granted', 'granted', 'silent', 'silent'], false, true],
    [['granted', 'silent', 'silent', 'silent'], false, false],
  ]
  for (const [ballots, isRefused, expected] of cases) {
    const why = isRefused ? 'refused' : 'silent'
    t.equal(mayDepose(ballots, isRefused), expected, `${why} here, others: ${ballots.join(' ')}`)
  }
})
