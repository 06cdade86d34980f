// Goal: what the coordinator does around its groups: finding and loading partitions, writing before answering, expiry,
// removal, failures. Method: the coordinator of group-world.ts with its log in memory and time that stands still.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import {
  encodeGroupRecord,
  type GroupRecord,
} from '../../../src/coordinator/group/group-records.ts'
import { crc32c } from '../../../src/io/crc32c.ts'
import { offsetCommit } from '../../../src/protocol/apis/08-offset-commit.ts'
import { offsetFetch } from '../../../src/protocol/apis/09-offset-fetch.ts'
import { findCoordinator } from '../../../src/protocol/apis/10-find-coordinator.ts'
import { joinGroup } from '../../../src/protocol/apis/11-join-group.ts'
import { heartbeat } from '../../../src/protocol/apis/12-heartbeat.ts'
import { leaveGroup } from '../../../src/protocol/apis/13-leave-group.ts'
import { syncGroup } from '../../../src/protocol/apis/14-sync-group.ts'
import { describeGroups } from '../../../src/protocol/apis/15-describe-groups.ts'
import { listGroups } from '../../../src/protocol/apis/16-list-groups.ts'
import { deleteGroups } from '../../../src/protocol/apis/42-delete-groups.ts'
import { offsetDelete } from '../../../src/protocol/apis/47-offset-delete.ts'
import { type BatchOptions, buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { attributesOf, codecOf } from '../../../src/protocol/record-batch.ts'
import { NO_ID, subscription } from './group-scenarios.ts'
import { GroupWorld } from './group-world.ts'

const MINUTE = 60_000

async function commit(
  world: GroupWorld,
  group: string,
  offset: number,
  more: {
    topic?: string
    partitionIndex?: number
    version?: number
    retentionTimeMs?: number
  } = {},
): Promise<number> {
  const { topic = 'orders', partitionIndex = 0, version = 8, retentionTimeMs } = more
  const answer = await world.call(offsetCommit, version, {
    groupId: group,
    memberId: '',
    ...(retentionTimeMs === undefined ? {} : { retentionTimeMs }),
    topics: [
      {
        name: topic,
        topicId: NO_ID,
        partitions: [{ partitionIndex, committedOffset: offset, committedMetadata: null }],
      },
    ],
  })
  return answer.topics[0]?.partitions[0]?.errorCode ?? -99
}

async function fetched(world: GroupWorld, group: string, requireStable = false) {
  const answer = world.call(offsetFetch, 8, {
    groupId: '',
    topics: [],
    groups: [{ groupId: group, topics: null }],
    requireStable,
  })
  await world.time.settle()
  const { errorCode, topics } = (await answer).groups[0] ?? { errorCode: -99, topics: [] }
  const found: Record<string, number> = {}
  for (const { name, partitions } of topics) {
    for (const each of partitions) found[`${name}-${each.partitionIndex}`] = each.committedOffset
  }
  return errorCode === ErrorCode.NONE ? found : errorCode
}

/** Runs what happens without time passing until the answer is there. */
async function now<T>(world: GroupWorld, answer: Promise<T>): Promise<T> {
  for (let i = 0; i < 5; i++) await world.time.settle()
  return answer
}

/** A group with one member that reads `orders`, stable in generation 1. */
async function stableGroup(world: GroupWorld, groupId: string): Promise<string> {
  const joined = await now(
    world,
    world.call(joinGroup, 3, {
      groupId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 30_000,
      memberId: '',
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('orders') }],
    }),
  )
  const { memberId, generationId } = joined
  const assignments = [{ memberId, assignment: Buffer.from('all') }]
  await now(world, world.call(syncGroup, 3, { groupId, generationId, memberId, assignments }))
  return memberId
}

const describe = async (world: GroupWorld, groupId: string) =>
  (await world.call(describeGroups, 5, { groups: [groupId], includeAuthorizedOperations: false }))
    .groups[0]

