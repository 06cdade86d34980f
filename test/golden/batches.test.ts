// Goal: record batches of real clients are understood byte for byte, and built the same way.
// Method: each batch in the recorded Produce requests and Fetch answers is checked, opened, walked, and rebuilt.
import t from 'tap'
import { LmqError } from '../../src/base/errors.ts'
import { crc32c } from '../../src/io/crc32c.ts'
import type { CodecId } from '../../src/io/io.ts'
import { nodeCodecs } from '../../src/io/node-codecs.ts'
import { buildBatch, type RecordInput, wrapBlock } from '../../src/protocol/batch-builder.ts'
import { type RecordFields, readRecords } from '../../src/protocol/record.ts'
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  batchSizeOf,
  CRC_START,
  codecOf,
  crcOf,
  hasLogAppendTime,
  isControl,
  isTransactional,
  magicOf,
  readBatchHeader,
} from '../../src/protocol/record-batch.ts'
import { openFrame, recordedFrames } from './frames.ts'

type Found = { from: string; batch: Buffer }

function cutBatches(records: Buffer | null, from: string, found: Found[]): void {
  let at = 0
  while (records !== null && at + BATCH_HEADER_BYTES <= records.length) {
    const size = batchSizeOf(records, at)
    if (at + size > records.length) return
    found.push({ from, batch: records.subarray(at, at + size) })
    at += size
  }
}

type Partitions = { partitionData?: { records: Buffer | null }[] } & {
  partitions?: { records: Buffer | null }[]
}

function recordedBatches(): Found[] {
  const found: Found[] = []
  for (const frame of recordedFrames()) {
    const produced = frame.key === 0 && frame.direction === 'request'
    const fetched = frame.key === 1 && frame.direction === 'response'
    if (!produced && !fetched) continue
    const { body } = openFrame(frame)
    const topics = body[produced ? 'topicData' : 'responses'] as Partitions[]
    for (const topic of topics) {
      for (const partition of topic.partitionData ?? topic.partitions ?? []) {
        cutBatches(partition.records, `${frame.client} ${produced ? 'produce' : 'fetch'}`, found)
      }
    }
  }
  return found
}

async function open(batch: Buffer, header: BatchHeader): Promise<Buffer | undefined> {
  const block = batch.subarray(BATCH_HEADER_BYTES)
  try {
    return await nodeCodecs.decompress(codecOf(header.attributes) as CodecId, block, 1 << 20)
  } catch (error) {
    if (error instanceof LmqError && error.code === 'LMQ_CODEC_MISSING') return undefined
    throw error
  }
}

function inputs(records: readonly RecordFields[], header: BatchHeader): RecordInput[] {
  return records.map(({ key, value, headers, timestampDelta }) => ({
    key,
    value,
    headers,
    timestamp: header.baseTimestamp + timestampDelta,
  }))
}

function optionsOf(header: BatchHeader) {
  const { attributes, recordCount: _, lastOffsetDelta: __, maxTimestamp: ___, ...rest } = header
  return {
    ...rest,
    timestampType: hasLogAppendTime(attributes) ? 1 : 0,
    transactional: isTransactional(attributes),
    control: isControl(attributes),
  } as const
}

const found = recordedBatches()

t.test('there are batches of every client and codec', async (t) => {
  const clients = new Set(found.map(({ from }) => from.split(' ')[0]))
  t.same([...clients].sort(), ['franz-go', 'java', 'kafkajs', 'kcat', 'python'])
  const codecs = new Set(found.map(({ batch }) => codecOf(readBatchHeader(batch, 0).attributes)))
  t.same([...codecs].sort(), [0, 1, 2, 3, 4])
})

for (const [i, { from, batch }] of found.entries()) {
  t.test(`${from} ${i}`, async (t) => {
    const header = readBatchHeader(batch, 0)
    const codec = codecOf(header.attributes)
    t.equal(magicOf(batch, 0), 2)
    t.equal(crc32c(batch, CRC_START, batch.length), crcOf(batch, 0), 'checksum')
    t.equal(header.lastOffsetDelta, header.recordCount - 1)
    const block = await open(batch, header)
    if (block === undefined) return
    const records = readRecords(block, header.recordCount)
    t.same(
      records.map((record) => record.offsetDelta),
      records.map((_, index) => index),
      'offsets ascend by one',
    )
    const rebuilt = wrapBlock(
      batch.subarray(BATCH_HEADER_BYTES),
      codec,
      inputs(records, header),
      optionsOf(header),
      crc32c,
    )
    t.ok(rebuilt.equals(batch), 'the same header')
    if (codec === 0) {
      const whole = buildBatch(inputs(records, header), optionsOf(header), crc32c)
      t.ok(whole.equals(batch), 'the same bytes')
    }
  })
}
