import fc from 'fast-check'
import t from 'tap'
import { FrameReader } from '../../../src/server/frame-reader.ts'

const memory = {
  take: (sizeBytes: number) => Buffer.alloc(sizeBytes),
  giveBack() {},
  keep() {},
}

const framed = (body: Buffer): Buffer => {
  const size = Buffer.alloc(4)
  size.writeInt32BE(body.length)
  return Buffer.concat([size, body])
}

function readAll(reader: FrameReader): Buffer[] {
  const frames: Buffer[] = []
  for (;;) {
    const state = reader.next()
    if (state === 'memory') {
      reader.allocate()
    } else if (state === 'frame') {
      frames.push(Buffer.from((reader.buffer as Buffer).subarray(reader.start, reader.end)))
      reader.consume()
    } else {
      return frames
    }
  }
}

t.test('any cut of a stream gives the same frames', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 0, maxLength: 40 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 60 }),
      (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map((body) => framed(Buffer.from(body))))
        const reader = new FrameReader(1000, memory)
        const found: Buffer[] = []
        let at = 0
        for (let i = 0; at < stream.length; i++) {
          const size = cuts[i % cuts.length] as number
          reader.feed(stream.subarray(at, at + size))
          found.push(...readAll(reader))
          at += size
        }
        return (
          found.length === bodies.length &&
          found.every((frame, i) => frame.equals(Buffer.from(bodies[i] as Uint8Array)))
        )
      },
    ),
    { numRuns: 300 },
  )
  t.end()
})

t.test('borrowed chunks and reads into the target give the same frames', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 90_000 }), { minLength: 1, maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 30 }),
      fc.boolean(),
      (sizes, cuts, takesOne) => {
        const bodies = sizes.map((size, i) => Buffer.alloc(size, i + 1))
        const stream = Buffer.concat(bodies.map(framed))
        const reader = new FrameReader(100_000, memory)
        const shared = Buffer.alloc(70_000)
        const found: Buffer[] = []
        let at = 0
        for (let i = 0; at < stream.length; i++) {
          const target = reader.target()
          const wanted = Math.min(cuts[i % cuts.length] as number, target?.length ?? shared.length)
          const sizeBytes = stream.copy(target ?? shared, 0, at, at + wanted)
          if (target) reader.filled(sizeBytes)
          else reader.feed(shared.subarray(0, sizeBytes), true)
          // Sometimes a frame has to wait in the reader beyond the call.
          if (!takesOne || i % 2 === 0) found.push(...readAll(reader))
          else reader.next()
          reader.settle()
          if (!target) shared.fill(0xdd)
          at += sizeBytes
        }
        found.push(...readAll(reader))
        return (
          found.length === bodies.length &&
          found.every((frame, i) => frame.equals(bodies[i] as Buffer))
        )
      },
    ),
    { numRuns: 150 },
  )
  t.end()
})

t.test('a frame within one chunk is not copied', (t) => {
  const reader = new FrameReader(1000, memory)
  const chunk = Buffer.concat([framed(Buffer.from('first')), framed(Buffer.from('second'))])
  reader.feed(chunk)
  t.equal(reader.next(), 'frame')
  t.equal(reader.buffer, chunk)
  t.equal(reader.start, 4)
  t.equal(reader.end, 9)
  t.equal(reader.next(), 'frame', 'stays until it is consumed')
  reader.consume()
  t.equal(reader.next(), 'frame')
  t.equal(reader.buffer, chunk)
  t.end()
})

t.test('memory is asked for before a frame that spans chunks is gathered', (t) => {
  const reader = new FrameReader(1000, memory)
  reader.feed(framed(Buffer.alloc(100, 7)).subarray(0, 50))
  t.equal(reader.next(), 'memory')
  t.equal(reader.frameBytes, 100)
  t.equal(reader.next(), 'memory')
  reader.allocate()
  t.equal(reader.next(), 'more')
  t.equal(reader.midFrame, true)
  reader.feed(Buffer.alloc(54, 7))
  t.equal(reader.next(), 'frame')
  t.equal(reader.buffer?.length, 100)
  t.end()
})

t.test('sizes that no frame has', (t) => {
  const negative = new FrameReader(1000, memory)
  negative.feed(Buffer.from([0xff, 0xff, 0xff, 0xff]))
  t.equal(negative.next(), 'negative')
  const large = new FrameReader(1000, memory)
  large.feed(Buffer.from([0, 0, 3, 233, 0]))
  t.equal(large.next(), 'too-large')
  const fits = new FrameReader(1000, memory)
  fits.feed(Buffer.from([0, 0, 3, 232, 0]))
  t.equal(fits.next(), 'memory')
  t.end()
})
