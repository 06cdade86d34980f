// kcat (librdkafka) as people use it on a command line.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startTestBroker } from './harness/broker.ts'
import { startDriver } from './harness/client-drivers.ts'
import { featureOf, uniqueName, until } from './harness/context.ts'
import { codecs, type Driver } from './harness/driver.ts'
import { Kcat, type Member } from './harness/kcat.ts'
import { MatrixNotes } from './harness/matrix.ts'
import { kcatVersion, type Tool, tool, whyMissing } from './harness/tools.ts'

const kcat = tool('kcat')

/** It has no admin calls, resets offsets only of a group that it joins, and takes header values from its arguments. */
const notInKcat = [
  ...['binary header values', 'create and delete topics', 'add partitions', 'topic settings'],
  ...['broker settings', 'list and describe groups', 'delete groups', 'reset group offsets'],
  ...['delete group offsets', 'delete records'],
]

async function suite(kcat: Tool): Promise<void> {
  t.setTimeout(0) // the runner limits the file
  const broker = await startTestBroker()
  const folder = mkdtempSync(join(tmpdir(), 'lmq-kcat-'))
  const notes = new MatrixNotes('kcat', kcatVersion(kcat))
  const feature = featureOf(notes)
  for (const each of notInKcat) notes.note(each, 'none')
  const other = startDriver('kafkajs', broker.bootstrap) as Driver
  t.teardown(async () => {
    await other.stop()
    await broker.stop()
    rmSync(folder, { recursive: true, force: true })
    notes.write('kcat')
  })
  const run = new Kcat(kcat.path, broker, folder)

  for (const codec of codecs) {
    await feature(`codec ${codec}`, (t) => roundTrip(t, run, ['-z', codec]))
  }
  await feature('keys choose partitions', (t) => keys(t, run))
  await feature('headers', (t) => headers(t, run))
  await feature('empty header values', (t) => emptyHeader(t, run))
  await feature('null header values', (t) => nullHeader(t, run))
  await feature('null keys and values', (t) => nulls(t, run))
  await feature('neither key nor value', (t) => nothing(t, run))
  await feature('empty keys and values', (t) => empties(t, run))
  await feature('timestamps', (t) => timestamps(t, run, other))
  await feature('log append time', (t) => logAppendTime(t, run, other))
  await feature('large records', (t) => large(t, run))
  await feature('acks 0, 1, all', async (t) => {
    for (const acks of ['0', '1', 'all']) await roundTrip(t, run, ['-X', `acks=${acks}`])
  })
  await feature('idempotent producer', (t) => roundTrip(t, run, ['-X', 'enable.idempotence=true']))
  await feature('group shares partitions', (t) => sharing(t, run, 'range'))
  await feature('cooperative rebalance', (t) => sharing(t, run, 'cooperative-sticky'))
  await feature('committed offsets', (t) => resuming(t, run))
  await feature('static membership', (t) => staticMember(t, run))
  await feature('offsets by time', (t) => offsetsByTime(t, run))
  await feature('offset of highest timestamp', (t) => highestTimestamp(t, run, other))
  await feature('describe cluster', (t) => metadata(t, run))
  await feature('auto-created topics', (t) => autoCreated(t, run))
}

async function roundTrip(t: Test, kcat: Kcat, args: readonly string[]): Promise<void> {
  const topic = uniqueName()
  const lines = Array.from(
    { length: 1_000 },
    (_, index) => `line ${index} ${'again '.repeat(index % 40)}`,
  )
  await kcat.produce(topic, lines, ['-p', '0', ...args])
  const found = await kcat.consume(topic)
  t.same(
    found.map((message) => message.payload),
    lines,
  )
  t.same(
    found.map((message) => message.offset),
    lines.map((_, index) => index),
  )
}

async function keys(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  const lines = Array.from({ length: 60 }, (_, index) => `key${index % 10}=${index}`)
  await kcat.produce(topic, lines, ['-K', '='])
  const found = await kcat.consume(topic)
  t.equal(found.length, lines.length)
  for (let key = 0; key < 10; key++) {
    const own = found.filter((message) => message.key === `key${key}`)
    t.equal(new Set(own.map((message) => message.partition)).size, 1)
    t.same(
      own.map((message) => Number(message.payload)),
      [0, 10, 20, 30, 40, 50].map((tens) => tens + key),
    )
  }
}

