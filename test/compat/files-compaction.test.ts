// Goal: compaction leaves what Kafka's leaves. Method: a topic with many versions of each key, tombstones and transactions
// is written to a real Kafka, its files are handed to LMQ, so that both hold the same segments; then both are told to
// compact, and what is left must be the same keys and values at the same offsets. And Kafka's own LogCompactionTester, which
// writes to compacted topics and compares what is read with what must be left, passes against LMQ.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { lmqCommand } from '../tools/lmq-program.ts'
import { givenBootstrap, TestBroker } from './harness/broker.ts'
import { until } from './harness/context.ts'
import { jvmFlags } from './harness/java.ts'
import { runOrThrow } from './harness/program.ts'
import { makeRealKafka, type RealKafka } from './harness/real-kafka.ts'
import { tool } from './harness/tools.ts'

const topic = 'table'
const compact = [
  ...['cleanup.policy=compact', 'min.cleanable.dirty.ratio=0.01', 'min.compaction.lag.ms=0'],
  'delete.retention.ms=86400000',
]
const rounds = 6
const keys = 150
const valueBytes = 4_000
const kcat = tool('kcat')
const python = tool('python')

async function kcatRun(args: readonly string[], input = ''): Promise<string> {
  return (await runOrThrow(kcat?.path ?? '', [...args, '-m', '30'], { input })).stdout.toString()
}

/** Several segments: each round writes most keys again and deletes some. */
async function fill(kafka: RealKafka): Promise<void> {
  const { bootstrap } = kafka
  const server = ['--bootstrap-server', bootstrap]
  const settings = ['--config', 'segment.bytes=1048576', '--config', 'max.message.bytes=200000']
  const create = ['--create', '--topic', topic, '--partitions', '1', ...settings]
  await kafka.tool('org.apache.kafka.tools.TopicCommand', [...server, ...create])
  const produce = [
    '-P',
    '-b',
    bootstrap,
    '-t',
    topic,
    '-K',
    '\t',
    '-Z',
    '-X',
    'batch.num.messages=20',
  ]
  for (let round = 0; round < rounds; round++) {
    const lines = Array.from({ length: keys }, (_, at) => {
      const key = (at * 7 + round * 13) % (keys + 20)
      const isDeleted = (key + round) % 11 === 0
      return `key ${key}\t${isDeleted ? '' : `${round} ${'x'.repeat(valueBytes + ((at * 31) % 500))}`}\n`
    })
    await kcatRun([...produce, '-z', round % 2 ? 'lz4' : 'none'], lines.join(''))
    if (python) await runOrThrow(python.path, ['-c', transaction, bootstrap, topic, String(round)])
  }
}

const transaction = `
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'transactional.id': 'compaction'})
producer.init_transactions()
for ends in ('commits', 'aborts'):
  producer.begin_transaction()
  for at in range(10):
    producer.produce(sys.argv[2], key=f'key {at}', value=f'{sys.argv[3]} {ends} ' + 'y' * 1000)
  producer.flush()
  if ends == 'commits': producer.commit_transaction()
  else: producer.abort_transaction()
`

/** Base offset of the active segment: up to there all can be cleaned. */
function activeBase(dataFolder: string): number {
  const names = readdirSync(join(dataFolder, `${topic}-0`)).filter((name) => name.endsWith('.log'))
  return Math.max(...names.map((name) => Number(name.slice(0, 20))))
}

function cleanedUpTo(dataFolder: string): number {
  const path = join(dataFolder, 'cleaner-offset-checkpoint')
  const content = existsSync(path) ? readFileSync(path, 'utf8') : ''
  return Number(new RegExp(`^${topic} 0 (\\d+)`, 'm').exec(content)?.[1] ?? -1)
}

async function left(bootstrap: string, isolation: string): Promise<string> {
  const args = ['-b', bootstrap, '-C', '-t', topic, '-e', '-q', '-o', 'beginning']
  const format = ['-f', '%o %T %k %S %s\\n', '-X', `isolation.level=${isolation}`]
  return kcatRun([...args, ...format])
}

async function agrees(t: Test, folder: string): Promise<void> {
  const kafka = await makeRealKafka({ 'log.cleaner.backoff.ms': '300' })
  if (!kafka) return
  t.teardown(() => kafka.remove())
  await kafka.start()
  await fill(kafka)
  await kafka.end()
  const source = join(folder, 'kafka')
  cpSync(kafka.dataFolder, source, { recursive: true })
  const broker = new TestBroker('', { folder, settings: { 'log.cleaner.backoff.ms': '300' } })
  const [program, ...args] = lmqCommand()
  await runOrThrow(program, [...args, 'import', source, '--data', broker.dataFolder])
  await broker.start()
  t.teardown(() => broker.stop())
  await kafka.start()
  for (const { bootstrap, dataFolder } of [broker, kafka]) {
    const wanted = activeBase(dataFolder)
    t.ok(wanted > keys, 'there are several segments')
    const set = ['configs', 'set', 'topic', topic, ...compact, '-b', bootstrap]
    await runOrThrow(program, [...args, ...set])
    await until(
      'all is compacted',
      async () => cleanedUpTo(dataFolder),
      (offset) => offset >= wanted,
    )
  }
  for (const isolation of ['read_uncommitted', 'read_committed']) {
    const ours = await left(broker.bootstrap, isolation)
    const theirs = await left(kafka.bootstrap, isolation)
    t.ok(
      theirs.length > 0 && ours === theirs,
      `${isolation}: ${theirs.split('\n').length - 1} left`,
    )
    if (ours !== theirs) t.same(offsetsOf(ours), offsetsOf(theirs))
  }
  await kafka.end()
}

const offsetsOf = (text: string): string[] =>
  text.split('\n').map((line) => line.split(' ').slice(0, 5).join(' '))

async function passesTester(t: Test, folder: string): Promise<void> {
  const java = tool('java')
  if (!java) return
  const settings = { 'log.cleaner.backoff.ms': '500', 'log.segment.bytes': '1048576' }
  const broker = new TestBroker('', { folder, settings })
  await broker.start()
  t.teardown(() => broker.stop())
  const main = 'org.apache.kafka.tools.LogCompactionTester'
  const amount = ['--messages', '400000', '--duplicates', '10', '--percent-deletes', '10']
  const more = ['--topics', '2', '--sleep', '10']
  const jvm = [...jvmFlags(), '-cp', java.classpath ?? '']
  const server = ['--bootstrap-server', broker.bootstrap]
  const result = await runOrThrow(java.path, [...jvm, main, ...server, ...amount, ...more], {
    limitMs: 600_000,
  })
  const printed = `${result.stdout}${result.stderr}`
  t.match(printed, /Validated \d+ values, 0 mismatches/)
  t.match(printed, /Data verification is completed/)
  const [produced = 0, consumed = 0] = (/(\d+) rows of data produced, (\d+) /.exec(printed) ?? [])
    .slice(1)
    .map(Number)
  t.ok(consumed > 0 && consumed < produced, `${consumed} of ${produced} are left`)
}

t.setTimeout(0) // the runner limits the file
if (givenBootstrap || !kcat || !tool('java')) {
  t.pass('nothing to run', { skip: 'kcat or Java is missing' })
} else {
  const parts = { 'the same is left as in Kafka': agrees, LogCompactionTester: passesTester }
  for (const [name, part] of Object.entries(parts)) {
    await t.test(name, { timeout: 0 }, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'lmq-compaction-'))
      t.teardown(() => rmSync(folder, { recursive: true, force: true }))
      await part(t, folder)
    })
  }
}
