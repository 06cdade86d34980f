// Goal: what a packed block can open to is told without opening it: never too little, and nothing at all for what is not
// the codec's. Method: blocks of every codec, whole, cut off at every byte, behind one another, and invented ones.
import t from 'tap'
import { Codec, type CodecId } from '../../../src/io/io.ts'
import { nodeCodecs } from '../../../src/io/node-codecs.ts'
import { packedBound } from '../../../src/io/packed-bound.ts'

const codecs = { gzip: Codec.gzip, snappy: Codec.snappy, lz4: Codec.lz4, zstd: Codec.zstd }
const noise = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7919 * (i >> 3)) & 0xff))

const plains = {
  nothing: Buffer.alloc(0),
  'one byte': Buffer.from('x'),
  text: Buffer.from('some text that hardly repeats'),
  zeros: Buffer.alloc(3_000_000),
  noise,
  both: Buffer.concat([noise, Buffer.alloc(500_000)]),
}

for (const [name, codec] of Object.entries(codecs) as [string, CodecId][]) {
  t.test(`${name}: the bound holds`, async (t) => {
    for (const [what, plain] of Object.entries(plains)) {
      const packed = await nodeCodecs.compress(codec, plain)
      const bound = packedBound(codec, packed)
      t.ok(bound >= plain.length, `${what}: ${plain.length} of ${bound}`)
    }
  })

  t.test(`${name}: what is cut off or something else`, async (t) => {
    const packed = await nodeCodecs.compress(codec, plains.text)
    for (let size = 0; size < packed.length; size++) {
      const part = packed.subarray(0, size)
      try {
        t.ok(packedBound(codec, part) < 100_000, `${size} of ${packed.length}`)
      } catch (error) {
        t.match(error, { code: 'LMQ_CODEC_FAILED' }, `${size} of ${packed.length}`)
      }
    }
    const others = { ...codecs, 'no codec': undefined }
    for (const [otherName, other] of Object.entries(others)) {
      // One raw block of snappy has no mark: only its size speaks.
      if (other === codec || codec === Codec.snappy) continue
      const foreign = other === undefined ? plains.text : await nodeCodecs.compress(other, noise)
      t.throws(() => packedBound(codec, foreign), { code: 'LMQ_CODEC_FAILED' }, otherName)
    }
  })
}

t.test('snappy that declares more than its bytes can be', (t) => {
  const block = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0])
  t.throws(() => packedBound(Codec.snappy, block), { code: 'LMQ_CODEC_FAILED' })
  t.end()
})

t.test('several frames and members behind one another', async (t) => {
  for (const codec of [Codec.gzip, Codec.zstd]) {
    const packed = await nodeCodecs.compress(codec, plains.both)
    const twice = packedBound(codec, Buffer.concat([packed, packed]))
    t.equal(twice, 2 * packedBound(codec, packed))
  }
})
