// Goal: compaction, retention, deletion and disk errors keep their promises under crashes. Method: a model beside the
// log says what must be there; the simulated disk fails, loses and tears.
import { silentLogger } from '../../src/base/logger.ts'
import { LogDirs } from '../../src/log/log-dirs.ts'
import type { PartitionLog } from '../../src/log/partition-log.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
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
import { diskError } from './sim-disk.ts'
import type { SimWorld } from './sim-io.ts'
import { simulate } from './simulate.ts'

function open({ io }: SimWorld, dirs = ['/data'], failed: string[] = []): Promise<LogDirs> {
  return LogDirs.open(io, {
    dirs,
    clusterId: 'c',
    brokerId: 1,
    logger: silentLogger,
    settings: logSettings,
    isCompacted: (topic) => topic === 'table',
    onDirectoryFailed: (path) => failed.push(path),
  })
}

const table = topicConfig({
  'cleanup.policy': ['compact'],
  'segment.bytes': 500,
  'index.interval.bytes': 100,
  'min.cleanable.dirty.ratio': 0,
  'delete.retention.ms': 1_000,
  'file.delete.delay.ms': 10,
})

/** The last value of each key, as a reader from the start sees it. */
function stateOf(records: readonly StoredRecord[]): Map<string, string> {
  const state = new Map<string, string>()
  for (const { key, value } of records) {
    if (key === null) continue
    if (value === null) state.delete(key)
    else state.set(key, value)
  }
  return state
}

async function putSome({ io, random }: SimWorld, log: PartitionLog, all: StoredRecord[]) {
  const count = 1 + random.int(20)
  for (let index = 0; index < count; index++) {
    const key = `k${random.int(8)}`
    const value = random.chance(0.2) ? null : `v${all.length}`
    const records = [record(key, value, io.brokerClock.nowMs())]
    const { errorCode, baseOffset } = await append(log, batchOf(io, records), {
      nowMs: io.brokerClock.nowMs(),
    })
    if (errorCode !== ErrorCode.NONE) throw new Error(`append gives ${errorCode}`)
    all.push({ offset: baseOffset, key, value })
  }
}

simulate('compaction keeps the state of every key through crashes', async (world, t) => {
  const { random, io } = world
  const all: StoredRecord[] = []
  for (let round = 0; round < 5; round++) {
    const dirs = await open(world)
    const log = follow(dirs.create('table', 0, topicId, table))
    const before = await readAll(log)
    t.same(stateOf(before), stateOf(all), 'after the restart')
    t.equal(log.logEndOffset, all.length)
    await putSome(world, log, all)
    const compacting = dirs.applyCompaction()
    if (random.chance(0.5)) {
      await new Promise<void>((done) => io.timers.schedule(random.int(30), done))
      const during = await readAll(log)
      t.same(stateOf(during), stateOf(all), 'while it compacts')
      if (random.chance(0.7)) {
        world.kill()
        continue
      }
    }
    await compacting
    t.same(stateOf(await readAll(log)), stateOf(all), 'after it has compacted')
    io.brokerClock.advance(random.int(2_000))
    if (random.chance(0.5)) await dirs.close()
    world.kill()
  }
})

simulate('every offset stays readable while segments go', async (world, t) => {
  const { random, io } = world
  const dirs = await open(world)
  const config = topicConfig({
    'segment.bytes': 400,
    'index.interval.bytes': 50,
    'retention.bytes': 1_500,
    'file.delete.delay.ms': random.int(20),
  })
  const log = follow(dirs.create('orders', 0, topicId, config))
  const all: StoredRecord[] = []
  for (let round = 0; round < 6; round++) {
    await putSome(world, log, all)
    const from = random.int(all.length)
    const reading = log.read(from, 300, { upTo: log.writtenEndOffset, minOneBatch: true })
    if (random.chance(0.6)) await dirs.applyRetention()
    if (random.chance(0.3)) {
      const to = random.int(log.logEndOffset + 1)
      t.equal(log.deleteRecordsBefore(to).errorCode, ErrorCode.NONE)
      t.ok(log.logStartOffset >= to)
    }
    const { errorCode, firstOffset, nextOffset } = await reading
    if (errorCode === ErrorCode.NONE) t.ok(firstOffset <= from && from < nextOffset)
    else t.equal(errorCode, ErrorCode.OFFSET_OUT_OF_RANGE)
    const expected = all.filter(({ offset }) => offset >= log.logStartOffset)
    t.same(await readAll(log), expected)
    await new Promise<void>((done) => io.timers.schedule(random.int(200), done))
  }
  const { logStartOffset } = log
  if (random.chance(0.5)) await dirs.close()
  else await new Promise<void>((done) => io.timers.schedule(500, done))
  world.kill()
  const again = await open(world)
  const reopened = follow(again.create('orders', 0, topicId, config))
  t.equal(reopened.logStartOffset, logStartOffset)
  t.equal(reopened.logEndOffset, all.length)
  t.same(
    await readAll(reopened),
    all.filter(({ offset }) => offset >= logStartOffset),
  )
})

