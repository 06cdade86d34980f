import t from 'tap'
import { crc32c } from '../../../src/io/crc32c.ts'
import { buildBatch, buildRecordBlock, wrapBlock } from '../../../src/protocol/batch-builder.ts'
import { readRecords } from '../../../src/protocol/record.ts'
import * as batches from '../../../src/protocol/record-batch.ts'

const records = [
  { key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 1_700_000_000_000 },
  { key: null, value: null, timestamp: 1_700_000_000_500, headers: [{ key: 'h', value: null }] },
  { key: null, value: Buffer.alloc(0), timestamp: 1_699_999_999_000 },
]
const options = { producerId: 5_000_000_000, producerEpoch: 7, baseSequence: 2147483646 }

t.test('a batch built from records', async (t) => {
  const batch = buildBatch(records, { ...options, baseOffset: 2 ** 40, leaderEpoch: 3 }, crc32c)
  t.same(batches.readBatchHeader(batch, 0), {
    baseOffset: 2 ** 40,
    leaderEpoch: 3,
    attributes: 0,
    lastOffsetDelta: 2,
    baseTimestamp: 1_700_000_000_000,
    maxTimestamp: 1_700_000_000_500,
    recordCount: 3,
    ...options,
  })
  t.equal(batches.batchSizeOf(batch, 0), batch.length)
  t.equal(batches.magicOf(batch, 0), 2)
  t.equal(batches.lastOffsetOf(batch, 0), 2 ** 40 + 2)
  t.equal(batches.lastSequenceOf(batch, 0), 0, 'after the largest sequence comes 0')
  t.equal(batches.crcOf(batch, 0), crc32c(batch, batches.CRC_START, batch.length))
  const read = readRecords(batch.subarray(batches.BATCH_HEADER_BYTES), 3)
  t.same(
    read.map((record) => record.timestampDelta),
    [0, 500, -1000],
  )
  t.same(read[1]?.headers, [{ key: 'h', value: null }])
  t.same(read[2]?.value, Buffer.alloc(0))
})

t.test('attributes', async (t) => {
  const all = batches.attributesFrom({
    codec: 4,
    timestampType: batches.TimestampType.logAppendTime,
    transactional: true,
    control: true,
    deleteHorizon: true,
  })
  t.equal(all, 0x7c)
  t.equal(batches.codecOf(all), 4)
  for (const is of [
    batches.hasLogAppendTime,
    batches.isTransactional,
    batches.isControl,
    batches.hasDeleteHorizon,
  ]) {
    t.equal(is(all), true)
    t.equal(is(4), false)
  }
  t.equal(batches.attributesFrom({ codec: 1 }), 1)
})

t.test('changes in place, at any position of a buffer', async (t) => {
  const batch = buildBatch(records, options, crc32c)
  const buffer = Buffer.concat([Buffer.alloc(17, 0xee), batch, Buffer.alloc(9, 0xee)])
  const crc = batches.crcOf(buffer, 17)
  batches.assignOffset(buffer, 17, 123_456_789_012, 42)
  t.equal(batches.baseOffsetOf(buffer, 17), 123_456_789_012)
  t.equal(batches.leaderEpochOf(buffer, 17), 42)
  const end = 17 + batch.length
  t.equal(crc32c(buffer, 17 + batches.CRC_START, end), crc, 'outside of the checksum')

  batches.setMaxTimestamp(buffer, 17, batches.TimestampType.logAppendTime, 1_800_000_000_000)
  t.equal(batches.maxTimestampOf(buffer, 17), 1_800_000_000_000)
  t.equal(batches.hasLogAppendTime(batches.attributesOf(buffer, 17)), true)
  const changed = crc32c(buffer, 17 + batches.CRC_START, end)
  t.not(changed, crc)
  batches.setCrc(buffer, 17, changed)
  t.equal(batches.crcOf(buffer, 17), changed)
  t.ok(buffer.subarray(0, 17).equals(Buffer.alloc(17, 0xee)), 'nothing before it is touched')
  t.ok(buffer.subarray(end).equals(Buffer.alloc(9, 0xee)), 'nothing behind it is touched')
  batches.setMaxTimestamp(buffer, 17, batches.TimestampType.createTime, -1)
  t.equal(batches.hasLogAppendTime(batches.attributesOf(buffer, 17)), false)
  t.equal(batches.maxTimestampOf(buffer, 17), -1)
})

t.test('no sequence, no producer, no timestamp', async (t) => {
  const plain = [{ key: null, value: null, timestamp: -1 }]
  const batch = buildBatch(plain, {}, crc32c)
  t.match(batches.readBatchHeader(batch, 0), {
    baseTimestamp: -1,
    maxTimestamp: -1,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    leaderEpoch: -1,
  })
  t.equal(batches.lastSequenceOf(batch, 0), -1)
})

t.test('a block that a codec has packed', async (t) => {
  const block = buildRecordBlock(records)
  const packed = Buffer.from('pretend this is lz4')
  const batch = wrapBlock(packed, 3, records, options, crc32c)
  t.equal(batch.length, batches.BATCH_HEADER_BYTES + packed.length)
  t.equal(batches.codecOf(batches.attributesOf(batch, 0)), 3)
  t.equal(batches.recordCountOf(batch, 0), 3)
  t.ok(buildBatch(records, options, crc32c).subarray(61).equals(block))
})

t.test('numbers that a header cannot hold are bugs', async (t) => {
  t.throws(() => buildBatch(records, { ...options, baseOffset: Number.NaN }, crc32c))
  t.throws(() => buildBatch(records, { ...options, producerId: 2 ** 53 }, crc32c))
  t.throws(() => buildBatch([], options, crc32c), /at least one record/)
})