t.test('the first client makes the topic and finds its coordinator at once', async (t) => {
  const world = new GroupWorld()
  const asked = { key: 'a', keyType: 0, coordinatorKeys: [] }
  const [first, second] = await now(
    world,
    Promise.all([world.call(findCoordinator, 2, asked), world.call(findCoordinator, 2, asked)]),
  )
  t.match(first, { errorCode: 0, nodeId: 1, host: 'localhost', port: 9092 })
  t.match(second, { errorCode: 0, nodeId: 1 })
  const batch = await world.call(findCoordinator, 6, {
    key: '',
    coordinatorKeys: ['a', 'b'],
  })
  t.strictSame(
    batch.coordinators.map(({ key, nodeId, errorCode }) => [key, nodeId, errorCode]),
    [
      ['a', 1, 0],
      ['b', 1, 0],
    ],
  )
})

t.test('transactions are refused in a way that clients take as final', async (t) => {
  const world = await new GroupWorld().start()
  const single = await world.call(findCoordinator, 3, {
    key: 'tx',
    keyType: 1,
    coordinatorKeys: [],
  })
  const errorMessage = 'transactions are not served by this broker'
  const errorCode = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
  t.match(single, { errorCode, errorMessage, nodeId: -1 })
  const batch = await world.call(findCoordinator, 4, {
    key: '',
    keyType: 1,
    coordinatorKeys: ['tx'],
  })
  t.match(batch.coordinators, [{ errorCode: ErrorCode.UNSUPPORTED_VERSION, errorMessage }])
})

t.test('a broker that does not lead the partition says so', async (t) => {
  const world = new GroupWorld()
  t.equal(await commit(world, 'g', 1), ErrorCode.NOT_COORDINATOR)
  t.equal(await fetched(world, 'g'), ErrorCode.NOT_COORDINATOR)
  const beat = { groupId: 'g', generationId: 1, memberId: 'm' }
  t.equal((await world.call(heartbeat, 4, beat)).errorCode, ErrorCode.NOT_COORDINATOR)
  t.equal((await describe(world, 'g'))?.errorCode, ErrorCode.NOT_COORDINATOR)
  const listed = await world.call(listGroups, 4, { statesFilter: [], typesFilter: [] })
  t.strictSame(listed.groups, [])
})

t.test('while a partition is loaded its clients are told to wait', async (t) => {
  const world = await new GroupWorld().start()
  t.equal(await now(world, commit(world, 'g', 7)), 0)
  world.log.holdLoads()
  world.coordinator.resign(world.coordinator.partitionOf('g'))
  world.coordinator.lead(world.coordinator.partitionOf('g'), 1)
  const early = await now(world, commit(world, 'g', 8))
  t.equal(early, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
  const beat = { groupId: 'g', generationId: 1, memberId: 'm' }
  t.equal(
    (await world.call(heartbeat, 4, beat)).errorCode,
    ErrorCode.NONE,
    'but not for heartbeats',
  )
  const listed = await world.call(listGroups, 4, { statesFilter: [], typesFilter: [] })
  t.equal(listed.errorCode, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
  world.log.letLoad()
  await world.coordinator.whenLoaded()
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 7 })
  t.strictSame(world.coordinator.countPartitions(), {
    loading: 0,
    active: 50,
    failed: 0,
    closed: 0,
  })
})

t.test('an epoch that is known already changes nothing, a newer one loads again', async (t) => {
  const world = await new GroupWorld().start()
  await now(world, commit(world, 'g', 7))
  const partitionIndex = world.coordinator.partitionOf('g')
  world.coordinator.lead(partitionIndex, 0)
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 7 })
  world.coordinator.lead(partitionIndex, 5)
  t.equal(await commit(world, 'g', 8), ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
  await world.coordinator.whenLoaded()
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 7 })
})

t.test('commits of one turn leave in one batch', async (t) => {
  const world = await new GroupWorld().start()
  const answers = Array.from({ length: 20 }, (_, i) =>
    commit(world, 'g', i, { partitionIndex: i % 4 }),
  )
  t.strictSame(new Set(await now(world, Promise.all(answers))), new Set([0]))
  t.equal(world.log.appends, 1)
  t.strictSame(await fetched(world, 'g'), {
    'orders-0': 16,
    'orders-1': 17,
    'orders-2': 18,
    'orders-3': 19,
  })
})

