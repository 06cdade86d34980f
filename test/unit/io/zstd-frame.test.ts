// Goal: a zstd frame that is cut off anywhere is seen, whatever its header says.
import t from 'tap'
import { Codec } from '../../../src/io/io.ts'
import { nodeCodecs } from '../../../src/io/node-codecs.ts'
import { isWholeZstd } from '../../../src/io/zstd-frame.ts'

t.test('whole frames and all their beginnings', async (t) => {
  const texts = ['', 'x', 'a'.repeat(100_000), 'some text that hardly repeats: '.repeat(3)]
  for (const text of texts) {
    const packed = await nodeCodecs.compress(Codec.zstd, Buffer.from(text))
    t.ok(isWholeZstd(packed))
    t.ok(isWholeZstd(Buffer.concat([packed, packed])), 'two frames')
    for (let size = 0; size < packed.length; size++) {
      if (isWholeZstd(packed.subarray(0, size))) t.fail(`${size} of ${packed.length} bytes`)
    }
  }
  const skippable = Buffer.from('502a4d180300000061626300', 'hex').subarray(0, 11)
  t.ok(isWholeZstd(skippable))
  t.notOk(isWholeZstd(skippable.subarray(0, 10)))
  t.notOk(isWholeZstd(Buffer.from('no frame at all')))
})
