// What a client writes it reads back: codecs, keys, headers, nulls, timestamps, sizes, acks, order.
import type { Test } from 'tap'
import type { Context } from '../harness/context.ts'
import { codecs, type Incoming, type Outcome, type Outgoing } from '../harness/driver.ts'

const largeBytes = 900_000

const base64 = (text: string | Buffer) => Buffer.from(text).toString('base64')

export async function produceAndConsume(context: Context): Promise<void> {
  for (const codec of codecs) {
    await context.feature(`codec ${codec}`, async (t) => {
      const records = Array.from({ length: 200 }, (_, index) => ({
        key: base64(`key-${index % 7}`),
        value: base64(`value ${index} ${'compressible '.repeat(index % 50)}`),
        headers: [['index', base64(String(index))]] as [string, string][],
        partition: index % 3,
      }))
      await sameAfterRoundTrip(t, context, records, { codec })
    })
  }
  await context.feature('keys choose partitions', (t) => keysChoosePartitions(t, context))
  await context.feature('headers', (t) =>
    sameAfterRoundTrip(t, context, [
      { ...plain, headers: [] },
      {
        ...plain,
        headers: [
          ['trace', base64('first')],
          ['trace', base64('second')],
        ],
      },
    ]),
  )
  await context.feature('empty header values', (t) =>
    sameAfterRoundTrip(t, context, [{ ...plain, headers: [['empty', '']] }]),
  )
  await context.feature('binary header values', (t) =>
    sameAfterRoundTrip(t, context, [
      { ...plain, headers: [['bytes', base64(Buffer.from([0, 255, 128, 10]))]] },
    ]),
  )
  await context.feature('null header values', (t) =>
    sameAfterRoundTrip(t, context, [{ ...plain, headers: [['nothing', null]] }]),
  )
  await context.feature('null keys and values', (t) =>
    sameAfterRoundTrip(t, context, [
      { key: base64('gone'), value: null, partition: 0 },
      { key: null, value: base64('no key'), partition: 0 },
    ]),
  )
  await context.feature('neither key nor value', (t) =>
    sameAfterRoundTrip(t, context, [
      { key: null, value: null, partition: 0 },
      { key: null, value: null, headers: [['only', base64('header')]], partition: 0 },
    ]),
  )
  await context.feature('empty keys and values', (t) =>
    sameAfterRoundTrip(t, context, [
      { key: '', value: base64('empty key'), partition: 0 },
      { key: base64('empty value'), value: '', partition: 0 },
    ]),
  )
  await context.feature('timestamps', (t) => timestamps(t, context))
  await context.feature('log append time', (t) => logAppendTime(t, context))
  await context.feature('large records', (t) => largeRecords(t, context))
  await context.feature('acks 0, 1, all', (t) => acknowledgements(t, context))
  await context.feature('idempotent producer', async (t) => {
    const records = Array.from({ length: 500 }, (_, index) => ({
      ...plain,
      value: base64(String(index)),
      partition: index % 2,
    }))
    await sameAfterRoundTrip(t, context, records, { idempotent: true })
  })
  await context.feature('auto-created topics', async (t) => {
    const { driver, topic } = context
    const name = topic()
    const records = [{ key: null, value: plain.value }]
    const { outcomes } = await driver.call('produce', { topic: name, records })
    t.same(outcomes, [{ partition: 0, offset: 0 }])
    const found = await driver.call('consume', { topic: name })
    t.equal((found['records'] as Incoming[]).length, 1)
  })
}

const plain: Outgoing = { key: base64('k'), value: base64('v'), partition: 0 }

/** Produces, checks the offsets that the client was told, reads back, and compares in order per partition. */
async function sameAfterRoundTrip(
  t: Test,
  { driver, topic }: Context,
  records: readonly Outgoing[],
  options: object = {},
): Promise<Incoming[]> {
  const name = topic()
  const { results } = (await driver.call('createTopics', {
    topics: [{ name, partitions: 3, replicationFactor: 1 }],
  })) as { results: object }
  t.same(results, { [name]: null })
  const { outcomes } = await driver.call('produce', { topic: name, records, ...options })
  const { records: found } = await driver.call('consume', { topic: name })
  compare(t, records, outcomes as Outcome[], found as Incoming[])
  return found as Incoming[]
}

