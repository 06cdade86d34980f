// Goal: whatever happens to the process, the machine or the files, a log comes back with every record before the damage,
// with its producers, and goes on. Method: random appends on a simulated disk, then a crash, a cut or a flipped bit.
import type { Test } from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { LogDirs } from '../../src/log/log-dirs.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import {
  append,
  batchOf,
  follow,
  logSettings,
  readAll,
  record,
  type StoredRecord,
  topicConfig,
  topicId,
} from '../unit/log/log-fixture.ts'
import type { SimWorld } from './sim-io.ts'
import { simulate } from './simulate.ts'

const dir = '/data'

function open({ io }: SimWorld, logger = silentLogger): Promise<LogDirs> {
  return LogDirs.open(io, {
    dirs: [dir],
    clusterId: 'c',
    brokerId: 1,
    logger,
    settings: logSettings,
    isCompacted: () => false,
  })
}

function create({ random }: SimWorld, dirs: LogDirs, overrides = {}): PartitionLog {
  const config = topicConfig({
    'segment.bytes': 600 + random.int(2_000),
    'index.interval.bytes': random.int(400),
    ...overrides,
  })
  return follow(dirs.create('orders', 0, topicId, config))
}

type Sent = { records: StoredRecord[]; ends: number[]; sequence: number }

/** Appends batches of an idempotent producer and waits for each to be written. */
async function produce(
  { io, random }: SimWorld,
  log: PartitionLog,
  sent: Sent,
  count: number,
): Promise<void> {
  for (let index = 0; index < count; index++) {
    const records = Array.from({ length: 1 + random.int(4) }, () =>
      record(`k${random.int(10)}`, 'v'.repeat(random.int(80)), io.wall.nowMs()),
    )
    const producer = { producerId: 5, producerEpoch: 0, baseSequence: sent.sequence }
    const result = await append(log, batchOf(io, records, producer), {
      nowMs: io.brokerClock.nowMs(),
      leaderEpoch: Math.floor(sent.sequence / 20),
    })
    if (result.errorCode !== 0) throw new Error(`append gives ${result.errorCode}`)
    sent.sequence += records.length
    sent.ends.push(result.end)
    records.forEach(({ key, value }, at) => {
      sent.records.push({
        offset: result.baseOffset + at,
        key: String(key),
        value: String(value),
      })
    })
  }
}

const nothing = (): Sent => ({ records: [], ends: [], sequence: 0 })

/**
 * The log holds exactly the first records that were sent, up to a batch's end, and takes the next one.
 *
 * @param lostPower the end of a closed segment may be gone while the next one is there: as in Kafka, what is there stays
 */
async function checkPrefix(
  world: SimWorld,
  t: Test,
  sent: Sent,
  atLeast: number,
  lostPower = false,
): Promise<{ dirs: LogDirs; log: PartitionLog }> {
  const dirs = await open(world)
  const log = create(world, dirs)
  const end = log.logEndOffset
  t.ok(end >= atLeast, `${end} is not below ${atLeast}`)
  if (end > 0 && !sent.ends.includes(end)) t.fail(`the log ends inside a batch: ${end}`)
  const found = await readAll(log)
  const offsets = new Set(found.map(({ offset }) => offset))
  const isExpected = (offset: number) =>
    offset < end && (!lostPower || offset < atLeast || offsets.has(offset))
  const expected = sent.records.filter(({ offset }) => isExpected(offset))
  if (JSON.stringify(found) !== JSON.stringify(expected)) t.same(found, expected)
  const baseSequence = (found.at(-1)?.offset ?? -1) + 1
  const next = { producerId: 5, producerEpoch: 0, baseSequence }
  const result = await append(log, batchOf(world.io, [record('n', 'n')], next))
  t.equal(result.errorCode, 0, 'the producer goes on with its next sequence')
  t.equal(result.baseOffset, end)
  t.equal(log.endOffsetForEpoch(log.latestEpoch).endOffset, end + 1)
  return { dirs, log }
}

simulate('kill -9 loses nothing that was written', async (world, t) => {
  const dirs = await open(world)
  const sent = nothing()
  await produce(world, create(world, dirs), sent, 5 + world.random.int(30))
  world.kill()
  await checkPrefix(world, t, sent, sent.records.length)
})

