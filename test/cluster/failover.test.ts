// Goal: no fault of one process stops an unmodified producer for long, and none fails a record. The times themselves are
// for the benchmarks (npm run bench -- --failover); the ceilings here are for a machine that is busy with other work.
import t, { type Test } from 'tap'
import { whyMissing } from '../compat/harness/tools.ts'
import {
  type Failover,
  failovers,
  measureFailover,
  needsProxies,
  type Place,
  startPlace,
} from './failover.ts'

t.setTimeout(0) // the runner limits the file

const ceilingMs = 30_000
const rounds = process.env['LMQ_LONG'] === '1' ? 5 : 1

/** Two clusters, one after the other: all faults but one need no proxies. */
const kinds = Object.keys(failovers) as Failover[]
for (const isProxied of [false, true]) {
  const chosen = kinds.filter((kind) => needsProxies(kind) === isProxied)
  const place = await startPlace(chosen[0] as Failover)
  for (const kind of chosen) {
    if (!place) {
      t.test(failovers[kind], { skip: whyMissing('consul') }, async () => {})
      continue
    }
    await t.test(failovers[kind], (t) => goesOn(t, place, kind))
  }
  await place?.remove()
}

async function goesOn(t: Test, place: Place, kind: Failover): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const outcome = await measureFailover(place, kind, round % 2 === 0 ? 2 : 3)
    if (!outcome) return void t.pass(kind, { skip: whyMissing('python') })
    const { gapMs, calmGapMs, errors } = outcome
    t.comment(`longest gap ${Math.round(gapMs)} ms, before the fault ${Math.round(calmGapMs)} ms`)
    t.ok(gapMs < ceilingMs, 'acknowledgements went on')
    t.same(errors, [], 'no record failed')
  }
}
