import { readdir, rm } from 'node:fs/promises'
import t from 'tap'
import type { Partition } from '../../../src/cluster/partition.ts'
import type { NewTopic } from '../../../src/cluster/topic-commands.ts'
import type { AppendResult } from '../../../src/log/log-outcomes.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode, errorName } from '../../../src/protocol/error-code.ts'
import { io, type OpenCluster, openCluster, tempFolder } from './cluster-fixture.ts'
import { configs, defaults, topic } from './machine-fixture.ts'

const batchOf = (...values: string[]) =>
  buildBatch(
    values.map((value) => ({ key: null, value: Buffer.from(value), timestamp: Date.now() })),
    {},
    io.crc32c,
  )

const append = (partition: Partition, acks: number, ...values: string[]) =>
  new Promise<AppendResult>((resolve) =>
    partition.append(batchOf(...values), { acks, produceVersion: 11 }, resolve),
  )

const fetched = (partition: Partition, fetchOffset: number) =>
  partition.replicaFetched({
    brokerId: 2,
    brokerEpoch: -1,
    fetchOffset,
    logStartOffset: 0,
    atMs: io.monotonic.nowMs(),
  })

async function create(cluster: OpenCluster, ...topics: NewTopic[]): Promise<void> {
  for (const answer of await cluster.controller.createTopics({
    topics,
    validateOnly: false,
    defaults,
  })) {
    if (answer.errorCode !== ErrorCode.NONE)
      throw new Error(`${answer.name}: ${answer.errorMessage}`)
  }
}

function partitionOf(cluster: OpenCluster, name: string, index = 0): Partition {
  const partition = cluster.partitions.get(name, index)
  if (!partition) throw new Error(`${name}-${index} is not led here`)
  return partition
}

const remove = (cluster: OpenCluster, name: string) =>
  cluster.controller.deleteTopics({ topics: [{ name, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }] })

const alter = (
  cluster: OpenCluster,
  resourceType: number,
  resourceName: string,
  name: string,
  value: string,
) =>
  cluster.controller.incrementalAlterConfigs({
    resources: [{ resourceType, resourceName, configs: [{ name, configOperation: 0, value }] }],
    validateOnly: false,
    brokerId: 1,
  })

t.test('records are seen when they are acknowledged, whatever acks says', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  await create(cluster, topic('a'))
  const partition = partitionOf(cluster, 'a')
  t.equal(partition.highWatermark, 0)
  for (const acks of [1, -1]) {
    const before = partition.logEndOffset
    const result = await append(partition, acks, 'x', 'y')
    t.match(result, { errorCode: 0, baseOffset: before, lastOffset: before + 1 })
    t.equal(partition.highWatermark, before + 2)
  }
  const result = await append(partition, 0, 'z')
  t.equal(result.baseOffset, 4)
  await cluster.close()
})

t.test('fetches that wait are told once something can be seen', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  await create(cluster, topic('a'))
  const partition = partitionOf(cluster, 'a')
  let told = 0
  const waiter = () => told++
  partition.addWaiter(waiter)
  const pending = append(partition, 1, 'x')
  t.equal(told, 0, 'not before it is written')
  await pending
  t.equal(told, 1)
  partition.deleteRecordsBefore(-1)
  t.equal(told, 2)
  partition.removeWaiter(waiter)
  await append(partition, 1, 'y')
  t.equal(told, 2)
  await cluster.close()
})

t.test('flush.messages=1: acknowledged means durable', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  await create(cluster, topic('a', configs({ 'flush.messages': '1' })))
  const partition = partitionOf(cluster, 'a')
  for (const acks of [1, -1]) {
    const { end } = await append(partition, acks, 'x')
    t.ok(partition.log.flushedEndOffset >= end)
    t.equal(partition.highWatermark, end)
  }
  await cluster.close()
})

