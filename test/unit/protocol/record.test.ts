import fc from 'fast-check'
import t from 'tap'
import {
  newRecordPlace,
  nextRecord,
  type RecordFields,
  readRecord,
  readRecords,
  recordSize,
  writeRecord,
} from '../../../src/protocol/record.ts'
import { VarintCursor } from '../../../src/protocol/varint.ts'

const refused = { code: 'LMQ_PROTOCOL' }
const blobs = fc.option(fc.uint8Array({ maxLength: 70 }).map((bytes) => Buffer.from(bytes)))
const someRecords = fc.array(
  fc.record({
    offsetDelta: fc.nat(),
    timestampDelta: fc.oneof(fc.integer(), fc.maxSafeInteger()),
    key: blobs,
    value: blobs,
    headers: fc.array(
      fc.record({ key: fc.string({ unit: 'grapheme', maxLength: 8 }), value: blobs }),
      { maxLength: 3 },
    ),
  }),
  { maxLength: 5 },
)

function blockOf(records: readonly RecordFields[]): Buffer {
  const block = Buffer.alloc(records.reduce((sum, record) => sum + recordSize(record), 0))
  let at = 0
  for (const record of records) at = writeRecord(block, at, record)
  if (at !== block.length) throw new Error('size and writing differ')
  return block
}

t.test('what is written is read', async (t) => {
  fc.assert(
    fc.property(someRecords, (records) => {
      const block = blockOf(records)
      t.same(readRecords(block, records.length), records)
      const cursor = new VarintCursor(block)
      const place = newRecordPlace()
      for (const record of records) {
        nextRecord(cursor, place)
        t.equal(place.end - place.start, recordSize(record))
        t.equal(place.keySize, record.key?.length ?? -1)
        t.equal(place.valueSize, record.value?.length ?? -1)
        t.same(readRecord(block, place), record)
      }
      t.equal(cursor.position, block.length)
    }),
  )
})

t.test('the count of the batch has to be right', async (t) => {
  const one = { offsetDelta: 0, timestampDelta: 0, key: null, value: null, headers: [] }
  const block = blockOf([one, one])
  t.throws(() => readRecords(block, 1), refused)
  t.throws(() => readRecords(block, 3), refused)
  t.throws(() => readRecords(block, -1), refused)
  t.throws(() => readRecords(block, 2 ** 31 - 1), refused)
})

t.test('damaged records', async (t) => {
  const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
  // Length 6 (zigzag 0c): attributes, time, offset, null key, null value, no headers.
  t.equal(readRecords(hex('0c 00 00 00 01 01 00'), 1).length, 1)
  for (const [what, bytes] of [
    ['length beyond the block', '0e 00 00 00 01 01 00'],
    ['length below its parts', '0a 00 00 00 01 01 00'],
    ['negative length', '01 00 00 00 01 01 00'],
    ['key size below -1', '0c 00 00 00 03 01 00'],
    ['key beyond the record', '0c 00 00 00 0a 01 00'],
    ['value size below -1', '0c 00 00 00 01 05 00'],
    ['negative header count', '0c 00 00 00 01 01 01'],
    ['more headers than there is room for', '0c 00 00 00 01 01 7e'],
    ['header without a key', '10 00 00 00 01 01 02 01 01'],
    ['bytes behind the headers', '0e 00 00 00 01 01 00 00'],
    ['nothing', ''],
  ] as const) {
    t.throws(() => readRecords(hex(bytes), 1), refused, what)
  }
})

t.test('random bytes never do more than be refused', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(4), (bytes, count) => {
      try {
        readRecords(Buffer.from(bytes), count)
      } catch (error) {
        if ((error as { code?: string }).code !== 'LMQ_PROTOCOL') throw error
      }
    }),
    { numRuns: 2000 },
  )
  t.pass('LMQ_PROTOCOL or records')
})
