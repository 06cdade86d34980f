// Goal: what clients send is taken or refused as Kafka does. Method: good batches with one thing wrong in each.
import t from 'tap'
import { crc32c } from '../../../src/io/crc32c.ts'
import { Codec } from '../../../src/io/io.ts'
import type { PartitionLog } from '../../../src/log/partition-log.ts'
import { wrapBlock } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { CRC_START, setCrc } from '../../../src/protocol/record-batch.ts'
import {
  append,
  batchOf,
  nodeIo,
  openLogDirs,
  record,
  temporaryFolder,
  topicConfig,
  topicId,
} from './log-fixture.ts'

const nowMs = 1_700_000_000_000

async function logWith(t: Parameters<typeof nodeIo>[0], overrides = {}): Promise<PartitionLog> {
  const dirs = await openLogDirs(nodeIo(t), [temporaryFolder(t)])
  t.teardown(() => dirs.close())
  return dirs.create('orders', 0, topicId, topicConfig(overrides))
}

const good = () =>
  batchOf({ crc32c } as never, [record('a', '1', nowMs), record(null, null, nowMs + 5)])

/** Changes bytes that the checksum covers, and mends the checksum. */
function changed(change: (batch: Buffer) => void): Buffer {
  const batch = good()
  change(batch)
  setCrc(batch, 0, crc32c(batch, CRC_START, batch.length))
  return batch
}

t.test('one thing wrong in each', async (t) => {
  const log = await logWith(t)
  const cases: [string, Buffer, ErrorCode, number?][] = [
    ['nothing', Buffer.alloc(0), ErrorCode.INVALID_RECORD],
    ['half a batch', good().subarray(0, 40), ErrorCode.INVALID_RECORD],
    ['a byte is missing', good().subarray(0, -1), ErrorCode.INVALID_RECORD],
    ['two batches', Buffer.concat([good(), good()]), ErrorCode.INVALID_RECORD],
    ['a tiny length', changed((b) => b.writeInt32BE(3, 8)), ErrorCode.CORRUPT_MESSAGE],
    ['a negative length', changed((b) => b.writeInt32BE(-3, 8)), ErrorCode.CORRUPT_MESSAGE],
    ['magic 0', changed((b) => b.writeInt8(0, 16)), ErrorCode.INVALID_RECORD],
    ['magic 1', changed((b) => b.writeInt8(1, 16)), ErrorCode.INVALID_RECORD],
    ['magic 3', changed((b) => b.writeInt8(3, 16)), ErrorCode.CORRUPT_MESSAGE],
    [
      'wrong checksum',
      (() => {
        const b = good()
        b[70] = (b[70] as number) ^ 1
        return b
      })(),
      ErrorCode.CORRUPT_MESSAGE,
    ],
    ['base offset 1', changed((b) => b.writeInt32BE(1, 4)), ErrorCode.INVALID_RECORD],
    [
      'count 0',
      changed((b) => {
        b.writeInt32BE(0, 57)
        b.writeInt32BE(-1, 23)
      }),
      ErrorCode.INVALID_RECORD,
    ],
    ['count and delta differ', changed((b) => b.writeInt32BE(3, 57)), ErrorCode.INVALID_RECORD],
    [
      'fewer records than counted',
      changed((b) => {
        b.writeInt32BE(3, 57)
        b.writeInt32BE(2, 23)
      }),
      ErrorCode.INVALID_RECORD,
    ],
    [
      'more records than counted',
      changed((b) => {
        b.writeInt32BE(1, 57)
        b.writeInt32BE(0, 23)
      }),
      ErrorCode.INVALID_RECORD,
    ],
    ['a control batch', changed((b) => b.writeInt16BE(0x20, 21)), ErrorCode.INVALID_RECORD],
    ['codec 5', changed((b) => b.writeInt16BE(5, 21)), ErrorCode.INVALID_RECORD],
    [
      'producer without sequence',
      changed((b) => b.writeBigInt64BE(7n, 43)),
      ErrorCode.INVALID_RECORD,
    ],
    [
      'zstd below version 7',
      changed((b) => b.writeInt16BE(4, 21)),
      ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
      6,
    ],
    ['a record size too large', changed((b) => b.writeInt8(0x7e, 61)), ErrorCode.INVALID_RECORD],
  ]
  for (const [name, batch, errorCode, produceVersion = 11] of cases) {
    const result = await append(log, Buffer.from(batch), { nowMs, produceVersion })
    t.equal(result.errorCode, errorCode, name)
    t.equal(result.baseOffset, -1)
    t.type(result.errorMessage, 'string')
  }
  t.equal(log.logEndOffset, 0, 'nothing is stored that was refused')
  t.equal((await append(log, good(), { nowMs })).baseOffset, 0)
})

