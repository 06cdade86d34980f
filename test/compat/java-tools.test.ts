// Apache Kafka's own command-line tools, one JVM for all of them.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { givenBootstrap, startTestBroker, type TestBroker } from './harness/broker.ts'
import { startDriver } from './harness/client-drivers.ts'
import { featureOf, uniqueName, until } from './harness/context.ts'
import { codecs, type Driver } from './harness/driver.ts'
import { MatrixNotes } from './harness/matrix.ts'

type Printed = { status: number; printed: string; complained: string }

const mains = {
  ClientCompatibilityTest: 'org.apache.kafka.tools.ClientCompatibilityTest',
  ConfigCommand: 'kafka.admin.ConfigCommand',
  ConsoleConsumer: 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  ConsoleProducer: 'org.apache.kafka.tools.ConsoleProducer',
  ConsumerGroupCommand: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  ConsumerPerformance: 'org.apache.kafka.tools.ConsumerPerformance',
  DeleteRecordsCommand: 'org.apache.kafka.tools.DeleteRecordsCommand',
  DumpLogSegments: 'org.apache.kafka.tools.DumpLogSegments',
  GetOffsetShell: 'org.apache.kafka.tools.GetOffsetShell',
  LogDirsCommand: 'org.apache.kafka.tools.LogDirsCommand',
  ProducerPerformance: 'org.apache.kafka.tools.ProducerPerformance',
  TopicCommand: 'org.apache.kafka.tools.TopicCommand',
}

/** Kafka's command-line programs against the broker. Each answer is what the program printed; a failure throws. */
class Tools {
  readonly broker: TestBroker
  readonly folder: string
  readonly #driver: Driver

  constructor(broker: TestBroker, driver: Driver, folder: string) {
    this.broker = broker
    this.folder = folder
    this.#driver = driver
  }

  async run(name: keyof typeof mains, args: readonly string[], input = ''): Promise<string> {
    const result = await this.tryRun(name, args, input)
    if (result.status === 0) return result.printed
    throw new Error(`${name} ended with ${result.status}:\n${result.printed}\n${result.complained}`)
  }

