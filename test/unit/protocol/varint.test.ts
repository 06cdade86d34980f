import fc from 'fast-check'
import t from 'tap'
import {
  VarintCursor,
  varintSize,
  varlongSize,
  writeVarint,
  writeVarlong,
} from '../../../src/protocol/varint.ts'

/** Zigzag and groups of seven bits, by the book, in bigint. */
function reference(value: number): Buffer {
  let rest = value < 0 ? BigInt(value) * -2n - 1n : BigInt(value) * 2n
  const bytes: number[] = []
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Buffer.from(bytes)
}

const ints = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, -1, 63, -64, 64, -65, 2 ** 31 - 1, -(2 ** 31)),
)
const longs = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(2 ** 30, 2 ** 30 - 1, -(2 ** 30), -(2 ** 30) - 1, 2 ** 31, 2 ** 32, -(2 ** 32)),
  fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER),
)
const target = Buffer.alloc(16)

t.test('varints of 32 bits', async (t) => {
  fc.assert(
    fc.property(ints, (value) => {
      const expected = reference(value)
      const end = writeVarint(target, 3, value)
      t.ok(target.subarray(3, end).equals(expected), `${value}`)
      t.equal(varintSize(value), expected.length)
      t.equal(new VarintCursor(target, 3, end).varint(), value)
      t.equal(new VarintCursor(target, 3, end).varlong(), value)
    }),
  )
})

t.test('varints of 64 bits', async (t) => {
  fc.assert(
    fc.property(longs, (value) => {
      const expected = reference(value)
      const end = writeVarlong(target, 0, value)
      t.ok(target.subarray(0, end).equals(expected), `${value}`)
      t.equal(varlongSize(value), expected.length)
      t.equal(new VarintCursor(target, 0, end).varlong(), value)
    }),
  )
})

t.test('64 bits beyond what a number holds saturate', async (t) => {
  const most = Buffer.from('feffffffffffffffff01', 'hex') // 2^63 - 1
  const least = Buffer.from('ffffffffffffffffff01', 'hex') // -2^63
  t.equal(new VarintCursor(most).varlong(), Number.MAX_SAFE_INTEGER)
  t.equal(new VarintCursor(least).varlong(), Number.MIN_SAFE_INTEGER)
})

t.test('too long, or cut off', async (t) => {
  const endless = Buffer.alloc(16, 0x80)
  const refused = { code: 'LMQ_PROTOCOL' }
  t.throws(() => new VarintCursor(endless).varint(), refused)
  t.throws(() => new VarintCursor(endless).varlong(), refused)
  for (let end = 0; end < 5; end++) {
    t.throws(() => new VarintCursor(endless, 0, end).varint(), refused)
    t.throws(() => new VarintCursor(endless, 0, end).varlong(), refused)
  }
  t.throws(() => new VarintCursor(endless, 0, 4).skip(5), refused)
  t.throws(() => new VarintCursor(endless, 0, 4).skip(-1), refused)
})
