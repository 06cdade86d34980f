// The admin requests over a socket, with what Kafka 4.3.1 answers to the same bytes. What the controller decides is
// tested in test/unit/cluster; here it is the handlers' own part: versions, cursors, sources, refusals.
import t, { type Test } from 'tap'
import { startBroker } from '../../../src/index.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import { produce } from '../../../src/protocol/apis/00-produce.ts'
import { createTopics } from '../../../src/protocol/apis/19-create-topics.ts'
import { deleteTopics } from '../../../src/protocol/apis/20-delete-topics.ts'
import { deleteRecords } from '../../../src/protocol/apis/21-delete-records.ts'
import { initProducerId } from '../../../src/protocol/apis/22-init-producer-id.ts'
import { describeConfigs } from '../../../src/protocol/apis/32-describe-configs.ts'
import { alterConfigs } from '../../../src/protocol/apis/33-alter-configs.ts'
import { describeLogDirs } from '../../../src/protocol/apis/35-describe-log-dirs.ts'
import { createPartitions } from '../../../src/protocol/apis/37-create-partitions.ts'
import { incrementalAlterConfigs } from '../../../src/protocol/apis/44-incremental-alter-configs.ts'
import { describeCluster } from '../../../src/protocol/apis/60-describe-cluster.ts'
import { describeProducers } from '../../../src/protocol/apis/61-describe-producers.ts'
import { describeTopicPartitions } from '../../../src/protocol/apis/75-describe-topic-partitions.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { errorName } from '../../../src/protocol/error-code.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { RawClient } from './raw-client.ts'

const { crc32c } = createNodeIo()

async function connect(t: Test, settings: Record<string, string> = {}) {
  const broker = await startBroker({ port: 0, settings: { 'lmq.http.port': '-1', ...settings } })
  const port = Number(broker.bootstrap.split(':').at(-1))
  const client = await RawClient.connect(port)
  t.teardown(async () => {
    client.socket.destroy()
    await broker.stop()
  })
  return { broker, client, port }
}

const topic = (name: string, numPartitions = 1, configs: Record<string, string> = {}) => ({
  name,
  numPartitions,
  replicationFactor: -1,
  assignments: [],
  configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
})

const create = (client: RawClient, ...topics: ReturnType<typeof topic>[]) =>
  client.ask(createTopics, 7, { topics, timeoutMs: 10_000, validateOnly: false })

type Producer = { producerId: number; producerEpoch: number; baseSequence: number }

function append(
  client: RawClient,
  name: string,
  index: number,
  count: number,
  producer?: Producer,
) {
  const record = { key: null, value: Buffer.from('v'), timestamp: Date.now() }
  const records = buildBatch(
    Array.from({ length: count }, () => record),
    producer ?? {},
    crc32c,
  )
  return client.ask(produce, 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 5_000,
    topicData: [{ name, topicId: ZERO_UUID, partitionData: [{ index, records }] }],
  })
}

t.test('CreateTopics answers settings in force, sorted, with their sources', async (t) => {
  const { client } = await connect(t, { 'log.retention.ms': '7000' })
  const { topics } = await create(client, topic('a', 3, { 'segment.ms': '9' }), topic('b', 0))
  t.match(topics[0], { errorCode: 0, errorMessage: null, numPartitions: 3, replicationFactor: 1 })
  t.not(topics[0]?.topicId, ZERO_UUID)
  const configs = topics[0]?.configs ?? []
  t.strictSame(
    configs.map(({ name }) => name),
    configs.map(({ name }) => name).sort(),
  )
  const find = (name: string) => configs.find((config) => config.name === name)
  t.match(find('segment.ms'), { value: '9', configSource: 1, readOnly: false, isSensitive: false })
  t.match(find('retention.ms'), { value: '7000', configSource: 4 })
  t.match(find('cleanup.policy'), { value: 'delete', configSource: 5 })
  t.match(topics[1], { numPartitions: -1, replicationFactor: -1, topicId: ZERO_UUID, configs: [] })
})

