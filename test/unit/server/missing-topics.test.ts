// Goal: what Metadata answers for a topic that it may create. Method: one broker, raw frames, every version.
import t from 'tap'
import { startBroker } from '../../../src/index.ts'
import { metadata } from '../../../src/protocol/apis/03-metadata.ts'
import { createTopics } from '../../../src/protocol/apis/19-create-topics.ts'
import { deleteTopics } from '../../../src/protocol/apis/20-delete-topics.ts'
import { errorName } from '../../../src/protocol/error-code.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { RawClient } from './raw-client.ts'

const broker = await startBroker({ port: 0, httpPort: -1, ephemeral: true })
const client = await RawClient.connect(Number(broker.bootstrap.split(':').at(-1)))
t.teardown(async () => {
  client.close()
  await broker.stop()
})

/** `name error partitions` of each topic in the answer. */
async function ask(version: number, ...names: string[]): Promise<string[]> {
  const { topics } = await client.ask(metadata, version, {
    topics: names.map((name) => ({ name, topicId: ZERO_UUID })),
    allowAutoTopicCreation: true,
    includeTopicAuthorizedOperations: false,
    includeClusterAuthorizedOperations: false,
  })
  return topics.map(
    ({ name, errorCode, partitions }) => `${name} ${errorName(errorCode)} ${partitions.length}`,
  )
}

async function createAndDelete(name: string): Promise<void> {
  const topic = { name, numPartitions: 3, replicationFactor: 1, assignments: [], configs: [] }
  await client.ask(createTopics, 5, { topics: [topic], timeoutMs: 5000, validateOnly: false })
  await client.ask(deleteTopics, 4, { topicNames: [name], timeoutMs: 5000, topics: [] })
}

for (let version = 0; version <= 13; version++) {
  const name = `a${version}`
  t.test(`v${version}: a new topic is answered, a deleted one is gone`, async (t) => {
    t.strictSame(await ask(version, `${name}-new`), [`${name}-new NONE 1`])

    await createAndDelete(name)
    // Kafka 4.3.1 gives this error in every version, also for a topic that never was.
    t.strictSame(await ask(version, name), [`${name} UNKNOWN_TOPIC_OR_PARTITION 0`])

    let answers = await ask(version, name)
    for (let tries = 0; answers[0] !== `${name} NONE 1` && tries < 1_000; tries++) {
      answers = await ask(version, name)
    }
    t.strictSame(answers, [`${name} NONE 1`], 'it was made behind the answer')
  })
}

t.test('what is new is waited for beside what was deleted', async (t) => {
  await createAndDelete('b')
  const [deleted, fresh] = await ask(12, 'b', 'c')
  t.match(deleted, /^b /)
  t.equal(fresh, 'c NONE 1')
})
