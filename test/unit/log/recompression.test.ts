// Goal: batches that must be opened keep their place in the order, and come out as the topic's codec.
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { type Logger, silentLogger } from '../../../src/base/logger.ts'
import type { Io } from '../../../src/io/io.ts'
import { Codec, type CodecId } from '../../../src/io/io.ts'
import { openBatch } from '../../../src/log/batch-recode.ts'
import {
  buildRecordBlock,
  type RecordInput,
  wrapBlock,
} from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { readRecords } from '../../../src/protocol/record.ts'
import {
  attributesOf,
  baseOffsetOf,
  batchSizeOf,
  codecOf,
  recordCountOf,
  setCrc,
} from '../../../src/protocol/record-batch.ts'
import {
  append,
  batchOf,
  follow,
  logSettings,
  nodeIo,
  openLogDirs,
  record,
  temporaryFolder,
  topicConfig,
  topicId,
  written,
} from './log-fixture.ts'

const codecs = {
  uncompressed: Codec.none,
  gzip: Codec.gzip,
  snappy: Codec.snappy,
  lz4: Codec.lz4,
  zstd: Codec.zstd,
} as const

async function packed(io: Io, codec: CodecId, records: RecordInput[]): Promise<Buffer> {
  const block = await io.codecs.compress(codec, buildRecordBlock(records))
  return wrapBlock(block, codec, records, {}, io.crc32c)
}

t.test('every codec to every other', async (t) => {
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [temporaryFolder(t)])
  t.teardown(() => dirs.close())
  const options = { leaderEpoch: 0, nowMs: 2_000, origin: 'client', produceVersion: 11 } as const
  for (const [target, wanted] of Object.entries(codecs)) {
    const log = follow(
      dirs.create(target, 0, topicId, topicConfig({ 'compression.type': target as 'lz4' })),
    )
    const batches = await Promise.all(
      Object.values(codecs).map((codec) =>
        packed(io, codec, [record('k', `from ${codec}`.repeat(500)), record('l', 'm')]),
      ),
    )
    // All at once: later ones, that need no work, must not overtake.
    const results = await Promise.all(batches.map((batch) => log.append(batch, options)))
    t.same(
      results.map(({ baseOffset }) => baseOffset),
      [0, 2, 4, 6, 8],
      target,
    )
    await written(log, 10)
    const { records } = await log.read(0, 1_000_000, { upTo: 10, minOneBatch: true })
    const all = Buffer.concat(records)
    let index = 0
    for (let at = 0; at < all.length; at += batchSizeOf(all, at), index++) {
      const batch = all.subarray(at, at + batchSizeOf(all, at))
      t.equal(codecOf(attributesOf(batch, 0)), wanted)
      t.equal(baseOffsetOf(batch, 0), index * 2)
      const found = readRecords(await openBatch(io, batch), recordCountOf(batch, 0))
      t.equal(found[0]?.value?.toString(), `from ${Object.values(codecs)[index]}`.repeat(500))
    }
    t.equal(index, 5)
  }
})

t.test('damaged and oversized blocks are refused', async (t) => {
  const io = nodeIo(t)
  const dirs = await openLogDirs(io, [temporaryFolder(t)])
  t.teardown(() => dirs.close())
  const config = topicConfig({ 'cleanup.policy': ['compact'], 'max.message.bytes': 10_000_000 })
  const log = follow(dirs.create('table', 0, topicId, config))
  for (const codec of [Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd]) {
    const records = [record('k', 'value'.repeat(100))]
    const broken = wrapBlock(
      Buffer.from('this is not compressed at all'),
      codec,
      records,
      {},
      io.crc32c,
    )
    t.equal((await append(log, broken)).errorCode, ErrorCode.INVALID_RECORD)
    const fine = await packed(io, codec, records)
    t.equal((await append(log, fine)).errorCode, ErrorCode.NONE)
    const keyless = await packed(io, codec, [record(null, 'x')])
    t.equal((await append(log, keyless)).errorCode, ErrorCode.INVALID_RECORD)
  }
  const bomb = await packed(io, Codec.gzip, [record('k', '0'.repeat(70_000_000))])
  t.equal((await append(log, bomb)).errorCode, ErrorCode.INVALID_RECORD)
  t.equal((await append(log, batchOf(io, [record('k', 'v')]))).baseOffset, 4)
})

