// Goal: what brokers ask of one another is refused to everybody else, whatever is claimed, and changes nothing.
// Method: a cluster in this process; well-formed requests of every such API and version with the ids, epochs and names of
// the brokers that are really there, from connections that have proved nothing, that began a proof, or that failed one.
// LMQ_SEED repeats a run.
import t, { type Test } from 'tap'
import { startCluster } from '../../src/index.ts'
import { fetch as fetchApi } from '../../src/protocol/apis/01-fetch.ts'
import { metadata } from '../../src/protocol/apis/03-metadata.ts'
import { saslHandshake } from '../../src/protocol/apis/17-sasl-handshake.ts'
import { createTopics } from '../../src/protocol/apis/19-create-topics.ts'
import { saslAuthenticate } from '../../src/protocol/apis/36-sasl-authenticate.ts'
import { describeQuorum } from '../../src/protocol/apis/55-describe-quorum.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import type { Api } from '../../src/protocol/schema.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import { createApiTable } from '../../src/server/handlers.ts'
import { RawClient } from '../unit/server/raw-client.ts'
import { Dice, damage, randomRequest } from './random-frames.ts'

/** The same in every ordinary run, another in a long one. */
const usualSeed = process.env['LMQ_LONG'] ? Math.floor(Math.random() * 2 ** 31) : 20_261
const seed = Number(process.env['LMQ_SEED'] ?? usualSeed)
const ROUNDS = process.env['LMQ_LONG'] ? 300 : process.env['LMQ_QUICK'] ? 5 : 30
const timeout = 900_000
t.setTimeout(timeout)
t.comment(`seed ${seed}: repeat with LMQ_SEED=${seed}`)

const MECHANISM = 'LMQ-CLUSTER'
const served = [...createApiTable().everything()].filter(({ interBroker }) => interBroker)

const newTopic = (name: string, numPartitions: number, replicationFactor: number) => ({
  topics: [{ name, numPartitions, replicationFactor, assignments: [], configs: [] }],
  timeoutMs: 30_000,
  validateOnly: false,
})

async function open(t: Test) {
  const cluster = await startCluster({ brokers: 2 })
  t.teardown(() => cluster.stop())
  const ports = cluster.bootstrap.split(',').map((address) => Number(address.split(':')[1]))
  const connect = async (port = ports[0] as number) => {
    const client = await RawClient.connect(port)
    t.teardown(() => client.close())
    return client
  }
  return { cluster, ports, connect }
}

/** The end of the metadata log: it moves with whatever is changed. */
async function metadataEnd(client: RawClient): Promise<number> {
  const answer = await client.ask(describeQuorum, 2, {
    topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }],
  })
  return answer.topics[0]?.partitions[0]?.highWatermark ?? -1
}

async function topicsOf(client: RawClient) {
  const { topics, brokers } = await client.ask(metadata, 12, {
    topics: null,
    allowAutoTopicCreation: false,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  })
  return { topics, brokers }
}

async function settled(client: RawClient): Promise<number> {
  for (let known = -1; ; ) {
    const end = await metadataEnd(client)
    if (end === known && (await topicsOf(client)).brokers.length === 2) return end
    known = end
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

/** A request that would do something if a broker asked. */
function forgedRequest(dice: Dice, api: Api, version: number, facts: Record<string, unknown>) {
  const message = randomRequest(dice, api.request.fields, version) as Record<string, unknown>
  for (const [field, value] of Object.entries(facts)) if (field in message) message[field] = value
  if ('requestData' in message) message['requestData'] = forgedCreation()
  return message
}

const forgedCreation = (): Buffer =>
  RawClient.frame(createTopics, 5, newTopic('forged', 1, 1)).subarray(4)

/** What a connection has done before it asks. */
const preludes: Record<string, (client: RawClient, dice: Dice) => Promise<void>> = {
  'proved nothing': async () => {},
  'began a proof': async (client) => {
    await client.ask(saslHandshake, 1, { mechanism: MECHANISM })
  },
  'got the nonce': async (client) => {
    await client.ask(saslHandshake, 1, { mechanism: MECHANISM })
    const nonce = Buffer.alloc(24, 7).toString('base64')
    const hello = Buffer.from(JSON.stringify({ brokerId: 2, nonce }))
    const { errorCode } = await client.ask(saslAuthenticate, 2, { authBytes: hello })
    if (errorCode !== 0) throw new Error(`no nonce: ${errorCode}`)
  },
  'failed a proof': async (client, dice) => {
    await preludes['got the nonce']?.(client, dice)
    const proof = Buffer.alloc(32, dice.int(256)).toString('base64')
    const { errorCode } = await client.ask(saslAuthenticate, 2, {
      authBytes: damage(dice, Buffer.from(JSON.stringify({ proof })), 0),
    })
    if (errorCode === 0) throw new Error('a wrong proof was taken')
  },
}

t.test('what is for brokers only', { timeout }, async (t) => {
  const { cluster, ports, connect } = await open(t)
  t.same(
    served.map(({ api }) => api.key),
    [52, 56, 58, 62, 63, 67, 73],
    'the APIs that brokers alone are served',
  )
  const witness = await connect()
  await witness.ask(createTopics, 5, newTopic('kept', 3, 2))
  const endBefore = await settled(witness)
  const before = await topicsOf(witness)
  const topicId = before.topics[0]?.topicId ?? ZERO_UUID
  const dice = new Dice(seed)
  for (const [title, prelude] of Object.entries(preludes)) {
    for (const port of ports) {
      const client = await connect(port)
      await prelude(client, dice)
      const wrong: string[] = []
      for (let round = 0; round < ROUNDS; round++) {
        for (const { api, versions } of served) {
          const version = versions.min + dice.int(versions.max - versions.min + 1)
          const request = forgedRequest(dice, api, version, {
            brokerId: dice.pick([1, 2]),
            brokerEpoch: dice.int(endBefore + 2),
            clusterId: cluster.clusterId,
            wantFence: true,
            wantShutDown: true,
            topics: dice.chance(50)
              ? []
              : (randomRequest(dice, api.request.fields, version) as { topics?: object }).topics,
            topicId,
          })
          const answer = await client.ask(api, version, request as never)
          const { errorCode } = answer as { errorCode?: number }
          if (errorCode !== ErrorCode.CLUSTER_AUTHORIZATION_FAILED) {
            wrong.push(`${api.name} v${version} answered ${JSON.stringify(answer)}`)
          }
        }
      }
      t.same(wrong, [], `${title}: all refused`)
      client.close()
    }
  }
  t.equal(await metadataEnd(witness), endBefore, 'the metadata log is where it was')
  t.same(await topicsOf(witness), before, 'and so are topics, leaders and brokers')
})

t.test('a Fetch that claims to be a replica', { timeout }, async (t) => {
  const { connect } = await open(t)
  const client = await connect()
  const created = await client.ask(createTopics, 5, newTopic('kept', 1, 2))
  t.equal(created.topics[0]?.errorCode, 0)
  for (const replicaId of [0, 1, 2, 7]) {
    for (const version of [4, 11, 12]) {
      const answer = await client.ask(fetchApi, version, {
        replicaId,
        maxWaitMs: 0,
        minBytes: 0,
        topics: [
          {
            topic: 'kept',
            topicId: ZERO_UUID,
            partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }],
          },
        ],
        forgottenTopicsData: [],
      })
      const code = answer.responses[0]?.partitions[0]?.errorCode
      t.equal(
        code,
        ErrorCode.TOPIC_AUTHORIZATION_FAILED,
        `replica ${replicaId}, version ${version}`,
      )
    }
  }
})
