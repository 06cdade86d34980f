// Goal: LMQ takes over the log folders of a real Kafka, and a real Kafka serves the partition folders of LMQ: the same
// records, offsets, timestamps and headers, and groups that go on where they were. Method: one is filled by kcat, Python
// (transactions) and Java, stopped, its files are handed to the other, and kcat's readings of both are compared as text.
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { lmqCommand } from '../tools/lmq-program.ts'
import { givenBootstrap, TestBroker } from './harness/broker.ts'
import { codecs } from './harness/driver.ts'
import { type ProgramResult, runOrThrow, runProgram } from './harness/program.ts'
import { makeRealKafka, type RealKafka } from './harness/real-kafka.ts'
import { tool } from './harness/tools.ts'

const group = 'group-1'
const perTopic = 400
const committedUpTo = 250
/** Everything that a reader can see of a record. */
const format = '%p %o %T %k %s %h\\n'

const kcat = tool('kcat')
const python = tool('python')

async function run(t: Test, kcatPath: string): Promise<void> {
  const kafka = await makeRealKafka({ 'log.cleaner.backoff.ms': '300' })
  if (!kafka) return
  const folder = mkdtempSync(join(tmpdir(), 'lmq-files-'))
  t.teardown(async () => {
    await kafka.remove()
    rmSync(folder, { recursive: true, force: true })
  })
  const world = new World(kafka, kcatPath, folder)
  await kafka.start()
  await world.fill()
  await t.test('a running Kafka is left alone', (t) => world.refusesRunning(t))
  const seen = await world.readings(kafka.bootstrap)
  await kafka.end()
  await t.test('a stopped Kafka is served', (t) => world.serves(t, seen))
  await t.test('a killed Kafka is recovered', (t) => world.recovers(t, seen))
  await t.test('what cannot be taken is named', (t) => world.refuses(t))
  await t.test('Kafka serves what LMQ wrote', (t) => world.givesBack(t))
}

class World {
  readonly kafka: RealKafka
  readonly #kcat: string
  readonly #folder: string
  readonly #topics = codecs.map((codec) => `files-${codec}`)

  constructor(kafka: RealKafka, kcatPath: string, folder: string) {
    this.kafka = kafka
    this.#kcat = kcatPath
    this.#folder = folder
  }

  // ------------------------------------------------------------------------------------------------ filling

