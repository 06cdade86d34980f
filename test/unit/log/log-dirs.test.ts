import fs from 'node:fs'
import t, { type Test } from 'tap'
import { storedIdentity } from '../../../src/log/meta-properties.ts'
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
  temporaryFolder,
  topicConfig,
  topicId,
} from './log-fixture.ts'

// The machine may be busy with other work, and its disk slow.
t.setTimeout(120_000)

const otherId = 'AAAAAAAAAAAAAAAAAAAAAg'

t.test('one broker a folder', async (t) => {
  const folder = temporaryFolder(t)
  const dirs = await openLogDirs(nodeIo(t), [folder])
  await t.rejects(openLogDirs(nodeIo(t), [folder]), { code: 'LMQ_LOG_DIR_TAKEN' })
  await dirs.close()
  const again = await openLogDirs(nodeIo(t), [folder])
  await again.close()
})

t.test("another cluster's or broker's folder is refused, and free afterwards", async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  t.equal(storedIdentity(io, [folder]), undefined)
  await (await openLogDirs(io, [folder])).close()
  t.same(storedIdentity(io, [folder]), { clusterId: 'BBBBBBBBBBBBBBBBBBBBBQ', brokerId: 1 })
  await t.rejects(openLogDirs(io, [folder], { brokerId: 2 }), { code: 'LMQ_LOG_DIR_FOREIGN' })
  const foreign = await openLogDirs(io, [folder], { clusterId: 'x' }).catch((error) => error)
  t.match(foreign, { code: 'LMQ_LOG_DIR_FOREIGN' })
  t.same(Object.keys(foreign.facts.expected), ['clusterId', 'brokerId'], 'no setting is told')
  await (await openLogDirs(io, [folder])).close()
})

t.test('an orderly stop leaves its mark, and the mark is good for one start', async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const mark = `${folder}/.kafka_cleanshutdown`
  const dirs = await openLogDirs(io, [folder])
  t.notOk(fs.existsSync(mark))
  const log = follow(dirs.create('orders', 0, topicId, topicConfig()))
  await append(log, batchOf(io, [record('a', 'b')]))
  await dirs.close(17)
  t.same(JSON.parse(fs.readFileSync(mark, 'utf8')), { version: 0, brokerEpoch: 17 })
  const saved = /^0\n1\norders 0 1[ \t]{32}\n$/
  t.match(fs.readFileSync(`${folder}/recovery-point-offset-checkpoint`, 'utf8'), saved)
  t.match(fs.readFileSync(`${folder}/replication-offset-checkpoint`, 'utf8'), saved)
  const again = await openLogDirs(io, [folder])
  t.notOk(fs.existsSync(mark))
  const reopened = again.create('orders', 0, topicId, topicConfig())
  t.equal(reopened.state, 'unloaded', 'nothing is read before somebody asks')
  t.equal(reopened.highWatermark, 1)
  await again.close()
})

t.test('a log of an older topic of the same name is not taken for the new one', async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [folder])
  await append(
    follow(dirs.create('orders', 0, topicId, topicConfig())),
    batchOf(io, [record('a', 'old')]),
  )
  await append(
    follow(dirs.create('gone', 0, topicId, topicConfig())),
    batchOf(io, [record('a', 'old')]),
  )
  await dirs.close()
  const again = await openLogDirs(io, [folder])
  const log = follow(again.create('orders', 0, otherId, topicConfig()))
  t.equal(log.logEndOffset, 0)
  await append(log, batchOf(io, [record('a', 'new')]))
  t.same(await readAll(log), [{ offset: 0, key: 'a', value: 'new' }])
  t.same(
    again.strays().map(({ name }) => name),
    ['gone-0'],
  )
  await again.close()
})

t.test('logs spread over directories, and stay where they are', async (t) => {
  const folders = [temporaryFolder(t), temporaryFolder(t)]
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, folders)
  const places = []
  for (let index = 0; index < 4; index++) {
    const log = follow(dirs.create('orders', index, topicId, topicConfig()))
    await append(log, batchOf(io, [record('a', String(index))]))
    places.push(log.home.path)
  }
  t.same(new Set(places), new Set(folders))
  const described = await dirs.describe()
  t.same(
    described.map(({ logs }) => logs.length),
    [2, 2],
  )
  t.ok(
    described.every(({ usableBytes, totalBytes }) => usableBytes > 0 && totalBytes >= usableBytes),
  )
  t.not(described[0]?.directoryId, described[1]?.directoryId)
  await dirs.close()
  const again = await openLogDirs(io, folders)
  for (let index = 0; index < 4; index++) {
    const log = follow(again.create('orders', index, topicId, topicConfig()))
    t.equal(log.home.path, places[index])
    t.same(await readAll(log), [{ offset: 0, key: 'a', value: String(index) }])
  }
  await again.close()
})

