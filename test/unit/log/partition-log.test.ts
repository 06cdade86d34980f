import fs from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Logger, silentLogger } from '../../../src/base/logger.ts'
import type { Io } from '../../../src/io/io.ts'
import type { PartitionLog } from '../../../src/log/partition-log.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import {
  append,
  batchOf,
  follow,
  never,
  nodeIo,
  openLogDirs,
  readAll,
  record,
  recordsIn,
  temporaryFolder,
  topicConfig,
  topicId,
} from './log-fixture.ts'

type T = Parameters<typeof nodeIo>[0]

async function world(t: T, overrides = {}) {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [folder])
  t.teardown(() => dirs.close())
  const config = topicConfig({ 'segment.bytes': 500, 'index.interval.bytes': 100, ...overrides })
  const log = follow(dirs.create('orders', 0, topicId, config))
  const put = async (count: number, options = {}) => {
    for (let index = 0; index < count; index++) {
      const offset = log.logEndOffset
      const batch = batchOf(io, [record(`k${offset}`, `v${offset}`, 1_000 + offset)], options)
      const { errorCode } = await append(log, batch)
      if (errorCode !== ErrorCode.NONE) throw new Error(`append gives ${errorCode}`)
    }
  }
  return { folder, io, dirs, log, put, config }
}

const offsetsOf = async (log: PartitionLog) => (await readAll(log)).map(({ offset }) => offset)
const upTo = (log: PartitionLog, minOneBatch = true) => ({
  upTo: log.writtenEndOffset,
  minOneBatch,
})

t.test('what is appended is read back, before and after a restart', async (t) => {
  const { folder, io, dirs, log, config } = await world(t)
  const expected = []
  for (let index = 0; index < 100; index++) {
    const result = await append(
      log,
      batchOf(io, [record(`k${index}`, `v${index}`), record(null, 'x')]),
    )
    t.equal(result.baseOffset, index * 2)
    t.equal(result.lastOffset, index * 2 + 1)
    expected.push({ offset: index * 2, key: `k${index}`, value: `v${index}` })
    expected.push({ offset: index * 2 + 1, key: null, value: 'x' })
  }
  t.ok(log.segments.all.length > 3)
  t.same(await readAll(log), expected)
  t.same(await readAll(log, 100), expected)
  await dirs.close()
  const again = await openLogDirs(io, [folder])
  const reopened = follow(again.create('orders', 0, topicId, config))
  t.equal(reopened.logEndOffset, 200)
  t.same(await readAll(reopened), expected)
  t.same(await readAll(reopened, 100), expected)
  t.equal((await append(reopened, batchOf(io, [record('a', 'b')]))).baseOffset, 200)
  await again.close()
})

t.test('the folder is made at the first append', async (t) => {
  const { log, put } = await world(t)
  t.equal(log.logEndOffset, 0)
  t.same(await readAll(log), [])
  t.notOk(fs.existsSync(log.folder))
  await put(1)
  t.ok(fs.existsSync(`${log.folder}/00000000000000000000.log`))
  t.equal(
    fs.readFileSync(`${log.folder}/partition.metadata`, 'utf8'),
    `version: 0\ntopic_id: ${topicId}\n`,
  )
})

t.test('readers see what is written, and no more than they may', async (t) => {
  const { io, log, put } = await world(t)
  await put(5)
  const pending = log.append(batchOf(io, [record('a', 'b')]), {
    leaderEpoch: 0,
    nowMs: 2_000,
    origin: 'client',
    produceVersion: 11,
  })
  t.match(pending, { errorCode: 0, baseOffset: 5, end: 6 })
  t.equal(log.logEndOffset, 6)
  t.equal(log.writtenEndOffset, 5)
  const result = await log.read(5, 1_000, { upTo: never, minOneBatch: true })
  t.equal(result.sizeBytes, 0, 'appended, not written')
  const some = await log.read(0, 1_000, { upTo: 3, minOneBatch: true })
  t.same(
    recordsIn(some.records).map(({ offset }) => offset),
    [0, 1, 2],
  )
  t.equal((await log.read(7, 1_000, upTo(log))).errorCode, ErrorCode.OFFSET_OUT_OF_RANGE)
  t.equal((await log.read(-1, 1_000, upTo(log))).errorCode, ErrorCode.OFFSET_OUT_OF_RANGE)
})

