// Goal: compaction leaves what Kafka's leaves: the last record of each key at its offset, tombstones until their
// horizon, producers' last batches. Method: real files and the real worker thread, the broker clock advanced by hand.
import fs from 'node:fs'
import t from 'tap'
import type { Io } from '../../../src/io/io.ts'
import { openBatch } from '../../../src/log/batch-recode.ts'
import type { LogDirs } from '../../../src/log/log-dirs.ts'
import type { PartitionLog } from '../../../src/log/partition-log.ts'
import { readRecords } from '../../../src/protocol/record.ts'
import { baseOffsetOf, batchSizeOf, recordCountOf } from '../../../src/protocol/record-batch.ts'
import {
  append,
  batchOf,
  follow,
  nodeIo,
  openLogDirs,
  readAll,
  record,
  temporaryFolder,
  topicConfig,
  topicId,
} from './log-fixture.ts'

const config = topicConfig({
  'cleanup.policy': ['compact'],
  'segment.bytes': 1_000,
  'index.interval.bytes': 100,
  'min.cleanable.dirty.ratio': 0,
  'delete.retention.ms': 10_000,
  'file.delete.delay.ms': 0,
})

type World = { io: Io; folder: string; dirs: LogDirs; log: PartitionLog }

async function world(t: Parameters<typeof nodeIo>[0], overrides = {}): Promise<World> {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [folder])
  t.teardown(() => dirs.close())
  const log = follow(dirs.create('table', 0, topicId, { ...config, ...overrides }))
  return { io, folder, dirs, log }
}

async function put(
  { io, log }: World,
  pairs: readonly (readonly [string, string | null])[],
  options = {},
): Promise<void> {
  const nowMs = io.brokerClock.nowMs()
  const records = pairs.map(([key, value]) => record(key, value, nowMs))
  const result = await append(log, batchOf(io, records, options), { nowMs })
  if (result.errorCode !== 0) throw new Error(`append gives ${result.errorCode}`)
}

/** Everything before this is in closed segments. */
function roll({ io, log }: World): void {
  log.roll(io.brokerClock.nowMs())
}

t.test('the last value of each key stays, at its offset', async (t) => {
  const w = await world(t)
  const last = new Map<string, { offset: number; key: string; value: string }>()
  for (let index = 0; index < 300; index++) {
    const key = `k${index % 7}`
    await put(w, [[key, `v${index}`]])
    last.set(key, { offset: index, key, value: `v${index}` })
  }
  roll(w)
  await put(w, [['tail', 'x']])
  const sizeBefore = w.log.sizeBytes
  await w.dirs.applyCompaction()
  const kept = [...last.values()].sort((a, b) => a.offset - b.offset)
  const expected = [...kept, { offset: 300, key: 'tail', value: 'x' }]
  t.same(await readAll(w.log), expected)
  t.same(await readAll(w.log, 80), expected)
  t.ok(w.log.sizeBytes < sizeBefore / 10)
  t.equal(w.log.logEndOffset, 301)
  t.equal(w.log.cleanedOffset, 300)
  const names = fs.readdirSync(w.log.folder)
  t.notOk(names.some((name) => name.endsWith('.cleaned') || name.endsWith('.swap')))
  await w.dirs.close()
  const again = await openLogDirs(w.io, [w.folder])
  const log = follow(again.create('table', 0, topicId, config))
  t.same(await readAll(log), expected)
  t.equal(log.cleanedOffset, 300)
  await again.close()
})

t.test('a tombstone stays until its horizon has passed', async (t) => {
  const w = await world(t)
  await put(w, [
    ['a', '1'],
    ['b', '1'],
  ])
  await put(w, [['a', null]])
  roll(w)
  await put(w, [['c', '1']])
  await w.dirs.applyCompaction()
  const withTombstone = [
    { offset: 1, key: 'b', value: '1' },
    { offset: 2, key: 'a', value: null },
    { offset: 3, key: 'c', value: '1' },
  ]
  t.same(await readAll(w.log), withTombstone)
  roll(w)
  await put(w, [['d', '1']])
  await w.dirs.applyCompaction()
  t.same((await readAll(w.log)).slice(0, 3), withTombstone, 'not yet')
  w.io.brokerClock.advance(10_001)
  roll(w)
  await put(w, [['e', '1']])
  await w.dirs.applyCompaction()
  t.same(
    (await readAll(w.log)).map(({ key }) => key),
    ['b', 'c', 'd', 'e'],
  )
})

