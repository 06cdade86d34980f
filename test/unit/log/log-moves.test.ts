// Goal: a log that is used goes on in another directory without losing, doubling or reordering a record.
// Method: two directories; append and read while it moves; look at the folders; cut, compact, stop and start between.
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import type { LogDirectory } from '../../../src/log/log-directory.ts'
import type { LogDirs } from '../../../src/log/log-dirs.ts'
import type { PartitionLog } from '../../../src/log/partition-log.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import {
  append,
  batchOf,
  follow,
  logSettings,
  nodeIo,
  openLogDirs,
  readAll,
  record,
  temporaryFolder,
  topicConfig,
  topicId,
} from './log-fixture.ts'

// The machine may be busy with other work, and its disk slow.
t.setTimeout(120_000)

const folders = (t: Test): [string, string] => [temporaryFolder(t), temporaryFolder(t)]
const directoryOf = (dirs: LogDirs, folder: string): LogDirectory => {
  const directory = dirs.moves.directory(folder)
  if (!directory) throw new Error(`no directory ${folder}`)
  return directory
}

/** Settings for moves of this many bytes a second. */
const at = (bytesPerSecond: number) => ({
  ...logSettings,
  'replica.alter.log.dirs.io.max.bytes.per.second': bytesPerSecond,
})

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const movedTo = (log: PartitionLog, folder: string, dirs: LogDirs) =>
  until(() => log.home.path === folder && dirs.moves.moveOf(log) === undefined)

const names = (folder: string): string[] =>
  fs.readdirSync(folder).filter((name) => name.startsWith('orders'))

const fill = async (
  io: ReturnType<typeof nodeIo>,
  log: PartitionLog,
  from: number,
  count: number,
) => {
  for (let i = from; i < from + count; i++) {
    await append(log, batchOf(io, [record(`k${i % 10}`, `v${i}`.padEnd(1000, '.'))]))
  }
}

const values = async (log: PartitionLog): Promise<string[]> =>
  (await readAll(log)).map(({ value }) => String(value).replace(/\.+$/, ''))

t.test('who looks while a log moves sees it in one place', async (t) => {
  const [from, to] = folders(t)
  const io = nodeIo(t)
  let answerOfSource = Promise.resolve()
  const disk = Object.create(io.disk) as typeof io.disk
  disk.space = async (path: string) => {
    if (path === from) await answerOfSource
    return io.disk.space(path)
  }
  const dirs = await openLogDirs({ ...io, disk }, [from, to])
  const log = follow(dirs.create('orders', 0, topicId, topicConfig({ 'segment.bytes': 100_000 })))
  await fill(io, log, 0, 300)
  const look = async () => {
    const found = await dirs.describe()
    t.same(
      found.flatMap(({ logs }) => logs),
      [log],
      'it lives somewhere',
    )
    const home = found.find(({ logs }) => logs.length > 0)?.path
    const future = found.find(({ moves }) => moves.length > 0)?.path
    t.ok(home === from || future === undefined, 'who has arrived is on no way')
    return home
  }
  // The space of the directory that it leaves is told when it has arrived.
  answerOfSource = until(() => log.home.path === to)
  const slow = look()
  dirs.moves.start(log, directoryOf(dirs, to))
  await slow
  while (dirs.moves.moveOf(log)) await look()
  t.equal(await look(), to)
  await dirs.close()
})

t.test('a log moves while it is appended to and read', async (t) => {
  const [from, to] = folders(t)
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [from, to])
  const config = topicConfig({ 'segment.bytes': 100_000, 'file.delete.delay.ms': 0 })
  const log = follow(dirs.create('orders', 0, topicId, config))
  t.equal(log.home.path, from)
  await fill(io, log, 0, 300)
  dirs.moves.start(log, directoryOf(dirs, to))
  let next = 300
  // On a busy machine appends may be faster than the copy for ever: they end some time.
  while (log.home.path === from && next < 3_000) {
    await fill(io, log, next, 10)
    next += 10
    t.equal((await log.read(0, 100, { upTo: 1, minOneBatch: true })).errorCode, ErrorCode.NONE)
  }
  await fill(io, log, next, 20)
  await movedTo(log, to, dirs)
  const expected = Array.from({ length: next + 20 }, (_, i) => `v${i}`)
  t.strictSame(await values(log), expected)
  t.same(names(to), ['orders-0'])
  await until(() => names(from).length === 0)
  t.equal(path.dirname(log.folder), to)
  const [source, target] = await dirs.describe()
  t.equal(source?.logs.length, 0)
  t.same(target?.logs, [log])
  await dirs.close()

  const again = await openLogDirs(io, [from, to])
  const reopened = follow(again.create('orders', 0, topicId, config))
  t.equal(reopened.home.path, to)
  t.strictSame(await values(reopened), expected)
  await again.close()
})

t.test('a log without files, one with a moved start, and back again', async (t) => {
  const [from, to] = folders(t)
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [from, to])
  const config = topicConfig({ 'segment.bytes': 20_000, 'file.delete.delay.ms': 0 })
  const log = follow(dirs.create('orders', 0, topicId, config))
  dirs.moves.start(log, directoryOf(dirs, to))
  await movedTo(log, to, dirs)
  t.same([...names(from), ...names(to)], [])
  await fill(io, log, 0, 100)
  t.same(names(to), ['orders-0'])
  log.highWatermark = 100
  t.equal(log.deleteRecordsBefore(50).errorCode, ErrorCode.NONE)
  dirs.moves.start(log, directoryOf(dirs, from))
  await movedTo(log, from, dirs)
  t.equal(log.logStartOffset, 50)
  t.equal((await values(log))[0], 'v50')
  t.equal(log.highWatermark, 100)
  await dirs.close()
  const again = await openLogDirs(io, [from, to])
  const reopened = follow(again.create('orders', 0, topicId, config))
  t.equal(reopened.logStartOffset, 50)
  await again.close()
})

