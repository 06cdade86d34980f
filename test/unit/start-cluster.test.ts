// Goal: brokers of one process are one cluster: any of them takes what is for the controller, a dead controller is
// replaced, and nobody but brokers is served what is for brokers.
import t, { type Test } from 'tap'
import { ClusterProver, NONCE_BYTES } from '../../src/client/cluster-proof.ts'
import { type RunningCluster, startCluster } from '../../src/index.ts'
import { metadata } from '../../src/protocol/apis/03-metadata.ts'
import { saslHandshake } from '../../src/protocol/apis/17-sasl-handshake.ts'
import { apiVersions } from '../../src/protocol/apis/18-api-versions.ts'
import { createTopics } from '../../src/protocol/apis/19-create-topics.ts'
import { initProducerId } from '../../src/protocol/apis/22-init-producer-id.ts'
import { describeConfigs } from '../../src/protocol/apis/32-describe-configs.ts'
import { saslAuthenticate } from '../../src/protocol/apis/36-sasl-authenticate.ts'
import { incrementalAlterConfigs } from '../../src/protocol/apis/44-incremental-alter-configs.ts'
import { envelope } from '../../src/protocol/apis/58-envelope.ts'
import { brokerHeartbeat } from '../../src/protocol/apis/63-broker-heartbeat.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import { RawClient } from './server/raw-client.ts'

t.setTimeout(120_000)

async function startThree(t: Test, options = {}): Promise<RunningCluster> {
  const cluster = await startCluster({ brokers: 3, ...options })
  t.teardown(() => cluster.stop())
  return cluster
}

async function connect(t: Test, cluster: RunningCluster, brokerId: number): Promise<RawClient> {
  const broker = cluster.brokers.find((each) => each.brokerId === brokerId)
  const client = await RawClient.connect(Number(broker?.bootstrap.split(':').at(-1)))
  t.teardown(() => client.close())
  return client
}