async function headers(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['v'], ['-H', 'a=1', '-H', 'b=3', '-H', 'a=2'])
  const [message] = await kcat.consume(topic)
  t.same(message?.headers, ['a', '1', 'b', '3', 'a', '2'])
}

async function emptyHeader(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['v'], ['-H', 'empty='])
  const [message] = await kcat.consume(topic)
  t.same(message?.headers, ['empty', ''])
}

async function nullHeader(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['v'], ['-H', 'nothing'])
  const [message] = await kcat.consume(topic)
  t.same(message?.headers, ['nothing', null])
}

async function nulls(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['k=', '=v', 'both=here'], ['-p', '0', '-Z', '-K', '='])
  const found = await kcat.consume(topic)
  t.same(
    found.map(({ key, payload }) => [key, payload]),
    [
      ['k', null],
      [null, 'v'],
      ['both', 'here'],
    ],
  )
}

async function nothing(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['='], ['-p', '0', '-Z', '-K', '='])
  await kcat.produce(topic, ['='], ['-p', '0', '-Z', '-K', '=', '-H', 'only=header'])
  const found = await kcat.consume(topic)
  t.same(
    found.map(({ key, payload, headers = [] }) => [key, payload, headers]),
    [
      [null, null, []],
      [null, null, ['only', 'header']],
    ],
  )
}

/** Without -Z nothing is an empty text, not null. */
async function empties(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['k=', '=v', '='], ['-p', '0', '-K', '='])
  const found = await kcat.consume(topic)
  t.same(
    found.map(({ key, payload }) => [key, payload]),
    [
      ['k', ''],
      ['', 'v'],
      ['', ''],
    ],
  )
}

const setTimes = [1, 1_600_000_000_000, 1_600_000_000_001]

/** kcat cannot set a time: another client does. */
async function produceAt(other: Driver, topic: string, times: readonly number[], configs = {}) {
  const wanted = { name: topic, partitions: 1, replicationFactor: 1, configs }
  await other.call('createTopics', { topics: [wanted] })
  const value = Buffer.from('v').toString('base64')
  const records = times.map((timestampMs) => ({ key: null, value, partition: 0, timestampMs }))
  await other.call('produce', { topic, records })
}

/** As kcat prints them with %T. */
async function printedTimes(kcat: Kcat, topic: string): Promise<number[]> {
  const text = await kcat.run(['-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-f', '%T\\n'])
  return text.trim().split('\n').map(Number)
}

async function logAppendTime(t: Test, kcat: Kcat, other: Driver): Promise<void> {
  const topic = uniqueName()
  const before = Date.now() - 60_000
  await produceAt(other, topic, setTimes, { 'message.timestamp.type': 'LogAppendTime' })
  await kcat.produce(topic, ['its own'])
  const found = await kcat.consume(topic)
  t.equal(found.length, 4)
  t.ok(
    found.every(({ ts }) => ts > before),
    'the broker set the time',
  )
  const times = found.map(({ ts }) => ts)
  t.same(await printedTimes(kcat, topic), times)
}

async function timestamps(t: Test, kcat: Kcat, other: Driver): Promise<void> {
  const given = uniqueName()
  await produceAt(other, given, setTimes)
  t.same(await printedTimes(kcat, given), setTimes, 'the times that a client set')
  const topic = uniqueName()
  const before = Date.now()
  await kcat.produce(topic, ['now'])
  const [message] = await kcat.consume(topic)
  const { ts = 0 } = message ?? {}
  t.ok(ts >= before && ts <= Date.now() + 1, 'the time of the client')
}

async function large(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  const text = 'a longer text that compresses somewhat 0123456789 '.repeat(18_000).slice(0, 900_000)
  await kcat.produceFile(topic, 'large', text, ['-X', 'message.max.bytes=1000000'])
  await kcat.produceFile(topic, 'large', text, ['-X', 'message.max.bytes=1000000', '-z', 'lz4'])
  const found = await kcat.consume(topic)
  t.equal(found.length, 2)
  t.ok(found.every((message) => message.payload === text))
}

const six = Array.from({ length: 6 }, (_, partition) => partition)