t.test('producers and leader epochs go along', async (t) => {
  const [from, to] = folders(t)
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [from, to])
  const log = follow(dirs.create('orders', 0, topicId, topicConfig()))
  const producer = { producerId: 7, producerEpoch: 0 }
  const batch = (baseSequence: number) =>
    batchOf(io, [record('a', `${baseSequence}`)], { ...producer, baseSequence })
  await append(log, batch(0))
  await append(log, batch(1))
  dirs.moves.start(log, directoryOf(dirs, to))
  await movedTo(log, to, dirs)
  const twice = await append(log, batch(1))
  t.match(twice, { errorCode: ErrorCode.NONE, duplicate: true, baseOffset: 1 })
  t.equal((await append(log, batch(5))).errorCode, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
  t.equal((await append(log, batch(2))).baseOffset, 2)
  t.equal(log.latestEpoch, 0)
  await dirs.close()
})

t.test('a log that is cut on its way arrives cut', async (t) => {
  const [from, to] = folders(t)
  const io = nodeIo(t)
  const settings = at(2_000_000)
  const dirs = await openLogDirs(io, [from, to], { settings })
  const log = follow(dirs.create('orders', 0, topicId, topicConfig({ 'segment.bytes': 1_000_000 })))
  await fill(io, log, 0, 2500)
  dirs.moves.start(log, directoryOf(dirs, to))
  const move = dirs.moves.moveOf(log)
  await until(() => (move?.progress.sizeBytes ?? 0) > 0)
  t.ok((move?.progress.lagRecords ?? 0) > 0)
  log.highWatermark = 0
  await log.truncateTo(700)
  await fill(io, log, 10_000, 3)
  await movedTo(log, to, dirs)
  const found = await values(log)
  t.equal(found.length, 703)
  t.same(found.slice(-4), ['v699', 'v10000', 'v10001', 'v10002'])
  await dirs.close()
})

t.test('a move is called off, by asking for where the log lies or by deleting it', async (t) => {
  const [from, to] = folders(t)
  const io = nodeIo(t)
  const settings = at(1_000_000)
  const dirs = await openLogDirs(io, [from, to], { settings })
  const config = topicConfig({ 'segment.bytes': 1_000_000, 'file.delete.delay.ms': 0 })
  const log = follow(dirs.create('orders', 0, topicId, config))
  await fill(io, log, 0, 2500)
  dirs.moves.start(log, directoryOf(dirs, to))
  await until(() => names(to).length === 1)
  t.match(names(to)[0], /^orders-0\.[0-9a-f]{32}-future$/)
  const [, target] = await dirs.describe()
  t.equal(target?.moves.length, 1)
  dirs.moves.start(log, directoryOf(dirs, from))
  t.equal(dirs.moves.moveOf(log), undefined)
  await until(() => names(to).length === 0)
  t.equal(log.home.path, from)
  t.equal((await values(log)).length, 2500)

  dirs.moves.start(log, directoryOf(dirs, to))
  await until(() => names(to).length === 1)
  dirs.delete(log)
  await until(() => names(to).length === 0 && names(from).length === 0)
  await dirs.close()
})

t.test('a move that was not done goes on after a start', async (t) => {
  const [from, to] = folders(t)
  const io = nodeIo(t)
  const settings = at(100_000)
  const dirs = await openLogDirs(io, [from, to], { settings })
  const config = topicConfig({ 'segment.bytes': 1_000_000 })
  const log = follow(dirs.create('orders', 0, topicId, config))
  await fill(io, log, 0, 2500)
  dirs.moves.start(log, directoryOf(dirs, to))
  await until(() => (dirs.moves.moveOf(log)?.progress.sizeBytes ?? 0) > 0)
  await dirs.close()
  t.equal(names(to).length, 1)
  const again = await openLogDirs(io, [from, to])
  t.same(names(to), [])
  const reopened = follow(again.create('orders', 0, topicId, config))
  t.equal(reopened.home.path, from)
  await movedTo(reopened, to, again)
  t.equal((await values(reopened)).length, 2500)
  await again.close()
})

t.test('a log in two directories is served from one, and the other one is put aside', async (t) => {
  const [from, to] = folders(t)
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [from, to])
  const log = follow(dirs.create('orders', 0, topicId, topicConfig()))
  await fill(io, log, 0, 5)
  await dirs.close()
  fs.cpSync(path.join(from, 'orders-0'), path.join(to, 'orders-0'), { recursive: true })
  const again = await openLogDirs(io, [from, to])
  t.same(names(from), ['orders-0'])
  t.match(names(to), [/^orders-0\.[0-9a-f]{32}-stray$/])
  await again.close()
})

t.test('a directory for what comes later', async (t) => {
  const [from, to] = folders(t)
  const dirs = await openLogDirs(nodeIo(t), [from, to])
  dirs.moves.prefer('orders', 3, directoryOf(dirs, to))
  dirs.create('orders', 0, topicId, topicConfig())
  t.equal(dirs.create('orders', 1, topicId, topicConfig()).home.path, to)
  t.equal(dirs.create('orders', 3, topicId, topicConfig()).home.path, to, 'not the emptiest')
  t.equal(dirs.moves.takePreferred('orders-3'), undefined, 'once')
  await dirs.close()
})
