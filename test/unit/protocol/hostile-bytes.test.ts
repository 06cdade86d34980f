// Goal: bytes that no correct peer sends end in LMQ_PROTOCOL, never in a crash, a wrong value or much memory.
import fc from 'fast-check'
import t from 'tap'
import { LmqError } from '../../../src/base/errors.ts'
import { produce } from '../../../src/protocol/apis/00-produce.ts'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { metadata } from '../../../src/protocol/apis/03-metadata.ts'
import { heartbeat } from '../../../src/protocol/apis/12-heartbeat.ts'
import { apiVersions } from '../../../src/protocol/apis/18-api-versions.ts'
import { Reader } from '../../../src/protocol/reader.ts'
import { allMessages, versionsOf } from '../../oracle/all-messages.ts'
import { messagesOf } from '../../oracle/arbitrary.ts'

function refuses(
  t: { equal(a: unknown, b: unknown, what: string): void; fail(what: string): void },
  what: string,
  decode: () => unknown,
): void {
  try {
    decode()
    t.fail(`${what}: was read`)
  } catch (error) {
    t.equal(error instanceof LmqError && error.code, 'LMQ_PROTOCOL', what)
  }
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

t.test('every truncation of a message of every schema and version', async (t) => {
  for (const message of allMessages) {
    for (const version of versionsOf(message)) {
      const [values] = fc.sample(messagesOf(message, version), { numRuns: 1, seed: 7 })
      const bytes = Buffer.from(message.encode(values as never, version))
      const step = Math.ceil(bytes.length / 80)
      for (let end = bytes.length - 1; end >= 0; end -= step) {
        try {
          message.decode(bytes, version, 0, end)
          t.fail(`${message.name} v${version} cut at ${end} of ${bytes.length} was read`)
        } catch (error) {
          if (!(error instanceof LmqError)) throw error
        }
      }
    }
  }
  t.pass('LMQ_PROTOCOL for each')
})

t.test('counts', async (t) => {
  for (const [what, count] of [
    ['the largest', '7fffffff'],
    ['one more than there is room for', '00000002'],
  ] as const) {
    refuses(t, what, () => metadata.request.decode(hex(`${count} 0001 61`), 1))
  }
  refuses(t, 'null where an array must be', () => metadata.request.decode(hex('ffffffff'), 0))
  for (const nothing of ['ffffffff', 'fffffffe', '80000000']) {
    refuses(t, `${nothing} where an array must be`, () => metadata.request.decode(hex(nothing), 0))
    t.same(metadata.request.decode(hex(nothing), 1).topics, null, `${nothing} where null may be`)
  }
  refuses(t, 'compact, the largest', () => metadata.request.decode(hex('ffffffff0f'), 9))
  refuses(t, 'compact, beyond 32 bits', () => metadata.request.decode(hex('ffffffff1f'), 9))
  refuses(t, 'compact, endless', () => metadata.request.decode(hex('ffffffffffff'), 9))
})

t.test('lengths', async (t) => {
  refuses(t, 'string beyond the end', () => heartbeat.request.decode(hex('0005 6161'), 0))
  refuses(t, 'negative string', () => heartbeat.request.decode(hex('fffe 61616161616161'), 0))
  refuses(t, 'null string', () => heartbeat.request.decode(hex('ffff 00000000 0000'), 0))
  const long = Buffer.concat([hex('818002'), Buffer.alloc(32768, 97), hex('00000000 01 00 00')])
  refuses(t, 'compact string of 32768 bytes', () => heartbeat.request.decode(long, 4))
  // No transactional id, acks 1, time-out 0, one topic "a", one partition 0, then the size of its records.
  const records = 'ffff 0001 00000000 00000001 0001 61 00000001 00000000'
  refuses(t, 'records beyond the end', () =>
    produce.request.decode(hex(`${records} 7fffffff 00`), 3),
  )
  for (const nothing of ['ffffffff', 'fffffffe', '80000000']) {
    const { topicData } = produce.request.decode(hex(`${records} ${nothing}`), 3)
    t.same(topicData[0]?.partitionData[0]?.records, null, `${nothing} is null`)
  }
})

t.test('tagged fields', async (t) => {
  // ApiVersions v3: two compact strings "a", then tagged fields.
  const ask = (tags: string) => () => apiVersions.request.decode(hex(`02 61 02 61 ${tags}`), 3)
  t.same(ask('00')(), { clientSoftwareName: 'a', clientSoftwareVersion: 'a' })
  t.match(ask('01 05 02 abcd')(), { unknownTags: [{ tag: 5, bytes: hex('abcd') }] })
  refuses(t, 'size beyond the end', ask('01 05 03 abcd'))
  refuses(t, 'huge size', ask('01 05 ffffffff0f abcd'))
  refuses(t, 'more fields than there are', ask('02 05 02 abcd'))
  refuses(t, 'the same tag twice', ask('02 05 01 ab 05 01 cd'))
  refuses(t, 'tags that descend', ask('02 05 01 ab 04 01 cd'))
  // ApiVersions answer v3: error 0, no APIs, no throttle, then tag 1 (an epoch, eight bytes).
  const answer = (tags: string) => () =>
    apiVersions.response.decode(hex(`0000 01 00000000 ${tags}`), 3)
  t.match(answer('01 01 08 0000000000000007')(), { finalizedFeaturesEpoch: 7 })
  refuses(t, 'a known tag that is longer than its value', answer('01 01 09 000000000000000700'))
  refuses(t, 'a known tag that is shorter than its value', answer('01 01 07 00000000000007'))
})

t.test('versions', async (t) => {
  for (const version of [-1, 5, 32767]) {
    refuses(t, `version ${version}`, () => heartbeat.request.decode(Buffer.alloc(64), version))
  }
})

t.test('few bytes never become much memory', async (t) => {
  const topics = 3_000_000
  const crowd = Buffer.alloc(16 + topics * 6)
  crowd.writeInt32BE(topics, 12) // replica id, wait, bytes; then topics: an empty name and no partitions, 6 bytes each
  const before = process.memoryUsage().heapUsed
  refuses(t, 'three million empty topics', () => fetch.request.decode(crowd, 0))
  t.ok(process.memoryUsage().heapUsed - before < 32 * 1024 * 1024, 'nothing was built')

  const tags: Buffer[] = []
  for (let tag = 100; tag < 1_000_100; tag++) {
    tags.push(Buffer.from([(tag & 0x7f) | 0x80, ((tag >> 7) & 0x7f) | 0x80, tag >> 14, 0]))
  }
  const unknown = Buffer.concat([hex('02 61 02 61 c0843d'), ...tags])
  refuses(t, 'a million unknown tagged fields', () => apiVersions.request.decode(unknown, 3))

  const many = Buffer.alloc(4 + 100_000 * 2)
  many.writeInt32BE(100_000, 0)
  t.equal(metadata.request.decode(many, 0).topics?.length, 100_000, 'a large request is read')
})

t.test('a reader does not leave its window', async (t) => {
  const buffer = hex('0001 61 00000007 0001 62')
  t.match(heartbeat.request.decode(buffer, 0), { groupId: 'a', generationId: 7, memberId: 'b' })
  refuses(t, 'bytes behind the end are not there', () => heartbeat.request.decode(buffer, 0, 0, 9))
  t.throws(() => new Reader(buffer, 0, 11), /stays in its buffer/)
  t.throws(() => new Reader(buffer, -1, 4), /stays in its buffer/)
  t.throws(() => new Reader(buffer, 5, 4), /stays in its buffer/)
  t.same(heartbeat.request.decode(Buffer.concat([buffer, hex('ff')]), 0).memberId, 'b')
})

t.test('text that is not UTF-8 is read with replacement characters, as Kafka does', async (t) => {
  const { groupId } = heartbeat.request.decode(hex('0003 61ff62 00000007 0001 62'), 0)
  t.equal(groupId, 'a\ufffdb')
})

t.test('64 bits saturate', async (t) => {
  const epochs: [string, number][] = [
    ['7fffffffffffffff', Number.MAX_SAFE_INTEGER],
    ['0020000000000000', Number.MAX_SAFE_INTEGER],
    ['001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['001ffffffffffffe', Number.MAX_SAFE_INTEGER - 1],
    ['0000000100000000', 2 ** 32],
    ['ffffffffffffffff', -1],
    ['ffe0000000000001', Number.MIN_SAFE_INTEGER],
    ['ffe0000000000000', Number.MIN_SAFE_INTEGER],
    ['8000000000000000', Number.MIN_SAFE_INTEGER],
  ]
  for (const [bytes, value] of epochs) {
    t.equal(new Reader(hex(bytes)).int64(), value, bytes)
    const answer = hex(`0000 01 00000000 01 01 08 ${bytes}`)
    t.equal(apiVersions.response.decode(answer, 3).finalizedFeaturesEpoch, value, bytes)
  }
})