t.test(
  'what is passed through closed has the outline of its codec, and room for its records',
  async (t) => {
    const io = nodeIo(t)
    const dirs = await openLogDirs(io, [temporaryFolder(t)])
    t.teardown(() => dirs.close())
    const log = follow(dirs.create('plain', 0, topicId, topicConfig({})))
    const records = [record('k', 'value'.repeat(100)), record(null, 'x')]
    for (const codec of [Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd]) {
      const fine = await packed(io, codec, records)
      const counting = (count: number) => {
        const batch = Buffer.from(fine)
        batch.writeInt32BE(count - 1, 23)
        batch.writeInt32BE(count, 57)
        setCrc(batch, 0, io.crc32c(batch, 21, batch.length))
        return batch
      }
      const nonsense = Buffer.from('this is not compressed at all')
      for (const bad of [
        wrapBlock(nonsense, codec, records, {}, io.crc32c),
        counting(10_000_000),
      ]) {
        const { errorCode, errorMessage } = await append(log, bad)
        t.equal(errorCode, ErrorCode.INVALID_RECORD, `codec ${codec}: ${errorMessage}`)
      }
      const endBefore = log.logEndOffset
      t.equal((await append(log, fine)).baseOffset, endBefore, 'and what is right is taken')
    }
  },
)

t.test('lmq.produce.validation=records looks at every record of a compressed batch', async (t) => {
  const io = nodeIo(t)
  const settings = { ...logSettings, 'lmq.produce.validation': 'records' as const }
  const dirs = await openLogDirs(io, [temporaryFolder(t)], { settings })
  t.teardown(() => dirs.close())
  const log = follow(dirs.create('plain', 0, topicId, topicConfig({})))
  for (const codec of [Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd]) {
    const records = [record('k', 'value'), record(null, 'x')]
    const fine = await packed(io, codec, records)
    const oneMore = Buffer.from(fine)
    oneMore.writeInt32BE(2, 23)
    oneMore.writeInt32BE(3, 57)
    setCrc(oneMore, 0, io.crc32c(oneMore, 21, oneMore.length))
    t.equal((await append(log, oneMore)).errorCode, ErrorCode.INVALID_RECORD, `codec ${codec}`)
    t.equal((await append(log, fine)).errorCode, ErrorCode.NONE)
  }
})

t.test(
  'a codec that is not installed: the batch is refused, and one line says what to install',
  async (t) => {
    const io = nodeIo(t)
    const records = [record('k', 'v')]
    const batch = await packed(io, Codec.lz4, records)
    const missing = async () => {
      throw new LmqError(
        'LMQ_CODEC_MISSING',
        { package: 'lz4-napi' },
        new Error('not in /some/path'),
      )
    }
    const without = { ...io, codecs: { compress: missing, decompress: missing } }
    const warned: object[] = []
    const logger: Logger = { ...silentLogger, warn: (facts) => void warned.push(facts) }
    const dirs = await openLogDirs(without, [temporaryFolder(t)], {
      logger: { ...logger, child: () => logger },
    })
    t.teardown(() => dirs.close())
    const config = topicConfig({ 'cleanup.policy': ['compact'] })
    const log = follow(dirs.create('table', 0, topicId, config))
    for (let i = 0; i < 2; i++) {
      const { errorCode, errorMessage } = await append(log, Buffer.from(batch))
      t.equal(errorCode, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
      t.match(errorMessage, /lacks the package lz4-napi/)
      t.notMatch(errorMessage, /some\/path/)
    }
    t.match(warned, [{ log: 'table-0', errorMessage: /lz4-napi/ }])
    t.equal(warned.length, 1)
    const plain = follow(dirs.create('plain', 0, topicId, topicConfig({})))
    t.equal((await append(plain, Buffer.from(batch))).errorCode, ErrorCode.NONE, 'passed through')
  },
)