t.test("a producer's last batch stays as an empty one", async (t) => {
  const w = await world(t)
  await put(w, [['a', '1']], { producerId: 7, producerEpoch: 0, baseSequence: 0 })
  await put(w, [['a', '2']], { producerId: 7, producerEpoch: 0, baseSequence: 1 })
  await put(w, [['a', '3']])
  roll(w)
  await put(w, [['z', '1']])
  await w.dirs.applyCompaction()
  t.same(
    (await readAll(w.log)).map(({ offset }) => offset),
    [2, 3],
  )
  // A restart that has lost its snapshots must find the producer in the log.
  await w.dirs.close()
  for (const name of fs.readdirSync(w.log.folder)) {
    if (name.endsWith('.snapshot')) fs.rmSync(`${w.log.folder}/${name}`)
  }
  const dirs = await openLogDirs(w.io, [w.folder])
  const log = follow(dirs.create('table', 0, topicId, config))
  const next = { producerId: 7, producerEpoch: 0, baseSequence: 2 }
  t.equal((await append(log, batchOf(w.io, [record('a', '4')], next))).baseOffset, 4)
  await dirs.close()
})

t.test('min.compaction.lag.ms keeps young records as they are', async (t) => {
  const w = await world(t, { 'min.compaction.lag.ms': 5_000 })
  await put(w, [['a', '1']])
  await put(w, [['a', '2']])
  roll(w)
  await put(w, [['z', '1']])
  await w.dirs.applyCompaction()
  t.equal((await readAll(w.log)).length, 3)
  w.io.brokerClock.advance(6_000)
  await w.dirs.applyCompaction()
  t.equal((await readAll(w.log)).length, 2)
})

t.test('max.compaction.lag.ms makes a log due that is clean enough', async (t) => {
  const w = await world(t, { 'min.cleanable.dirty.ratio': 1, 'max.compaction.lag.ms': 5_000 })
  await put(w, [['a', '1']])
  await put(w, [['a', '2']])
  roll(w)
  await put(w, [['z', '1']])
  await w.dirs.applyCompaction()
  t.equal((await readAll(w.log)).length, 3)
  w.io.brokerClock.advance(6_000)
  await w.dirs.applyCompaction()
  t.equal((await readAll(w.log)).length, 2)
})

t.test('aborted records go at once, markers when nothing of theirs is left', async (t) => {
  const w = await world(t)
  const nowMs = w.io.brokerClock.nowMs()
  const write = async (key: string | null, options: object) => {
    const records = [
      key === null
        ? {
            key: Buffer.from([0, 0, 0, (options as { type: number }).type]),
            value: Buffer.alloc(6),
            timestamp: nowMs,
          }
        : record(key, 'x', nowMs),
    ]
    const batch = batchOf(w.io, records, { transactional: true, producerEpoch: 0, ...options })
    await append(w.log, batch, { nowMs, origin: 'coordinator' })
  }
  const abort = { control: true, type: 0 }
  const commit = { control: true, type: 1 }
  await put(w, [['a', 'kept']])
  await write('a', { producerId: 1, baseSequence: 0 })
  await write('b', { producerId: 2, baseSequence: 0 })
  await write(null, { producerId: 1, ...abort })
  t.equal(w.log.lastStableOffset, 2, 'producer 2 holds readers back')
  await write(null, { producerId: 2, ...commit })
  t.equal(w.log.lastStableOffset, 5)
  t.match(await w.log.abortedTransactions(0, 5), [{ producerId: 1, firstOffset: 1, lastOffset: 3 }])
  for (const producerId of [1, 2]) await write('other', { producerId, baseSequence: 1 })
  for (const producerId of [1, 2]) await write(null, { producerId, ...commit })
  roll(w)
  await put(w, [['z', '1']])
  await w.dirs.applyCompaction()
  const state = (await readAll(w.log)).map(({ key, value }) => `${key}=${value}`)
  t.same(state, ['a=kept', 'b=x', 'other=x', 'z=1'])
  t.same(await w.log.abortedTransactions(0, 10), [], 'nothing of it is left to be skipped')
  // Its marker gets a horizon, then it goes.
  for (let round = 0; round < 2; round++) {
    w.io.brokerClock.advance(10_001)
    roll(w)
    await put(w, [['z', String(round)]])
    await w.dirs.applyCompaction()
  }
  t.same(await w.log.abortedTransactions(0, 10), [])
  const { records } = await w.log.read(0, 1_000_000, {
    upTo: w.log.writtenEndOffset,
    minOneBatch: true,
  })
  const offsets = new Set<number>()
  for (const part of records) {
    for (let at = 0; at < part.length; at += batchSizeOf(part, at))
      offsets.add(baseOffsetOf(part, at))
  }
  t.notOk(offsets.has(3), 'the abort marker is gone')
  t.ok(offsets.has(4), 'the marker of a record that is still there is not')
})