t.test('nothing is answered or seen before it is committed', async (t) => {
  const world = await new GroupWorld().start()
  world.log.isStalled = true
  let answered: number | undefined
  void commit(world, 'g', 5).then((errorCode) => {
    answered = errorCode
  })
  await world.time.advance(4_999)
  t.equal(answered, undefined)
  t.strictSame(await fetched(world, 'g'), {})
  const stable = fetched(world, 'g', true)
  world.log.goOn()
  await world.time.settle()
  t.equal(answered, 0)
  t.strictSame(await stable, { 'orders-0': 5 }, 'a stable read waits for it')
})

t.test('a new leader tells no offset that could be lost', async (t) => {
  const world = await new GroupWorld().start()
  const partition = world.coordinator.partitionOf('g')
  await now(world, commit(world, 'g', 5))
  await now(world, commit(world, 'g', 6))
  const other = Array.from({ length: 1_000 }, (_, i) => `other${i}`).find(
    (id) => world.coordinator.partitionOf(id) === partition,
  )
  if (!other) throw new Error('no such name')
  await now(world, commit(world, other, 1))
  const ends = world.log.partitions.get(partition)?.length ?? 0
  t.equal(ends, 3, 'a record each')
  world.log.commitUpTo(2)
  await world.crash()
  t.same(await fetched(world, 'g'), { 'orders-0': 6 })
  let told: Awaited<ReturnType<typeof fetched>> | undefined
  const waiting = fetched(world, other).then((answer) => {
    told = answer
  })
  await world.time.advance(1_000)
  t.equal(told, undefined, 'its last record is not committed')
  world.log.commitUpTo(3)
  await waiting
  t.same(told, { 'orders-0': 1 })

  world.log.commitUpTo(2)
  await world.crash()
  const refused = fetched(world, other)
  await world.time.advance(world.settings['offsets.commit.timeout.ms'] + 1)
  t.equal(await refused, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
  const left = fetched(world, other)
  await world.time.settle()
  world.coordinator.resign(partition)
  world.log.commitUpTo(3)
  t.equal(await left, ErrorCode.NOT_COORDINATOR)
})

t.test('a write that takes too long is answered, and counts when it is done', async (t) => {
  const world = await new GroupWorld().start()
  world.log.isStalled = true
  const late = commit(world, 'g', 5)
  await world.time.advance(5_000)
  t.equal(await late, ErrorCode.COORDINATOR_NOT_AVAILABLE)
  world.log.goOn()
  await world.time.settle()
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 5 })
})

t.test('a write that fails changes nothing', async (t) => {
  const world = await new GroupWorld().start()
  for (const [failure, outcome] of [
    [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.COORDINATOR_NOT_AVAILABLE],
    [ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_COORDINATOR],
    [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_COORDINATOR],
    [ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.UNKNOWN_SERVER_ERROR],
    [ErrorCode.INVALID_RECORD, ErrorCode.INVALID_RECORD],
  ] as const) {
    world.log.failures.push(failure)
    t.equal(await now(world, commit(world, 'g', 5)), outcome)
    t.strictSame(await fetched(world, 'g'), {})
  }
  t.equal(await describe(world, 'g').then((group) => group?.groupState), 'Dead')
})

t.test('when memory is ahead of the log, the log is loaded again', async (t) => {
  const world = await new GroupWorld().start()
  t.equal(await now(world, commit(world, 'g', 5)), 0)
  world.log.failures.push(ErrorCode.NOT_ENOUGH_REPLICAS)
  const deleted = await now(world, world.call(deleteGroups, 2, { groupsNames: ['g'] }))
  t.equal(deleted.results[0]?.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE)
  await world.coordinator.whenLoaded()
  await world.time.settle()
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 5 }, 'the group is back')
  t.equal((await describe(world, 'g'))?.groupState, 'Empty')
})

