// Goal: a coordinator counts on nothing that a broker's death could take away, and loads all that there is.
import t from 'tap'
import { OFFSETS_TOPIC } from '../../../src/coordinator/ports.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { coordinatorLog } from '../../../src/server/coordinator-ports.ts'
import { io, openCluster, tempFolder } from '../cluster/cluster-fixture.ts'
import { defaults, topic } from '../cluster/machine-fixture.ts'

t.test('what is appended and not yet written is loaded', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  t.teardown(() => cluster.close())
  const topics = [topic(OFFSETS_TOPIC)]
  await cluster.controller.createTopics({ topics, validateOnly: false, defaults })
  const log = coordinatorLog(cluster.partitions)
  const batch = (text: string) => {
    const bytes = Buffer.from(text)
    return buildBatch([{ key: bytes, value: bytes, timestamp: 1_000 }], {}, io.crc32c)
  }
  log.append(0, batch('a commit'), () => {})
  const found: string[] = []
  await log.load(0, 1_000_000, async (piece) => {
    found.push(piece.includes('a commit') ? 'a commit' : 'something else')
  })
  t.same(found, ['a commit'])
})

t.test('what a coordinator writes is done when every member of the ISR has it', async (t) => {
  const cluster = await openCluster(await tempFolder(t))
  t.teardown(() => cluster.close())
  const topics = [topic(OFFSETS_TOPIC)]
  await cluster.controller.createTopics({ topics, validateOnly: false, defaults })
  const partition = cluster.partitions.get(OFFSETS_TOPIC, 0)
  const image = cluster.image.partition(OFFSETS_TOPIC, 0)
  if (!partition || !image) throw new Error('it is not led here')
  partition.update({ ...image, replicas: [1, 2], isr: [1, 2], partitionEpoch: 1 })
  const bytes = Buffer.from('a commit')
  const batch = buildBatch([{ key: bytes, value: bytes, timestamp: 1_000 }], {}, io.crc32c)
  let outcome: ErrorCode | undefined
  const done = new Promise<void>((resolve) => {
    coordinatorLog(cluster.partitions).append(0, batch, (errorCode) => {
      outcome = errorCode
      resolve()
    })
  })
  await new Promise<void>((resolve) => partition.log.whenWritten(1, () => resolve()))
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(outcome, undefined, 'the follower does not have it')
  const log = coordinatorLog(cluster.partitions)
  t.equal(log.highWatermark(0), 0)
  const told: string[] = []
  log.whenCommitted(0, 1, () => told.push('committed'))
  const stop = log.whenCommitted(0, 1, () => told.push('stopped before'))
  log.whenCommitted(0, 2, () => told.push('led no more'))
  log.whenCommitted(9, 1, () => told.push('not led'))
  stop()
  t.same(told, ['not led'])
  const atMs = io.monotonic.nowMs()
  partition.replicaFetched({
    brokerId: 2,
    brokerEpoch: -1,
    fetchOffset: 1,
    logStartOffset: 0,
    atMs,
  })
  await done
  t.equal(outcome, ErrorCode.NONE)
  t.same(told, ['not led', 'committed'])
  t.equal(log.highWatermark(0), 1)
  partition.update({
    ...image,
    replicas: [1, 2],
    isr: [2],
    leader: 2,
    leaderEpoch: 1,
    partitionEpoch: 2,
  })
  t.same(told, ['not led', 'committed', 'led no more'])
})
