import t from 'tap'
import type { ReplicateResult } from '../../../src/log/log-outcomes.ts'
import type { PartitionLog } from '../../../src/log/partition-log.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { assignOffset, lastOffsetOf } from '../../../src/protocol/record-batch.ts'
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
  written,
} from './log-fixture.ts'

type T = Parameters<typeof nodeIo>[0]

/** A leader's log and a follower's, in folders of their own. */
async function pair(t: T, overrides = {}) {
  const io = nodeIo(t)
  const config = topicConfig({ 'segment.bytes': 700, 'index.interval.bytes': 100, ...overrides })
  const open = async (folder: string) => {
    const dirs = await openLogDirs(io, [folder])
    t.teardown(() => dirs.close())
    return { dirs, log: dirs.create('orders', 0, topicId, config) }
  }
  const leader = follow((await open(temporaryFolder(t))).log)
  const folder = temporaryFolder(t)
  const { dirs, log: follower } = await open(folder)
  return { io, config, leader, follower, folder, dirs, open }
}

const put = async (log: PartitionLog, io: ReturnType<typeof nodeIo>, count: number, epoch = 0) => {
  for (let i = 0; i < count; i++) {
    const value = `e${epoch}-${log.logEndOffset}`
    await append(log, batchOf(io, [record('a', value), record('b', value)]), { leaderEpoch: epoch })
  }
}

/** Bytes of the leader's log from where the follower's ends. */
async function bytesFor(leader: PartitionLog, offset: number, maxBytes = 1_000_000) {
  const { records } = await leader.read(offset, maxBytes, {
    upTo: leader.writtenEndOffset,
    minOneBatch: true,
  })
  return Buffer.concat(records)
}

async function replicate(
  log: PartitionLog,
  records: Buffer,
  leaderEpoch: number,
  fromOffset = log.logEndOffset,
) {
  const options = { leaderEpoch, fromOffset, nowMs: 2_000 }
  const result: ReplicateResult = await log.replicate(records, options)
  await written(log, result.end)
  return result
}

async function catchUp(leader: PartitionLog, follower: PartitionLog, leaderEpoch: number) {
  while (follower.logEndOffset < leader.logEndOffset) {
    const result = await replicate(
      follower,
      await bytesFor(leader, follower.logEndOffset, 300),
      leaderEpoch,
    )
    if (result.errorCode !== ErrorCode.NONE) throw new Error(result.reason ?? 'failed')
  }
}

t.test('a follower has the same bytes, offsets, epochs and producers', async (t) => {
  const { io, leader, follower, folder, dirs, open } = await pair(t)
  await put(leader, io, 3, 0)
  const options = { producerId: 7, producerEpoch: 1, baseSequence: 0 }
  // Recent: a producer that has expired is not taken up again.
  const fresh = record('p', 'x', io.wall.nowMs())
  await append(leader, batchOf(io, [fresh], options), { leaderEpoch: 2 })
  await put(leader, io, 20, 4)
  await catchUp(leader, follower, 4)
  t.equal(follower.logEndOffset, leader.logEndOffset)
  t.equal(follower.writtenEndOffset, leader.logEndOffset)
  t.ok(follower.segments.all.length > 1)
  t.ok((await bytesFor(follower, 0)).equals(await bytesFor(leader, 0)))
  t.same(follower.epochs.entries, leader.epochs.entries)
  t.same([...follower.activeProducers()], [...leader.activeProducers()])
  await dirs.close()

  const { log: again } = await open(folder)
  t.equal(again.logEndOffset, leader.logEndOffset)
  t.same(again.epochs.entries, leader.epochs.entries)
  t.same([...again.activeProducers()], [...leader.activeProducers()])
})

t.test('one flipped bit does not spread', async (t) => {
  const { io, leader, follower } = await pair(t)
  await put(leader, io, 2, 3)
  const sound = await bytesFor(leader, 0)
  const first = lastOffsetOf(sound, 0) + 1
  // Length, magic, CRC, attributes, record bytes of the second batch; and its base offset and epoch going back.
  const second = sound.length / 2
  const flips = [second + 8, second + 11, second + 16, second + 17, second + 21, sound.length - 1]
  for (const at of flips) {
    const bad = Buffer.from(sound)
    bad[at] = (bad[at] as number) ^ 0x40
    const result = await replicate(follower, bad, 3)
    t.equal(follower.logEndOffset, first, `flip at ${at - second}: the sound batch is taken`)
    // A longer length looks like a batch that is cut off.
    if (result.errorCode !== ErrorCode.NONE) t.equal(result.errorCode, ErrorCode.CORRUPT_MESSAGE)
    await follower.truncateTo(0)
  }
  const back = Buffer.from(sound)
  assignOffset(back.subarray(second), 0, 1, 3)
  t.equal((await replicate(follower, back, 3)).errorCode, ErrorCode.CORRUPT_MESSAGE)
  await follower.truncateTo(0)
  const old = Buffer.from(sound)
  assignOffset(old.subarray(second), 0, 2, 2)
  t.equal((await replicate(follower, old, 3)).errorCode, ErrorCode.CORRUPT_MESSAGE)
  await follower.truncateTo(0)
  t.equal((await replicate(follower, sound, 3)).errorCode, ErrorCode.NONE)
  t.equal(follower.logEndOffset, leader.logEndOffset)
})

