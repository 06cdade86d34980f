// Goal: log folders that older Kafkas wrote come over whole: every record, the committed offsets, topic ids where there are
// any, from several log folders at once. Method: folders of Kafka 3.9 (KRaft, two log.dirs, stopped in order) and 3.0
// (ZooKeeper, from before topic ids, killed) are imported by the program, and a broker is asked for all that a client had
// read from those Kafkas; see test/golden/kafka-folders/README.md.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { importCommand } from '../../../src/cli/import-command.ts'
import { startBroker } from '../../../src/index.ts'
import { runLmq } from '../../tools/lmq-program.ts'
import { repositoryRoot } from '../../tools/repository-root.ts'

const root = repositoryRoot(import.meta.url)
const golden = join(root, 'test', 'golden', 'kafka-folders')

/** Partition, offset, time (the broker's own: "appended ..."), key, value, headers. */
type Row = [
  number,
  number,
  number | string,
  string | null,
  string | null,
  [string, string | null][],
]
type Readings = {
  groups: Record<string, [string, number, number][]>
  uncommitted: Record<string, Row[]>
  committed: Record<string, Row[]>
}

t.setTimeout(170_000)

/** The folders of one Kafka, and what was read from it. */
function kafka(t: Test, version: string): { folder: string; readings: Readings } {
  const folder = mkdtempSync(join(tmpdir(), 'lmq-import-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  execFileSync('tar', ['-xzf', join(golden, `kafka-${version}.tar.gz`), '-C', folder])
  const text = readFileSync(join(golden, `kafka-${version}.json`), 'utf8')
  return { folder, readings: JSON.parse(text) as Readings }
}

async function start(t: Test, dataDir: string): Promise<string> {
  const settings = { 'log.retention.ms': '-1' } // the records are from 2023
  const broker = await startBroker({ dataDir, port: 0, httpPort: -1, settings })
  t.teardown(() => broker.stop())
  return broker.bootstrap
}

type Read = {
  topic: string
  partition: number
  offset: number
  timestamp: number
  key: string | null
  value: string | null
  headers?: { key: string; value: string | null }[]
}

/** @param topics with what is expected of each: their times of appending are compared only where they were kept */
async function readAll(bootstrap: string, topics: Record<string, Row[]>, isolation: string) {
  const words = ['--json', '--from', 'beginning', '--exit', '--isolation', isolation]
  const { out, err, code } = await runLmq([
    'consume',
    ...Object.keys(topics),
    '-b',
    bootstrap,
    ...words,
  ])
  if (code !== 0) throw new Error(err)
  const found: Record<string, Row[]> = {}
  for (const topic of Object.keys(topics)) found[topic] = []
  for (const line of out.trim().split('\n')) {
    const {
      topic,
      partition,
      offset,
      timestamp,
      key,
      value,
      headers = [],
    } = JSON.parse(line) as Read
    const pairs = headers.map((each): [string, string | null] => [each.key, each.value])
    found[topic]?.push([partition, offset, timestamp, key, value, pairs])
  }
  for (const rows of Object.values(found)) rows.sort((a, b) => a[0] - b[0] || a[1] - b[1])
  return found
}

const timesOnly = (rows: Record<string, Row[]>) => {
  const plain = (row: Row): Row => {
    const [partition, offset, time, ...rest] = row
    return [partition, offset, Number(String(time).replace('appended ', '')), ...rest]
  }
  return Object.fromEntries(Object.entries(rows).map(([topic, all]) => [topic, all.map(plain)]))
}

async function compare(t: Test, bootstrap: string, readings: Readings): Promise<void> {
  for (const isolation of ['uncommitted', 'committed'] as const) {
    const wanted = timesOnly(readings[isolation])
    const found = await readAll(bootstrap, wanted, `read_${isolation}`)
    for (const [topic, rows] of Object.entries(wanted)) {
      t.same(found[topic], rows, `${topic}, ${isolation}: the same ${rows.length} records`)
    }
  }
  const groups = Object.keys(readings.groups)
  const { out } = await runLmq(['groups', 'describe', ...groups, '-b', bootstrap, '--json'])
  const described = JSON.parse(out) as { groupId: string; partitions: CommittedPlace[] }[]
  const committed = described.map(({ groupId, partitions }) => [
    groupId,
    partitions.map((each) => [each.topic, each.partitionIndex, each.committedOffset]),
  ])
  t.same(Object.fromEntries(committed), readings.groups, 'the committed offsets')
}
type CommittedPlace = { topic: string; partitionIndex: number; committedOffset: number }

function idOf(dataDir: string, folder: string): string | undefined {
  const path = join(dataDir, folder, 'partition.metadata')
  if (!existsSync(path)) return undefined
  return /topic_id: (\S+)/.exec(readFileSync(path, 'utf8'))?.[1]
}

t.test('Kafka 3.9, KRaft, two log folders', async (t) => {
  const { folder, readings } = kafka(t, '3.9.1')
  const [a, b, data] = ['a', 'b', 'data'].map((name) => join(folder, name)) as Three
  const done = await runLmq(['import', b, a, '--data', data])
  t.equal(done.code, 0, done.err)
  t.same(namesIn(done.out), ['__consumer_offsets', ...Object.keys(readings.uncommitted)])
  t.match(done.out, /compacted +1 .*cleanup\.policy=compact/)
  t.match(done.out, /stamped +1 .*message\.timestamp\.type=LogAppendTime/)
  t.match(done.err, /a\/deleted-0\.[0-9a-f]+-delete: its topic was deleted/)
  // Kafka 3.x took these.
  t.match(done.err, /compacted: segment\.bytes=1000 is not taken: .*at least 1048576/)
  t.match(done.err, /trimmed: message\.timestamp\.difference\.max\.ms=\d+ is not taken: Unknown/)
  await compare(t, await start(t, data), readings)
  for (const name of ['codec-none-0', 'codec-none-1', 'idempotent-0', '__consumer_offsets-1']) {
    const id = idOf(existsSync(join(a, name)) ? a : b, name)
    t.match(id, /^[\w-]{22}$/)
    t.equal(idOf(data, name), id, `${name}: the topic id stays`)
  }
})

t.test('Kafka 3.0, ZooKeeper, no topic ids, killed', async (t) => {
  const { folder, readings } = kafka(t, '3.0.2')
  const [a, data] = ['a', 'data'].map((name) => join(folder, name)) as Two
  t.notOk(existsSync(join(a, 'codec-none-0', 'partition.metadata')))
  const done = await runLmq(['import', a, '--data', data])
  t.equal(done.code, 0, done.err)
  t.same(namesIn(done.out), ['__consumer_offsets', ...Object.keys(readings.uncommitted)])
  t.match(done.err, /settings of the topics are not known/)
  t.match(done.err, /was not closed in order: its logs are recovered/)
  t.match(done.err, /idempotent-0 has an unfinished transaction at offset 10/)
  await compare(t, await start(t, data), readings)
  const folders = Object.keys(readings.uncommitted).map((topic) => `${topic}-0`)
  const ids = folders.map((name) => idOf(data, name))
  t.ok(
    ids.every((id) => id !== undefined),
    'topics get ids',
  )
  t.equal(new Set(ids).size, folders.length, 'each its own')
  t.equal(idOf(data, 'codec-none-1'), idOf(data, 'codec-none-0'), 'one for all partitions')
})

t.test('a log folder is left out', async (t) => {
  const { folder, readings } = kafka(t, '3.9.1')
  const [a, b, data] = ['a', 'b', 'data'].map((name) => join(folder, name)) as Three
  const withMetadata = await runLmq(['import', a, '--data', data, '--json'])
  t.equal(withMetadata.code, 1)
  t.notOk(existsSync(data), 'nothing is taken')
  type Told = { refused: { topic: string; reason: string }[]; topics: { name: string }[] }
  const { refused, topics } = JSON.parse(withMetadata.out) as Told
  const reasons = new Map(refused.map(({ topic, reason }) => [topic, reason]))
  t.match(reasons.get('codec-gzip'), /partition 0 is not in these folders/)
  t.match(reasons.get('compacted'), /no partition of it is in these folders/)
  t.same(
    [...topics.map(({ name }) => name), ...reasons.keys()].sort(),
    ['__consumer_offsets', ...Object.keys(readings.uncommitted)].sort(),
    'each topic is named',
  )
  const blind = await runLmq(['import', b, '--data', data, '--dry-run'])
  t.match(blind.err, /whether a topic or its last partitions lie in other folders cannot be told/)

  // The last partition only: what is there has no hole.
  rmSync(join(a, 'codec-lz4-1'), { recursive: true })
  const last = await runLmq(['import', a, b, '--data', data])
  t.equal(last.code, 1)
  t.match(last.err, /refused: codec-lz4: partition 1 is not in these folders/)
  const rest = await runLmq(['import', a, b, '--data', data, '--skip-refused'])
  t.equal(rest.code, 0, rest.err)
  t.notOk(namesIn(rest.out).includes('codec-lz4'))
})

t.test('how far it is, on a terminal', async (t) => {
  const { folder } = kafka(t, '3.9.1')
  const [a, b, data] = ['a', 'b', 'data'].map((name) => join(folder, name)) as Three
  const broker = await startBroker({ dataDir: data, port: 0, httpPort: -1 })
  await broker.stop()
  let shown = ''
  const take = (text: string | Uint8Array): boolean => {
    shown += text
    return true
  }
  let nowMs = 0
  const later = (): number => {
    nowMs += 1_000
    return nowMs
  }
  const replaced = [
    t.intercept(process.stderr, 'isTTY', { value: true }),
    t.intercept(process.stderr, 'write', { value: take }),
    t.intercept(process.stdout, 'write', { value: () => true }),
    t.intercept(performance, 'now', { value: later }), // the work takes seconds
  ]
  try {
    await importCommand().parseAsync([a, b, '--data', data], { from: 'user' })
  } finally {
    for (const each of replaced) each.restore()
  }
  t.equal(process.exitCode, 0)
  process.exitCode = 0
  for (const label of ['MiB read', 'MiB copied']) {
    const told = [...shown.matchAll(new RegExp(`${label} (\\d+) of (\\d+) \\(\\d+/s\\)`, 'g'))]
    t.ok(told.length > 10, `${label}: told ${told.length} times`)
    const counts = told.map(([, count]) => Number(count))
    t.same(
      counts,
      counts.toSorted((x, y) => x - y),
      'it goes up',
    )
    t.ok(
      told.every(([, count, of]) => Number(count) <= Number(of)),
      'and not beyond the whole',
    )
  }
  t.ok(shown.includes('\r\u001b[Kleft out: '), 'it is cleared at the end')
})

type Two = [string, string]
type Three = [string, string, string]
/** First column of a table. */
const namesIn = (table: string): string[] =>
  table
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(' ')[0] ?? '')
