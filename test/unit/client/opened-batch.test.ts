// Goal: from fetched bytes come exactly the records that a consumer may see, and the right offset to go on from.
import t from 'tap'
import { openBatches } from '../../../src/client/opened-batch.ts'
import { Codec } from '../../../src/io/io.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import {
  type BatchOptions,
  buildBatch,
  buildRecordBlock,
  wrapBlock,
} from '../../../src/protocol/batch-builder.ts'

const io = createNodeIo()
const partition = { topic: 'orders', partitionIndex: 3 }
const recordsOf = (texts: readonly string[]) =>
  texts.map((text, at) => ({ key: null, value: Buffer.from(text), timestamp: 1_000 + at }))
const batch = (texts: readonly string[], options: BatchOptions): Buffer =>
  buildBatch(recordsOf(texts), options, io.crc32c)
const open = (chunks: Buffer[], from: number, aborted: Parameters<typeof openBatches>[4] = null) =>
  openBatches(io, partition, Buffer.concat(chunks), from, aborted)
const values = (opened: Awaited<ReturnType<typeof open>>): string[] =>
  opened.records.map(({ value }) => String(value))

t.test('records from the asked offset on, and a batch that is cut off', async (t) => {
  const second = batch(['d', 'e'], { baseOffset: 3 })
  const cut = second.subarray(0, second.length - 1)
  const opened = await open([batch(['a', 'b', 'c'], { baseOffset: 0 }), cut], 1)
  t.same(values(opened), ['b', 'c'])
  t.equal(opened.nextOffset, 3)
  t.match(opened.records[0], { ...partition, offset: 1, timestamp: 1_001 })
  t.match(await open([cut.subarray(0, 20)], 3), { records: [], nextOffset: 3 })
})

t.test('every codec', async (t) => {
  const records = recordsOf(['x'.repeat(1_000), 'y'])
  for (const codec of [Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd]) {
    const block = await io.codecs.compress(codec, buildRecordBlock(records))
    const packed = wrapBlock(block, codec, records, { baseOffset: 5 }, io.crc32c)
    t.same(values(await open([packed], 5)), ['x'.repeat(1_000), 'y'])
  }
})

t.test('aborted transactions and control records are left out', async (t) => {
  const own = { producerId: 7, producerEpoch: 0, transactional: true } as const
  const other = { producerId: 8, producerEpoch: 0, transactional: true } as const
  const chunks = [
    batch(['aborted'], { ...own, baseOffset: 0 }),
    batch(['kept'], { ...other, baseOffset: 1 }),
    batch(['plain'], { baseOffset: 2 }),
    batch(['marker'], { ...own, control: true, baseOffset: 3 }),
    batch(['later'], { ...own, baseOffset: 4 }),
    batch(['marker'], { ...own, control: true, baseOffset: 5 }),
  ]
  const committed = await open(chunks, 0, [{ producerId: 7, firstOffset: 0 }])
  t.same(values(committed), ['kept', 'plain', 'later'])
  t.equal(committed.nextOffset, 6)
  t.same(values(await open(chunks, 0)), ['aborted', 'kept', 'plain', 'later'])
})

t.test('log append time holds for all records', async (t) => {
  const records = recordsOf(['a', 'b'])
  const stamped = buildBatch(records, { timestampType: 1 }, io.crc32c)
  const opened = await open([stamped], 0)
  t.same(
    opened.records.map(({ timestamp, timestampType }) => [timestamp, timestampType]),
    [
      [1_001, 'LogAppendTime'],
      [1_001, 'LogAppendTime'],
    ],
  )
})

t.test('damage is an error', async (t) => {
  const damaged = batch(['a'], {})
  damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1
  await t.rejects(open([damaged], 0), { code: 'LMQ_PROTOCOL' })
  const old = batch(['a'], {})
  old[16] = 1
  await t.rejects(open([old], 0), { code: 'LMQ_PROTOCOL' })
})
