// Goal: a tool that names itself a debugging consumer (replica id -2) is told where each broker's own log ends, followers
// included; everybody else is sent to the leader. Like Kafka's ListOffsets. And a consumer that asks a follower for what that
// one does not have yet is sent to the leader, too: told that its place is gone, it would begin anew.
import t from 'tap'
import { createTopic } from '../../../src/client/admin-topics.ts'
import { Client, parseBootstrap } from '../../../src/client/client.ts'
import { startCluster } from '../../../src/index.ts'
import { crc32c } from '../../../src/io/crc32c.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import { produce } from '../../../src/protocol/apis/00-produce.ts'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { listOffsets } from '../../../src/protocol/apis/02-list-offsets.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { RawClient } from './raw-client.ts'

const TOPIC = 'orders'
const CONSUMER = -1
const DEBUGGING = -2

t.test('followers tell tools where their logs end', async (t) => {
  const cluster = await startCluster({ brokers: 2 })
  const client = new Client(createNodeIo(), { bootstrap: parseBootstrap(cluster.bootstrap) })
  const raws: RawClient[] = []
  t.teardown(async () => {
    for (const raw of raws) raw.close()
    client.close()
    await cluster.stop()
  })
  const configs = new Map<string, string>()
  await createTopic(client, { name: TOPIC, partitionCount: 1, replicationFactor: 2, configs })
  const { topics } = await client.metadata([TOPIC])
  const leaderId = topics[0]?.partitions[0]?.leaderId
  const follower = cluster.brokers.find(({ brokerId }) => brokerId !== leaderId)
  const leader = cluster.brokers.find(({ brokerId }) => brokerId === leaderId)

  const connect = async (bootstrap = '') => {
    const raw = await RawClient.connect(Number(bootstrap.split(':').at(-1)))
    raws.push(raw)
    return raw
  }
  const records = buildBatch(
    [{ key: null, value: Buffer.from('x'), timestamp: Date.now() }],
    {},
    crc32c,
  )
  const partitionData = [{ index: 0, records }]
  const topicData = [{ name: TOPIC, topicId: ZERO_UUID, partitionData }]
  const toLeader = await connect(leader?.bootstrap)
  const request = { transactionalId: null, acks: -1, timeoutMs: 20_000, topicData }
  const made = await toLeader.ask(produce, 9, request)
  t.equal(made.responses[0]?.partitionResponses[0]?.errorCode, ErrorCode.NONE)

  const toFollower = await connect(follower?.bootstrap)
  const ask = async (replicaId: number) => {
    const partitions = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }]
    const question = {
      replicaId,
      isolationLevel: 0,
      timeoutMs: 0,
      topics: [{ name: TOPIC, partitions }],
    }
    return (await toFollower.ask(listOffsets, 5, question)).topics[0]?.partitions[0]
  }
  t.match(await ask(DEBUGGING), { errorCode: ErrorCode.NONE, offset: 1 })
  t.match(await ask(CONSUMER), { errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER })

  const read = async (raw: RawClient, fetchOffset: number) => {
    const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000 }]
    const topics = [{ topic: TOPIC, topicId: ZERO_UUID, partitions }]
    const wish = { maxWaitMs: 0, minBytes: 0, isolationLevel: 0, topics, forgottenTopicsData: [] }
    return (await raw.ask(fetch, 11, wish)).responses[0]?.partitions[0]?.errorCode
  }
  t.equal(await read(toFollower, 1), ErrorCode.NONE)
  t.equal(await read(toFollower, 2), ErrorCode.NOT_LEADER_OR_FOLLOWER)
  t.equal(await read(toLeader, 2), ErrorCode.OFFSET_OUT_OF_RANGE)
})
