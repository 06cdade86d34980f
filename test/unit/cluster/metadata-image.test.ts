import t from 'tap'
import { diffImages } from '../../../src/cluster/image-diff.ts'
import { MetadataDelta } from '../../../src/cluster/metadata-delta.ts'
import { MetadataImage } from '../../../src/cluster/metadata-image.ts'
import {
  decodeRecords,
  encodeRecords,
  type MetadataRecord,
} from '../../../src/cluster/metadata-records.ts'
import { configs, defaults, newId, TestMachine, topic } from './machine-fixture.ts'

const build = (records: Iterable<MetadataRecord>): MetadataImage => {
  const image = new MetadataImage()
  image.applyEntry(0, [...records], new MetadataDelta())
  return image
}

const told = (image: MetadataImage) => [...image.toRecords()]

/** A state that has something of everything. */
function richMachine(): TestMachine {
  const machine = new TestMachine(3, ['a', 'b', null])
  machine.create([
    topic('plain'),
    topic('wide', { numPartitions: 5, replicationFactor: 3, ...configs({ 'retention.ms': '5' }) }),
    topic('gone'),
  ])
  machine.run(
    machine.machine.deleteTopics({ topics: [{ name: 'gone', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }] }),
  )
  machine.alter(4, '', ['log.retention.ms', 0, '77'])
  machine.run(machine.machine.allocateProducerIds({ brokerId: 1, brokerEpoch: 0 }))
  const change = { brokerId: 2, brokerEpoch: 1, fenced: true, inControlledShutdown: true }
  machine.run(machine.machine.changeBroker(change))
  machine.machine.apply({ kind: 'feature', name: 'metadata.version', level: 30 })
  machine.machine.apply({ kind: 'unregisterBroker', brokerId: 9, brokerEpoch: 50 })
  return machine
}

t.test('its records lead to the same image again, also through bytes', async (t) => {
  const { image } = richMachine()
  const records = told(image)
  const again = build(decodeRecords(encodeRecords(records)))
  t.strictSame(told(again), records)
  t.equal(again.lastBrokerEpoch, 50)
  t.equal(again.nextProducerId, 1_000)
  t.equal(again.partitionCount, 6)
  t.equal(again.features.get('metadata.version'), 30)
  t.match(again.brokers.get(2), { fenced: true, inControlledShutdown: true, rack: 'b' })
})

t.test('a copy changes by itself', async (t) => {
  const { image } = richMachine()
  const before = told(image)
  const copy = image.copy()
  t.strictSame(told(copy), before)
  const delta = new MetadataDelta()
  copy.apply({ kind: 'renewLeadership', brokerId: 1 }, delta)
  copy.apply(
    { kind: 'config', resourceType: 2, resourceName: 'wide', name: 'retention.ms', value: null },
    delta,
  )
  copy.apply({ kind: 'removeTopic', topicId: copy.topic('plain')?.topicId ?? '' }, delta)
  t.strictSame(told(image), before)
})

t.test('live brokers and endpoints', async (t) => {
  const { image } = richMachine()
  t.strictSame(
    [...image.liveBrokers()].map(({ brokerId }) => brokerId),
    [1, 3],
  )
  t.equal(image.endpoint(2, 'PLAINTEXT'), undefined)
})

t.test('a delta says what changed', async (t) => {
  const machine = new TestMachine()
  const delta = new MetadataDelta()
  const { records } = machine.machine.createTopics({
    topics: [topic('a', { numPartitions: 2, ...configs({ 'retention.ms': '5' }) }), topic('b')],
    validateOnly: false,
    defaults,
    topicIds: [newId(), newId()],
  })
  for (const record of records) machine.image.apply(record, delta)
  t.strictSame(
    [...delta.topicsCreated.values()].map(({ name }) => name),
    ['a', 'b'],
  )
  const changes = delta.partitions.get(machine.image.topic('a')?.topicId ?? '')
  t.equal(changes?.size, 2)
  t.equal(changes?.get(0)?.before, undefined)
  t.ok(delta.configs.has('2:a'))

  const next = new MetadataDelta()
  machine.image.apply({ kind: 'renewLeadership', brokerId: 1 }, next)
  machine.image.apply({ kind: 'renewLeadership', brokerId: 1 }, next)
  const moved = next.partitions.get(machine.image.topic('a')?.topicId ?? '')?.get(1)
  t.match(moved, { before: { leaderEpoch: 0 }, after: { leaderEpoch: 2 } })

  const gone = new MetadataDelta()
  const topicId = newId()
  machine.image.apply({ kind: 'topic', name: 'short', topicId }, gone)
  machine.image.apply({ kind: 'removeTopic', topicId }, gone)
  t.ok(gone.isEmpty, 'what came and went is not told')
})

t.test('the difference of two images is the delta between them', async (t) => {
  const machine = richMachine()
  const before = machine.image.copy()
  machine.create([topic('new', { numPartitions: 2 })])
  machine.run(
    machine.machine.deleteTopics({
      topics: [{ name: 'plain', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    }),
  )
  machine.run(
    machine.machine.createPartitions({
      topics: [{ name: 'wide', count: 7, assignments: null }],
      validateOnly: false,
    }),
  )
  const delta = new MetadataDelta()
  diffImages(before, machine.image, delta)
  t.strictSame(
    [...delta.topicsCreated.values()].map(({ name }) => name),
    ['new'],
  )
  t.strictSame(
    [...delta.topicsDeleted.values()].map(({ name }) => name),
    ['plain'],
  )
  const indexes = (name: string) => [
    ...(delta.partitions.get(machine.image.topic(name)?.topicId ?? '')?.keys() ?? []),
  ]
  t.strictSame(indexes('new'), [0, 1])
  t.strictSame(indexes('wide'), [5, 6])
  before.replaceWith(machine.image.copy())
  t.strictSame(told(before), told(machine.image))
})

t.test('records that cannot be understood are refused', async (t) => {
  const bad = (line: string) => () => decodeRecords(Buffer.from(`${line}\n`))
  for (const line of [
    '{',
    '[]',
    'null',
    '{"kind":7}',
    '{"kind":"topic","name":"a"}',
    '{"kind":"topic","name":"a","topicId":5}',
  ]) {
    t.throws(bad(line), { code: 'LMQ_STORE_CORRUPT' }, line)
  }
  t.throws(bad('{"kind":"fromTheFuture"}'), { code: 'LMQ_STORE_TOO_NEW' })
  t.throws(bad('{"kind":"__proto__"}'), { code: 'LMQ_STORE_TOO_NEW' })
})

t.test('a field that a newer version added is passed over', async (t) => {
  const line = '{"kind":"topic","name":"a","topicId":"x","tier":"cold"}\n'
  t.strictSame(decodeRecords(Buffer.from(line)), [{ kind: 'topic', name: 'a', topicId: 'x' }])
})