t.test('a commit larger than a batch is split', async (t) => {
  const world = await new GroupWorld().start()
  world.topics.set('wide', { topicId: 'AAAAAAAAAAAAAAAAAAAAAw', partitions: 20_000 })
  const partitions = Array.from({ length: 20_000 }, (_, partitionIndex) => ({
    partitionIndex,
    committedOffset: partitionIndex,
    committedMetadata: 'x',
  }))
  const answer = await now(
    world,
    world.call(offsetCommit, 8, {
      groupId: 'g',
      memberId: '',
      topics: [{ name: 'wide', topicId: NO_ID, partitions }],
    }),
  )
  t.ok(answer.topics[0]?.partitions.every(({ errorCode }) => errorCode === 0))
  t.ok(world.log.appends > 1 && world.log.appends < 5, `${world.log.appends} batches`)
  t.equal(world.coordinator.countOffsets(), 20_000)
  await world.crash()
  await world.coordinator.whenLoaded()
  t.equal(world.coordinator.countOffsets(), 20_000)
})

t.test('groups written by Kafka are loaded', async (t) => {
  const world = new GroupWorld()
  const folder = new URL('../../golden/consumer-offsets/', import.meta.url)
  for (const name of readdirSync(folder)) {
    world.log.partitions.set(Number.parseInt(name, 10), [readFileSync(new URL(name, folder))])
  }
  world.topics.set('orders', { topicId: 'Ep8c-CBQQnOhPZ_bWAX-rg', partitions: 2 })
  world.lead()
  await world.coordinator.whenLoaded()
  const group = await describe(world, 'java-group')
  t.match(group, {
    groupState: 'Stable',
    protocolType: 'consumer',
    protocolData: 'range',
    members: [
      { groupInstanceId: 'inst-1', clientId: 'console-consumer', clientHost: '/127.0.0.1' },
    ],
  })
  t.strictSame(await fetched(world, 'java-group'), { 'orders-0': 3, 'orders-1': 0 })
  t.strictSame(await fetched(world, 'golden-group'), { 'orders-0': 3 })
  t.equal((await describe(world, 'golden-simple'))?.groupState, 'Empty')
  t.equal(world.coordinator.countGroups().Stable, 1)
  // Its static member comes back.
  const answer = await now(
    world,
    world.call(joinGroup, 9, {
      groupId: 'java-group',
      sessionTimeoutMs: 10_000,
      memberId: '',
      groupInstanceId: 'inst-1',
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('orders') }],
    }),
  )
  t.match(answer, { errorCode: 0, generationId: 1, skipAssignment: true })
})

t.test('a record that cannot be read does not hide the others', async (t) => {
  const world = new GroupWorld()
  const partitionIndex = world.coordinator.partitionOf('g')
  const good = encodeGroupRecord(offsetRecord('g', 0, 5))
  const bad = { ...encodeGroupRecord(offsetRecord('g', 1, 6)), value: Buffer.from([0, 77, 1]) }
  const foreign = { key: Buffer.from([0, 99]), value: Buffer.from([1]) }
  const records = [bad, foreign, good].map((each) => ({ ...each, timestamp: 1 }))
  world.log.partitions.set(partitionIndex, [buildBatch(records, {}, crc32c)])
  world.lead()
  await world.coordinator.whenLoaded()
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 5 })
})

t.test('a record that repeats a member leaves out that group only', async (t) => {
  const world = new GroupWorld()
  const member = {
    memberId: 'm',
    groupInstanceId: null,
    clientId: 'c',
    clientHost: '/h',
    rebalanceTimeout: 1,
    sessionTimeout: 1,
    subscription: Buffer.alloc(0),
    assignment: Buffer.alloc(0),
  }
  const value = {
    protocolType: 'consumer',
    generation: 3,
    protocol: 'range',
    leader: 'm',
    currentStateTimestamp: 1,
    members: [member, member],
  }
  const records = [
    encodeGroupRecord({ kind: 'group', groupId: 'g', value }),
    encodeGroupRecord(offsetRecord('g', 0, 5)),
  ].map((each) => ({ ...each, timestamp: 1 }))
  const partitionIndex = world.coordinator.partitionOf('g')
  world.log.partitions.set(partitionIndex, [buildBatch(records, {}, crc32c)])
  world.lead()
  await world.coordinator.whenLoaded()
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 5 })
  t.equal((await describe(world, 'g'))?.groupState, 'Empty')
})

