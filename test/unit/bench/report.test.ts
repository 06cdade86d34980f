import t from 'tap'
import { format, markdownTable, type Results, textTable, withTable } from '../../../bench/report.ts'
import { median } from '../../../bench/run.ts'

const results: Results = {
  takenAt: '2026-01-02T03:04:05.000Z',
  machine: '2 x CPU, 8 GB, Linux',
  loadBefore: 0.2,
  rounds: 3,
  seconds: 2,
  flush: 'none',
  load: 'a generator',
  targets: [
    { name: 'lmq', label: 'LMQ 0.1.0' },
    { name: 'kafka', label: 'Apache Kafka 4.3.1' },
  ],
  outcomes: [
    {
      measure: 'round-trips',
      medians: [
        { perSecond: 12_000, p50Ms: 0.08, p99Ms: 0.2, cpuPerMillion: 90 },
        { perSecond: 6_000, p50Ms: 0.16, p99Ms: 0.4, cpuPerMillion: 100 },
      ],
      rounds: [[], []],
      failures: [undefined, undefined],
    },
    {
      measure: 'consume-cold',
      medians: [{}, {}],
      rounds: [[], []],
      failures: [undefined, 'broke'],
    },
  ],
}

t.test('the text table shows ratios and which goals are reached', (t) => {
  const lines = textTable(results)
    .split('\n')
    .map((line) => line.replaceAll(/ {2,}/g, '|'))
  t.has(lines, [
    'measure|figure|lmq|kafka|ratio|goal|reached',
    'one record at a time, raw socket|records/s|12,000|6,000|2.00x|>= 1.60x|yes',
    'one record at a time, raw socket|p50 ms|0.080|0.160|0.500x',
    'one record at a time, raw socket|p99 ms|0.200|0.400|0.500x',
    'one record at a time, raw socket|broker CPU s/M records|90.0|100|0.900x|<= 0.600x|no',
  ])
  t.equal(lines.at(-1), 'consume-cold on kafka: broke')
  t.end()
})

t.test('the README gets the table between its marks, again and again', (t) => {
  const page = 'before\n<!-- bench:start -->\nold\n<!-- bench:end -->\nafter\n'
  const once = withTable(page, results)
  t.match(once, /^before\n<!-- bench:start -->\n\| measure \|/)
  t.match(once, /\(missed\)[\s\S]*Flush mode: none\.\n<!-- bench:end -->\nafter\n$/)
  t.equal(withTable(once, results), once)
  t.notMatch(once, 'old')
  t.equal(
    markdownTable(results)
      .split('\n')
      .filter((line) => line.startsWith('|')).length,
    8,
  )
  t.throws(() => withTable('no marks', results), /no <!-- bench:start/)
  t.end()
})

t.test('figures keep three significant digits', (t) => {
  t.same([0, 0.0834, 1.5, 12.34, 123_456.7, undefined].map(format), [
    '0',
    '0.083',
    '1.50',
    '12.3',
    '123,457',
    '-',
  ])
  t.end()
})

t.test('the median of an even count lies between the middle two', (t) => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 3, 2]), 2.5)
  t.equal(median([]), 0)
  t.end()
})