t.test('DeleteTopics: by name and id from version 6 on, and when it is switched off', async (t) => {
  const { client } = await connect(t)
  const { topics } = await create(client, topic('a'), topic('b'), topic('c'))
  const old = await client.ask(deleteTopics, 5, {
    topics: [],
    topicNames: ['a', 'nope'],
    timeoutMs: 5_000,
  })
  t.strictSame(
    old.responses.map(({ name, errorCode }) => [name, errorName(errorCode)]),
    [
      ['a', 'NONE'],
      ['nope', 'UNKNOWN_TOPIC_OR_PARTITION'],
    ],
  )
  const byId = await client.ask(deleteTopics, 6, {
    topics: [
      { name: null, topicId: topics[1]?.topicId ?? '' },
      { name: 'c', topicId: ZERO_UUID },
    ],
    topicNames: [],
    timeoutMs: 5_000,
  })
  t.strictSame(
    byId.responses.map(({ name, errorCode }) => [name, errorCode]),
    [
      ['b', 0],
      ['c', 0],
    ],
  )

  const { client: other } = await connect(t, { 'delete.topic.enable': 'false' })
  for (const [version, expected] of [
    [1, 'INVALID_REQUEST'],
    [5, 'TOPIC_DELETION_DISABLED'],
  ] as const) {
    const request = { topics: [], topicNames: ['a'], timeoutMs: 5_000 }
    const { responses } = await other.ask(deleteTopics, version, request)
    t.equal(errorName(responses[0]?.errorCode ?? 0), expected)
  }
})

t.test('DeleteRecords', async (t) => {
  const { client } = await connect(t)
  await create(client, topic('a', 3), topic('c', 1, { 'cleanup.policy': 'compact' }))
  await create(client, topic('__consumer_offsets', 1))
  await append(client, 'a', 0, 5)
  const trim = async (name: string, ...partitions: [number, number][]) => {
    const wanted = partitions.map(([partitionIndex, offset]) => ({ partitionIndex, offset }))
    const request = { topics: [{ name, partitions: wanted }], timeoutMs: 5_000 }
    const { topics } = await client.ask(deleteRecords, 2, request)
    return topics[0]?.partitions.map(({ lowWatermark, errorCode }) => [
      lowWatermark,
      errorName(errorCode),
    ])
  }
  t.strictSame(await trim('a', [0, 3], [1, 1], [2, -1], [9, 0]), [
    [3, 'NONE'],
    [-1, 'OFFSET_OUT_OF_RANGE'],
    [0, 'NONE'],
    [-1, 'UNKNOWN_TOPIC_OR_PARTITION'],
  ])
  t.strictSame(await trim('a', [0, 2], [0, -1]), [[5, 'NONE']], 'the last one counts')
  t.strictSame(await trim('c', [0, 0]), [[-1, 'POLICY_VIOLATION']])
  t.strictSame(await trim('nope', [0, 0]), [[-1, 'UNKNOWN_TOPIC_OR_PARTITION']])
  t.strictSame(await trim('__consumer_offsets', [0, 0]), [[-1, 'INVALID_TOPIC_EXCEPTION']])
})

const TOPIC = 2
const BROKER = 4