t.test('max bytes: the first batch whole if asked, the others only if they fit', async (t) => {
  for (const fromTail of [false, true]) {
    const { log, put } = await world(t, { 'segment.bytes': 100_000 })
    if (fromTail) await log.read(0, 1, upTo(log))
    await put(10)
    const one = await log.read(0, 1, upTo(log))
    t.same(
      recordsIn(one.records).map(({ offset }) => offset),
      [0],
    )
    t.equal(one.nextOffset, 1)
    const none = await log.read(0, 1, upTo(log, false))
    t.equal(none.sizeBytes, 0)
    t.equal(none.nextOffset, 0)
    const two = await log.read(0, one.sizeBytes * 2 + 10, upTo(log, false))
    t.same(
      recordsIn(two.records).map(({ offset }) => offset),
      [0, 1],
      `tail: ${fromTail}`,
    )
  }
})

t.test('who reads at the end is served from memory in the same turn', async (t) => {
  const { log, put } = await world(t)
  await put(3)
  t.equal((await log.read(3, 1_000, upTo(log))).sizeBytes, 0)
  await put(20)
  for (let offset = 3; offset < 23; offset++) {
    const result = log.read(offset, 1, upTo(log))
    t.notOk(result instanceof Promise)
    t.equal((await result).firstOffset, offset)
  }
  t.same(
    await offsetsOf(log),
    Array.from({ length: 23 }, (_, index) => index),
  )
  log.dropTail()
  t.ok(log.read(5, 1, upTo(log)) instanceof Promise)
})

t.test('log start', async (t) => {
  const { io, folder, dirs, log, put, config } = await world(t)
  await put(30)
  t.equal(log.deleteRecordsBefore(31).errorCode, ErrorCode.OFFSET_OUT_OF_RANGE)
  t.same(log.deleteRecordsBefore(17), { errorCode: 0, logStartOffset: 17 })
  t.same(log.deleteRecordsBefore(5), { errorCode: 0, logStartOffset: 17 }, 'never back')
  t.equal((await log.read(16, 1, upTo(log))).errorCode, ErrorCode.OFFSET_OUT_OF_RANGE)
  t.same(
    await offsetsOf(log),
    Array.from({ length: 13 }, (_, index) => index + 17),
  )
  t.ok((log.segments.first?.baseOffset ?? 0) > 0, 'segments wholly below are gone')
  log.deleteRecordsBefore(30)
  t.same(await offsetsOf(log), [])
  await put(1)
  await dirs.close()
  const again = await openLogDirs(io, [folder])
  const reopened = again.create('orders', 0, topicId, config)
  t.equal(reopened.logStartOffset, 30)
  t.same(await offsetsOf(reopened), [30])
  await again.close()
})

t.test('segment.ms counts between record timestamps', async (t) => {
  const { io, log } = await world(t, { 'segment.bytes': 100_000, 'segment.ms': 1_000 })
  const at = (timestamp: number) =>
    append(log, batchOf(io, [record('a', 'b', timestamp)]), { nowMs: 100_000 })
  await at(50_000)
  await at(51_000)
  t.equal(log.segments.all.length, 1)
  await at(51_001)
  t.equal(log.segments.all.length, 2)
  await at(10)
  t.equal(log.segments.all.length, 2)
})

t.test('truncation forgets offsets, epochs and sequences', async (t) => {
  const { io, folder, dirs, log, config } = await world(t)
  for (let index = 0; index < 30; index++) {
    const producer = { producerId: 3, producerEpoch: 0, baseSequence: index }
    const batch = batchOf(io, [record('k', `v${index}`)], producer)
    await append(log, batch, { leaderEpoch: Math.floor(index / 10) })
  }
  t.same(log.endOffsetForEpoch(1), { epoch: 1, endOffset: 20 })
  await log.truncateTo(13)
  t.equal(log.logEndOffset, 13)
  t.same(log.epochs.entries, [
    { epoch: 0, startOffset: 0 },
    { epoch: 1, startOffset: 10 },
  ])
  t.same(
    await offsetsOf(log),
    Array.from({ length: 13 }, (_, index) => index),
  )
  const next = { producerId: 3, producerEpoch: 0, baseSequence: 13 }
  const result = await append(log, batchOf(io, [record('k', 'new')], next), { leaderEpoch: 5 })
  t.match(result, { errorCode: 0, baseOffset: 13 })
  t.same((await readAll(log)).at(-1), { offset: 13, key: 'k', value: 'new' })
  await dirs.close()
  const again = await openLogDirs(io, [folder])
  const reopened = again.create('orders', 0, topicId, config)
  t.equal(reopened.logEndOffset, 14)
  t.equal(reopened.latestEpoch, 5)
  await again.close()
})

t.test('retention by time and by size', async (t) => {
  const { io, log, put, dirs } = await world(t, { 'retention.bytes': 1_000, 'retention.ms': -1 })
  await put(40)
  const bytes = log.sizeBytes
  await dirs.applyRetention()
  t.ok(log.sizeBytes >= 1_000 && log.sizeBytes < bytes)
  t.equal(log.logStartOffset, log.segments.first?.baseOffset)
  dirs.setConfig(log, topicConfig({ 'retention.ms': 1_000 }))
  io.brokerClock.advance(10_000)
  await dirs.applyRetention()
  t.equal(log.logStartOffset, 40, 'the active segment goes, too')
  t.same(await offsetsOf(log), [])
  await put(1)
  t.same(await offsetsOf(log), [40])
})