/** Six partitions need an admin call that kcat lacks, so one producer adds to each of six topics of one partition. */
async function sharing(t: Test, kcat: Kcat, assignor: string): Promise<void> {
  const prefix = uniqueName()
  for (const index of six) await kcat.produce(`${prefix}-${index}`, [`first ${index}`], ['-p', '0'])
  const settings = [
    `partition.assignment.strategy=${assignor === 'range' ? 'roundrobin' : assignor}`,
    'enable.auto.commit=true',
    'auto.commit.interval.ms=100',
    'topic.metadata.refresh.interval.ms=500',
  ]
  const pattern = `^${prefix}-.*`
  const first = kcat.member(`g-${prefix}`, pattern, settings)
  await readBy(t, [first], 6, 'first')
  const second = kcat.member(`g-${prefix}`, pattern, settings)
  try {
    await bothRead(kcat, prefix, [first, second])
    t.pass('both members read')
    await first.leave()
    for (const index of six)
      await kcat.produce(`${prefix}-${index}`, [`last ${index}`], ['-p', '0'])
    await readBy(t, [second], 6, 'last')
  } finally {
    await Promise.all([first.leave(), second.leave()])
  }
}

/** Produces round after round until one round was read in part by each member. */
async function bothRead(kcat: Kcat, prefix: string, members: readonly Member[]): Promise<void> {
  let round = 0
  const share = async () => {
    const word = `round ${round++} `
    for (const index of six)
      await kcat.produce(`${prefix}-${index}`, [`${word}${index}`], ['-p', '0'])
    await until(
      'the round is read',
      async () => countOf(members, word),
      (count) => count >= 6,
    )
    return members.map((member) => countOf([member], word))
  }
  await until('both members read', share, (counts) => counts.every((count) => count > 0))
}

function countOf(members: readonly Member[], word: string): number {
  const all = members.flatMap((member) => member.messages)
  return all.filter((message) => message.payload?.startsWith(word)).length
}

async function readBy(t: Test, members: readonly Member[], count: number, word: string) {
  const read = async () => countOf(members, word)
  t.equal(await until(`${count} messages "${word}"`, read, (now) => now >= count), count)
}

async function resuming(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['first 1', 'first 2'], ['-p', '0'])
  const member = kcat.member(`g-${topic}`, topic, [])
  await readBy(t, [member], 2, 'first')
  await member.leave()
  await kcat.produce(topic, ['second 1'], ['-p', '0'])
  const again = kcat.member(`g-${topic}`, topic, [])
  await readBy(t, [again], 1, 'second')
  t.equal(countOf([again], 'first'), 0, 'what was committed at the end is not read again')
  await again.leave()
}

async function staticMember(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['first 1'], ['-p', '0'])
  const settings = [`group.instance.id=${topic}`]
  const member = kcat.member(`g-${topic}`, topic, settings)
  await readBy(t, [member], 1, 'first')
  await member.leave()
  await kcat.produce(topic, ['second 1'], ['-p', '0'])
  const again = kcat.member(`g-${topic}`, topic, settings)
  await readBy(t, [again], 1, 'second')
  await again.leave()
}

async function offsetsByTime(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['1', '2', '3'], ['-p', '0'])
  const found = await kcat.consume(topic)
  const query = (at: number | string) => kcat.run(['-Q', '-t', `${topic}:0:${at}`])
  t.match(await query(-2), /\[0\] offset 0/)
  t.match(await query(-1), /\[0\] offset 3/)
  const third = found[2]?.ts ?? 0
  const expected = found.findIndex((message) => message.ts >= third)
  t.match(await query(third), new RegExp(`\\[0\\] offset ${expected}`))
}

async function highestTimestamp(t: Test, kcat: Kcat, other: Driver): Promise<void> {
  const topic = uniqueName()
  const start = 1_700_000_000_000
  await produceAt(other, topic, [start, start + 500, start + 20])
  t.match(await kcat.run(['-Q', '-t', `${topic}:0:-3`]), /\[0\] offset 1\b/)
}

async function metadata(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['1'])
  const found = JSON.parse(await kcat.run(['-L', '-J'])) as {
    brokers: unknown[]
    topics: { topic: string; partitions: { leader: number }[] }[]
  }
  t.ok(found.brokers.length >= 1)
  const [described] = found.topics.filter((each) => each.topic === topic)
  t.ok(described?.partitions.every((partition) => partition.leader >= 0))
}

async function autoCreated(t: Test, kcat: Kcat): Promise<void> {
  const topic = uniqueName()
  await kcat.produce(topic, ['made on demand'])
  const [message] = await kcat.consume(topic)
  t.equal(message?.payload, 'made on demand')
}

if (kcat) await suite(kcat)
else t.pass('kcat', { skip: whyMissing('kcat') })
