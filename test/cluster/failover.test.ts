// Goal: no fault of one process stops an unmodified producer for long, and none fails a record. The times themselves are
// for the benchmarks (npm run bench -- --failover); the ceilings here are for a machine that is busy with other work.
import t from 'tap'
import { whyMissing } from '../compat/harness/tools.ts'
import { startClusterProcesses } from './cluster-processes.ts'
import { type Failover, failovers, measureFailover } from './failover.ts'

t.setTimeout(0) // the runner limits the file

const ceilingMs = 30_000
const rounds = process.env['LMQ_LONG'] === '1' ? 5 : 1

const cluster = await startClusterProcesses()
t.teardown(() => cluster?.remove())
for (const kind of Object.keys(failovers) as Failover[]) {
  if (!cluster) {
    t.test(failovers[kind], { skip: whyMissing('consul') }, async () => {})
    continue
  }
  await t.test(failovers[kind], async (t) => {
    for (let round = 0; round < rounds; round++) {
      const outcome = await measureFailover(cluster, kind, round % 2 === 0 ? 2 : 3)
      if (!outcome) return void t.pass(kind, { skip: whyMissing('python') })
      const { gapMs, calmGapMs, errors } = outcome
      t.comment(`longest gap ${Math.round(gapMs)} ms, before the fault ${Math.round(calmGapMs)} ms`)
      t.ok(gapMs < ceilingMs, 'acknowledgements went on')
      t.same(errors, [], 'no record failed')
    }
  })
}