/** Resolves when `condition` holds; fails after ten seconds. */
async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 10_000
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`did not happen in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const allTopics = {
  topics: null,
  allowAutoTopicCreation: false,
  includeTopicAuthorizedOperations: false,
  includeClusterAuthorizedOperations: false,
}

async function create(client: RawClient, name: string): Promise<number> {
  const topic = { name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] }
  const request = { topics: [topic], timeoutMs: 10_000, validateOnly: false }
  const answer = await client.ask(createTopics, 7, request)
  return answer.topics[0]?.errorCode ?? -1
}

t.test('every broker takes what is for the controller, and knows it when it answers', async (t) => {
  const cluster = await startThree(t, { racks: ['a', 'b'] })
  t.equal(cluster.brokers.length, 3)
  for (const { brokerId } of cluster.brokers) {
    const client = await connect(t, cluster, brokerId)
    t.equal(await create(client, `made-by-${brokerId}`), ErrorCode.NONE)
    const answer = await client.ask(metadata, 12, allTopics)
    const topic = answer.topics.find(({ name }) => name === `made-by-${brokerId}`)
    t.equal(topic?.partitions.length, 3)
    t.ok(topic?.partitions.every(({ replicaNodes }) => new Set(replicaNodes).size === 2))
    t.equal(new Set(topic?.partitions.map(({ leaderId }) => leaderId)).size, 3)
    t.equal(answer.controllerId, await cluster.controllerId())
    t.same(answer.brokers.map(({ nodeId, rack }) => [nodeId, rack]).sort(), [
      [1, 'a'],
      [2, 'b'],
      [3, 'a'],
    ])
  }
})

t.test("a broker's settings are changed through it, whoever the controller is", async (t) => {
  const cluster = await startThree(t)
  for (const { brokerId } of cluster.brokers) {
    const client = await connect(t, cluster, brokerId)
    const resource = { resourceType: 4, resourceName: String(brokerId) }
    const value = String(1_000_000 + brokerId)
    const change = { name: 'log.segment.bytes', configOperation: 0, value: `${value}0` }
    const resources = [{ ...resource, configs: [change] }]
    const changed = await client.ask(incrementalAlterConfigs, 1, { resources, validateOnly: false })
    t.equal(changed.responses[0]?.errorCode, ErrorCode.NONE)
    const described = await client.ask(describeConfigs, 4, {
      resources: [{ ...resource, configurationKeys: ['log.segment.bytes'] }],
      includeSynonyms: false,
      includeDocumentation: false,
    })
    t.equal(described.results[0]?.configs[0]?.value, `${value}0`)
  }
})

t.test('producer ids are given once, whoever gives them', async (t) => {
  const cluster = await startThree(t)
  const ids: number[] = []
  for (const { brokerId } of cluster.brokers) {
    const client = await connect(t, cluster, brokerId)
    const request = {
      transactionalId: null,
      transactionTimeoutMs: 1_000,
      producerId: -1,
      producerEpoch: -1,
    }
    for (let round = 0; round < 5; round++) {
      ids.push((await client.ask(initProducerId, 4, request)).producerId)
    }
  }
  t.equal(new Set(ids).size, ids.length)
})

t.test('who is no broker is served nothing that is for brokers', async (t) => {
  const cluster = await startThree(t)
  const client = await connect(t, cluster, await cluster.controllerId())
  const { apiKeys } = await client.ask(apiVersions, 4, {
    clientSoftwareName: 'a',
    clientSoftwareVersion: '1',
  })
  for (const key of [52, 56, 58, 62, 63, 67]) {
    t.notOk(
      apiKeys.some(({ apiKey }) => apiKey === key),
      `${key} is told to nobody`,
    )
  }
  const beat = {
    brokerId: 1,
    brokerEpoch: 0,
    currentMetadataOffset: 0,
    wantFence: true,
    wantShutDown: true,
    offlineLogDirs: [],
    cordonedLogDirs: null,
  }
  const refused = await client.ask(brokerHeartbeat, 1, beat)
  t.equal(refused.errorCode, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
  const wrapped = {
    requestData: Buffer.alloc(20),
    requestPrincipal: null,
    clientHostAddress: Buffer.alloc(4),
  }
  const { errorCode } = await client.ask(envelope, 0, wrapped)
  t.equal(errorCode, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
})

t.test(
  'mechanisms for clients are answered as Kafka does; a false broker proves nothing',
  async (t) => {
    const cluster = await startThree(t)
    const client = await connect(t, cluster, 1)
    const plain = await client.ask(saslHandshake, 1, { mechanism: 'PLAIN' })
    t.same(plain, { errorCode: ErrorCode.ILLEGAL_SASL_STATE, mechanisms: [] })
    const early = await client.ask(saslAuthenticate, 2, { authBytes: Buffer.from('x') })
    t.equal(early.errorCode, ErrorCode.ILLEGAL_SASL_STATE)

    const begun = await client.ask(saslHandshake, 1, { mechanism: 'LMQ-CLUSTER' })
    t.equal(begun.errorCode, ErrorCode.NONE)
    const wrong = new ClusterProver(
      Buffer.alloc(32, 7).toString('base64'),
      2,
      Buffer.alloc(NONCE_BYTES),
    )
    const challenge = await client.ask(saslAuthenticate, 2, { authBytes: wrong.hello() })
    t.equal(challenge.errorCode, ErrorCode.NONE)
    t.equal(
      wrong.answer(challenge.authBytes),
      undefined,
      'the other side does not know this secret',
    )
    const proof = Buffer.from(JSON.stringify({ proof: Buffer.alloc(32).toString('base64') }))
    const verdict = await client.ask(saslAuthenticate, 2, { authBytes: proof })
    t.equal(verdict.errorCode, ErrorCode.SASL_AUTHENTICATION_FAILED)
    const again = await client.ask(saslAuthenticate, 2, { authBytes: proof })
    t.equal(again.errorCode, ErrorCode.ILLEGAL_SASL_STATE, 'one failure ends it')
  },
)

t.test('a dead controller is replaced, and comes back as a broker', async (t) => {
  const cluster = await startThree(t)
  const dead = await cluster.controllerId()
  const survivor = cluster.brokers.find(({ brokerId }) => brokerId !== dead)?.brokerId ?? -1
  const client = await connect(t, cluster, survivor)
  t.equal(await create(client, 'before'), ErrorCode.NONE)
  await cluster.kill(dead)
  t.equal(await create(client, 'after'), ErrorCode.NONE, 'a request waits for the next controller')
  t.not(await cluster.controllerId(), dead)
  const live = async () => {
    const { brokers } = await client.ask(metadata, 12, allTopics)
    return brokers.map(({ nodeId }) => nodeId)
  }
  await until('the dead broker is fenced', async () => !(await live()).includes(dead))
  const back = await cluster.restart(dead)
  t.equal(back.brokerId, dead)
  await until('the broker is back', async () => (await live()).includes(dead))
  t.equal(await create(await connect(t, cluster, dead), 'at-last'), ErrorCode.NONE)
})

t.test('a cluster that stops in order is there again with all it had', async (t) => {
  const dataDir = t.testdir()
  const first = await startCluster({ brokers: 3, dataDir })
  t.teardown(() => first.stop())
  t.equal(await create(await connect(t, first, 1), 'kept'), ErrorCode.NONE)
  await first.stopBroker(3)
  await first.stop()
  const second = await startCluster({ brokers: 3, dataDir })
  t.teardown(() => second.stop())
  t.equal(second.clusterId, first.clusterId)
  const client = await connect(t, second, 2)
  const { topics } = await client.ask(metadata, 12, allTopics)
  t.same(
    topics.map(({ name }) => name),
    ['kept'],
  )
})

t.test("each broker's health tells its place in the cluster", async (t) => {
  const cluster = await startThree(t, { httpPort: 0 })
  const controllerId = await cluster.controllerId()
  for (const { httpAddress, brokerId } of cluster.brokers) {
    const answer = await fetch(`${httpAddress}/healthz`)
    t.equal(answer.status, 200)
    t.match(await answer.json(), { brokerId, controllerId, fenced: false })
  }
})