t.test('random damage never gets in', async (t) => {
  const log = await logWith(t)
  const original = good()
  for (let position = 0; position < original.length; position++) {
    const batch = good()
    batch[position] = (batch[position] as number) ^ 0x41
    const { errorCode } = await append(log, batch, { nowMs })
    // The leader epoch is the broker's to set; all else is checked.
    const isFree = position >= 12 && position < 16
    t.equal(errorCode === ErrorCode.NONE, isFree, `byte ${position}`)
  }
})

t.test('max.message.bytes counts the whole batch', async (t) => {
  const log = await logWith(t, { 'max.message.bytes': good().length })
  t.equal((await append(log, good(), { nowMs })).errorCode, ErrorCode.NONE)
  const larger = batchOf({ crc32c } as never, [record('a', '12', nowMs), record(null, null, nowMs)])
  t.equal((await append(log, larger, { nowMs })).errorCode, ErrorCode.MESSAGE_TOO_LARGE)
})

t.test('create time must be within its bounds', async (t) => {
  const log = await logWith(t, {
    'message.timestamp.before.max.ms': 100,
    'message.timestamp.after.max.ms': 50,
  })
  const at = (timestamp: number) =>
    append(
      log,
      batchOf({ crc32c } as never, [record('a', '1', nowMs), record('b', '1', timestamp)]),
      { nowMs },
    )
  t.equal((await at(nowMs + 50)).errorCode, ErrorCode.NONE)
  t.equal((await at(nowMs - 100)).errorCode, ErrorCode.NONE)
  const late = await at(nowMs + 51)
  t.equal(late.errorCode, ErrorCode.INVALID_TIMESTAMP)
  t.same(
    late.recordErrors.map(({ batchIndex }) => batchIndex),
    [1],
  )
  t.match(late.recordErrors[0]?.batchIndexErrorMessage, /is out of range/)
  t.equal((await at(nowMs - 101)).errorCode, ErrorCode.INVALID_TIMESTAMP)
})

t.test('records without a timestamp are taken', async (t) => {
  const log = await logWith(t, { 'message.timestamp.before.max.ms': 100 })
  const batch = batchOf({ crc32c } as never, [record('a', '1', -1)])
  t.equal((await append(log, batch, { nowMs })).errorCode, ErrorCode.NONE)
})

t.test('a wrong largest timestamp in the header is put right', async (t) => {
  const log = await logWith(t)
  const batch = changed((b) => b.writeBigInt64BE(77n, 35))
  t.equal((await append(log, batch, { nowMs })).errorCode, ErrorCode.NONE)
  t.equal(batch.readBigInt64BE(35), BigInt(nowMs + 5))
  t.equal(batch.readUInt32BE(17), crc32c(batch, CRC_START, batch.length))
})

t.test('log append time', async (t) => {
  const log = await logWith(t, {
    'message.timestamp.type': 'LogAppendTime',
    'message.timestamp.after.max.ms': 0,
  })
  const batch = good()
  const result = await append(log, batch, { nowMs: nowMs + 1_000 })
  t.equal(result.logAppendTimeMs, nowMs + 1_000)
  t.equal(batch.readBigInt64BE(35), BigInt(nowMs + 1_000))
  t.equal(batch.readInt16BE(21) & 8, 8)
  t.equal(batch.readUInt32BE(17), crc32c(batch, CRC_START, batch.length))
  const stamped = changed((b) => b.writeInt16BE(8, 21))
  t.equal((await append(log, stamped, { nowMs })).errorCode, ErrorCode.INVALID_TIMESTAMP)
})