t.test('retention waits for the high watermark', async (t) => {
  const { log, put, dirs } = await world(t, { 'retention.ms': 0 })
  log.listener = {}
  await put(40)
  await dirs.applyRetention()
  t.equal(log.logStartOffset, 0)
  log.highWatermark = 20
  await dirs.applyRetention()
  t.ok(log.logStartOffset > 0 && log.logStartOffset <= 20)
})

t.test('by time', async (t) => {
  const { io, log } = await world(t)
  const times = [10, 20, 15, 30, 30, 5, 40]
  for (const timestamp of times)
    await append(log, batchOf(io, [record('k', 'v'.repeat(100), timestamp)]))
  const find = async (timestamp: number, limit = never) =>
    (await log.offsetForTimestamp(timestamp, limit))?.offset
  t.equal(await find(0), 0)
  t.equal(await find(11), 1)
  t.equal(await find(21), 3)
  t.equal(await find(31), 6)
  t.equal(await find(41), undefined)
  t.equal(await find(31, 6), undefined, 'not below what the reader may see')
  t.match(await log.offsetOfMaxTimestamp(), { timestamp: 40, offset: 6, leaderEpoch: 0 })
  log.deleteRecordsBefore(4)
  t.equal(await find(0), 4)
})

t.test('a time index that is damaged after an orderly stop deceives nobody', async (t) => {
  const { folder, io, dirs, log } = await world(t)
  const dayMs = 86_400_000
  for (let offset = 0; offset < 20; offset++) {
    const batch = batchOf(io, [record('k', 'v'.repeat(30), 100 * dayMs + offset)])
    await append(log, batch, { nowMs: 100 * dayMs })
  }
  const [first] = log.segments.all
  if (!first || first === log.segments.active) throw new Error('there is one segment')
  const newest = { ...first.newest }
  await dirs.close()
  const path = first.timeIndex.path
  const sound = fs.readFileSync(path)
  // Whoever believes that the newest record is older by half deletes it.
  const config = topicConfig({ 'retention.ms': io.brokerClock.nowMs() - 50 * dayMs })
  const flipped = (bit: number) => {
    const damaged = Buffer.from(sound)
    damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    return damaged
  }
  const damages = [
    ...Array.from({ length: sound.length * 8 }, (_, bit) => [`bit ${bit}`, flipped(bit)] as const),
    ...Array.from(sound, (_, size) => [`${size} bytes`, sound.subarray(0, size)] as const),
  ]
  for (const [what, damaged] of damages) {
    fs.writeFileSync(path, damaged)
    const again = await openLogDirs(io, [folder])
    const reopened = follow(again.create('orders', 0, topicId, config))
    await again.applyRetention()
    const asked = [0, newest.offset - 1, newest.offset, newest.offset + 1]
    const found: (number | undefined)[] = []
    for (const offset of asked) {
      found.push((await reopened.offsetForTimestamp(100 * dayMs + offset, never))?.offset)
    }
    t.same([reopened.logStartOffset, ...found], [0, ...asked], what)
    await again.close()
    fs.writeFileSync(path, sound)
  }
})

t.test('not everybody who asks by time reads at once', async (t) => {
  const real = nodeIo(t)
  let [reading, most] = [0, 0]
  const io: Io = {
    ...real,
    disk: {
      ...real.disk,
      openSync: (path, mode) => {
        const file = real.disk.openSync(path, mode)
        const read = file.read.bind(file)
        file.read = async (buffer, position) => {
          most = Math.max(most, ++reading)
          try {
            return await read(buffer, position)
          } finally {
            reading--
          }
        }
        return file
      },
    },
  }
  const dirs = await openLogDirs(io, [temporaryFolder(t)])
  const logs = Array.from({ length: 200 }, (_, partition) =>
    follow(dirs.create('orders', partition, topicId, topicConfig())),
  )
  for (const log of logs) await append(log, batchOf(io, [record('k', 'v', 10)]))
  const found = await Promise.all(logs.map((log) => log.offsetForTimestamp(5, never)))
  t.same(new Set(found.map((one) => one?.offset)), new Set([0]))
  t.ok(most > 1 && most <= 32, `${most} at once`)
  await dirs.close()
})

t.test('by time inside a batch', async (t) => {
  const { io, log } = await world(t)
  await append(
    log,
    batchOf(io, [record('a', '1', 100), record('b', '1', 300), record('c', '1', 200)]),
  )
  const found = await log.offsetForTimestamp(150, never)
  t.same(found, { timestamp: 300, offset: 1, leaderEpoch: 0 })
  t.equal((await log.offsetForTimestamp(301, never))?.offset, undefined)
})

