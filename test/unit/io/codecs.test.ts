// Goal: what Kafka's clients send is opened, what they must read is written, and nothing inflates beyond its bound.
import { createRequire } from 'node:module'
import zlib from 'node:zlib'
import t from 'tap'
import { crc32c } from '../../../src/io/crc32c.ts'
import { Codec, type CodecId } from '../../../src/io/io.ts'
import { nodeCodecs } from '../../../src/io/node-codecs.ts'

const require = createRequire(import.meta.url)
const ids = Object.values(Codec).filter((codec) => codec !== Codec.none)
const text = Buffer.from('hello world '.repeat(20_000))
const noise = Buffer.from(
  Array.from({ length: 300_000 }, (_, index) => (index * 7919 * (index >> 3)) & 0xff),
)

t.test('there and back', async (t) => {
  for (const codec of ids) {
    for (const plain of [Buffer.alloc(0), Buffer.from('x'), text, noise]) {
      const packed = await nodeCodecs.compress(codec, plain)
      const opened = await nodeCodecs.decompress(codec, packed, plain.length)
      t.ok(opened.equals(plain), `codec ${codec}, ${plain.length} bytes`)
    }
  }
  t.equal(await nodeCodecs.compress(Codec.none, text), text)
})

t.test('a bound is kept', async (t) => {
  for (const codec of ids) {
    const packed = await nodeCodecs.compress(codec, Buffer.alloc(5_000_000))
    await t.rejects(nodeCodecs.decompress(codec, packed, 4_999_999), {
      code: 'LMQ_CODEC_TOO_LARGE',
    })
    t.equal((await nodeCodecs.decompress(codec, packed, 5_000_000)).length, 5_000_000)
  }
})

t.test('no codec holds up the event loop', async (t) => {
  // A block of zstd that opens to 128 KiB takes four bytes: 160 KB would become 5 GiB.
  const block = Buffer.from([(131_072 << 3) | 2, (131_072 << 3) >> 8, (131_072 << 3) >> 16, 0])
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38])
  const bomb = Buffer.concat([header, Buffer.alloc(4 * 40_000, block)])
  bomb.writeUInt8((bomb[bomb.length - 4] as number) | 1, bomb.length - 4)
  const thrown = nodeCodecs.decompress(Codec.zstd, bomb, 64 << 20)
  let turns = 0
  let isOver = false
  let longestMs = 0
  let lastMs = performance.now()
  const count = () => {
    turns++
    longestMs = Math.max(longestMs, performance.now() - lastMs)
    lastMs = performance.now()
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  await t.rejects(thrown, { code: 'LMQ_CODEC_TOO_LARGE' })
  t.ok(turns >= 8, `others had ${turns} turns while the bomb was opened up to the bound`)

  // Some codecs work in another thread, or are through before anybody could wait: what counts is the longest wait.
  const large = Buffer.alloc(24 << 20, text)
  for (const codec of ids) {
    longestMs = 0
    const packed = await nodeCodecs.compress(codec, large)
    t.ok(
      longestMs < 1_000,
      `codec ${codec}: others waited ${longestMs} ms while 24 MiB were packed`,
    )
    longestMs = 0
    const opened = await nodeCodecs.decompress(codec, packed, large.length)
    t.ok(longestMs < 1_000, `codec ${codec}: others waited ${longestMs} ms while they were opened`)
    t.ok(opened.equals(large))
  }

  // Those that work here share the turns: whatever follows one another is not one long piece of work.
  for (const codec of [Codec.snappy, Codec.lz4, Codec.zstd]) {
    const packed = await nodeCodecs.compress(codec, Buffer.alloc(4 << 20))
    turns = 0
    for (let i = 0; i < 32; i++) {
      await t.rejects(nodeCodecs.decompress(codec, packed, (4 << 20) - 1), {
        code: 'LMQ_CODEC_TOO_LARGE',
      })
    }
    t.ok(turns >= 24, `codec ${codec}: others had ${turns} turns while 128 MiB were opened`)
  }
  isOver = true
})

t.test('damage is an error of the batch, not of the process', async (t) => {
  for (const codec of ids) {
    const packed = await nodeCodecs.compress(codec, text)
    for (const broken of [
      Buffer.alloc(0),
      Buffer.from('nonsense, nothing else'),
      packed.subarray(0, packed.length >> 1),
    ]) {
      await t.rejects(
        nodeCodecs.decompress(codec, broken, 1_000_000),
        { code: 'LMQ_CODEC_FAILED' },
        `codec ${codec}, ${broken.length} bytes`,
      )
    }
    for (let round = 0; round < 50; round++) {
      const broken = Buffer.from(packed)
      broken[(round * 31) % broken.length] = (round * 77) & 0xff
      await nodeCodecs
        .decompress(codec, broken, 1_000_000)
        .catch((error: { code: string }) => t.match(error.code, /^LMQ_CODEC/))
    }
  }
  await t.rejects(nodeCodecs.decompress(6 as CodecId, text, 1_000), { code: 'LMQ_CODEC_FAILED' })
})

t.test('snappy is read with and without framing, and written as Java does', async (t) => {
  const snappy = require('@napi-rs/snappy') as { compressSync(plain: Buffer): Buffer }
  const raw = snappy.compressSync(text)
  t.ok((await nodeCodecs.decompress(Codec.snappy, raw, 1_000_000)).equals(text))
  const framed = await nodeCodecs.compress(Codec.snappy, text)
  t.equal(framed.subarray(0, 16).toString('hex'), '82534e41505059000000000100000001')
  const chunks = Math.ceil(text.length / 32_768)
  let at = 16
  let count = 0
  while (at < framed.length) {
    at += 4 + framed.readInt32BE(at)
    count++
  }
  t.equal(count, chunks)
})

t.test("lz4 frames are what Kafka's strict reader takes", async (t) => {
  const packed = await nodeCodecs.compress(Codec.lz4, text)
  t.equal(packed.readUInt32LE(0), 0x184d2204)
  t.equal(packed.readUInt8(4) & 0xe0, 0x60, 'version 1, independent blocks')
  t.equal(packed.readUInt8(4) & 0x1d, 0, 'no checksums, no content size, no dictionary')
  const linked = Buffer.from(packed)
  linked.writeUInt8(0x40, 4)
  await t.rejects(nodeCodecs.decompress(Codec.lz4, linked, 1_000_000), { code: 'LMQ_CODEC_FAILED' })
})

t.test('gzip members that follow one another', async (t) => {
  const members = Buffer.concat([zlib.gzipSync('one'), zlib.gzipSync('two', { level: 9 })])
  t.equal((await nodeCodecs.decompress(Codec.gzip, members, 6)).toString(), 'onetwo')
})

t.test('levels', async (t) => {
  const fast = await nodeCodecs.compress(Codec.gzip, noise, 1)
  const small = await nodeCodecs.compress(Codec.gzip, noise, 9)
  t.ok(small.length <= fast.length)
  t.ok((await nodeCodecs.compress(Codec.zstd, noise, 19)).length > 0)
})

t.test('crc32c', (t) => {
  t.equal(crc32c(Buffer.from('123456789'), 0, 9), 0xe3069283)
  t.equal(crc32c(Buffer.from('xx123456789xx'), 2, 11), 0xe3069283)
  t.equal(crc32c(Buffer.alloc(0), 0, 0), 0)
  const { buf } = require('crc-32/crc32c.js') as { buf(data: Buffer): number }
  t.equal(crc32c(text, 0, text.length), buf(text) >>> 0, 'native and JavaScript agree')
  t.end()
})