t.test('DescribeConfigs: sources and synonyms, strongest first', async (t) => {
  const { client } = await connect(t)
  await create(client, topic('a', 1, { 'retention.ms': '5' }))
  const set = (resourceType: number, resourceName: string, name: string, value: string) => ({
    resourceType,
    resourceName,
    configs: [{ name, configOperation: 0, value }],
  })
  const altered = await client.ask(incrementalAlterConfigs, 1, {
    resources: [
      set(BROKER, '1', 'log.retention.ms', '9'),
      set(BROKER, '', 'log.retention.ms', '10'),
    ],
    validateOnly: false,
  })
  t.strictSame(
    altered.responses.map(({ errorCode }) => errorCode),
    [0, 0],
  )
  const describe = async (resourceType: number, resourceName: string, keys: string[] | null) => {
    const { results } = await client.ask(describeConfigs, 4, {
      resources: [{ resourceType, resourceName, configurationKeys: keys }],
      includeSynonyms: true,
      includeDocumentation: false,
    })
    const [result] = results
    if (!result) throw new Error('no answer')
    return result
  }
  const ofTopic = await describe(TOPIC, 'a', ['retention.ms', 'nope'])
  t.equal(ofTopic.configs.length, 1)
  t.match(ofTopic, { errorCode: 0, errorMessage: '' })
  t.match(ofTopic.configs[0], {
    name: 'retention.ms',
    value: '5',
    configSource: 1,
    configType: 5,
    readOnly: false,
    documentation: null,
    synonyms: [
      { name: 'retention.ms', value: '5', source: 1 },
      { name: 'log.retention.ms', value: '9', source: 2 },
      { name: 'log.retention.ms', value: '10', source: 3 },
      { name: 'log.retention.hours', value: '168', source: 5 },
    ],
  })
  const ofBroker = await describe(BROKER, '1', ['node.id', 'log.retention.ms', 'ssl.key.password'])
  const byName = new Map(ofBroker.configs.map((config) => [config.name, config]))
  t.match(byName.get('node.id'), { value: '1', readOnly: true })
  t.match(byName.get('log.retention.ms'), { value: '9', configSource: 2, readOnly: false })
  t.match(byName.get('ssl.key.password'), { value: null, isSensitive: true, configType: 9 })
  const defaults = await describe(BROKER, '', null)
  t.strictSame(
    defaults.configs.map(({ name, value, configSource }) => [name, value, configSource]),
    [['log.retention.ms', '10', 3]],
  )
  const refusal = async (type: number, name: string) => {
    const { errorCode, errorMessage, configs } = await describe(type, name, null)
    t.equal(configs.length, 0)
    return `${errorName(errorCode)} ${errorMessage}`
  }
  t.equal(await refusal(TOPIC, 'nope'), 'UNKNOWN_TOPIC_OR_PARTITION ')
  t.equal(
    await refusal(TOPIC, ''),
    'INVALID_TOPIC_EXCEPTION Topic name is invalid: the empty string is not allowed',
  )
  t.equal(
    await refusal(BROKER, '2'),
    'INVALID_REQUEST Unexpected broker id, expected 1 or empty string, but received 2',
  )
  t.equal(await refusal(BROKER, 'x'), 'INVALID_REQUEST Broker id must be an integer, but it is: x')
  t.equal(await refusal(8, ''), 'INVALID_REQUEST Broker id must not be empty')
  t.equal(
    await refusal(16, ''),
    'INVALID_REQUEST Client metrics subscription name must not be empty',
  )
  t.equal(await refusal(32, ''), 'INVALID_REQUEST Group name must not be empty')
  t.equal(await refusal(99, 'x'), 'INVALID_REQUEST Unsupported resource type: 99')
  t.equal((await describe(TOPIC, 'a', [])).configs.length, 33, 'no keys means all')
})

t.test('AlterConfigs and CreatePartitions reach the topic', async (t) => {
  const { client } = await connect(t)
  await create(client, topic('a'))
  const resource = {
    resourceType: TOPIC,
    resourceName: 'a',
    configs: [{ name: 'retention.ms', value: '77' }],
  }
  const altered = await client.ask(alterConfigs, 2, { resources: [resource], validateOnly: false })
  t.match(altered.responses, [{ errorCode: 0, resourceType: TOPIC, resourceName: 'a' }])
  const grown = await client.ask(createPartitions, 3, {
    topics: [
      { name: 'a', count: 4, assignments: null },
      { name: 'nope', count: 4, assignments: null },
    ],
    timeoutMs: 5_000,
    validateOnly: false,
  })
  t.strictSame(
    grown.results.map(({ name, errorCode }) => [name, errorName(errorCode)]),
    [
      ['a', 'NONE'],
      ['nope', 'UNKNOWN_TOPIC_OR_PARTITION'],
    ],
  )
  const { responses } = await append(client, 'a', 3, 1)
  t.equal(
    responses[0]?.partitionResponses[0]?.errorCode,
    0,
    'a new partition takes records at once',
  )
})

