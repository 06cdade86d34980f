// What a client is told when it makes, grows and deletes topics: errors and sentences are those of Kafka 4.3.1, seen on
// the wire.
import t from 'tap'
import { errorName } from '../../../src/protocol/error-code.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { hasFacts } from './has-facts.ts'
import { configs, registration, TestMachine, topic } from './machine-fixture.ts'

t.test('a topic gets its partitions, its settings and defaults', async (t) => {
  const machine = new TestMachine()
  t.strictSame(
    machine.create([
      topic('a', { numPartitions: 3, ...configs({ 'retention.ms': '5' }) }),
      topic('b'),
    ]),
    ['a NONE', 'b NONE'],
  )
  const image = machine.image
  t.equal(image.topic('a')?.partitions.length, 3)
  t.equal(image.topic('b')?.partitions.length, 1)
  t.equal(image.partitionCount, 4)
  t.strictSame([...image.configs(2, 'a')], [['retention.ms', '5']])
  t.match(image.partition('a', 2), {
    replicas: [1],
    isr: [1],
    leader: 1,
    leaderEpoch: 0,
    partitionEpoch: 0,
  })
})

t.test('names', async (t) => {
  const machine = new TestMachine()
  machine.create([topic('a.b')])
  const long = 'x'.repeat(250)
  t.strictSame(
    machine.create([
      topic(''),
      topic('..'),
      topic(long),
      topic('bad name'),
      topic('a_b'),
      topic('a.b'),
      topic('dup'),
      topic('dup'),
      topic('__cluster_metadata'),
    ]),
    [
      ' INVALID_TOPIC_EXCEPTION Topic name is invalid: the empty string is not allowed',
      ".. INVALID_TOPIC_EXCEPTION Topic name is invalid: '..' is not allowed",
      `${long} INVALID_TOPIC_EXCEPTION Topic name is invalid: the length of '${long}' is longer than the max allowed length 249`,
      "bad name INVALID_TOPIC_EXCEPTION Topic name is invalid: 'bad name' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
      "a_b INVALID_TOPIC_EXCEPTION Topic 'a_b' collides with existing topic: a.b",
      "a.b TOPIC_ALREADY_EXISTS Topic 'a.b' already exists.",
      'dup INVALID_REQUEST Duplicate topic name.',
      '__cluster_metadata INVALID_REQUEST Creation of internal topic __cluster_metadata is prohibited.',
    ],
  )
  machine.run(machine.machine.deleteTopics({ topics: [{ name: 'a.b', topicId: ZERO_UUID }] }))
  t.strictSame(machine.create([topic('a_b')]), ['a_b NONE'], 'a deleted name collides no more')
})

t.test('counts', async (t) => {
  const machine = new TestMachine()
  const noPartitions =
    'INVALID_PARTITIONS Number of partitions was set to an invalid non-positive value.'
  const noReplicas =
    'INVALID_REPLICATION_FACTOR Replication factor must be larger than 0, or -1 to use the default value.'
  t.strictSame(
    machine.create([
      topic('p0', { numPartitions: 0 }),
      topic('p2', { numPartitions: -2 }),
      topic('r0', { replicationFactor: 0 }),
      topic('r-2', { replicationFactor: -2 }),
      topic('r2', { replicationFactor: 2 }),
    ]),
    [
      `p0 ${noPartitions}`,
      `p2 ${noPartitions}`,
      `r0 ${noReplicas}`,
      `r-2 ${noReplicas}`,
      'r2 INVALID_REPLICATION_FACTOR Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.',
    ],
  )
  const tooMany = 'POLICY_VIOLATION Excessively large number of partitions per request.'
  t.strictSame(
    machine.create([
      topic('big', { numPartitions: 6_000 }),
      topic('bigger', { numPartitions: 6_000 }),
      topic('small'),
    ]),
    [`big ${tooMany}`, `bigger ${tooMany}`, `small ${tooMany}`],
  )
  t.strictSame(machine.create([topic('huge', { numPartitions: 2 ** 31 - 1 })]), [`huge ${tooMany}`])
  t.equal(machine.image.topics.size, 0)
})

