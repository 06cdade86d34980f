// Goal: when a Fetch answers, and what an incremental session tells. Method: a broker in this process, raw requests.
import v8 from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { type RunningBroker, startBroker } from '../../../src/index.ts'
import { crc32c } from '../../../src/io/crc32c.ts'
import { produce } from '../../../src/protocol/apis/00-produce.ts'
import { fetch } from '../../../src/protocol/apis/01-fetch.ts'
import { metadata } from '../../../src/protocol/apis/03-metadata.ts'
import { createTopics } from '../../../src/protocol/apis/19-create-topics.ts'
import { deleteTopics } from '../../../src/protocol/apis/20-delete-topics.ts'
import { buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ZERO_UUID } from '../../../src/protocol/uuid.ts'
import { RawClient } from './raw-client.ts'

type Wish = { topic?: string; partition?: number; offset?: number; maxBytes?: number }
type Asked = {
  wishes?: Wish[]
  forget?: number[]
  session?: [number, number]
  maxWaitMs?: number
  minBytes?: number
  maxBytes?: number
}

async function open(t: Test, partitions = 1) {
  const broker = await startBroker({ port: 0, httpPort: -1, ephemeral: true })
  t.teardown(() => broker.stop())
  const client = await connect(t, broker)
  const created = await client.ask(createTopics, 5, {
    topics: [
      { name: 'a', numPartitions: partitions, replicationFactor: 1, assignments: [], configs: [] },
    ],
    timeoutMs: 5000,
  })
  t.equal(created.topics[0]?.errorCode, 0)
  return { broker, client }
}

async function connect(t: Test, broker: RunningBroker): Promise<RawClient> {
  const client = await RawClient.connect(broker.listeners[0]?.port ?? 0)
  t.teardown(() => client.close())
  return client
}

function append(client: RawClient, partition: number, text: string) {
  const record = { key: null, value: Buffer.from(text), timestamp: Date.now() }
  return client.ask(produce, 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 5000,
    topicData: [
      {
        name: 'a',
        topicId: ZERO_UUID,
        partitionData: [{ index: partition, records: buildBatch([record], {}, crc32c) }],
      },
    ],
  })
}

async function ask(client: RawClient, asked: Asked) {
  const [sessionId, sessionEpoch] = asked.session ?? [0, -1]
  const answer = await client.ask(fetch, 12, {
    maxWaitMs: asked.maxWaitMs ?? 0,
    minBytes: asked.minBytes ?? 1,
    maxBytes: asked.maxBytes ?? 1 << 20,
    sessionId,
    sessionEpoch,
    topics: (asked.wishes ?? []).map(({ topic = 'a', partition = 0, offset = 0, maxBytes }) => ({
      topic,
      topicId: ZERO_UUID,
      partitions: [{ partition, fetchOffset: offset, partitionMaxBytes: maxBytes ?? 1 << 20 }],
    })),
    forgottenTopicsData: asked.forget
      ? [{ topic: 'a', topicId: ZERO_UUID, partitions: asked.forget }]
      : [],
  })
  const told = answer.responses.flatMap(({ partitions }) =>
    partitions.map(
      ({ partitionIndex, errorCode, highWatermark, records }) =>
        `${partitionIndex}:${errorCode}:${highWatermark}:${records && records.length > 0 ? 'data' : '-'}`,
    ),
  )
  return { errorCode: answer.errorCode, sessionId: answer.sessionId, told }
}

const fetchUrl = globalThis.fetch

t.test('a Fetch waits for the first bytes, and answers when they are there', async (t) => {
  const { broker, client } = await open(t)
  const reader = await connect(t, broker)
  let answered = false
  const waiting = ask(reader, { wishes: [{}], maxWaitMs: 20_000 }).then((answer) => {
    answered = true
    return answer
  })
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.equal(answered, false)
  await append(client, 0, 'x')
  t.same((await waiting).told, ['0:0:1:data'])
})

t.test('it waits for minBytes, and gives what there is when the time is over', async (t) => {
  const { broker, client } = await open(t)
  const reader = await connect(t, broker)
  await append(client, 0, 'x')
  const short = await ask(reader, { wishes: [{}], maxWaitMs: 50, minBytes: 100_000 })
  t.same(short.told, ['0:0:1:data'])
  let answered = false
  const waiting = ask(reader, { wishes: [{}], maxWaitMs: 20_000, minBytes: 200 }).then((answer) => {
    answered = true
    return answer
  })
  await append(client, 0, 'y')
  t.equal(answered, false)
  await append(client, 0, 'z'.repeat(100))
  t.same((await waiting).told, ['0:0:3:data'])
})