t.test('a log that is deleted frees its name at once', async (t) => {
  const { io, folder, log, put, dirs } = await world(t, { 'file.delete.delay.ms': 0 })
  await put(3)
  dirs.delete(log)
  t.equal(dirs.get('orders', 0), undefined)
  t.match(await log.read(0, 1, { upTo: 1, minOneBatch: true }), {
    errorCode: ErrorCode.KAFKA_STORAGE_ERROR,
  })
  const otherId = 'AAAAAAAAAAAAAAAAAAAAAg'
  const next = follow(dirs.create('orders', 0, otherId, topicConfig()))
  t.match(await append(next, batchOf(io, [record('a', 'b')])), { baseOffset: 0 })
  while (fs.readdirSync(folder).some((name) => name.endsWith('-delete'))) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
})

t.test('damage in what was written just now is told to its reader', async (t) => {
  const { folder, log, put } = await world(t, { 'segment.bytes': 1_000_000 })
  await put(4)
  const first = await log.read(0, 1, upTo(log))
  t.equal(first.nextOffset, 1)
  const file = `${folder}/orders-0/${'0'.repeat(20)}.log`
  const descriptor = fs.openSync(file, 'r+')
  fs.writeSync(descriptor, Buffer.from([0, 0, 0, 5]), 0, 4, first.sizeBytes + 8)
  fs.closeSync(descriptor)
  const second = await log.read(1, 1_000, upTo(log))
  t.equal(second.errorCode, ErrorCode.CORRUPT_MESSAGE)
  t.equal((await log.read(0, 1, upTo(log))).errorCode, ErrorCode.NONE)
})

t.test('files of what retention took away stay for file.delete.delay.ms', async (t) => {
  const { log, put, dirs } = await world(t, { 'retention.bytes': 600, 'file.delete.delay.ms': 300 })
  await put(40)
  await dirs.applyRetention()
  const deleted = () => fs.readdirSync(log.folder).filter((name) => name.endsWith('.deleted'))
  t.ok(deleted().some((name) => name.endsWith('.log.deleted')))
  const beganMs = performance.now()
  while (deleted().length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  t.ok(performance.now() - beganMs > 100, 'not at once')
})

t.test('recovery says in one line what it cut', async (t) => {
  const { folder, io, dirs, put, config } = await world(t, { 'segment.bytes': 1_000_000 })
  await put(10)
  await dirs.close()
  fs.rmSync(join(folder, '.kafka_cleanshutdown'))
  const file = join(folder, 'orders-0', `${'0'.repeat(20)}.log`)
  const bytes = fs.statSync(file).size
  fs.truncateSync(file, bytes - 5)
  const lines: { facts: object; message: string }[] = []
  const warn = (facts: object, message: string) => void lines.push({ facts, message })
  const logger: Logger = { ...silentLogger, warn, child: () => logger }
  const again = await openLogDirs(io, [folder], { logger })
  t.teardown(() => again.close())
  const log = follow(again.create('orders', 0, topicId, config))
  t.same(await offsetsOf(log), [0, 1, 2, 3, 4, 5, 6, 7, 8])
  const cuts = lines.filter(({ message }) => message.startsWith('recovery cut'))
  t.match(cuts, [{ facts: { log: 'orders-0', atOffset: 9, segments: 0, reason: /^cut off/ } }])
  t.equal(cuts.length, 1)
})

t.test('what was damaged between an orderly stop and the next start is not served', async (t) => {
  const { folder, io, dirs, put, config } = await world(t, { 'segment.bytes': 1_000_000 })
  await put(20)
  await dirs.close()
  const file = join(folder, 'orders-0', `${'0'.repeat(20)}.log`)
  const content = fs.readFileSync(file)
  const at = content.indexOf('v3')
  content.writeUInt8((content[at] as number) ^ 1, at)
  fs.writeFileSync(file, content)
  const again = await openLogDirs(io, [folder])
  t.teardown(() => again.close())
  const log = follow(again.create('orders', 0, topicId, config))
  await append(log, batchOf(io, [record('k', 'v')]))
  for (let i = 0; i < 2; i++) {
    const before = await log.read(0, 100_000, upTo(log))
    t.match(before, { errorCode: ErrorCode.NONE, nextOffset: 3 }, 'what stands before it')
    t.equal((await log.read(3, 100_000, upTo(log))).errorCode, ErrorCode.CORRUPT_MESSAGE)
    const behind = await log.read(4, 100_000, upTo(log))
    t.match(behind, { errorCode: ErrorCode.NONE, nextOffset: 21 }, 'and behind it')
  }
})