t.test('replicas by hand', async (t) => {
  const machine = new TestMachine()
  const by = (...assignments: [number, number[]][]) => ({
    assignments: assignments.map(([partitionIndex, brokerIds]) => ({ partitionIndex, brokerIds })),
  })
  const wrong = 'INVALID_REPLICA_ASSIGNMENT'
  const includes = 'The manual partition assignment includes'
  t.strictSame(
    machine.create([
      topic('m1', by([1, [1]], [0, [1]])),
      topic('m2', { numPartitions: 1, ...by([0, [1]]) }),
      topic('m3', { replicationFactor: 1, ...by([0, [1]]) }),
      topic('m4', by([0, [1]], [0, [1]])),
      topic('m5', by([0, [1]], [2, [1]])),
      topic('m6', by([0, [2]])),
      topic('m7', by([0, [1, 1]])),
      topic('m8', by([0, []])),
    ]),
    [
      'm1 NONE',
      'm2 INVALID_REQUEST A manual partition assignment was specified, but numPartitions was not set to -1.',
      'm3 INVALID_REQUEST A manual partition assignment was specified, but replication factor was not set to -1.',
      `m4 ${wrong} Found multiple manual partition assignments for partition 0`,
      `m5 ${wrong} partitions should be a consecutive 0-based integer sequence`,
      `m6 ${wrong} ${includes} broker 2, but no such broker is registered.`,
      `m7 ${wrong} ${includes} the broker 1 more than once.`,
      `m8 ${wrong} ${includes} an empty replica list.`,
    ],
  )
  const two = new TestMachine(2)
  t.strictSame(two.create([topic('m9', by([0, [1, 2]], [1, [2]]))]), [
    `m9 ${wrong} ${includes} a partition with 1 replica(s), but this is not consistent with previous partitions, which have 2 replica(s).`,
  ])
  two.create([topic('ok', by([0, [2, 1]]))])
  hasFacts(t, two.image.partition('ok', 0), { replicas: [2, 1], isr: [2, 1], leader: 2 })
})

t.test('settings', async (t) => {
  const machine = new TestMachine()
  t.strictSame(
    machine.create([
      topic('c1', configs({ 'retention.ms': 'abc' })),
      topic('c2', configs({ nope: '1' })),
      topic('c3', configs({ 'cleanup.policy': 'x' })),
      topic('c4', configs({ 'retention.ms': null })),
      topic('c5', configs({ 'segment.bytes': '1' })),
      topic('c6', configs({ 'min.compaction.lag.ms': '10', 'max.compaction.lag.ms': '5' })),
    ]),
    [
      'c1 INVALID_CONFIG Invalid value abc for configuration retention.ms: Not a number of type LONG',
      'c2 INVALID_CONFIG Unknown topic config name: nope',
      'c3 INVALID_CONFIG Invalid value x for configuration cleanup.policy: String must be one of: compact, delete',
      'c4 INVALID_CONFIG Null value not supported for topic configs: retention.ms',
      'c5 INVALID_CONFIG Invalid value 1 for configuration segment.bytes: Value must be at least 1048576',
      'c6 INVALID_CONFIG conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)',
    ],
  )
})

t.test('to validate only changes nothing', async (t) => {
  const machine = new TestMachine()
  const records = () => [...machine.image.toRecords()].length
  const before = records()
  t.strictSame(machine.create([topic('a', { numPartitions: 9 })], true), ['a NONE'])
  machine.create([topic('b')])
  const grown = machine.machine.createPartitions({
    topics: [{ name: 'b', count: 5, assignments: null }],
    validateOnly: true,
  })
  t.equal(grown.records.length, 0)
  t.equal(records(), before + 2)
})