t.test('who waits for a flush is answered when flush.messages changes meanwhile', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  await create(cluster, topic('a', configs({ 'flush.messages': '1' })))
  const partition = partitionOf(cluster, 'a')
  const flushing = partition.config
  const setConfig = (config: typeof flushing) => {
    partition.config = config
    cluster.logDirs.setConfig(partition.log, config)
  }
  const never = { ...flushing, 'flush.messages': Number.MAX_SAFE_INTEGER }

  const first = append(partition, 1, 'not written yet')
  setConfig(never)
  t.equal((await first).errorCode, ErrorCode.NONE)

  setConfig(flushing)
  const second = append(partition, -1, 'written, not flushed yet')
  partition.log.whenWritten(partition.logEndOffset, () => setImmediate(() => setConfig(never)))
  t.equal((await second).errorCode, ErrorCode.NONE)
  await cluster.close()
})

t.test(
  'min.insync.replicas counts no more than there are replicas, and only for acks=all',
  async (t) => {
    const cluster = await openCluster(await tempFolder(t))
    await create(cluster, topic('a', configs({ 'min.insync.replicas': '2' })))
    const partition = partitionOf(cluster, 'a')
    t.equal(partition.minInSyncReplicas, 1)
    t.equal((await append(partition, -1, 'x')).errorCode, ErrorCode.NONE)

    // As it is when a second replica is away.
    const image = cluster.image.partition('a', 0)
    if (!image) throw new Error('no partition')
    partition.update({ ...image, replicas: [1, 2], isr: [1], partitionEpoch: 5 })
    t.equal(partition.minInSyncReplicas, 2)
    t.equal(errorName((await append(partition, -1, 'x')).errorCode), 'NOT_ENOUGH_REPLICAS')
    const before = partition.highWatermark
    t.equal((await append(partition, 1, 'y')).errorCode, ErrorCode.NONE)
    t.equal(partition.highWatermark, before, 'below the minimum it stands still')

    // It is back, in sync, and fetches.
    partition.update({ ...image, replicas: [1, 2], isr: [1, 2], partitionEpoch: 6 })
    const pending = append(partition, -1, 'z')
    let isDone = false
    pending.then(() => {
      isDone = true
    })
    fetched(partition, 2)
    await new Promise((resolve) => setTimeout(resolve, 20))
    t.notOk(isDone, 'the follower does not have it yet')
    t.equal(partition.highWatermark, 2)
    fetched(partition, 3)
    t.match(await pending, { errorCode: 0, baseOffset: 2 })
    t.equal(partition.highWatermark, 3)
    await cluster.close()
  },
)

t.test('a leader that is deposed leaves nobody waiting', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  await create(cluster, topic('a'))
  const partition = partitionOf(cluster, 'a')
  const image = cluster.image.partition('a', 0)
  if (!image) throw new Error('no partition')
  partition.update({ ...image, replicas: [1, 2], isr: [1, 2], leaderEpoch: 4 })
  const pending = append(partition, -1, 'x')
  partition.update({ ...image, replicas: [1, 2], isr: [2], leader: 2, leaderEpoch: 5 })
  t.equal(errorName((await pending).errorCode), 'NOT_LEADER_OR_FOLLOWER')
  t.equal(errorName((await append(partition, 1, 'x')).errorCode), 'NOT_LEADER_OR_FOLLOWER')
  t.equal(cluster.partitions.get('a', 0), undefined)
  t.throws(() => partition.update({ ...image, leaderEpoch: 3 }), /epoch went back/)
  await cluster.close()
})