  async fill(): Promise<void> {
    const { bootstrap } = this.kafka
    for (const codec of codecs) await this.#create(`files-${codec}`, 2)
    await this.#create('files-compacted', 1, {
      'cleanup.policy': 'compact',
      'min.cleanable.dirty.ratio': '0.01',
      'segment.bytes': '1048576',
    })
    await this.#create('files-transactions', 1)
    for (const codec of codecs) await this.#produce(bootstrap, `files-${codec}`, codec)
    const value = 'x'.repeat(2_000)
    const lines = Array.from({ length: 2_000 }, (_, at) => `k${at % 50}\t${at} ${value}\n`)
    await this.#run(['-P', '-b', bootstrap, '-t', 'files-compacted', '-K', '\t'], lines.join(''))
    if (python) await runOrThrow(python.path, ['-c', transactions, bootstrap])
    const reading = ['-b', bootstrap, '-G', group, '-c', String(committedUpTo)]
    await this.#run([...reading, '-X', 'auto.offset.reset=earliest', 'files-none'])
  }

  async #create(topic: string, partitions: number, configs: Record<string, string> = {}) {
    const settings = Object.entries(configs).flatMap(([name, value]) => [
      '--config',
      `${name}=${value}`,
    ])
    const { bootstrap } = this.kafka
    const args = ['--create', '--topic', topic, '--partitions', String(partitions), ...settings]
    const main = 'org.apache.kafka.tools.TopicCommand'
    await this.kafka.tool(main, ['--bootstrap-server', bootstrap, ...args])
  }

  async #produce(bootstrap: string, topic: string, codec: string): Promise<void> {
    const headers = ['-H', 'one=1', '-H', 'empty=']
    const lines = Array.from({ length: perTopic }, (_, at) => `key ${at}\t${codec} value ${at}\n`)
    const common = ['-P', '-b', bootstrap, '-t', topic, '-z', codec, ...headers]
    await this.#run([...common, '-K', '\t', '-Z'], lines.join(''))
    await this.#run([...common, '-K', '\t', '-Z'], 'a key without a value\t\n')
  }

  async #run(args: readonly string[], input = ''): Promise<string> {
    return (await runOrThrow(this.#kcat, [...args, '-m', '30'], { input })).stdout.toString()
  }

  // ------------------------------------------------------------------------------------------------ reading

  /** All that readers see, by topic; and what they see who want committed transactions only. */
  async readings(bootstrap: string): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    for (const topic of [...this.#topics, 'files-compacted', 'files-transactions']) {
      const all = ['-X', 'isolation.level=read_uncommitted']
      found.set(topic, await this.#read(bootstrap, topic, all))
    }
    const committed = ['-X', 'isolation.level=read_committed']
    const name = 'files-transactions, committed'
    found.set(name, await this.#read(bootstrap, 'files-transactions', committed))
    return found
  }

  async #read(bootstrap: string, topic: string, more: readonly string[] = []): Promise<string> {
    const args = ['-b', bootstrap, '-C', '-t', topic, '-e', '-q', '-o', 'beginning']
    const text = await this.#run([...args, '-f', format, ...more])
    return text.split('\n').sort().join('\n')
  }

  async #compare(t: Test, bootstrap: string, seen: ReadonlyMap<string, string>): Promise<void> {
    const found = await this.readings(bootstrap)
    for (const [topic, text] of seen) {
      const count = text.split('\n').length - 1
      t.ok(found.get(topic) === text, `${topic}: the same ${count} records`)
    }
  }

  // ------------------------------------------------------------------------------------------------ Kafka to LMQ

  #import(source: string, data: string, ...more: string[]): Promise<ProgramResult> {
    const [program, ...args] = lmqCommand()
    return runProgram(program, [...args, 'import', source, '--data', data, ...more])
  }

  async refusesRunning(t: Test): Promise<void> {
    const result = await this.#import(this.kafka.dataFolder, join(this.#folder, 'never'))
    t.equal(result.code, 3)
    t.match(result.stderr, /Kafka still uses .*stop it first/)
  }

  /** A copy of Kafka's folder, and a broker of LMQ in another folder below the same one. */
  #place(name: string): { source: string; broker: TestBroker } {
    const folder = join(this.#folder, name)
    const source = join(folder, 'kafka')
    cpSync(this.kafka.dataFolder, source, { recursive: true })
    return { source, broker: new TestBroker('', { folder }) }
  }

  async serves(t: Test, seen: ReadonlyMap<string, string>): Promise<void> {
    const { source, broker } = this.#place('serves')
    const dry = await this.#import(source, broker.dataFolder, '--dry-run', '--json')
    t.equal(dry.code, 0, dry.stderr)
    const plan = JSON.parse(dry.stdout.toString()) as { topics: { name: string }[] }
    t.same(
      plan.topics.map(({ name }) => name),
      ['__consumer_offsets', ...[...this.#topics, 'files-compacted', 'files-transactions'].sort()],
    )
    const before = names(source)
    const done = await this.#import(source, broker.dataFolder)
    t.equal(done.code, 0, done.stderr)
    t.match(done.stderr, /__transaction_state/)
    t.match(done.stdout.toString(), /files-compacted +1 .*cleanup\.policy=compact/)
    t.same(names(source), before, "Kafka's folder is as it was")
    const again = await this.#import(source, broker.dataFolder)
    t.equal(again.code, 1)
    t.match(again.stderr, /files-none: there is a topic of this name already/)

    await broker.start()
    t.teardown(() => broker.stop())
    await this.#compare(t, broker.bootstrap, seen)
    t.equal(idOf(broker, 'files-none'), this.kafka.topicIdOf('files-none'), 'the id stays')
    const rest = await this.#run(['-b', broker.bootstrap, '-G', group, '-e', '-q', 'files-none'])
    t.equal(rest.split('\n').length - 1, perTopic + 1 - committedUpTo, 'the group goes on')
    await this.#produce(broker.bootstrap, 'files-zstd', 'zstd')
    const all = await this.#read(broker.bootstrap, 'files-zstd')
    t.equal(all.split('\n').length - 1, 2 * (perTopic + 1), 'the topics grow on')
    if (python) await runOrThrow(python.path, ['-c', idempotent, broker.bootstrap])
    await broker.crash()
    await broker.start()
    t.ok((await this.#read(broker.bootstrap, 'files-zstd')) === all, 'also after kill -9')
  }

  async recovers(t: Test, seen: ReadonlyMap<string, string>): Promise<void> {
    const { source, broker } = this.#place('recovers')
    rmSync(join(source, '.kafka_cleanshutdown'))
    const offsets = join(source, 'recovery-point-offset-checkpoint')
    writeFileSync(offsets, '0\n0\n')
    const log = join(source, 'files-gzip-0', '00000000000000000000.log')
    const whole = statSync(log).size
    truncateSync(log, whole - 5)
    rmSync(join(source, 'files-lz4-0', '00000000000000000000.index'))
    const done = await this.#import(source, broker.dataFolder)
    t.equal(done.code, 0, done.stderr)
    t.match(done.stderr, /files-gzip-0 loses \d+ bytes at its end: cut off inside a batch/)
    t.match(done.stderr, /was not closed in order: its logs are recovered/)
    await broker.start()
    t.teardown(() => broker.stop())
    const found = await this.readings(broker.bootstrap)
    for (const [topic, text] of seen) {
      if (topic !== 'files-gzip') t.ok(found.get(topic) === text, topic)
    }
    const lines = (seen.get('files-gzip') ?? '').split('\n')
    const left = (found.get('files-gzip') ?? '').split('\n')
    t.ok(left.length < lines.length && left.every((line) => lines.includes(line)), 'a prefix')
  }

  async refuses(t: Test): Promise<void> {
    const { source, broker } = this.#place('refuses')
    const log = join(source, 'files-none-1', '00000000000000000000.log')
    const bytes = readFileSync(log)
    bytes[16] = 1
    writeFileSync(log, bytes)
    rmSync(join(source, 'files-lz4-0'), { recursive: true })
    const snappy = join(source, 'files-snappy-0', '00000000000000000000.log')
    const flipped = readFileSync(snappy)
    flipped[100] = (flipped[100] as number) ^ 4
    writeFileSync(snappy, flipped)
    cpSync(
      join(source, 'files-gzip-0'),
      join(source, 'gone-0.0123456789abcdef0123456789abcdef-delete'),
      { recursive: true },
    )
    const all = await this.#import(source, broker.dataFolder)
    t.equal(all.code, 1)
    t.match(all.stderr, /files-none: partition 1, .* at byte 0 .*message format v1/)
    t.match(all.stderr, /files-lz4: partition 0 is not in these folders/)
    t.match(all.stderr, /files-snappy: partition 0, .*checksum does not match/)
    t.match(all.stderr, /gone-0\.\S+: its topic was deleted/)
    t.match(all.stderr, /Nothing is taken/)
    const some = await this.#import(source, broker.dataFolder, '--skip-refused', '--move')
    t.equal(some.code, 0, some.stderr)
    t.notOk(names(source).includes('files-zstd-0'), 'what is moved is gone there')
    t.ok(names(source).includes('files-none-0'), 'what is refused stays')
    t.ok(names(source).includes('__cluster_metadata-0'))
    await broker.start()
    t.teardown(() => broker.stop())
    const read = await this.#read(broker.bootstrap, 'files-zstd')
    t.equal(read.split('\n').length - 1, perTopic + 1)
  }

  // ------------------------------------------------------------------------------------------------ LMQ to Kafka

  async givesBack(t: Test): Promise<void> {
    const folder = join(this.#folder, 'gives-back')
    mkdirSync(folder)
    const broker = new TestBroker('', {
      folder,
      settings: { 'log.segment.bytes': '1048576', 'num.partitions': '2' },
    })
    await broker.start()
    t.teardown(() => broker.stop())
    for (const codec of codecs) {
      for (let round = 0; round < 3; round++) {
        await this.#produce(broker.bootstrap, `files-${codec}`, codec)
      }
    }
    const seen = new Map<string, string>()
    for (const topic of this.#topics) seen.set(topic, await this.#read(broker.bootstrap, topic))
    await broker.shutDown()
    for (const topic of this.#topics) this.#handOver(broker, topic)
    // As LMQ's end: Kafka takes white space behind the last entry.
    const points = join(this.kafka.dataFolder, 'recovery-point-offset-checkpoint')
    writeFileSync(points, readFileSync(points, 'utf8').replace(/\n$/, ` \t${' '.repeat(30)}\n`))
    await this.kafka.start()
    t.ok(isTakenAsIs(readFileSync(this.kafka.logFile, 'utf8')), 'it complains of no checkpoint')
    const { bootstrap } = this.kafka
    for (const [topic, text] of seen) {
      t.ok((await this.#read(bootstrap, topic)) === text, `Kafka reads ${topic}`)
      await this.#produce(bootstrap, topic, 'lz4')
      const all = await this.#read(bootstrap, topic)
      t.equal(all.split('\n').length - 1, 4 * (perTopic + 1), 'and appends to it')
    }
    await this.kafka.end()
  }

  /** Kafka finds its own topic id in the folder; all else is LMQ's. */
  #handOver(broker: TestBroker, topic: string): void {
    const topicId = this.kafka.topicIdOf(topic)
    for (const partition of [0, 1]) {
      const name = `${topic}-${partition}`
      const target = join(this.kafka.dataFolder, name)
      rmSync(target, { recursive: true })
      cpSync(join(broker.dataFolder, name), target, { recursive: true })
      writeFileSync(join(target, 'partition.metadata'), `version: 0\ntopic_id: ${topicId}\n`)
    }
  }
}

const isTakenAsIs = (log: string): boolean =>
  !/Malformed line|CheckpointFile.*(ERROR|WARN)/.test(log)
const names = (folder: string): string[] => readdirSync(folder).sort()

function idOf(broker: TestBroker, topic: string): string {
  const content = readFileSync(join(broker.dataFolder, `${topic}-0`, 'partition.metadata'), 'utf8')
  return /topic_id: (\S+)/.exec(content)?.[1] ?? ''
}

/** Committed and aborted ones, in turn. */
const transactions = `
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'transactional.id': 'files'})
producer.init_transactions()
for turn in range(6):
  producer.begin_transaction()
  for at in range(20):
    producer.produce('files-transactions', value=f'{turn} {at}')
  producer.flush()
  if turn % 2: producer.abort_transaction()
  else: producer.commit_transaction()
`

/** Many new producer ids: none may be one that wrote before. */
const idempotent = `
import sys
from confluent_kafka import Producer
for each in range(8):
  producer = Producer({'bootstrap.servers': sys.argv[1], 'enable.idempotence': True})
  failed = []
  for topic in ('files-transactions', 'files-none'):
    producer.produce(topic, value='one more', on_delivery=lambda error, _: error and failed.append(error))
  producer.flush(30)
  if failed or len(producer): sys.exit(f'not delivered: {failed}')
`

t.setTimeout(0) // the runner limits the file
if (givenBootstrap || !kcat || !tool('java')) {
  t.pass('nothing to run', { skip: 'kcat or Java is missing' })
} else await t.test('files from and to Kafka', { timeout: 0 }, (t) => run(t, kcat.path))
