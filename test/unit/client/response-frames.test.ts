// Goal: however a broker's bytes are cut into chunks, the same frames come out.
import fc from 'fast-check'
import t from 'tap'
import { ResponseFrames } from '../../../src/client/response-frames.ts'

function framed(bodies: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    bodies.flatMap((body) => {
      const size = Buffer.alloc(4)
      size.writeInt32BE(body.length)
      return [size, body]
    }),
  )
}

t.test('any cut gives the same frames', async () => {
  const bodies = fc.array(fc.uint8Array({ minLength: 4, maxLength: 60 }), { maxLength: 8 })
  const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 30 })
  fc.assert(
    fc.property(bodies, cuts, (bodies, cuts) => {
      const found: Buffer[] = []
      const frames = new ResponseFrames((frame) => found.push(frame))
      const stream = framed(bodies)
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const end = at + (cuts[turn % cuts.length] ?? 1)
        frames.feed(stream.subarray(at, end))
        at = end
      }
      return Buffer.concat(found).equals(Buffer.concat(bodies)) && found.length === bodies.length
    }),
  )
})

t.test('a frame larger than the first step', async (t) => {
  const body = Buffer.alloc(40 * 1024 * 1024, 7)
  const found: Buffer[] = []
  const frames = new ResponseFrames((frame) => found.push(frame))
  const stream = framed([body])
  for (let at = 0; at < stream.length; at += 1 << 20)
    frames.feed(stream.subarray(at, at + (1 << 20)))
  t.equal(found.length, 1)
  t.ok(found[0]?.equals(body))
})

t.test('impossible sizes end the stream', async (t) => {
  for (const size of [-1, 0, 3, 0x7fffffff]) {
    const prefix = Buffer.alloc(4)
    prefix.writeInt32BE(size)
    t.throws(() => new ResponseFrames(() => {}).feed(prefix), { code: 'LMQ_PROTOCOL' })
  }
  const text = Buffer.from('HTTP/1.1 400 Bad Request')
  t.throws(() => new ResponseFrames(() => {}).feed(text), { code: 'LMQ_PROTOCOL' })
})
