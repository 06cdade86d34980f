// Goal: `__consumer_offsets` is written and read as Kafka does. Method: the segments in test/golden/consumer-offsets were
// written by Apache Kafka 4.3.1 (kafkajs and Java consumers, dynamic, static, simple, with a fixed expiry, and one of the
// new group protocol); every classic record of theirs is decoded, encoded again and compared byte for byte.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { groupPartition, javaHashCode } from '../../../src/coordinator/group/group-partition.ts'
import {
  decodeGroupRecord,
  encodeGroupRecord,
  type GroupMetadata,
} from '../../../src/coordinator/group/group-records.ts'
import { subscribedTopics } from '../../../src/coordinator/group/subscription.ts'
import { crc32c } from '../../../src/io/crc32c.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { readRecords } from '../../../src/protocol/record.ts'
import {
  BATCH_HEADER_BYTES,
  batchSizeOf,
  recordCountOf,
} from '../../../src/protocol/record-batch.ts'

const folder = new URL('../../golden/consumer-offsets/', import.meta.url)
const segments = readdirSync(folder).filter((name) => name.endsWith('.segment'))

type KeyAndValue = { key: Buffer; value: Buffer | null }

function recordsOf(segment: Buffer): KeyAndValue[] {
  const found: KeyAndValue[] = []
  for (let at = 0; at < segment.length; at += batchSizeOf(segment, at)) {
    const block = segment.subarray(at + BATCH_HEADER_BYTES, at + batchSizeOf(segment, at))
    for (const { key, value } of readRecords(block, recordCountOf(segment, at))) {
      found.push({ key: key ?? Buffer.alloc(0), value })
    }
  }
  return found
}

for (const name of segments) {
  t.test(`Kafka's records of partition ${name}`, async (t) => {
    const partitionIndex = Number(name.replace('.segment', ''))
    for (const { key, value } of recordsOf(readFileSync(new URL(name, folder)))) {
      const record = decodeGroupRecord(key, value)
      if (record.kind === 'foreign') {
        t.ok(record.type >= 3, 'a record of another protocol')
        continue
      }
      t.equal(groupPartition(record.groupId, 50), partitionIndex, `${record.groupId} belongs here`)
      const encoded = encodeGroupRecord(record)
      t.strictSame(encoded.key, key)
      t.strictSame(encoded.value, value)
    }
  })
}

t.test('what Kafka wrote means what its tools say', async (t) => {
  const all = segments
    .flatMap((name) => recordsOf(readFileSync(new URL(name, folder))))
    .map(({ key, value }) => decodeGroupRecord(key, value))
  const groups = all.flatMap((each) => (each.kind === 'group' && each.value ? [each] : []))
  const last = groups.findLast(({ groupId }) => groupId === 'java-group')?.value as GroupMetadata
  t.match(last, {
    protocolType: 'consumer',
    protocol: 'range',
    generation: 1,
    members: [{ groupInstanceId: 'inst-1', clientHost: '/127.0.0.1', sessionTimeout: 45_000 }],
  })
  t.strictSame(subscribedTopics(last.members[0]?.subscription ?? Buffer.alloc(0)), ['orders'])
  const offsets = all.flatMap((each) => (each.kind === 'offset' ? [each] : []))
  t.match(
    offsets.find(({ groupId }) => groupId === 'old-style'),
    { topic: 'orders', partitionIndex: 0, value: { offset: 5, metadata: 'kept an hour' } },
  )
  const { value } = offsets.find(({ groupId }) => groupId === 'old-style') ?? {}
  t.equal((value?.expireTimestampMs ?? 0) - (value?.commitTimestampMs ?? 0), 3_600_000)
})

t.test('tombstones have a key and no value', async (t) => {
  const group = encodeGroupRecord({ kind: 'group', groupId: 'g', value: null })
  t.strictSame(group, { key: Buffer.from([0, 2, 0, 1, 0x67]), value: null })
  t.strictSame(decodeGroupRecord(group.key, null), { kind: 'group', groupId: 'g', value: null })
  const offset = {
    kind: 'offset',
    groupId: 'g',
    topic: 't',
    partitionIndex: 3,
    value: null,
  } as const
  t.strictSame(decodeGroupRecord(encodeGroupRecord(offset).key, null), offset)
})

t.test('older layouts are read', async (t) => {
  // Type 0 keys and version 0 values: what the first brokers with this topic wrote.
  const key = Buffer.from([0, 0, 0, 1, 0x67, 0, 1, 0x74, 0, 0, 0, 2])
  const value = Buffer.concat([
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0x6d]),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 7]),
  ])
  t.match(decodeGroupRecord(key, value), {
    kind: 'offset',
    groupId: 'g',
    topic: 't',
    partitionIndex: 2,
    value: {
      offset: 9,
      leaderEpoch: -1,
      metadata: 'm',
      commitTimestampMs: 7,
      expireTimestampMs: -1,
      topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
    },
  })
})

t.test('bytes that are no record are refused', async (t) => {
  const key = encodeGroupRecord({ kind: 'group', groupId: 'g', value: null }).key
  t.throws(() => decodeGroupRecord(key, Buffer.from([0, 9])), { code: 'LMQ_PROTOCOL' })
  t.throws(() => decodeGroupRecord(key, Buffer.from([0])), { code: 'LMQ_PROTOCOL' })
  t.throws(() => decodeGroupRecord(key.subarray(0, 4), null), { code: 'LMQ_PROTOCOL' })
  t.match(decodeGroupRecord(Buffer.alloc(0), null), { kind: 'foreign' })
  t.match(decodeGroupRecord(Buffer.from([0x7f, 0xff]), null), { kind: 'foreign', type: 32767 })
})

t.test('groups find their partition as in Java', async (t) => {
  // Values of java.lang.String.hashCode.
  for (const [text, hash] of [
    ['', 0],
    ['a', 97],
    ['hello', 99_162_322],
    ['polygenelubricants', -2_147_483_648],
    ['__consumer_offsets', -970_371_369],
    ['größe', 98_762_257],
    ['😀', 1_772_899],
  ] as const) {
    t.equal(javaHashCode(text), hash, text)
  }
  t.equal(groupPartition('polygenelubricants', 50), 0, 'the smallest number has no positive twin')
})

t.test('subscriptions', async (t) => {
  t.strictSame(subscribedTopics(Buffer.from([0, 0, 0, 0, 0, 0, 255, 255, 255, 255])), [])
  t.strictSame(
    subscribedTopics(Buffer.from([0, 99, 0, 0, 0, 1, 0, 1, 0x74, 0xff, 0xff, 0xff, 0xff, 1, 2, 3])),
    ['t'],
    'a version to come has the first one as its prefix',
  )
  t.equal(subscribedTopics(Buffer.alloc(0)), undefined)
  t.equal(subscribedTopics(Buffer.from([0x80, 0])), undefined)
  t.equal(subscribedTopics(Buffer.from('{"json":true}')), undefined)
})

t.test('our batches are read back', async (t) => {
  const { key, value } = encodeGroupRecord({ kind: 'group', groupId: 'g', value: null })
  const batch = buildBatch([{ key, value, timestamp: 5 }], {}, crc32c)
  t.strictSame(recordsOf(batch), [{ key, value }])
})
