// Goal: compiled codecs and the plain interpreter agree, for every schema at every version.
// Method: random messages are encoded by both (same bytes) and decoded by both (same values, to the last byte); then
// their bytes are damaged, and both must accept with the same values or both refuse.
//
// LMQ_TEST_RUNS: random messages per schema and version (8, and 200 in the long run).
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { Reader } from '../../../src/protocol/reader.ts'
import { Writer } from '../../../src/protocol/writer.ts'
import { allMessages, versionsOf } from '../../oracle/all-messages.ts'
import { completed, messagesOf } from '../../oracle/arbitrary.ts'
import {
  type AnyMessage,
  OracleError,
  oracleDecode,
  oracleEncode,
} from '../../oracle/interpreter.ts'

const RUNS = Number(process.env['LMQ_TEST_RUNS'] ?? (process.env['LMQ_LONG'] ? 200 : 8))
type Values = Record<string, unknown>

function encode(message: AnyMessage, version: number, values: Values): Buffer {
  return Buffer.from(message.encode(values as never, version))
}

/** What a decoder says about bytes: values and size, or that it refuses. */
function outcome(decode: () => { values: unknown; size: number }): unknown {
  try {
    return decode()
  } catch (error) {
    if (error instanceof OracleError) return 'refused'
    if (error instanceof LmqError && error.code === 'LMQ_PROTOCOL') return 'refused'
    throw error
  }
}

function compiledDecode(message: AnyMessage, version: number, bytes: Buffer) {
  const reader = new Reader(bytes)
  const values = message.read(reader, version)
  return { values, size: reader.position }
}

function damaged(bytes: Buffer, at: number, how: number, value: number): Buffer {
  const position = bytes.length === 0 ? 0 : at % bytes.length
  if (how === 0) return bytes.subarray(0, position)
  const copy = Buffer.from(bytes)
  if (copy.length === 0) return copy
  if (how === 1) copy[position] = value
  else if (how === 2) copy.fill(0xff, position, Math.min(position + 4, copy.length))
  else copy[position] = (copy[position] as number) ^ (1 << (value & 7))
  return copy
}

function checkOne(message: AnyMessage, version: number): void {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(3), fc.nat(255)), { maxLength: 12 })
  const property = fc.property(messagesOf(message, version), damage, (values, damages) => {
    const bytes = encode(message, version, values)
    const expected = oracleEncode(message, version, values)
    if (!bytes.equals(expected)) {
      throw new Error(`encoded ${bytes.toString('hex')}, oracle ${expected.toString('hex')}`)
    }
    const decoded = compiledDecode(message, version, bytes)
    if (decoded.size !== bytes.length) throw new Error('not read to the last byte')
    if (!isDeepStrictEqual(decoded.values, completed(message.fields, values))) {
      throw new Error('decoding gave other values')
    }
    for (const [at, how, value] of damages) {
      const bad = damaged(bytes, at, how, value)
      const ours = outcome(() => compiledDecode(message, version, bad))
      const theirs = outcome(() => oracleDecode(message, version, bad))
      if (!isDeepStrictEqual(ours, theirs)) {
        throw new Error(`disagree on ${bad.toString('hex')}`)
      }
    }
  })
  fc.assert(property, { numRuns: RUNS })
}

for (const message of allMessages) {
  t.test(message.name, async (t) => {
    for (const version of versionsOf(message)) {
      checkOne(message, version)
      t.pass(`version ${version}`)
    }
  })
}

t.test('a writer given up in the middle leaves the next one its memory', async (t) => {
  const broken = new Writer()
  broken.int32(1)
  broken.release()
  const next = new Writer()
  next.int32(2)
  t.same(next.toBuffer(), Buffer.from([0, 0, 0, 2]))
})