simulate('kill -9 during writes leaves whole batches', async (world, t) => {
  const dirs = await open(world)
  const log = create(world, dirs)
  const sent = nothing()
  await produce(world, log, sent, world.random.int(10))
  const acknowledged = sent.records.length
  // Large batches are written asynchronously: the crash comes in the middle of it.
  const big = 'x'.repeat(70_000)
  const producer = { producerId: 5, producerEpoch: 0, baseSequence: sent.sequence }
  void log.append(batchOf(world.io, [record('big', big, world.io.wall.nowMs())], producer), {
    leaderEpoch: 9,
    nowMs: world.io.brokerClock.nowMs(),
    origin: 'client',
    produceVersion: 11,
  })
  sent.records.push({ offset: acknowledged, key: 'big', value: big })
  sent.ends.push(acknowledged + 1)
  log.drain()
  await new Promise<void>((resolve) =>
    world.io.timers.schedule(world.random.int(6_000) / 1_000, resolve),
  )
  world.kill()
  await checkPrefix(world, t, sent, acknowledged)
})

simulate('a power loss keeps what was flushed', async (world, t) => {
  const dirs = await open(world)
  const log = create(world, dirs)
  const sent = nothing()
  await produce(world, log, sent, 3 + world.random.int(20))
  await log.flusher.flushAll()
  const flushed = log.flushedEndOffset
  t.equal(flushed, log.logEndOffset)
  await produce(world, log, sent, world.random.int(20))
  world.losePower()
  await checkPrefix(world, t, sent, flushed, true)
})

simulate('flush.messages=1 waits for the disk', async (world, t) => {
  const dirs = await open(world)
  const log = create(world, dirs, { 'flush.messages': 1 })
  const sent = nothing()
  await produce(world, log, sent, 1 + world.random.int(20))
  const error = await new Promise((resolve) => log.whenFlushed(log.logEndOffset, resolve))
  t.equal(error, 0)
  world.losePower()
  await checkPrefix(world, t, sent, sent.records.length)
})

simulate('a cut at any byte loses what is behind it and nothing else', async (world, t) => {
  const { random, disk } = world
  const dirs = await open(world)
  const log = create(world, dirs)
  const sent = nothing()
  await produce(world, log, sent, 5 + random.int(30))
  const active = log.segments.active
  if (!active) return
  const path = active.file.path
  const base = active.baseOffset
  world.kill()
  disk.cut(path, random.int((disk.statSync(path)?.sizeBytes ?? 0) + 1))
  await checkPrefix(world, t, sent, base)
})

simulate('a flipped bit in an unflushed segment is where the log ends', async (world, t) => {
  const { random, disk } = world
  const dirs = await open(world)
  const log = create(world, dirs, { 'segment.bytes': 1_000_000 })
  const sent = nothing()
  await produce(world, log, sent, 3 + random.int(30))
  const path = log.segments.active?.file.path ?? ''
  world.kill()
  disk.corrupt(path, random.int(disk.statSync(path)?.sizeBytes ?? 1))
  await checkPrefix(world, t, sent, 0)
})

simulate('a damaged index is built anew', async (world, t) => {
  const { random, disk } = world
  const dirs = await open(world)
  const log = create(world, dirs)
  const sent = nothing()
  await produce(world, log, sent, 20 + random.int(30))
  const isOrderly = random.chance(0.5)
  if (isOrderly) await dirs.close()
  else world.kill()
  const indexes = disk.paths().filter((path) => /\.(index|timeindex|snapshot)$/.test(path))
  const hit = random.pick(indexes)
  const sizeBytes = disk.statSync(hit)?.sizeBytes ?? 0
  if (random.chance(0.3)) disk.removeFileSync(hit)
  else if (sizeBytes > 0 && random.chance(0.5)) disk.corrupt(hit, random.int(sizeBytes))
  else disk.cut(hit, random.int(sizeBytes + 1))
  const { log: again } = await checkPrefix(world, t, sent, sent.records.length)
  t.equal((await again.offsetForTimestamp(1, again.writtenEndOffset))?.offset, 0)
  for (let look = 0; look < 5; look++) {
    const offset = random.int(sent.records.length)
    const read = await again.read(offset, 1, { upTo: again.writtenEndOffset, minOneBatch: true })
    t.equal(read.errorCode, 0)
    t.ok(read.firstOffset <= offset && offset < read.nextOffset, `read at ${offset} holds it`)
  }
})

simulate('several crashes in a row', async (world, t) => {
  const sent = nothing()
  for (let round = 0; round < 4; round++) {
    const dirs = await open(world)
    const log = create(world, dirs)
    t.same((await readAll(log)).length, sent.records.length)
    await produce(world, log, sent, world.random.int(15))
    if (world.random.chance(0.3)) await dirs.close()
    else if (world.random.chance(0.5)) await log.flusher.flushAll()
    world.kill()
  }
  await checkPrefix(world, t, sent, sent.records.length)
})