  async tryRun(name: keyof typeof mains, args: readonly string[], input = ''): Promise<Printed> {
    const { bootstrap } = this.broker
    const all = name === 'DumpLogSegments' ? args : ['--bootstrap-server', bootstrap, ...args]
    return (await this.#driver.call('tool', { main: mains[name], args: all, input })) as Printed
  }

  create(topic: string, ...more: string[]): Promise<string> {
    return this.run('TopicCommand', ['--create', '--topic', topic, ...more])
  }

  produce(topic: string, lines: readonly string[], ...more: string[]): Promise<string> {
    const input = lines.map((line) => `${line}\n`).join('')
    return this.run('ConsoleProducer', ['--topic', topic, ...more], input)
  }

  async consume(topic: string, count: number, ...more: string[]): Promise<string[]> {
    const range = ['--from-beginning', '--max-messages', String(count), '--timeout-ms', '30000']
    const printed = await this.run('ConsoleConsumer', ['--topic', topic, ...range, ...more])
    return printed.split('\n').filter((line) => line !== '')
  }
}

async function topics(t: Test, tools: Tools): Promise<void> {
  const topic = uniqueName()
  await tools.create(topic, '--partitions', '3', '--config', 'retention.ms=3600000')
  t.match(await tools.run('TopicCommand', ['--list']), topic)
  const described = await tools.run('TopicCommand', ['--describe', '--topic', topic])
  t.match(described, /PartitionCount: 3/)
  t.match(described, /retention\.ms=3600000/)
  t.match(described, /Leader: \d+/)
  await tools.run('TopicCommand', ['--alter', '--topic', topic, '--partitions', '5'])
  await until(
    'five partitions',
    () => tools.run('TopicCommand', ['--describe', '--topic', topic]),
    (text) => text.includes('PartitionCount: 5'),
  )
  const again = await tools.tryRun('TopicCommand', ['--create', '--topic', topic])
  t.not(again.status, 0)
  t.match(again.printed + again.complained, /already exists/)
  await tools.run('TopicCommand', ['--delete', '--topic', topic])
  await until(
    'the topic is gone',
    () => tools.run('TopicCommand', ['--list']),
    (text) => !text.includes(topic),
  )
}

async function console_(t: Test, tools: Tools): Promise<void> {
  for (const codec of codecs) {
    const topic = uniqueName()
    await tools.create(topic, '--partitions', '1')
    const lines = Array.from({ length: 100 }, (_, index) => `${codec} ${index}`)
    await tools.produce(topic, lines, '--compression-codec', codec)
    t.same(await tools.consume(topic, lines.length), lines, codec)
  }
}

async function consoleParts(t: Test, tools: Tools): Promise<void> {
  const topic = uniqueName()
  await tools.create(topic, '--partitions', '1')
  const parse = [
    ...['--reader-property', 'parse.key=true', '--reader-property', 'parse.headers=true'],
    ...['--reader-property', 'null.marker=NULL'],
  ]
  await tools.produce(topic, ['a:1,b:2\tkey\tvalue', 'a:1\tkey\tNULL'], ...parse)
  const print = ['key', 'headers', 'offset', 'partition'].flatMap((part) => [
    '--formatter-property',
    `print.${part}=true`,
  ])
  t.same(await tools.consume(topic, 2, ...print), [
    'Partition:0\tOffset:0\ta:1,b:2\tkey\tvalue',
    'Partition:0\tOffset:1\ta:1\tkey\tnull',
  ])
}

async function groups(t: Test, tools: Tools): Promise<void> {
  const topic = uniqueName()
  const group = `g-${topic}`
  await tools.create(topic, '--partitions', '2')
  await tools.produce(topic, ['1', '2', '3', '4'])
  await tools.consume(topic, 4, '--group', group)
  const command = (...args: string[]) => tools.run('ConsumerGroupCommand', args)
  t.match(await command('--list'), group)
  const lagOf = (text: string) =>
    text
      .split('\n')
      .filter((line) => line.startsWith(group))
      .map((line) => Number(line.split(/\s+/)[5]))
  t.same(lagOf(await command('--describe', '--group', group)), [0, 0])
  t.match(await command('--describe', '--group', group, '--state'), /Empty/)
  const reset = ['--reset-offsets', '--group', group, '--topic', topic, '--execute']
  await command(...reset, '--to-earliest')
  const lags = lagOf(await command('--describe', '--group', group))
  t.equal(
    lags.reduce((sum, lag) => sum + lag, 0),
    4,
  )
  await command('--delete-offsets', '--group', group, '--topic', topic)
  await command('--delete', '--group', group)
  t.notMatch(await command('--list'), group)
}

async function configs(t: Test, tools: Tools): Promise<void> {
  const topic = uniqueName()
  await tools.create(topic)
  const of = ['--entity-type', 'topics', '--entity-name', topic]
  const describe = () => tools.run('ConfigCommand', ['--describe', ...of])
  await tools.run('ConfigCommand', ['--alter', ...of, '--add-config', 'max.message.bytes=2000000'])
  await until('a setting', describe, (text) => text.includes('max.message.bytes=2000000'))
  await tools.run('ConfigCommand', ['--alter', ...of, '--delete-config', 'max.message.bytes'])
  await until('no setting', describe, (text) => !text.includes('max.message.bytes'))
  const wrong = await tools.tryRun('ConfigCommand', ['--alter', ...of, '--add-config', 'no.such=1'])
  t.not(wrong.status, 0)
  const described = await tools.run('TopicCommand', ['--describe', '--topic', topic])
  const broker = /Leader: (\d+)/.exec(described)?.[1] ?? ''
  const all = ['--describe', '--all', '--entity-type', 'brokers', '--entity-name', broker]
  t.match(await tools.run('ConfigCommand', all), /num\.partitions=/)
  const dynamic = ['--entity-type', 'brokers', '--entity-name', broker]
  const change = 'log.retention.ms=86400000'
  await tools.run('ConfigCommand', ['--alter', ...dynamic, '--add-config', change])
  await until(
    'a setting of the broker',
    () => tools.run('ConfigCommand', ['--describe', ...dynamic]),
    (text) => text.includes(change),
  )
  await tools.run('ConfigCommand', ['--alter', ...dynamic, '--delete-config', 'log.retention.ms'])
}

async function offsets(t: Test, tools: Tools): Promise<void> {
  const topic = uniqueName()
  await tools.create(topic, '--partitions', '1')
  await tools.produce(topic, ['1', '2', '3'])
  const at = async (time: string) => {
    const printed = await tools.run('GetOffsetShell', ['--topic', topic, '--time', time])
    return printed.trim()
  }
  t.equal(await at('latest'), `${topic}:0:3`)
  t.equal(await at('earliest'), `${topic}:0:0`)
  t.match(await at('max-timestamp'), new RegExp(`^${topic}:0:[012]$`))
  const file = join(tools.folder, 'delete.json')
  writeFileSync(file, JSON.stringify({ partitions: [{ topic, partition: 0, offset: 2 }] }))
  t.match(await tools.run('DeleteRecordsCommand', ['--offset-json-file', file]), /low_watermark: 2/)
  t.equal(await at('earliest'), `${topic}:0:2`)
  const sizes = await tools.run('LogDirsCommand', ['--describe', '--topic-list', topic])
  t.match(sizes, new RegExp(`"partition":"${topic}-0","size":[1-9]`))
}

async function performance_(t: Test, tools: Tools): Promise<void> {
  const topic = uniqueName()
  await tools.create(topic, '--partitions', '3')
  const size = ['--num-records', '50000', '--record-size', '200', '--throughput', '-1']
  const properties = ['acks=all', 'compression.type=lz4'].flatMap((each) => [
    '--command-property',
    each,
  ])
  t.match(
    await tools.run('ProducerPerformance', ['--topic', topic, ...size, ...properties]),
    /50000 records sent/,
  )
  const read = ['--topic', topic, '--num-records', '50000', '--timeout', '30000']
  const printed = await tools.run('ConsumerPerformance', read)
  t.match(printed, /, 5\d{4}, /, 'all are read')
}

async function clientCompatibility(t: Test, tools: Tools): Promise<void> {
  const topic = uniqueName()
  await tools.create(topic, '--partitions', '1')
  const expected = {
    'offsets-for-times': true,
    'cluster-id': true,
    'create-topics': true,
    'describe-acls': givenBootstrap !== undefined,
    'describe-configs': true,
    'idempotent-producer': true,
  }
  const flags = Object.entries(expected).flatMap(([name, value]) => [
    `--${name}-supported`,
    value ? 'True' : 'False',
  ])
  // The tool makes this topic and wants to be the first.
  await tools.run('TopicCommand', ['--delete', '--if-exists', '--topic', 'newtopic'])
  const more = ['--expect-record-too-large-exception', 'False', '--num-cluster-nodes', '1']
  await tools.run('ClientCompatibilityTest', ['--topic', topic, ...flags, ...more])
  t.pass('the tool found what it expects')
}

/** Kafka's own reader of log files, over the folder that the broker wrote. */
async function dumpLog(t: Test, tools: Tools): Promise<void> {
  const topic = uniqueName()
  await tools.create(topic, '--partitions', '1')
  for (const codec of codecs) {
    const lines = Array.from({ length: 50 }, (_, index) => `${codec} ${index}`)
    await tools.produce(topic, lines, '--compression-codec', codec)
  }
  await tools.broker.shutDown()
  const folder = join(tools.broker.dataFolder, `${topic}-0`)
  const files = readdirSync(folder).filter((name) => /\.(log|index|timeindex)$/.test(name))
  t.ok(files.length >= 3, 'a segment and its indexes')
  const paths = files.map((name) => join(folder, name)).join(',')
  const flags = ['--print-data-log', '--deep-iteration', '--index-sanity-check']
  const printed = await tools.run('DumpLogSegments', [...flags, '--files', paths])
  for (const codec of codecs) t.match(printed, new RegExp(`payload: ${codec} 49`))
  t.notMatch(printed, /corrupt|mismatch|not sane|invalid/i)
  const offsets = [...printed.matchAll(/^\| offset: (\d+)/gm)].map((each) => Number(each[1]))
  t.same(
    offsets,
    Array.from({ length: 250 }, (_, index) => index),
  )
  await tools.broker.start()
}

async function suite(broker: TestBroker, driver: Driver): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lmq-tools-'))
  const notes = new MatrixNotes('Kafka tools (Java)', driver.version)
  const feature = featureOf(notes)
  const tools = new Tools(broker, driver, folder)
  t.teardown(async () => {
    await driver.stop()
    await broker.stop()
    rmSync(folder, { recursive: true, force: true })
    notes.write('java-tools')
  })
  await feature('TopicCommand', (t) => topics(t, tools))
  await feature('ConsoleProducer, ConsoleConsumer', (t) => console_(t, tools))
  await feature('ConsoleConsumer: keys, headers, nulls', (t) => consoleParts(t, tools))
  await feature('ConsumerGroupCommand', (t) => groups(t, tools))
  await feature('ConfigCommand', (t) => configs(t, tools))
  await feature('GetOffsetShell, DeleteRecordsCommand, LogDirsCommand', (t) => offsets(t, tools))
  await feature('ProducerPerformance, ConsumerPerformance', (t) => performance_(t, tools))
  await feature('ClientCompatibilityTest', (t) => clientCompatibility(t, tools))
  if (!givenBootstrap) await feature('DumpLogSegments', (t) => dumpLog(t, tools))
}

t.setTimeout(0) // the runner limits the file
const broker = await startTestBroker()
const driver = startDriver('Java', broker.bootstrap)
if (driver) await suite(broker, driver)
else {
  await broker.stop()
  t.pass('Kafka tools', { skip: 'java is missing' })
}
