import t from 'tap'
import { Writer } from '../../../src/protocol/writer.ts'

t.test('record data is sent as it is, not copied', async (t) => {
  const large = Buffer.alloc(5000, 1)
  const small = Buffer.alloc(100, 2)
  const writer = new Writer()
  writer.int32(0)
  writer.bytes([large, small, large])
  writer.int8(9)
  const chunks = writer.finishFrame()
  t.equal(chunks[1]?.buffer, large.buffer)
  t.equal(chunks.filter((chunk) => chunk.buffer === large.buffer).length, 2)
  const frame = Buffer.concat(chunks)
  t.equal(frame.readInt32BE(0), frame.length - 4, 'the size of what follows')
  t.equal(frame.readInt32BE(4), 10_100)
  t.equal(frame.length, 4 + 4 + 10_100 + 1)
})

t.test('sizes on the way', async (t) => {
  const writer = new Writer()
  t.equal(writer.sizeBytes, 0)
  for (let i = 1; i <= 5000; i++) {
    writer.int32(i)
    if (writer.sizeBytes !== i * 4) t.fail(`after ${i}: ${writer.sizeBytes}`)
  }
  writer.chunk(Buffer.alloc(1000))
  t.equal(writer.sizeBytes, 21_000)
  const bytes = writer.toBuffer()
  t.equal(bytes.length, 21_000)
  for (let i = 1; i <= 5000; i++) {
    if (bytes.readInt32BE((i - 1) * 4) !== i) t.fail(`value ${i}`)
  }
})

t.test('several writers at once do not touch each other', async (t) => {
  const writers = Array.from({ length: 5 }, () => new Writer())
  for (let round = 0; round < 300; round++) {
    for (const [i, writer] of writers.entries()) writer.string(`writer ${i}, round ${round}`)
  }
  const outputs = writers.map((writer) => writer.toBuffer())
  const later = new Writer()
  later.chunk(Buffer.alloc(300, 0xff))
  later.finish()
  for (const [i, output] of outputs.entries()) {
    let at = 0
    for (let round = 0; round < 300; round++) {
      const size = output.readInt16BE(at)
      const text = output.toString('utf8', at + 2, at + 2 + size)
      if (text !== `writer ${i}, round ${round}`) t.fail(text)
      at += 2 + size
    }
    t.equal(at, output.length)
  }
})

t.test('finished bytes stay as they are', async (t) => {
  const kept: Buffer[] = []
  for (let i = 0; i < 3000; i++) {
    const writer = new Writer()
    writer.int32(i)
    writer.string('x'.repeat(i % 90))
    kept.push(writer.toBuffer())
  }
  t.ok(kept.every((bytes, i) => bytes.readInt32BE(0) === i && bytes.length === 6 + (i % 90)))
})

t.test('a writer given up in the middle leaves the next one its memory', async (t) => {
  const broken = new Writer()
  broken.int32(1)
  broken.release()
  const next = new Writer()
  next.int32(2)
  t.same(next.toBuffer(), Buffer.from([0, 0, 0, 2]))
})

t.test('bytes of fixed size claimed and filled by the caller', async (t) => {
  const writer = new Writer()
  const at = writer.claim(4)
  writer.buffer.writeInt32BE(7, at)
  t.same(writer.toBuffer(), Buffer.from([0, 0, 0, 7]))
})

t.test('unsigned varints', async (t) => {
  for (const [value, bytes] of [
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [16383, 'ff7f'],
    [16384, '808001'],
    [2 ** 32 - 1, 'ffffffff0f'],
  ] as const) {
    const writer = new Writer()
    writer.uvarint(value)
    t.equal(writer.toBuffer().toString('hex'), bytes, `${value}`)
  }
  t.throws(() => new Writer().uvarint(2 ** 32), { code: 'LMQ_PROTOCOL' })
  t.throws(() => new Writer().uvarint(-1), { code: 'LMQ_PROTOCOL' })
})
