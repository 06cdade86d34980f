// Goal: what `consume --json` writes, `produce --json` reads back as the same record, whatever its bytes.
import fc from 'fast-check'
import t from 'tap'
import { recordFromJson, recordToJson } from '../../../src/cli/record-json.ts'

const bytes = fc.option(
  fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((list) => Buffer.from(list)),
    fc.string({ maxLength: 20, unit: 'grapheme' }).map((text) => Buffer.from(text)),
  ),
  { nil: null },
)

t.test('there and back', async () => {
  fc.assert(
    fc.property(
      bytes,
      bytes,
      fc.array(fc.record({ key: fc.string(), value: bytes }), { maxLength: 4 }),
      fc.integer({ min: -1, max: 2 ** 48 }),
      (key, value, headers, timestamp) => {
        const record = { key, value, headers, timestamp, topic: 't', partitionIndex: 3, offset: 9 }
        const line = recordToJson({ ...record, timestampType: 'CreateTime' })
        const read = recordFromJson(line, 'line 1', 0)
        const same = (a: Buffer | null, b: Buffer | null): boolean =>
          a === null || b === null ? a === b : a.equals(b)
        return (
          !line.includes('\n') &&
          same(read.record.key, key) &&
          same(read.record.value, value) &&
          read.record.timestamp === timestamp &&
          read.partitionIndex === 3 &&
          read.record.headers?.length === headers.length &&
          headers.every((header, at) => {
            const other = read.record.headers?.[at]
            return other?.key === header.key && same(other.value, header.value)
          })
        )
      },
    ),
  )
})

t.test('what people write', async (t) => {
  const of = (line: string) => recordFromJson(line, 'line 7', 1_000)
  t.match(of('{"value":{"a":1}}').record, { key: null, value: Buffer.from('{"a":1}') })
  t.equal(of('{}').record.timestamp, 1_000)
  t.equal(of('{"timestamp":"1970-01-01T00:00:02Z"}').record.timestamp, 2_000)
  t.same(of('{"headers":{"a":"b","n":null}}').record.headers, [
    { key: 'a', value: Buffer.from('b') },
    { key: 'n', value: null },
  ])
  const refused = [
    'x',
    '[]',
    'null',
    '{"partition":-1}',
    '{"partition":"1"}',
    '{"topic":5}',
    '{"keyBase64":"*"}',
    '{"headers":5}',
    '{"headers":[{}]}',
    '{"timestamp":"soon"}',
  ]
  for (const line of refused) {
    t.throws(() => of(line), { name: 'UsageError', message: /^line 7/ }, line)
  }
})