t.test('more partitions', async (t) => {
  const machine = new TestMachine()
  machine.create([topic('ok', { numPartitions: 3 })])
  const grow = (name: string, count: number, assignments: number[][] | null = null) =>
    machine
      .run(
        machine.machine.createPartitions({
          topics: [
            {
              name,
              count,
              assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null,
            },
          ],
          validateOnly: false,
        }),
      )
      .map(({ errorCode, errorMessage }) => `${errorName(errorCode)} ${errorMessage}`)[0]
  t.equal(grow('nope', 2), 'UNKNOWN_TOPIC_OR_PARTITION null')
  t.equal(grow('ok', 3), 'INVALID_PARTITIONS Topic already has 3 partition(s).')
  t.equal(
    grow('ok', -1),
    'INVALID_PARTITIONS The topic ok currently has 3 partition(s); -1 would not be an increase.',
  )
  t.equal(
    grow('ok', 5, [[1]]),
    'INVALID_REPLICA_ASSIGNMENT Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.',
  )
  t.equal(
    grow('ok', 4, [[7]]),
    'INVALID_REPLICA_ASSIGNMENT The manual partition assignment includes broker 7, but no such broker is registered.',
  )
  t.equal(
    grow('ok', 20_000),
    'POLICY_VIOLATION Excessively large number of partitions per request.',
  )
  t.equal(grow('ok', 5), 'NONE null')
  t.equal(machine.image.topic('ok')?.partitions.length, 5)
  t.equal(machine.image.partition('ok', 4)?.leader, 1)
})

t.test('deletion by name and by id', async (t) => {
  const machine = new TestMachine()
  machine.create([topic('a', configs({ 'retention.ms': '5' })), topic('b'), topic('c')])
  const idOf = (name: string) => machine.image.topic(name)?.topicId ?? ''
  const remove = (...topics: [string | null, string][]) =>
    machine
      .run(
        machine.machine.deleteTopics({
          topics: topics.map(([name, topicId]) => ({ name, topicId })),
        }),
      )
      .map(({ name, errorCode, errorMessage }) => [name, errorName(errorCode), errorMessage])
  const unknownId = 'AAAAAAAAAAAAAAAAAAAAAQ'
  t.strictSame(
    remove(
      ['nope', ZERO_UUID],
      [null, unknownId],
      [null, ZERO_UUID],
      ['a', unknownId],
      ['b', ZERO_UUID],
      ['b', ZERO_UUID],
    ),
    [
      ['nope', 'UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.'],
      [null, 'UNKNOWN_TOPIC_ID', 'This server does not host this topic ID.'],
      [null, 'INVALID_REQUEST', 'Neither topic name nor id were specified.'],
      ['a', 'INVALID_REQUEST', 'You may not specify both topic name and topic id.'],
      ['b', 'INVALID_REQUEST', 'Duplicate topic name.'],
    ],
  )
  t.equal(machine.image.topics.size, 3)
  t.strictSame(remove([null, idOf('a')], ['b', ZERO_UUID]), [
    ['a', 'NONE', null],
    ['b', 'NONE', null],
  ])
  t.strictSame([...machine.image.topics.keys()], ['c'])
  t.equal(machine.image.configs(2, 'a').size, 0, 'settings go with the topic')
  const both = 'The provided topic name maps to an ID that was already supplied.'
  t.strictSame(remove(['c', ZERO_UUID], [null, idOf('c')]), [['c', 'INVALID_REQUEST', both]])
  t.strictSame([...machine.image.topics.keys()], ['c'], 'it is still there')
})

t.test('no topic without a live broker', async (t) => {
  const machine = new TestMachine(0)
  machine.run(machine.machine.registerBroker(registration(1, { unfenced: false })))
  t.strictSame(machine.create([topic('a')]), [
    'a INVALID_REPLICATION_FACTOR Unable to replicate the partition 1 time(s): All brokers are currently fenced.',
  ])
})
