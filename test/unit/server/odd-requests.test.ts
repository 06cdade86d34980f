// Goal: requests that no known client sends are answered as Apache Kafka 4.3.1 answers them. Method: each was seen to
// differ beside a live one (test/fuzz/damaged-requests); its answer there is what is expected here.
import t from 'tap'
import { startBroker } from '../../../src/index.ts'
import { crc32c } from '../../../src/io/crc32c.ts'
import { produce } from '../../../src/protocol/apis/00-produce.ts'
import { metadata } from '../../../src/protocol/apis/03-metadata.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { makeDamagedTopic, topicName } from '../../fuzz/damaged-requests.ts'
import { RawClient } from './raw-client.ts'

t.test('odd requests', async (t) => {
  const broker = await startBroker({ port: 0, httpPort: -1, ephemeral: true })
  t.teardown(() => broker.stop())
  const port = Number(broker.bootstrap.split(':').at(-1))
  const topicId = await makeDamagedTopic(port)
  const client = await RawClient.connect(port)
  t.teardown(() => client.close())

  const ask = async (topics: { name: string | null; topicId: string }[]) => {
    const answer = await client.ask(metadata, 12, {
      topics,
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
      includeClusterAuthorizedOperations: false,
    })
    return answer.topics.map(({ name, errorCode }) => ({ name, errorCode }))
  }
  const byName = { name: topicName, topicId: ZERO_UUID }
  const unknown = { name: null, topicId: 'zzzzzzzzzzzzzzzzzzzzzw' }
  const notFound = { name: null, errorCode: ErrorCode.UNKNOWN_TOPIC_ID }
  const isFound = { name: topicName, errorCode: ErrorCode.NONE }
  t.same(await ask([byName]), [isFound])
  t.same(await ask([byName, unknown]), [notFound], 'names beside an id are not looked at')
  t.same(
    await ask([
      { name: 'x y', topicId: ZERO_UUID },
      { name: null, topicId },
    ]),
    [isFound],
  )

  const send = async (records: Buffer, acks = -1, name = topicName) => {
    const topicData = [{ name, topicId: ZERO_UUID, partitionData: [{ index: 0, records }] }]
    const request = { transactionalId: null, acks, timeoutMs: 30_000, topicData }
    const answer = await client.ask(produce, 8, request)
    return answer.responses[0]?.partitionResponses[0]?.errorCode
  }
  const record = { key: null, value: Buffer.from('v'), timestamp: 1_700_000_000_000 }
  const own = { producerId: 1, producerEpoch: 0, baseSequence: 0, transactional: true }
  const whole = buildBatch([record], own, crc32c)
  t.equal(await send(whole), ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  const older = Buffer.from(whole)
  older[16] = 0
  older.writeInt32BE(whole.length, 8)
  t.equal(
    await send(older),
    ErrorCode.INVALID_RECORD,
    'what is no batch of this format has no such bit',
  )

  const plain = buildBatch([record], {}, crc32c)
  t.equal(await send(plain, 5), ErrorCode.INVALID_REQUIRED_ACKS)
  t.equal(await send(plain, 5, 'nowhere'), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
})