t.test('metadata that could never be written is refused', async (t) => {
  const world = await new GroupWorld().start()
  const protocols = Array.from({ length: 5 }, (_, i) => ({
    name: `p${i}`,
    metadata: Buffer.alloc(1_000_000),
  }))
  const answer = await now(
    world,
    world.call(joinGroup, 9, {
      groupId: 'g',
      sessionTimeoutMs: 10_000,
      memberId: '',
      protocolType: 'consumer',
      protocols,
    }),
  )
  t.equal(answer.errorCode, ErrorCode.UNKNOWN_SERVER_ERROR)
  t.equal((await describe(world, 'g'))?.groupState, 'Dead')
})

t.test('offsets of transactions count when their marker says so', async (t) => {
  const world = new GroupWorld({ 'offsets.retention.check.interval.ms': 1_440 * MINUTE })
  const partitionIndex = world.coordinator.partitionOf('g')
  const log: Buffer[] = []
  const append = (records: { key: Buffer; value: Buffer | null }[], options: BatchOptions) => {
    const baseOffset = log.length
    const inputs = records.map((each) => ({ ...each, timestamp: 1 }))
    log.push(buildBatch(inputs, { ...options, baseOffset }, crc32c))
  }
  const marker = (producerId: number, type: number) => {
    const key = Buffer.from([0, 0, 0, type])
    append([{ key, value: Buffer.alloc(6) }], {
      producerId,
      producerEpoch: 0,
      control: true,
      transactional: true,
    })
  }
  const write = (producerId: number, partition: number, offset: number) => {
    const isPlain = producerId === -1
    const options = isPlain
      ? {}
      : { producerId, producerEpoch: 0, baseSequence: 0, transactional: true }
    append([encodeGroupRecord(offsetRecord('g', partition, offset))], options)
  }
  write(-1, 0, 1)
  write(7, 0, 2)
  write(8, 1, 3)
  write(9, 2, 4)
  marker(7, 1)
  marker(8, 0)
  write(10, 3, 5)
  write(-1, 3, 6)
  marker(10, 1)
  world.log.partitions.set(partitionIndex, log)
  world.lead()
  await world.coordinator.whenLoaded()
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 2, 'orders-3': 6 }, 'the later record wins')
  const answer = await now(
    world,
    world.call(offsetFetch, 7, {
      groupId: 'g',
      topics: [{ name: 'orders', partitionIndexes: [0, 2] }],
      groups: [],
      requireStable: true,
    }),
  )
  t.strictSame(
    answer.topics[0]?.partitions.map((each) => [each.partitionIndex, each.errorCode]),
    [
      [0, 0],
      [2, ErrorCode.UNSTABLE_OFFSET_COMMIT],
    ],
  )
  await world.time.advance(10_081 * MINUTE)
  t.equal((await describe(world, 'g'))?.groupState, 'Empty', 'an open transaction keeps the group')
})

t.test('batches are compressed where that is asked for', async (t) => {
  const world = await new GroupWorld({ 'offsets.topic.compression.codec': 1 }).start()
  t.equal(await now(world, commit(world, 'g', 1)), 0)
  t.equal(await now(world, commit(world, 'g', 2, { partitionIndex: 1 })), 0)
  const batches = world.log.partitions.get(world.coordinator.partitionOf('g')) ?? []
  t.strictSame(
    batches.map((batch) => codecOf(attributesOf(batch, 0))),
    [1, 1],
  )
  await world.crash()
  await world.coordinator.whenLoaded()
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 1, 'orders-1': 2 })
})