function compare(
  t: Test,
  sent: readonly Outgoing[],
  outcomes: readonly Outcome[],
  found: readonly Incoming[],
): void {
  t.equal(found.length, sent.length, 'as many records as were sent')
  const byPlace = new Map(found.map((record) => [`${record.partition}:${record.offset}`, record]))
  const wrong: unknown[] = []
  for (const [index, record] of sent.entries()) {
    const outcome = outcomes[index]
    const place = outcome && 'offset' in outcome ? `${outcome.partition}:${outcome.offset}` : ''
    const back = byPlace.get(place)
    const same =
      back !== undefined &&
      back.key === record.key &&
      back.value === record.value &&
      sameHeaders(back.headers, record.headers ?? []) &&
      (record.timestampMs === undefined || back.timestampMs === record.timestampMs)
    if (!same) wrong.push({ record: preview(record), outcome, back: back && preview(back) })
  }
  t.same(wrong.slice(0, 3), [], 'each record is at the offset that was acknowledged')
}

/** Clients that keep headers by name lose the order between names, not within one. */
function sameHeaders(a: readonly [string, string | null][], b: readonly [string, string | null][]) {
  const sorted = (headers: readonly [string, string | null][]) =>
    JSON.stringify(headers.toSorted((x, y) => (x[0] === y[0] ? 0 : x[0] < y[0] ? -1 : 1)))
  return sorted(a) === sorted(b)
}

const preview = (record: Outgoing) => ({ ...record, value: record.value?.slice(0, 60) })

async function keysChoosePartitions(t: Test, { driver, topic }: Context): Promise<void> {
  const name = topic()
  await driver.call('createTopics', { topics: [{ name, partitions: 5, replicationFactor: 1 }] })
  const keys = Array.from({ length: 40 }, (_, index) => `key ${index % 20}`)
  const records = keys.map((key, index) => ({ key: base64(key), value: base64(String(index)) }))
  await driver.call('produce', { topic: name, records })
  const { records: found } = (await driver.call('consume', { topic: name })) as {
    records: Incoming[]
  }
  t.equal(found.length, keys.length)
  const places = new Map<string | null, Set<number>>()
  for (const { key, partition } of found) {
    places.set(key, (places.get(key) ?? new Set()).add(partition))
  }
  t.equal(places.size, 20)
  t.ok([...places.values()].every((partitions) => partitions.size === 1))
  t.ok(new Set(found.map((record) => record.partition)).size > 1, 'several partitions are used')
}

const timedRecords = [1, 1_600_000_000_000, 1_600_000_000_001].map((timestampMs) => ({
  ...plain,
  timestampMs,
}))

async function timestamps(t: Test, context: Context): Promise<void> {
  await sameAfterRoundTrip(t, context, timedRecords)
}

/** The broker's clock takes the place of the times that the records came with. */
async function logAppendTime(t: Test, { driver, topic }: Context): Promise<void> {
  const name = topic()
  const configs = { 'message.timestamp.type': 'LogAppendTime' }
  await driver.call('createTopics', {
    topics: [{ name, partitions: 1, replicationFactor: 1, configs }],
  })
  const before = Date.now() - 60_000
  await driver.call('produce', { topic: name, records: timedRecords })
  const { records: found } = (await driver.call('consume', { topic: name })) as {
    records: Incoming[]
  }
  t.equal(found.length, 3)
  t.ok(
    found.every((record) => record.timestampMs > before),
    'the broker set the time',
  )
}

async function largeRecords(t: Test, context: Context): Promise<void> {
  const noise = Buffer.alloc(largeBytes, 'a moderately compressible text. ')
  for (let at = 0; at < noise.length; at += 997) noise[at] = (at * 31) & 0xff
  const records = Array.from({ length: 4 }, (_, index) => ({
    ...plain,
    value: base64(noise.subarray(index)),
  }))
  await sameAfterRoundTrip(t, context, records)
  await sameAfterRoundTrip(t, context, records, { codec: 'gzip' })
}

async function acknowledgements(t: Test, { driver, topic }: Context): Promise<void> {
  const name = topic()
  await driver.call('createTopics', { topics: [{ name, partitions: 1, replicationFactor: 1 }] })
  for (const acks of [0, 1, 'all']) {
    await driver.call('produce', {
      topic: name,
      acks,
      records: Array.from({ length: 10 }, () => ({ ...plain, value: base64(String(acks)) })),
    })
  }
  const { records } = (await driver.call('consume', { topic: name })) as { records: Incoming[] }
  const values = records.map((record) => Buffer.from(record.value ?? '', 'base64').toString())
  const count = (acks: string) => values.filter((value) => value === acks).length
  t.same([count('0'), count('1'), count('all')], [10, 10, 10])
}