t.test('gaps upwards are compaction; offsets never go back', async (t) => {
  const { io, leader, follower } = await pair(t)
  await put(leader, io, 3)
  const all = await bytesFor(leader, 0)
  const size = all.length / 3
  const [one, , three] = [0, 1, 2].map((i) => all.subarray(i * size, (i + 1) * size)) as Buffer[]
  t.equal((await replicate(follower, one as Buffer, 0)).end, 2)
  t.equal((await replicate(follower, three as Buffer, 0)).end, 6)
  const again = await replicate(follower, one as Buffer, 0)
  t.match(again, { errorCode: ErrorCode.CORRUPT_MESSAGE, end: 6, sizeBytes: 0 })
  t.same(
    (await readAll(follower)).map(({ offset }) => offset),
    [0, 1, 4, 5],
  )
})

t.test('what the leader wrote under a later epoch, or was cut off, is left out', async (t) => {
  const { io, leader, follower } = await pair(t)
  await put(leader, io, 2, 1)
  await put(leader, io, 1, 2)
  const all = await bytesFor(leader, 0)
  t.match(await replicate(follower, all, 1), { errorCode: ErrorCode.NONE, end: 4 })
  t.match(await replicate(follower, all.subarray((all.length * 2) / 3, all.length - 1), 2), {
    errorCode: ErrorCode.NONE,
    end: 4,
    sizeBytes: 0,
  })
})

t.test('a log starts anew where the leader begins, also inside of a batch', async (t) => {
  const { io, leader, follower, folder, dirs, open } = await pair(t)
  await put(leader, io, 4, 1)
  await catchUp(leader, follower, 1)
  await put(leader, io, 10, 2)
  leader.deleteRecordsBefore(21)
  await follower.startAt(21)
  t.equal(follower.logStartOffset, 21)
  t.equal(follower.logEndOffset, 21)
  t.equal(follower.highWatermark, 21)
  t.same(follower.epochs.entries, [])
  await catchUp(leader, follower, 2)
  t.equal(follower.logStartOffset, 21)
  t.same(
    (await readAll(follower)).map(({ offset }) => offset),
    [21, 22, 23, 24, 25, 26, 27],
  )
  await dirs.close()
  const { log: again } = await open(folder)
  t.equal(again.logStartOffset, 21)
  t.equal(again.logEndOffset, 28)
  t.same(again.epochs.entries, [{ epoch: 2, startOffset: 21 }])
})

t.test(
  'truncation inside of a batch takes all of it; who changed his mind keeps all',
  async (t) => {
    const { io, leader, follower } = await pair(t)
    await put(leader, io, 4, 1)
    await catchUp(leader, follower, 1)
    await follower.truncateTo(5, () => false)
    t.equal(follower.logEndOffset, 8)
    await follower.startAt(5, () => false)
    t.equal(follower.logEndOffset, 8)
    await follower.truncateTo(5)
    t.equal(follower.logEndOffset, 4)
    await catchUp(leader, follower, 1)
    t.ok((await bytesFor(follower, 0)).equals(await bytesFor(leader, 0)))
  },
)

t.test('what comes during a truncation is taken behind it', async (t) => {
  const { io, leader, follower } = await pair(t)
  await put(leader, io, 4, 1)
  await catchUp(leader, follower, 1)
  const bytes = await bytesFor(leader, 4)
  const truncation = follower.truncateTo(4)
  const options = { leaderEpoch: 1, nowMs: 2_000 }
  const [late, result] = await Promise.all([
    follower.replicate(bytes, { ...options, fromOffset: 8 }),
    follower.replicate(bytes, { ...options, fromOffset: 4 }),
  ])
  await truncation
  t.match(late, { errorCode: ErrorCode.OFFSET_OUT_OF_RANGE, sizeBytes: 0 }, 'it would leave a hole')
  t.match(result, { errorCode: ErrorCode.NONE, end: 8 })
})