t.test('an error answers at once, deletion wakes a waiting Fetch', async (t) => {
  const { broker, client } = await open(t)
  const reader = await connect(t, broker)
  const wishes = [{}, { topic: 'nope' }, { partition: 7 }]
  t.same((await ask(reader, { wishes, maxWaitMs: 20_000 })).told, [
    '0:0:0:-',
    '0:3:-1:-',
    '7:3:-1:-',
  ])
  const above = await ask(reader, { wishes: [{ offset: 5 }], maxWaitMs: 20_000 })
  t.same(above.told, ['0:1:-1:-'])
  const waiting = ask(reader, { wishes: [{}], maxWaitMs: 20_000 })
  await new Promise((resolve) => setTimeout(resolve, 30))
  await client.ask(deleteTopics, 5, { topics: [], topicNames: ['a'], timeoutMs: 5000 })
  t.same((await waiting).told, ['0:3:-1:-'])
})

t.test('the first batch comes whole, others only when they fit', async (t) => {
  const { client } = await open(t, 2)
  for (const partition of [0, 1]) await append(client, partition, 'v'.repeat(500))
  const wishes = [{ maxBytes: 1 }, { partition: 1, maxBytes: 1 }]
  t.same((await ask(client, { wishes })).told, ['0:0:1:data', '1:0:1:-'])
  const small = [{}, { partition: 1 }]
  t.same((await ask(client, { wishes: small, maxBytes: 10 })).told, ['0:0:1:data', '1:0:1:-'])
  t.same((await ask(client, { wishes: small })).told, ['0:0:1:data', '1:0:1:data'])
})

t.test('a session tells what is new, in turns', async (t) => {
  const { client } = await open(t, 3)
  const wishes = [{}, { partition: 1 }, { partition: 2 }]
  const made = await ask(client, { session: [0, 0], wishes })
  t.ok(made.sessionId > 0)
  t.same(made.told, ['0:0:0:-', '1:0:0:-', '2:0:0:-'])
  const id = made.sessionId
  t.same((await ask(client, { session: [id, 1] })).told, [])
  await append(client, 2, 'x')
  await append(client, 0, 'x')
  t.same((await ask(client, { session: [id, 2] })).told, ['2:0:1:data', '0:0:1:data'])
  t.same(
    (await ask(client, { session: [id, 3] })).told,
    ['2:0:1:data', '0:0:1:data'],
    'not read on',
  )
  const moved = [{ offset: 1 }, { partition: 2, offset: 1 }]
  t.same((await ask(client, { session: [id, 4], wishes: moved })).told, [])
  const wrong = await ask(client, { session: [id, 4] })
  t.same([wrong.errorCode, wrong.sessionId, wrong.told], [71, 0, []])
  t.same((await ask(client, { session: [id, 5], wishes: [{ offset: 9 }] })).told, ['0:1:-1:-'])
  t.same((await ask(client, { session: [id, 6] })).told, ['0:1:-1:-'], 'an error is told again')
  t.same((await ask(client, { session: [id, 7], wishes: [{ offset: 1 }] })).told, ['0:0:1:-'])
  const closed = await ask(client, { session: [id, 8], forget: [0, 1, 2] })
  t.same([closed.errorCode, closed.sessionId], [0, 0])
  t.equal((await ask(client, { session: [id, 9] })).errorCode, 70)
})

t.test('a session waits for any of its partitions', async (t) => {
  const { broker, client } = await open(t, 50)
  const reader = await connect(t, broker)
  const wishes = Array.from({ length: 50 }, (_, partition) => ({ partition }))
  const { sessionId } = await ask(reader, { session: [0, 0], wishes })
  for (let round = 1; round <= 5; round++) {
    const readOn = round > 1 ? [{ partition: (round - 1) * 7, offset: 1 }] : []
    const session: [number, number] = [sessionId, round]
    const waiting = ask(reader, { session, wishes: readOn, maxWaitMs: 20_000 })
    await append(client, round * 7, 'x')
    t.same((await waiting).told, [`${round * 7}:0:1:data`])
  }
})