t.test('where leader epochs end', async (t) => {
  const folder = await tempFolder(t)
  let cluster = await openCluster(folder)
  await create(cluster, topic('a'))
  t.strictSame(partitionOf(cluster, 'a').endOffsetForEpoch(0), { leaderEpoch: 0, endOffset: 0 })
  await append(partitionOf(cluster, 'a'), 1, 'x', 'y')
  await cluster.close()
  cluster = await openCluster(folder)
  const partition = partitionOf(cluster, 'a')
  t.equal(partition.leaderEpoch, 1)
  t.equal(partition.highWatermark, 2)
  t.strictSame(partition.endOffsetForEpoch(1), { leaderEpoch: 1, endOffset: 2 })
  t.strictSame(partition.endOffsetForEpoch(0), { leaderEpoch: 0, endOffset: 2 })
  t.strictSame(partition.endOffsetForEpoch(2), { leaderEpoch: -1, endOffset: -1 })
  await append(partition, 1, 'z')
  t.strictSame(partition.endOffsetForEpoch(0), { leaderEpoch: 0, endOffset: 2 })
  t.strictSame(partition.endOffsetForEpoch(1), { leaderEpoch: 1, endOffset: 3 })
  t.equal(partition.earliestEpoch, 0)
  await cluster.close()
})

t.test('DeleteRecords', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  await create(cluster, topic('a'), topic('c', configs({ 'cleanup.policy': 'compact' })))
  const partition = partitionOf(cluster, 'a')
  await append(partition, 1, 'x', 'y', 'z')
  const trim = (offset: number) => {
    const { errorCode, logStartOffset } = partition.deleteRecordsBefore(offset)
    return [errorName(errorCode), logStartOffset]
  }
  t.strictSame(trim(2), ['NONE', 2])
  t.strictSame(trim(1), ['NONE', 2], 'below the start nothing changes')
  t.strictSame(trim(4), ['OFFSET_OUT_OF_RANGE', -1])
  t.strictSame(trim(-2), ['OFFSET_OUT_OF_RANGE', -1])
  t.strictSame(trim(-1), ['NONE', 3])
  const refused = partitionOf(cluster, 'c').deleteRecordsBefore(0)
  t.equal(errorName(refused.errorCode), 'POLICY_VIOLATION')
  await cluster.close()
})

t.test('a folder comes with the first record and goes with the topic', async (t) => {
  const folder = await tempFolder(t)
  const cluster = await openCluster(folder, { texts: { 'log.segment.delete.delay.ms': '0' } })
  await create(cluster, topic('a', { numPartitions: 3 }))
  const folders = async () => (await readdir(folder)).filter((name) => /^a-\d$/.test(name))
  t.strictSame(await folders(), [])
  await append(partitionOf(cluster, 'a', 1), 1, 'x')
  t.strictSame(await folders(), ['a-1'])
  const led: string[] = []
  cluster.partitions.onLeadership({
    lead: ({ topic, partitionIndex }) => led.push(`+${topic}-${partitionIndex}`),
    resign: ({ topic, partitionIndex }) => led.push(`-${topic}-${partitionIndex}`),
  })
  const old = partitionOf(cluster, 'a', 1)
  await remove(cluster, 'a')
  t.strictSame(await folders(), [])
  t.equal(cluster.partitions.get('a', 1), undefined)
  t.equal(errorName((await append(old, 1, 'x')).errorCode), 'NOT_LEADER_OR_FOLLOWER')
  await create(cluster, topic('a'))
  t.equal(partitionOf(cluster, 'a').highWatermark, 0)
  t.strictSame(led, ['+a-0', '+a-1', '+a-2', '-a-0', '-a-1', '-a-2', '+a-0'])
  await cluster.close()
})

t.test('a deleted topic leaves no producer waiting', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  await create(cluster, topic('a'))
  const partition = partitionOf(cluster, 'a')
  const image = cluster.image.partition('a', 0)
  if (!image) throw new Error('no partition')
  partition.update({ ...image, replicas: [1, 2], isr: [1, 2] })
  const pending = append(partition, -1, 'x')
  await remove(cluster, 'a')
  t.equal(errorName((await pending).errorCode), 'UNKNOWN_TOPIC_OR_PARTITION')
  await cluster.close()
})

