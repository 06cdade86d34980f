// Goal: replicas and leaders of a running cluster move as operators and the cluster itself want it, whoever is asked.
// Method: three brokers of one process, asked over TCP; brokers are killed and come back.
import t, { type Test } from 'tap'
import { type RunningCluster, startCluster } from '../../src/index.ts'
import { createTopics } from '../../src/protocol/apis/19-create-topics.ts'
import { electLeaders } from '../../src/protocol/apis/43-elect-leaders.ts'
import { incrementalAlterConfigs } from '../../src/protocol/apis/44-incremental-alter-configs.ts'
import { alterPartitionReassignments } from '../../src/protocol/apis/45-alter-partition-reassignments.ts'
import { listPartitionReassignments } from '../../src/protocol/apis/46-list-partition-reassignments.ts'
import { describeQuorum } from '../../src/protocol/apis/55-describe-quorum.ts'
import { unregisterBroker } from '../../src/protocol/apis/64-unregister-broker.ts'
import { describeTopicPartitions } from '../../src/protocol/apis/75-describe-topic-partitions.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import { RawClient } from './server/raw-client.ts'

async function startThree(
  t: Test,
  settings: Record<string, string> = {},
): Promise<{ cluster: RunningCluster; client: RawClient; controllerId: number }> {
  const cluster = await startCluster({ brokers: 3, settings })
  t.teardown(() => cluster.stop())
  const controllerId = await cluster.controllerId()
  // Not the controller: what is for it is passed on.
  const other = cluster.brokers.find(({ brokerId }) => brokerId !== controllerId)
  return { cluster, client: await connect(t, other?.bootstrap ?? ''), controllerId }
}

async function connect(t: Test, bootstrap: string): Promise<RawClient> {
  const client = await RawClient.connect(Number(bootstrap.split(':').at(-1)))
  t.teardown(() => client.close())
  return client
}

/** Resolves when `condition` holds; fails after twenty seconds. */
async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 20_000
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`did not happen in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function create(client: RawClient, name: string, lists: readonly number[][]): Promise<void> {
  const assignments = lists.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }))
  const topic = { name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }
  const request = { topics: [topic], timeoutMs: 10_000, validateOnly: false }
  const answer = await client.ask(createTopics, 7, request)
  if (answer.topics[0]?.errorCode !== ErrorCode.NONE) throw new Error('the topic was not made')
}

async function describe(client: RawClient, name: string) {
  const request = { topics: [{ name }], responsePartitionLimit: 2_000, cursor: null }
  const { topics } = await client.ask(describeTopicPartitions, 0, request)
  return topics[0]?.partitions ?? []
}

const sorted = (ids: readonly number[]) => [...ids].sort((a, b) => a - b)

t.test('replicas are reassigned while the cluster runs', async (t) => {
  const { client } = await startThree(t)
  await create(client, 'moved', [
    [1, 2],
    [2, 3],
  ])
  const wanted = [[3, 1, 2], [1]]
  const partitions = wanted.map((replicas, partitionIndex) => ({ partitionIndex, replicas }))
  const answer = await client.ask(alterPartitionReassignments, 1, {
    timeoutMs: 10_000,
    allowReplicationFactorChange: true,
    topics: [{ name: 'moved', partitions }],
  })
  t.match(answer.responses[0]?.partitions, [{ errorCode: 0 }, { errorCode: 0 }])
  await until('the moves are made', async () => {
    const { topics } = await client.ask(listPartitionReassignments, 0, {
      timeoutMs: 10_000,
      topics: null,
    })
    return topics.length === 0
  })
  const found = await describe(client, 'moved')
  t.same(
    found.map(({ replicaNodes }) => replicaNodes),
    wanted,
  )
  t.same(
    found.map(({ isrNodes }) => sorted(isrNodes)),
    [[1, 2, 3], [1]],
  )
})

t.test('a broker that comes back leads again what it is to lead', async (t) => {
  const { cluster, client, controllerId } = await startThree(t)
  const asked = Number(client.socket.remotePort)
  const away =
    cluster.brokers.find(
      ({ brokerId, bootstrap }) =>
        brokerId !== controllerId && Number(bootstrap.split(':').at(-1)) !== asked,
    )?.brokerId ?? -1
  await create(client, 'led', [[away, controllerId]])
  const elect = async () => {
    const { replicaElectionResults } = await client.ask(electLeaders, 2, {
      electionType: 0,
      topicPartitions: [{ topic: 'led', partitions: [0] }],
      timeoutMs: 10_000,
    })
    return replicaElectionResults[0]?.partitionResult[0]?.errorCode
  }
  t.equal(await elect(), ErrorCode.ELECTION_NOT_NEEDED)
  await cluster.kill(away)
  const leader = async () => (await describe(client, 'led'))[0]?.leaderId
  await until('another broker leads', async () => (await leader()) === controllerId)
  t.equal(await elect(), ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE)
  await cluster.restart(away)
  await until('it is in sync again', async () => {
    const [partition] = await describe(client, 'led')
    return partition?.isrNodes.includes(away) === true
  })
  t.equal(await elect(), ErrorCode.NONE)
  t.equal(await leader(), away)
})

t.test('the cluster evens itself after a broker is gone for good', async (t) => {
  const { cluster, client, controllerId } = await startThree(t, {
    'lmq.rebalance.interval.ms': '100',
    'leader.imbalance.check.interval.seconds': '1',
  })
  const quorum = async () => {
    const topics = [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }]
    return (await client.ask(describeQuorum, 2, { topics })).topics[0]?.partitions[0]
  }
  const before = await quorum()
  t.equal(before?.leaderId, controllerId)
  t.same(
    before?.currentVoters.map(({ replicaId }) => replicaId),
    [1, 2, 3],
  )
  await until('all have all', async () => {
    const partition = await quorum()
    return (
      partition?.currentVoters.every((v) => v.logEndOffset === partition.highWatermark) === true
    )
  })
  const asked = Number(client.socket.remotePort)
  const gone = cluster.brokers.find(
    ({ brokerId, bootstrap }) =>
      brokerId !== controllerId && Number(bootstrap.split(':').at(-1)) !== asked,
  )?.brokerId
  if (gone === undefined) throw new Error('no third broker')
  const stay = [1, 2, 3].filter((id) => id !== gone)
  await create(client, 'kept', [
    [gone, stay[0] as number],
    [stay[1] as number, gone],
  ])
  const unregister = async () =>
    (await client.ask(unregisterBroker, 0, { brokerId: gone })).errorCode
  t.equal(await unregister(), ErrorCode.INVALID_REQUEST, 'it is alive')
  await cluster.kill(gone)
  await until('it may be unregistered', async () => (await unregister()) === ErrorCode.NONE)
  const setting = { name: 'lmq.rebalance.enable', configOperation: 0, value: 'true' }
  const { responses } = await client.ask(incrementalAlterConfigs, 1, {
    resources: [{ resourceType: 4, resourceName: '', configs: [setting] }],
    validateOnly: false,
  })
  t.equal(responses[0]?.errorCode, ErrorCode.NONE)
  await until('the others hold everything', async () => {
    const partitions = await describe(client, 'kept')
    return partitions.every(({ isrNodes }) => String(sorted(isrNodes)) === String(stay))
  })
  const replicas = (await describe(client, 'kept')).map(({ replicaNodes }) => sorted(replicaNodes))
  t.same(replicas, [stay, stay])
})