t.test('a directory that cannot be opened is offline, the others serve', async (t) => {
  const blocked = `${temporaryFolder(t)}/file`
  fs.writeFileSync(blocked, '')
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const failed: string[] = []
  const dirs = await openLogDirs(io, [blocked, folder], {
    onDirectoryFailed: (path) => failed.push(path),
  })
  t.same(failed, [blocked])
  t.same(
    dirs.directories.map(({ isOffline }) => isOffline),
    [true, false],
  )
  const log = follow(dirs.create('orders', 0, topicId, topicConfig()))
  t.equal((await append(log, batchOf(io, [record('a', 'b')]))).errorCode, ErrorCode.NONE)
  await dirs.close()
  await t.rejects(openLogDirs(io, [blocked]), { code: 'LMQ_LOG_DIR_OFFLINE' })
})

t.test('few files stay open, however many logs there are', async (t) => {
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [temporaryFolder(t)], { maxOpenFiles: 20 })
  const before = fs.readdirSync('/proc/self/fd').length
  for (let index = 0; index < 100; index++) {
    const log = follow(dirs.create('many', index, topicId, topicConfig()))
    await append(log, batchOf(io, [record('a', 'b')]))
  }
  t.ok(fs.readdirSync('/proc/self/fd').length - before < 30)
  for (const log of dirs.all()) t.equal((await readAll(log)).length, 1)
  await dirs.close()
  t.ok(fs.readdirSync('/proc/self/fd').length <= before + 5, 'all are closed')
})

t.test('a thousand cleanly closed logs open fast', async (t) => {
  const io = nodeIo(t)
  const folder = temporaryFolder(t)
  const dirs = await openLogDirs(io, [folder])
  for (let index = 0; index < 1_000; index++) {
    const log = follow(dirs.create('many', index, topicId, topicConfig()))
    void log.append(batchOf(io, [record('a', 'b')]), {
      leaderEpoch: 0,
      nowMs: 2_000,
      origin: 'client',
      produceVersion: 11,
    })
  }
  await dirs.close()
  const startMs = performance.now()
  const again = await openLogDirs(io, [folder])
  for (let index = 0; index < 1_000; index++) again.create('many', index, topicId, topicConfig())
  const openMs = performance.now() - startMs
  t.ok(openMs < 3_000, `took ${Math.round(openMs)} ms`)
  let records = 0
  for (const log of again.all()) records += log.logEndOffset
  t.equal(records, 1_000)
  await again.close()
})

t.test('a new topic does not inherit where a deleted one of its name began', async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [folder])
  const old = follow(dirs.create('orders', 0, topicId, topicConfig()))
  for (const value of ['a', 'b', 'c']) await append(old, batchOf(io, [record('k', value)]))
  t.equal(old.deleteRecordsBefore(2).logStartOffset, 2)
  const starts = `${folder}/log-start-offset-checkpoint`
  const isStored = () => fs.existsSync(starts) && fs.readFileSync(starts, 'utf8').includes('orders')
  await until(isStored)
  dirs.delete(old)
  await until(() => !isStored())
  const young = follow(dirs.create('orders', 0, otherId, topicConfig()))
  await append(young, batchOf(io, [record('k', 'new')]))
  const crashed = copyOf(t, folder)
  await dirs.close()
  const again = await openLogDirs(io, [crashed])
  const log = follow(again.create('orders', 0, otherId, topicConfig()))
  t.same(await readAll(log), [{ offset: 0, key: 'k', value: 'new' }])
  await again.close()
})

t.test('records behind a recovered cut keep their age', async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const config = topicConfig({ 'segment.ms': never })
  const nowMs = Date.now()
  const oldMs = nowMs - 30 * 86_400_000
  const dirs = await openLogDirs(io, [folder])
  const log = follow(dirs.create('orders', 0, topicId, config))
  for (const [value, timestamp] of [
    ['x'.repeat(5_000), oldMs],
    ['indexed', oldMs],
    ['young', nowMs],
  ] as const) {
    await append(log, batchOf(io, [record('k', value, timestamp)]), { nowMs })
  }
  const crashed = copyOf(t, folder)
  await dirs.close()
  fs.appendFileSync(`${crashed}/orders-0/00000000000000000000.log`, 'torn')
  const again = await openLogDirs(io, [crashed])
  const recovered = follow(again.create('orders', 0, topicId, config))
  t.equal(recovered.logEndOffset, 3)
  t.equal((await recovered.offsetForTimestamp(nowMs, 3))?.offset, 2)
  await again.applyRetention()
  t.equal((await readAll(recovered)).at(-1)?.value, 'young', 'retention leaves it')
  await again.close()
})

