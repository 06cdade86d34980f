// Failover figures of a cluster of three brokers on three Consul servers: the longest gap between acknowledgements that an
// unmodified idempotent librdkafka producer sees (acks=all, one record each 10 ms), for each kind of fault.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Failover,
  failovers,
  measureFailover,
  needsProxies,
  startPlace,
} from '../test/cluster/failover.ts'
import { describeMachine } from './report.ts'
import { median } from './run.ts'
import { MissingTool, repositoryFolder } from './toolbox.ts'

type Goal = { readonly medianMs?: number; readonly mostMs: number }

const goals: Record<Failover, Goal> = {
  leader: { medianMs: 500, mostMs: 2_000 },
  controller: { mostMs: 1_500 },
  both: { mostMs: 1_500 },
  hang: { mostMs: 3_000 },
  silent: { mostMs: 3_000 },
  stop: { mostMs: 100 },
  'stop-both': { mostMs: 100 },
  'consul-follower': { mostMs: 100 },
  'consul-leader': { mostMs: 100 },
}

const isFailover = (name: string): name is Failover => name in failovers

/**
 * @param only kinds to take, undefined for all
 * @returns a Markdown table
 */
export async function failoverTable(
  only: readonly string[] | undefined,
  rounds: number,
  loadBefore: number,
): Promise<string> {
  process.env['LMQ_PROGRAM'] ??= join(repositoryFolder, 'dist/bin/lmq.js')
  if (!existsSync(process.env['LMQ_PROGRAM'])) {
    throw new MissingTool('dist/ is missing: run npm run build first')
  }
  const kinds = Object.keys(failovers).filter(isFailover)
  const chosen = kinds.filter((kind) => only === undefined || only.includes(kind))
  if (chosen.length === 0) throw new Error(`no such fault; there are ${kinds.join(', ')}`)
  const seen: Seen = { gaps: new Map(chosen.map((kind) => [kind, []])), calm: [], failed: 0 }
  for (const isProxied of [false, true]) {
    const some = chosen.filter((kind) => needsProxies(kind) === isProxied)
    if (some.length > 0) await measure(some, rounds, seen)
  }
  const { gaps, calm, failed } = seen
  const rows = chosen.map((kind) => rowOf(kind, gaps.get(kind) ?? []))
  return [
    '| fault | longest gap, median ms | most ms | goal, ms |',
    '| --- | ---: | ---: | ---: |',
    ...rows,
    '',
    `${rounds} rounds, replication factor 3 and 2 in turns; ${failed} records failed. Without a fault the longest gap of two seconds was ${Math.round(median(calm))} ms (median).`,
    `${describeMachine()}; load average before: ${loadBefore}.`,
  ].join('\n')
}

type Seen = { readonly gaps: Map<Failover, number[]>; readonly calm: number[]; failed: number }

/** On one cluster. */
async function measure(kinds: readonly Failover[], rounds: number, seen: Seen): Promise<void> {
  const place = await startPlace(kinds[0] as Failover)
  if (!place) throw new MissingTool('consul is missing: no failover figures')
  try {
    for (let round = 0; round < rounds; round++) {
      for (const kind of kinds) {
        const outcome = await measureFailover(place, kind, round % 2 === 0 ? 3 : 2)
        if (!outcome) throw new MissingTool('Python is missing: no failover figures')
        seen.gaps.get(kind)?.push(outcome.gapMs)
        seen.calm.push(outcome.calmGapMs)
        seen.failed += outcome.errors.length
        const [gap, before] = [Math.round(outcome.gapMs), Math.round(outcome.calmGapMs)]
        process.stderr.write(`${failovers[kind]}: ${gap} ms (before the fault ${before} ms)\n`)
      }
    }
  } finally {
    await place.remove()
  }
}

function rowOf(kind: Failover, gaps: readonly number[]): string {
  const middle = median(gaps)
  const most = Math.max(...gaps)
  const { medianMs, mostMs } = goals[kind]
  const isMissed = most > mostMs || (medianMs !== undefined && middle > medianMs)
  const wanted = medianMs === undefined ? `${mostMs}` : `${medianMs}, never above ${mostMs}`
  const goal = `${wanted}${isMissed ? ' (missed)' : ''}`
  return `| ${failovers[kind]} | ${Math.round(middle)} | ${Math.round(most)} | ${goal} |`
}
