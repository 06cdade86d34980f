import t from 'tap'
import { svgOf } from '../../../bench/chart.ts'
import type { ConnectionPoint, ManyResults, PartitionPoint } from '../../../bench/many.ts'
import { kbEach, manyChart, manyMarkdown } from '../../../bench/many-report.ts'

const partitionPoint = (
  topics: number,
  partitions: number,
  residentMB: number,
  cpuPerMillion: number,
): PartitionPoint => ({
  ...{ topics, partitions, residentMB, cpuPerMillion },
  ...{ createMs: 1, stopMs: 2, startMs: 200, startCpuMs: 150, metadataMs: 3, metadataBytes: 4_000 },
  ...{ cpuPerMillionSpread: 2 * cpuPerMillion, openFiles: 30 },
})
const connectionPoint = (
  connections: number,
  residentMB: number,
  cpuPerMillion: number,
): ConnectionPoint => ({ connections, residentMB, cpuPerMillion, openMs: 5 })

const results: ManyResults = {
  kind: 'many',
  takenAt: '2026-01-02T03:04:05.000Z',
  machine: '2 x CPU, 8 GB, Linux',
  loadBefore: 0.2,
  label: 'LMQ 0.1.0',
  disk: 'data in memory (tmpfs)',
  partitions: [partitionPoint(1, 50, 60, 20), partitionPoint(1_000, 50_050, 548.28125, 22)],
  connections: [connectionPoint(10, 60, 20), connectionPoint(10_010, 260, 25)],
}

t.test('memory is stated for each further partition and connection', (t) => {
  t.equal(kbEach([]), 0)
  t.equal(kbEach([[10, 5]]), 0)
  t.equal(
    kbEach([
      [0, 10],
      [1_024, 20],
    ]),
    10,
  )
  t.match(manyMarkdown(results), 'A partition takes 10.0 KB, a connection 20.5 KB.')
  t.end()
})

t.test('a record that is dearer by more than a fifth is said to miss the goal', (t) => {
  const rows = manyMarkdown(results)
    .split('\n')
    .filter((line) => line.startsWith('|'))
  t.match(rows[3], '| 50,050 in 1,000 |')
  t.match(rows[3], '| 22.0 (1.10x) |')
  t.match(rows[7], '| 25.0 (1.25x) (missed) |')
  t.end()
})

t.test('the chart has a dot for each point, within its panel', (t) => {
  const svg = manyChart(results)
  t.match(svg, /<title>[^<]+<\/title>/, 'it has a name for those who do not see it')
  t.equal(svg.match(/<circle/g)?.length, 14)
  t.equal(svg.match(/<polyline/g)?.length, 7)
  t.notMatch(svg, /NaN|Infinity|undefined/)
  t.notMatch(svgOf([{ title: 'a < b & c', lines: [] }]), /NaN|Infinity|a < b/)
  for (const [, x, y] of svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)) {
    t.ok(Number(x) >= 52 && Number(x) <= 290, `x ${x}`)
    t.ok(Number(y) >= 30 && Number(y) <= 160, `y ${y}`)
  }
  t.end()
})