t.test('an index is built anew although its file is closed to make room for others', async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const config = topicConfig({ 'index.interval.bytes': 1_000, 'segment.bytes': 5_000_000 })
  const open = async () => {
    const dirs = await openLogDirs(io, [folder], { maxOpenFiles: 2 })
    return { dirs, logs: [0, 1, 2, 3].map((i) => follow(dirs.create('a', i, topicId, config))) }
  }
  const first = await open()
  for (const log of first.logs) {
    for (let index = 0; index < 9; index++) {
      await append(log, batchOf(io, [record('k', 'v'.repeat(500_000))]))
    }
    log.roll(2_000)
    await append(log, batchOf(io, [record('k', 'v')]))
  }
  await first.dirs.close()

  const { dirs, logs } = await open()
  const [log, ...others] = logs
  t.equal(log?.logEndOffset, 10)
  const segment = log?.segments.first
  let failure: unknown
  segment?.rebuildIndexes(false, 1_000, io.timers, (error) => {
    failure = error
  })
  while (!failure && segment?.offsetIndex.count === 0) {
    for (const other of others) {
      if (other.logEndOffset > 0) other.segments.active?.file.use()
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.equal(failure, undefined)
  t.equal(segment?.offsetIndex.count, 8)
  await dirs.close()
})

/** What a killed process leaves behind. */
function copyOf(t: Test, folder: string): string {
  const copy = temporaryFolder(t)
  fs.cpSync(folder, copy, { recursive: true, filter: (path) => !path.endsWith('.lock') })
  return copy
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > end) throw new Error('did not happen in time')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

t.test('retention reaches logs that nobody has asked for since the start', async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const nowMs = Date.now()
  const config = topicConfig({ 'segment.ms': never, 'file.delete.delay.ms': 0 })
  const first = await openLogDirs(io, [folder])
  const log = follow(first.create('orders', 0, topicId, config))
  const old = { nowMs: nowMs - 30 * 86_400_000 }
  await append(log, batchOf(io, [record('k', 'old', old.nowMs)]), old)
  log.roll(nowMs)
  await append(log, batchOf(io, [record('k', 'young', nowMs)]), { nowMs })
  await first.close()
  const again = await openLogDirs(io, [folder])
  t.teardown(() => again.close())
  const idle = again.create('orders', 0, topicId, config)
  await again.applyRetention()
  t.equal(idle.logStartOffset, 1)
})

t.test('recovery spaces the index as the settings say', async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const config = topicConfig({ 'index.interval.bytes': 1_000_000 })
  const dirs = await openLogDirs(io, [folder])
  const log = follow(dirs.create('orders', 0, topicId, config))
  for (let i = 0; i < 40; i++) await append(log, batchOf(io, [record('k', 'v'.repeat(1_000))]))
  const crashed = copyOf(t, folder)
  await dirs.close()
  const again = await openLogDirs(io, [crashed], { configOf: () => config })
  t.teardown(() => again.close())
  const recovered = again.create('orders', 0, topicId, config)
  t.equal(recovered.logEndOffset, 40)
  t.equal(recovered.segments.active?.offsetIndex.count, 0)
})

t.test('a producer whose time was over before the stop is not known after it', async (t) => {
  const folder = temporaryFolder(t)
  const io = nodeIo(t)
  const nowMs = io.brokerClock.nowMs()
  const dirs = await openLogDirs(io, [folder])
  const log = follow(dirs.create('orders', 0, topicId, topicConfig()))
  const longAgoMs = nowMs - 2 * 86_400_000
  const producer = (producerId: number) => ({ producerId, producerEpoch: 0, baseSequence: 0 })
  await append(log, batchOf(io, [record('k', 'v', longAgoMs)], producer(7)), { nowMs })
  await append(log, batchOf(io, [record('k', 'v', nowMs)], producer(8)), { nowMs })
  await dirs.close()
  const again = await openLogDirs(io, [folder])
  t.teardown(() => again.close())
  const opened = again.create('orders', 0, topicId, topicConfig())
  const known = [...opened.activeProducers()].map(({ producerId }) => producerId)
  t.same(known, [8])
})

t.test('an opening can be ended while it recovers, and the next one begins anew', async (t) => {
  const folder = temporaryFolder(t)
  const clean = temporaryFolder(t)
  const io = nodeIo(t)
  const closed = await openLogDirs(io, [clean])
  await closed.close()
  const dirs = await openLogDirs(io, [folder])
  for (let partition = 0; partition < 20; partition++) {
    const log = follow(dirs.create('orders', partition, topicId, topicConfig()))
    await append(log, batchOf(io, [record('k', `v${partition}`)]))
  }
  const crashed = copyOf(t, folder)
  await dirs.close()

  const stop = new AbortController()
  const { openSync } = io.disk
  let opened = 0
  io.disk.openSync = (path, mode) => {
    if (path.endsWith('.log') && ++opened === 7) stop.abort()
    return openSync.call(io.disk, path, mode)
  }
  await t.rejects(openLogDirs(io, [clean, crashed], { signal: stop.signal }), {
    code: 'LMQ_SHUTTING_DOWN',
  })
  t.ok(opened < 20, `${opened} logs were looked at`)
  io.disk.openSync = openSync
  t.notOk(fs.existsSync(`${crashed}/.kafka_cleanshutdown`))
  t.ok(fs.existsSync(`${clean}/.kafka_cleanshutdown`), 'what was not touched stays clean')

  const again = await openLogDirs(io, [clean, crashed])
  for (let partition = 0; partition < 20; partition++) {
    const log = follow(again.create('orders', partition, topicId, topicConfig()))
    t.same(
      (await readAll(log)).map(({ value }) => value),
      [`v${partition}`],
    )
  }
  await again.close()
})