t.test('offsets expire', async (t) => {
  const world = await new GroupWorld({ 'offsets.retention.minutes': 60 }).start()
  await stableGroup(world, 'alive')
  t.equal(await now(world, commit(world, 'simple', 1)), 0)
  t.equal(
    await now(
      world,
      commit(world, 'simple', 2, { topic: 'payments', version: 3, retentionTimeMs: 5 * MINUTE }),
    ),
    0,
  )
  t.equal(
    await now(world, commit(world, 'short', 3, { version: 3, retentionTimeMs: 5 * MINUTE })),
    0,
  )
  await world.time.advance(11 * MINUTE)
  t.strictSame(await fetched(world, 'simple'), { 'orders-0': 1 }, 'a fixed end of life')
  t.equal((await describe(world, 'short'))?.groupState, 'Dead', 'a group without offsets goes')
  t.equal((await describe(world, 'alive'))?.groupState, 'Dead', 'one whose members died, too')
  await world.time.advance(60 * MINUTE)
  t.equal((await describe(world, 'simple'))?.groupState, 'Dead')
  t.equal(world.coordinator.counters.offsetExpirations, 3)
  await world.crash()
  await world.coordinator.whenLoaded()
  for (const group of ['simple', 'short', 'alive']) {
    t.equal((await describe(world, group))?.groupState, 'Dead', `${group} stays away`)
  }
})

t.test('offsets of a group with members expire only where nobody reads', async (t) => {
  const world = await new GroupWorld({ 'offsets.retention.minutes': 60 }).start()
  t.equal(await now(world, commit(world, 'g', 1)), 0)
  t.equal(await now(world, commit(world, 'g', 2, { topic: 'payments' })), 0)
  const memberId = await stableGroup(world, 'g')
  for (let i = 0; i < 75 * 10; i++) {
    await world.time.advance(6_000)
    await world.call(heartbeat, 4, { groupId: 'g', generationId: 1, memberId })
  }
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 1 })
  t.equal((await describe(world, 'g'))?.groupState, 'Stable')
  // It leaves: the rest is kept for as long again, counted from now.
  const left = world.call(leaveGroup, 3, { groupId: 'g', memberId: '', members: [{ memberId }] })
  t.equal((await now(world, left)).members[0]?.errorCode, 0)
  await world.time.advance(50 * MINUTE)
  t.strictSame(await fetched(world, 'g'), { 'orders-0': 1 })
  await world.time.advance(25 * MINUTE)
  t.strictSame(await fetched(world, 'g'), {})
})

t.test('the clock of rules can be moved by hand', async (t) => {
  const world = await new GroupWorld().start()
  await stableGroup(world, 'g')
  world.time.skip(20_000)
  world.coordinator.wakeAll()
  await world.time.settle()
  t.equal((await describe(world, 'g'))?.groupState, 'Empty')
  world.coordinator.expireNow()
  await world.time.settle()
  t.equal((await describe(world, 'g'))?.groupState, 'Dead')
})

t.test('a commit on its way does not outlive its group', async (t) => {
  const world = await new GroupWorld().start()
  t.equal(await now(world, commit(world, 'g', 1)), 0)
  world.log.isStalled = true
  const late = commit(world, 'g', 2, { partitionIndex: 1 })
  await world.time.settle()
  const deleting = world.call(deleteGroups, 2, { groupsNames: ['g'] })
  await world.time.settle()
  world.log.goOn()
  await world.time.settle()
  t.equal(await late, 0)
  t.equal((await deleting).results[0]?.errorCode, 0)
  t.equal((await describe(world, 'g'))?.groupState, 'Dead')
  t.equal(world.coordinator.countOffsets(), 0)
  await world.crash()
  await world.coordinator.whenLoaded()
  t.equal(world.coordinator.countOffsets(), 0)
  t.equal((await describe(world, 'g'))?.groupState, 'Dead')
})

t.test('offsets on their way are removed with the others', async (t) => {
  const world = await new GroupWorld().start()
  world.log.isStalled = true
  const late = commit(world, 'g', 2)
  const other = commit(world, 'h', 3)
  await world.time.settle()
  const forgotten = world.coordinator.forgetTopics(['orders'])
  await world.time.settle()
  world.log.goOn()
  await now(world, Promise.all([late, other, forgotten]))
  t.equal(world.coordinator.countOffsets(), 0)
  t.equal(await now(world, commit(world, 'g', 4)), 0)
  world.log.isStalled = true
  const last = commit(world, 'g', 5, { partitionIndex: 2 })
  await world.time.settle()
  const partitions = [0, 2, 3].map((partitionIndex) => ({ partitionIndex }))
  const removing = world.call(offsetDelete, 0, {
    groupId: 'g',
    topics: [{ name: 'orders', partitions }],
  })
  await world.time.settle()
  world.log.goOn()
  t.equal((await now(world, removing)).errorCode, 0)
  await last
  t.strictSame(await fetched(world, 'g'), {})
})