simulate(
  'a disk error closes one directory and acknowledges nothing that is not there',
  async (world, t) => {
    const { random, io, disk } = world
    const failed: string[] = []
    const dirs = await open(world, ['/one', '/two'], failed)
    const flushed = topicConfig({ 'flush.messages': 1, 'segment.bytes': 700 })
    const logs = [0, 1].map((index) => follow(dirs.create('orders', index, topicId, flushed)))
    const [broken, healthy] = logs as [PartitionLog, PartitionLog]
    t.not(broken.home.path, healthy.home.path)
    const acknowledged = new Map<PartitionLog, number>(logs.map((log) => [log, 0]))
    const code = random.pick(['ENOSPC', 'EIO'])
    const call = random.pick(['write', 'flush'] as const)
    let left = random.int(10)
    disk.fault = (what, path) =>
      what === call && path.startsWith(broken.folder) && left-- <= 0 ? diskError(code) : undefined
    for (let index = 0; index < 30; index++) {
      for (const log of logs) {
        const result = await log.append(batchOf(io, [record('k', `v${index}`, io.wall.nowMs())]), {
          leaderEpoch: 0,
          nowMs: io.brokerClock.nowMs(),
          origin: 'client',
          produceVersion: 11,
        })
        if (result.errorCode !== ErrorCode.NONE) {
          t.equal(result.errorCode, ErrorCode.KAFKA_STORAGE_ERROR)
          t.equal(log, broken)
          continue
        }
        const outcome = await new Promise((done) => log.whenFlushed(result.end, done))
        if (outcome === ErrorCode.NONE) acknowledged.set(log, result.end)
        else t.equal(outcome, ErrorCode.KAFKA_STORAGE_ERROR)
      }
    }
    t.same(failed, [broken.home.path])
    t.equal(acknowledged.get(healthy), 30)
    const read = await broken.read(0, 100, { upTo: 1, minOneBatch: true })
    t.equal(read.errorCode, ErrorCode.KAFKA_STORAGE_ERROR)
    await dirs.close()
    disk.fault = () => undefined
    world.losePower()
    const again = await open(world, ['/one', '/two'])
    for (const [index, log] of logs.entries()) {
      const reopened = again.create('orders', index, topicId, flushed)
      const end = acknowledged.get(log) ?? 0
      t.ok(
        reopened.logEndOffset >= end,
        `${log.name} ends at ${reopened.logEndOffset}, not below ${end}`,
      )
    }
  },
)

simulate('an idempotent producer that repeats writes nothing twice', async (world, t) => {
  const { random, io } = world
  const put = (log: PartitionLog, batch: Buffer) => append(log, batch, { nowMs: io.wall.nowMs() })
  const all: StoredRecord[] = []
  let sequence = 0
  let lastBatches: { batch: () => Buffer; baseOffset: number; round: number }[] = []
  for (let round = 0; round < 3; round++) {
    const dirs = await open(world)
    const config = topicConfig({ 'segment.bytes': 300 + random.int(1_000) })
    const log = follow(dirs.create('orders', 0, topicId, config))
    for (let index = 0; index < 20; index++) {
      const repeated = random.chance(0.4) ? lastBatches.at(-1 - random.int(5)) : undefined
      // As in Kafka only its last batch outlives a restart in the snapshot; the replay may know more.
      if (repeated && (repeated.round === round || repeated === lastBatches.at(-1))) {
        const { errorCode, baseOffset, duplicate } = await put(log, repeated.batch())
        t.same([errorCode, baseOffset, duplicate], [ErrorCode.NONE, repeated.baseOffset, true])
        continue
      }
      const count = 1 + random.int(3)
      const from = sequence
      // Recent: a producer that has expired is not taken up again after a restart.
      const nowMs = io.wall.nowMs()
      const batch = () =>
        batchOf(
          io,
          Array.from({ length: count }, (_, at) => record('k', `v${from + at}`, nowMs)),
          { producerId: 9, producerEpoch: 1, baseSequence: from },
        )
      const { errorCode, baseOffset } = await put(log, batch())
      t.equal(errorCode, ErrorCode.NONE)
      for (let at = 0; at < count; at++) {
        all.push({ offset: baseOffset + at, key: 'k', value: `v${from + at}` })
      }
      sequence += count
      lastBatches = [...lastBatches.slice(-4), { batch, baseOffset, round }]
      const skipped = { producerId: 9, producerEpoch: 1, baseSequence: sequence + 1 }
      const wrong = await put(log, batchOf(io, [record('k', 'never', io.wall.nowMs())], skipped))
      t.equal(wrong.errorCode, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    }
    t.same(await readAll(log), all)
    if (random.chance(0.5)) await dirs.close()
    world.kill()
  }
})