t.test('readers that do not read hold no more memory than the budget', async (t) => {
  const broker = await startBroker({
    port: 0,
    httpPort: 0,
    ephemeral: true,
    settings: { 'lmq.memory.budget.bytes': '16777216' },
  })
  t.teardown(() => broker.stop())
  const client = await connect(t, broker)
  await client.ask(metadata, 4, {
    topics: [{ name: 'a', topicId: ZERO_UUID }],
    allowAutoTopicCreation: true,
    includeTopicAuthorizedOperations: false,
    includeClusterAuthorizedOperations: false,
  })
  for (let i = 0; i < 20; i++) await append(client, 0, 'v'.repeat(1_000_000))
  const readers = await Promise.all(Array.from({ length: 10 }, () => connect(t, broker)))
  const answers = readers.map((reader) => {
    reader.socket.pause()
    const wishes = [{ maxBytes: 1 << 25 }]
    return ask(reader, { wishes, maxBytes: 1 << 25 })
  })
  const unsentBytes = async () => {
    const text = await (await globalThis.fetch(`${broker.httpAddress}/metrics`)).text()
    return Number(/^lmq_answer_memory_bytes (.*)$/m.exec(text)?.[1])
  }
  let before = -1
  let now = await unsentBytes()
  while (now !== before || now === 0) {
    before = now
    await new Promise((resolve) => setTimeout(resolve, 100))
    now = await unsentBytes()
  }
  t.ok(now < 20 * 1024 * 1024, `${now >> 20} MiB wait for readers`)
  t.equal((await append(client, 0, 'x')).responses[0]?.partitionResponses[0]?.errorCode, 0)
  for (const reader of readers) reader.socket.resume()
  for (const { told } of await Promise.all(answers)) t.match(told[0], /:data$/)
  t.equal(await unsentBytes(), 0)
})

t.test('a Fetch that waits for more holds no records meanwhile', async (t) => {
  const { broker, client } = await open(t)
  for (let i = 0; i < 10; i++) await append(client, 0, 'v'.repeat(1_000_000))
  v8.setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  const heldBytes = async () => {
    for (let round = 0; round < 3; round++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return process.memoryUsage().arrayBuffers
  }
  const maxBytes = 1 << 25
  const readAndWait = (reader: RawClient, maxWaitMs: number) =>
    ask(reader, { wishes: [{ maxBytes }], maxBytes, minBytes: maxBytes, maxWaitMs })
  t.same((await readAndWait(client, 200)).told, ['0:0:10:data'], 'they are in the answer')

  const before = await heldBytes()
  const readers = await Promise.all(Array.from({ length: 20 }, () => connect(t, broker)))
  let answered = 0
  const count = () => {
    answered++
  }
  for (const reader of readers) readAndWait(reader, 600_000).then(count, count)
  // A busy machine may still be reading for some of them; all of them wait in the end.
  let grownBytes = Number.POSITIVE_INFINITY
  const giveUpMs = performance.now() + 30_000
  while (grownBytes > 60 * 1024 * 1024 && performance.now() < giveUpMs) {
    grownBytes = (await heldBytes()) - before
  }
  t.ok(grownBytes < 60 * 1024 * 1024, `${grownBytes >> 20} MiB are held`)
  t.equal(answered, 0)
})

t.test('stopping the broker answers a waiting Fetch', async (t) => {
  const { broker } = await open(t)
  const reader = await connect(t, broker)
  const waiting = ask(reader, { wishes: [{}], maxWaitMs: 100_000 })
  await new Promise((resolve) => setTimeout(resolve, 30))
  const startMs = performance.now()
  await broker.stop()
  t.same((await waiting).told, ['0:0:0:-'])
  t.ok(performance.now() - startMs < 10_000)
})

t.test('Metadata makes a topic while the client waits, once for many clients', async (t) => {
  const { broker } = await open(t)
  const clients = await Promise.all(Array.from({ length: 8 }, () => connect(t, broker)))
  const answers = await Promise.all(
    clients.map((client) =>
      client.ask(metadata, 12, {
        topics: [{ name: 'fresh', topicId: ZERO_UUID }],
        allowAutoTopicCreation: true,
        includeTopicAuthorizedOperations: false,
        includeClusterAuthorizedOperations: false,
      }),
    ),
  )
  const ids = new Set(answers.map(({ topics }) => `${topics[0]?.errorCode}/${topics[0]?.topicId}`))
  t.equal(ids.size, 1)
  t.match([...ids][0], /^0\//)
})

t.test('bytes count as given when they are sent, not when they are looked at', async (t) => {
  const broker = await startBroker({ port: 0, httpPort: 0, ephemeral: true })
  t.teardown(() => broker.stop())
  const client = await connect(t, broker)
  await client.ask(createTopics, 5, {
    topics: [{ name: 'a', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5000,
  })
  const counted = async () => {
    const text = await (await fetchUrl(`${broker.httpAddress}/metrics`)).text()
    const line = /^kafka_server_brokertopicmetrics_bytesout_total\{topic="a"\} (\d+)$/m.exec(text)
    return Number(line?.[1] ?? 0)
  }
  const reader = await connect(t, broker)
  const waiting = ask(reader, { wishes: [{}], maxWaitMs: 20_000, minBytes: 300 })
  let sizeBytes = 0
  for (const letter of ['x', 'y', 'z', '1', '2']) {
    await append(client, 0, letter)
    sizeBytes += 69
  }
  t.same((await waiting).told, ['0:0:5:data'])
  t.equal(await counted(), sizeBytes)
})