t.test('offsets of a topic do not pass to its namesake', async (t) => {
  const world = await new GroupWorld().start()
  t.equal(await now(world, commit(world, 'g', 7)), 0)
  world.topics.set('orders', { topicId: 'AAAAAAAAAAAAAAAAAAAABA', partitions: 4 })
  const answer = await world.call(offsetFetch, 7, {
    groupId: 'g',
    topics: [{ name: 'orders', partitionIndexes: [0] }],
    groups: [],
  })
  t.equal(answer.topics[0]?.partitions[0]?.committedOffset, -1)
})

t.test('an offset that would not be stored as it is, is refused', async (t) => {
  const world = await new GroupWorld().start()
  t.equal(
    await now(world, commit(world, 'g', Number.MAX_SAFE_INTEGER)),
    ErrorCode.INVALID_COMMIT_OFFSET_SIZE,
  )
  t.strictSame(await fetched(world, 'g'), {})
})

t.test('whoever waits is told when the partition moves away or the broker stops', async (t) => {
  const world = await new GroupWorld({ 'group.initial.rebalance.delay.ms': 3_000 }).start()
  const join = {
    sessionTimeoutMs: 10_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscription('orders') }],
  }
  const first = world.call(joinGroup, 3, { ...join, groupId: 'g' })
  const second = world.call(joinGroup, 3, { ...join, groupId: 'another' })
  await world.time.settle()
  world.log.isStalled = true
  const writing = commit(world, 'h', 1)
  await world.time.settle()
  world.coordinator.resign(world.coordinator.partitionOf('g'))
  t.equal((await first).errorCode, ErrorCode.NOT_COORDINATOR)
  world.coordinator.close()
  t.equal((await second).errorCode, ErrorCode.NOT_COORDINATOR)
  t.equal(await writing, ErrorCode.NOT_COORDINATOR)
  world.log.goOn()
  await world.time.settle()
  await world.time.advance(10_000)
  t.equal(world.time.timers, 0, 'no timer is left')
  t.equal(await commit(world, 'g', 1), ErrorCode.NOT_COORDINATOR)
})

t.test('a group that only refused its first client is not kept', async (t) => {
  const world = await new GroupWorld().start()
  const answer = await now(
    world,
    world.call(joinGroup, 9, {
      groupId: 'g',
      sessionTimeoutMs: 10_000,
      memberId: '',
      protocolType: '',
      protocols: [],
    }),
  )
  t.equal(answer.errorCode, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  t.equal((await describe(world, 'g'))?.groupState, 'Dead')
  t.equal(world.log.appends, 0)
})

t.test('a restart of the coordinator keeps members and their assignments', async (t) => {
  const world = await new GroupWorld().start()
  const memberId = await stableGroup(world, 'g')
  await world.crash()
  await world.coordinator.whenLoaded()
  const from = { groupId: 'g', generationId: 1, memberId }
  t.equal((await world.call(heartbeat, 4, from)).errorCode, 0)
  const synced = await world.call(syncGroup, 3, { ...from, assignments: [] })
  t.equal(synced.assignment.toString(), 'all')
  await world.time.advance(10_000)
  t.equal((await world.call(heartbeat, 4, from)).errorCode, ErrorCode.UNKNOWN_MEMBER_ID)
})

function offsetRecord(groupId: string, partitionIndex: number, offset: number): GroupRecord {
  return {
    kind: 'offset',
    groupId,
    topic: 'orders',
    partitionIndex,
    value: {
      offset,
      leaderEpoch: -1,
      metadata: '',
      commitTimestampMs: 1,
      expireTimestampMs: -1,
      topicId: NO_ID,
    },
  }
}