t.test('DescribeCluster', async (t) => {
  const { client, broker, port } = await connect(t, { 'broker.rack': 'r1' })
  const ask = (version: number, endpointType: number, other = {}) =>
    client.ask(describeCluster, version, {
      includeClusterAuthorizedOperations: false,
      includeFencedBrokers: false,
      endpointType,
      ...other,
    })
  t.match(await ask(2, 1, { includeFencedBrokers: true }), {
    errorCode: 0,
    endpointType: 1,
    clusterId: broker.clusterId,
    controllerId: 1,
    brokers: [{ brokerId: 1, port, rack: 'r1', isFenced: false }],
    clusterAuthorizedOperations: -2_147_483_648,
  })
  const all = await ask(0, 1, { includeClusterAuthorizedOperations: true })
  t.equal(all.clusterAuthorizedOperations, 8_096)
  t.match(await ask(1, 2), {
    errorCode: 114,
    errorMessage:
      'The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER',
    brokers: [],
  })
  t.match(await ask(1, 9), { errorCode: 115, errorMessage: 'Unsupported endpoint type 9' })
})

t.test('DescribeTopicPartitions goes through pages', async (t) => {
  const { client } = await connect(t)
  await create(client, topic('t1', 3), topic('t2', 3), topic('t0'))
  type Cursor = { topicName: string; partitionIndex: number } | null
  const page = async (names: string[], limit: number, cursor: Cursor = null) => {
    const topics = names.map((name) => ({ name }))
    const answer = await client.ask(describeTopicPartitions, 0, {
      topics,
      responsePartitionLimit: limit,
      cursor,
    })
    const seen = answer.topics.map(({ name, errorCode, partitions }) =>
      errorCode === 0
        ? `${name} ${partitions.map(({ partitionIndex }) => partitionIndex).join()}`
        : `${name} ${errorName(errorCode)}`,
    )
    const { nextCursor } = answer
    return [...seen, nextCursor ? `> ${nextCursor.topicName} ${nextCursor.partitionIndex}` : 'end']
  }
  const at = (topicName: string, partitionIndex: number) => ({ topicName, partitionIndex })
  t.strictSame(await page(['t2', 't1', 'nope', 'bad name', 't1'], 2_000), [
    'bad name INVALID_TOPIC_EXCEPTION',
    'nope UNKNOWN_TOPIC_OR_PARTITION',
    't1 0,1,2',
    't2 0,1,2',
    'end',
  ])
  t.strictSame(await page(['t1', 't2'], 2), ['t1 0,1', '> t1 2'])
  t.strictSame(await page(['t1', 't2'], 2, at('t1', 2)), ['t1 2', 't2 0', '> t2 1'])
  t.strictSame(await page(['t1', 't2'], 3), ['t1 0,1,2', '> t2 0'])
  t.strictSame(await page(['t1', 't2'], 10, at('t1', 7)), ['t1 ', 't2 0,1,2', 'end'])
  t.strictSame(await page([], 3, at('t', 0)), ['t0 0', 't1 0,1', '> t1 2'])
  t.strictSame(await page(['t1'], 0), ['t1 0', '> t1 1'], 'one at least')
  t.strictSame(await page(['t1'], 2, at('t1', -1)), ['t1 INVALID_REQUEST', 'end'])
  t.strictSame(await page(['t2'], 2, at('t1', 0)), ['t2 INVALID_REQUEST', 'end'])
  const whole = await client.ask(describeTopicPartitions, 0, {
    topics: [{ name: 't1' }],
    responsePartitionLimit: 1,
    cursor: null,
  })
  t.match(whole.topics[0], {
    isInternal: false,
    topicAuthorizedOperations: 3_576,
    partitions: [
      {
        leaderId: 1,
        leaderEpoch: 0,
        replicaNodes: [1],
        isrNodes: [1],
        eligibleLeaderReplicas: [],
        lastKnownElr: [],
        offlineReplicas: [],
      },
    ],
  })
})