t.test('logs of topics that were deleted meanwhile are removed at the start', async (t) => {
  const folder = await tempFolder(t)
  let cluster = await openCluster(folder)
  await create(cluster, topic('gone'), topic('kept'), topic('again'))
  for (const name of ['gone', 'kept', 'again']) await append(partitionOf(cluster, name), 1, name)
  // The topics go, but the broker dies before it sees that.
  const oldId = cluster.image.topic('again')?.topicId
  cluster.partitions.apply = () => {}
  await remove(cluster, 'gone')
  await remove(cluster, 'again')
  await create(cluster, topic('again'))
  t.not(cluster.image.topic('again')?.topicId, oldId)
  await cluster.close()

  cluster = await openCluster(folder)
  t.strictSame(
    (await readdir(folder)).filter((name) => /^(gone|kept|again)-0$/.test(name)),
    ['kept-0'],
  )
  t.equal(partitionOf(cluster, 'kept').highWatermark, 1)
  t.equal(partitionOf(cluster, 'again').highWatermark, 0, 'a new topic of an old name is empty')
  await cluster.close()
})

t.test('also when no topic is left', async (t) => {
  const folder = await tempFolder(t)
  let cluster = await openCluster(folder)
  await create(cluster, topic('last'))
  await append(partitionOf(cluster, 'last'), 1, 'x')
  cluster.partitions.apply = () => {}
  await remove(cluster, 'last')
  await cluster.close()
  cluster = await openCluster(folder)
  t.notOk((await readdir(folder)).includes('last-0'))
  await cluster.close()
})

t.test('logs without any metadata are not removed: it is the metadata that is lost', async (t) => {
  const folder = await tempFolder(t)
  const cluster = await openCluster(folder)
  await create(cluster, topic('a'))
  await append(partitionOf(cluster, 'a'), 1, 'x')
  await cluster.close()
  await rm(`${folder}/metadata`, { recursive: true })
  await t.rejects(openCluster(folder), { code: 'LMQ_STORE_CORRUPT' })
  t.ok((await readdir(folder)).includes('a-0'))
})

t.test('settings of topics and brokers reach the logs', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  await create(cluster, topic('own', configs({ 'retention.ms': '5000' })), topic('shared'))
  const retention = (name: string) => partitionOf(cluster, name).log.config.retentionMs
  t.equal(retention('own'), 5_000)
  t.equal(retention('shared'), 604_800_000)
  await alter(cluster, 2, 'own', 'retention.ms', '6000')
  t.equal(retention('own'), 6_000)
  await alter(cluster, 4, '', 'log.retention.ms', '7000')
  cluster.settings.setDynamic({ clusterDefault: cluster.image.configs(4, '') })
  cluster.partitions.refreshConfigs()
  t.equal(retention('own'), 6_000)
  t.equal(retention('shared'), 7_000)
  t.equal(partitionOf(cluster, 'shared').config['retention.ms'], 7_000)
  await cluster.close()
})

t.test('5,000 partitions are made, listed and taken up again in no time', async (t) => {
  const folder = await tempFolder(t)
  let cluster = await openCluster(folder)
  const startMs = performance.now()
  await create(cluster, topic('wide', { numPartitions: 2_500 }))
  await Promise.all(Array.from({ length: 2_500 }, (_, at) => create(cluster, topic(`t${at}`))))
  await append(partitionOf(cluster, 'wide', 2_499), 1, 'x')
  t.equal([...cluster.partitions.all()].length, 5_000)
  await cluster.close()
  cluster = await openCluster(folder)
  t.equal([...cluster.partitions.all()].length, 5_000)
  t.equal(partitionOf(cluster, 'wide', 2_499).highWatermark, 1)
  t.ok(cluster.partitions.getById(cluster.image.topic('t2499')?.topicId ?? '', 0))
  await cluster.close()
  t.ok(performance.now() - startMs < 20_000)
  t.comment(`${Math.round(performance.now() - startMs)} ms in all`)
})