t.test('compressed batches are opened and closed again', async (t) => {
  const w = await world(t, { 'compression.type': 'gzip' })
  for (let index = 0; index < 20; index++) {
    await put(w, [
      [`k${index % 3}`, `v${index}`.repeat(50)],
      [`once${index}`, 'x'],
    ])
  }
  roll(w)
  await put(w, [['z', '1']])
  await w.dirs.applyCompaction()
  const offsets: number[] = []
  for (let offset = 0; offset < w.log.logEndOffset; ) {
    const { records, nextOffset } = await w.log.read(offset, 1_000_000, {
      upTo: w.log.writtenEndOffset,
      minOneBatch: true,
    })
    for (const part of records) offsets.push(...(await offsetsIn(w.io, part)))
    offset = nextOffset
  }
  const once = Array.from({ length: 20 }, (_, index) => index * 2 + 1)
  t.same(
    offsets,
    [...once, 34, 36, 38, 40].sort((a, b) => a - b),
  )
})

async function offsetsIn(io: Io, part: Buffer): Promise<number[]> {
  const found: number[] = []
  for (let at = 0; at < part.length; at += batchSizeOf(part, at)) {
    const batch = part.subarray(at, at + batchSizeOf(part, at))
    const records = readRecords(await openBatch(io, batch), recordCountOf(batch, 0))
    found.push(...records.map(({ offsetDelta }) => baseOffsetOf(batch, 0) + offsetDelta))
  }
  return found
}

t.test('a batch with more keys than the map holds is no reason to go on for ever', async (t) => {
  const at = await world(t)
  const values = Array.from({ length: 45_000 }, (_, index) => [`k${index}`, 'v'] as const)
  await put(at, values)
  roll(at)
  await put(at, [['k1', 'new']])
  await at.dirs.applyCompaction()
  t.equal(at.log.cleanedOffset, -1, 'nothing is called clean')
  t.equal((await readAll(at.log)).length, 45_001)
})

t.test('a round that fails leaves no files behind', async (t) => {
  const made = await world(t)
  const { dirs, log, folder } = made
  for (let i = 0; i < 4; i++) await put(made, [[`k${i % 2}`, 'v'.repeat(300)]])
  roll(made)
  await put(made, [['z', '1']])
  const [first] = log.segments.all
  const path = first?.file.path ?? ''
  // The length of the second batch is damaged after the round has begun.
  const second = fs.readFileSync(path).readInt32BE(8) + 12
  const { run } = made.io.jobs
  made.io.jobs.run = async (...call) => {
    fs.writeFileSync(path.replace('.log', '.log.cleaned'), 'half')
    const file = fs.openSync(path, 'r+')
    fs.writeSync(file, Buffer.alloc(4, 0xff), 0, 4, second + 8)
    fs.closeSync(file)
    return run.apply(made.io.jobs, call) as never
  }
  await dirs.applyCompaction()
  t.same(
    fs.readdirSync(`${folder}/table-0`).filter((name) => /cleaned|swap/.test(name)),
    [],
  )
})

t.test('compact,delete: newest values stay, and what is too old goes', async (t) => {
  const w = await world(t, { 'cleanup.policy': ['compact', 'delete'], 'retention.ms': 60_000 })
  for (let index = 0; index < 100; index++) await put(w, [[`k${index % 5}`, `v${index}`]])
  roll(w)
  await w.dirs.applyCompaction()
  const values = async () => (await readAll(w.log)).map(({ value }) => value)
  t.same(await values(), ['v95', 'v96', 'v97', 'v98', 'v99'])
  await w.dirs.applyRetention()
  t.same(await values(), ['v95', 'v96', 'v97', 'v98', 'v99'], 'young enough')
  w.io.brokerClock.advance(120_000)
  await put(w, [['k0', 'young']])
  await w.dirs.applyRetention()
  t.same(await values(), ['young'])
  t.equal(w.log.logStartOffset, 100)
})