t.test('DescribeLogDirs', async (t) => {
  const { client, broker } = await connect(t)
  await create(client, topic('a', 2), topic('b'))
  await append(client, 'a', 1, 3)
  const ask = async (topics: { topic: string; partitions: number[] }[] | null, version = 5) => {
    const { errorCode, results } = await client.ask(describeLogDirs, version, { topics })
    t.equal(errorCode, 0)
    t.equal(results.length, 1)
    return results[0]
  }
  const all = await ask(null)
  t.equal(all?.logDir, broker.dataDir)
  t.ok((all?.totalBytes ?? 0) >= (all?.usableBytes ?? 0))
  t.ok((all?.usableBytes ?? 0) > 0)
  const sizes = (all?.topics ?? []).flatMap(({ name, partitions }) =>
    partitions.map(
      ({ partitionIndex, partitionSize }) => `${name}-${partitionIndex} ${partitionSize > 0}`,
    ),
  )
  t.strictSame(sizes.sort(), ['a-0 false', 'a-1 true', 'b-0 false'])
  const some = await ask([
    { topic: 'a', partitions: [1, 9] },
    { topic: 'nope', partitions: [0] },
  ])
  t.match(some?.topics, [{ name: 'a', partitions: [{ partitionIndex: 1, offsetLag: 0 }] }])
  t.strictSame((await ask([]))?.topics, [])
  t.equal((await ask([], 1))?.totalBytes, -1)
})

t.test('DescribeProducers', async (t) => {
  const { client } = await connect(t)
  await create(client, topic('a'))
  const { producerId } = await client.ask(initProducerId, 4, {
    transactionalId: null,
    transactionTimeoutMs: 60_000,
    producerId: -1,
    producerEpoch: -1,
  })
  await append(client, 'a', 0, 4, { producerId, producerEpoch: 0, baseSequence: 0 })
  const { topics } = await client.ask(describeProducers, 0, {
    topics: [
      { name: 'a', partitionIndexes: [0, 7] },
      { name: 'nope', partitionIndexes: [0] },
      { name: 'bad name', partitionIndexes: [0] },
    ],
  })
  t.match(topics[0]?.partitions, [
    {
      errorCode: 0,
      activeProducers: [
        {
          producerId,
          producerEpoch: 0,
          lastSequence: 3,
          coordinatorEpoch: -1,
          currentTxnStartOffset: -1,
        },
      ],
    },
    { errorCode: 3, errorMessage: null, activeProducers: [] },
  ])
  t.match(topics[1]?.partitions, [
    { errorCode: 3, errorMessage: 'This server does not host this topic-partition.' },
  ])
  t.match(topics[2]?.partitions, [{ errorCode: 17 }])
})

t.test('what has no time is not begun', async (t) => {
  const { client } = await connect(t)
  await create(client, topic('kept'))
  for (const timeoutMs of [0, -1]) {
    const made = await client.ask(createTopics, 7, {
      topics: [topic('late')],
      timeoutMs,
      validateOnly: false,
    })
    t.match(made.topics, [{ name: 'late', errorCode: 7, errorMessage: null }])
    const grown = await client.ask(createPartitions, 2, {
      topics: [{ name: 'kept', count: 3, assignments: null }],
      timeoutMs,
      validateOnly: false,
    })
    t.match(grown.results, [{ name: 'kept', errorCode: 7 }])
    const gone = await client.ask(deleteTopics, 5, { topics: [], topicNames: ['kept'], timeoutMs })
    t.match(gone.responses, [{ name: 'kept', errorCode: 7 }])
  }
  const again = await create(client, topic('late'), topic('kept'))
  t.match(again.topics, [{ errorCode: 0 }, { errorCode: 36 }])
})