t.test(
  'a client that says log append time where create time is wanted loses the bit',
  async (t) => {
    const log = await logWith(t)
    const stamped = changed((b) => b.writeInt16BE(8, 21))
    const result = await append(log, stamped, { nowMs })
    t.equal(result.errorCode, ErrorCode.NONE)
    t.equal(result.logAppendTimeMs, -1)
    t.equal(stamped.readInt16BE(21), 0)
  },
)

t.test('a compacted topic wants keys', async (t) => {
  const log = await logWith(t, { 'cleanup.policy': ['compact'] })
  const result = await append(log, good(), { nowMs })
  t.equal(result.errorCode, ErrorCode.INVALID_RECORD)
  t.same(
    result.recordErrors.map(({ batchIndex }) => batchIndex),
    [1],
  )
  t.match(result.errorMessage, /1 record errors in total/)
  const keyed = batchOf({ crc32c } as never, [record('a', '1', nowMs)])
  t.equal((await append(log, keyed, { nowMs })).errorCode, ErrorCode.NONE)
})

t.test('a batch of millions of records', async (t) => {
  const io = nodeIo(t)
  const count = 3_000_000
  const block = manyRecords(count)
  const packed = await io.codecs.compress(Codec.zstd, block)
  const batchWith = (change: (batch: Buffer) => void = () => {}) => {
    const batch = wrapBlock(packed, Codec.zstd, [record(null, null, nowMs)], {}, crc32c)
    batch.writeInt32BE(count - 1, 23)
    batch.writeInt32BE(count, 57)
    change(batch)
    setCrc(batch, 0, crc32c(batch, CRC_START, batch.length))
    return batch
  }
  t.ok(batchWith().length < 4 << 20, 'is small on the wire')
  const options = { leaderEpoch: 0, nowMs, origin: 'client', produceVersion: 11 } as const
  const maxMessageBytes = { 'max.message.bytes': 8 << 20 }

  const other = await logWith(t, { ...maxMessageBytes, 'compression.type': 'gzip' })
  let turns = 0
  const counting = setInterval(() => turns++, 0)
  t.teardown(() => clearInterval(counting))
  t.equal((await other.append(batchWith(), options)).errorCode, ErrorCode.NONE)
  t.ok(turns > count / 200_000, `others had ${turns} turns meanwhile`)

  const old = await logWith(t, { ...maxMessageBytes, 'message.timestamp.before.max.ms': 1000 })
  const late = await old.append(batchWith(), { ...options, nowMs: nowMs + 100_000 })
  t.equal(late.errorCode, ErrorCode.INVALID_TIMESTAMP)
  t.equal(late.recordErrors.length, 10_000, 'names some, not millions')
  t.match(late.errorMessage, 'due to at least 10000 record errors in total')

  const keyed = await logWith(t, { ...maxMessageBytes, 'cleanup.policy': 'compact' })
  const keyless = await keyed.append(batchWith(), options)
  t.equal(keyless.errorCode, ErrorCode.INVALID_RECORD)
  t.equal(keyless.recordErrors.length, 10_000)
})

/** Records without key and value, as small as they can be. */
function manyRecords(count: number): Buffer {
  const block = Buffer.allocUnsafe(count * 10)
  let at = 0
  for (let index = 0; index < count; index++) {
    const delta: number[] = []
    for (let rest = index * 2; ; rest = Math.floor(rest / 128)) {
      delta.push(rest < 128 ? rest : (rest & 127) | 128)
      if (rest < 128) break
    }
    for (const byte of [2 * (5 + delta.length), 0, 0, ...delta, 1, 1, 0]) block[at++] = byte
  }
  return block.subarray(0, at)
}
