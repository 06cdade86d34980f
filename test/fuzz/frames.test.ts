// Goal: no bytes that a client can send bring the broker down, disturb other clients, stay in memory, or get stored
// when they were refused.
// Method: a broker in this process; damaged frames of every served API and version over many short connections, while
// an undisturbed client goes on producing and reading and checks every answer. LMQ_SEED repeats a run.
import t, { type Test } from 'tap'
import { startBroker } from '../../src/index.ts'
import { crc32c } from '../../src/io/crc32c.ts'
import { produce } from '../../src/protocol/apis/00-produce.ts'
import { fetch as fetchApi } from '../../src/protocol/apis/01-fetch.ts'
import { listOffsets } from '../../src/protocol/apis/02-list-offsets.ts'
import { metadata } from '../../src/protocol/apis/03-metadata.ts'
import { buildBatch } from '../../src/protocol/batch-builder.ts'
import {
  batchSizeOf,
  CRC_START,
  crcOf,
  lastOffsetOf,
  magicOf,
  recordCountOf,
  setCrc,
} from '../../src/protocol/record-batch.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import { createApiTable } from '../../src/server/handlers.ts'
import { RawClient } from '../unit/server/raw-client.ts'
import { Dice, damage, frameOf, randomRequest, reframed, type Target } from './random-frames.ts'

/** The same in every ordinary run, another in a long one. */
const usualSeed = process.env['LMQ_LONG'] ? Math.floor(Math.random() * 2 ** 31) : 20_261
const seed = Number(process.env['LMQ_SEED'] ?? usualSeed)
const scale = process.env['LMQ_LONG'] ? 10 : process.env['LMQ_QUICK'] ? 0.1 : 1
const FRAMES = 20_000 * scale
const BATCHES = 3_000 * scale
const LANES = 16

// A generous ceiling: a busy machine takes minutes.
const timeout = 900_000
t.setTimeout(timeout)
t.comment(`seed ${seed}: repeat with LMQ_SEED=${seed}`)

async function openBroker(t: Test) {
  const errors: string[] = []
  const quiet = () => {}
  const logger = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (facts: object, message: string) =>
      void errors.push(`${message} ${String((facts as { error?: Error }).error?.stack ?? '')}`),
    child: () => logger,
  }
  const broker = await startBroker({ port: 0, httpPort: 0, ephemeral: true, logger })
  t.teardown(() => broker.stop())
  const port = Number(broker.bootstrap.split(':')[1])
  const connect = async () => {
    const client = await RawClient.connect(port)
    t.teardown(() => client.close())
    return client
  }
  return { broker, port, connect, errors }
}

async function createTopic(client: RawClient, name: string): Promise<string> {
  const answer = await client.ask(metadata, 12, {
    topics: [{ name, topicId: ZERO_UUID }],
    allowAutoTopicCreation: true,
    includeTopicAuthorizedOperations: false,
    includeClusterAuthorizedOperations: false,
  })
  t.equal(answer.topics[0]?.errorCode, 0, `${name} is there`)
  return answer.topics[0]?.topicId ?? ''
}

const batchOf = (values: string[]) => {
  const timestamp = Date.now()
  const records = values.map((text) => ({ key: null, value: Buffer.from(text), timestamp }))
  return buildBatch(records, {}, crc32c)
}

async function append(client: RawClient, topic: string, records: Buffer) {
  const answer = await client.ask(produce, 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{ name: topic, topicId: ZERO_UUID, partitionData: [{ index: 0, records }] }],
  })
  const [partition] = answer.responses[0]?.partitionResponses ?? []
  return { errorCode: partition?.errorCode ?? -1, baseOffset: partition?.baseOffset ?? -1 }
}

async function endOf(client: RawClient, topic: string): Promise<number> {
  const answer = await client.ask(listOffsets, 7, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [
      {
        name: topic,
        partitions: [{ partitionIndex: 0, timestamp: -1 }],
      },
    ],
    timeoutMs: 0,
  })
  return answer.topics[0]?.partitions[0]?.offset ?? -1
}

/** All batches of a partition, checked. */
async function readAll(t: Test, client: RawClient, topic: string): Promise<Buffer[]> {
  const batches: Buffer[] = []
  let offset = 0
  for (;;) {
    const answer = await client.ask(fetchApi, 11, {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [
        {
          topic,
          topicId: ZERO_UUID,
          partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes: 1 << 20 }],
        },
      ],
      forgottenTopicsData: [],
    })
    const partition = answer.responses[0]?.partitions[0]
    t.equal(partition?.errorCode, 0, `${topic} is readable at ${offset}`)
    const records = partition?.records ?? Buffer.alloc(0)
    if (records.length === 0) return batches
    for (let at = 0; at < records.length; at += batchSizeOf(records, at)) {
      const batch = records.subarray(at, at + batchSizeOf(records, at))
      const sound =
        magicOf(batch, 0) === 2 && crcOf(batch, 0) === crc32c(batch, CRC_START, batch.length)
      if (!sound) t.fail(`${topic} holds a damaged batch at ${offset}`)
      offset = lastOffsetOf(batch, 0) + 1
      batches.push(batch)
    }
  }
}

/** Every version of everything that is in the table: also what is not advertised, and what only brokers may ask. */
function servedTargets(): Target[] {
  return [...createApiTable().everything()].flatMap(({ api, versions: { min, max } }) =>
    Array.from({ length: max - min + 1 }, (_, i) => ({ api, version: min + i })),
  )
}

/** Sends one frame on a connection of its own; resolves when it is answered, closed, or given up. */
async function throwAt(port: number, frame: Buffer, dice: Dice): Promise<void> {
  const client = await RawClient.connect(port)
  try {
    if (dice.chance(10)) {
      // In two parts, the second of which may never come.
      const cut = dice.int(frame.length)
      client.socket.write(frame.subarray(0, cut))
      await new Promise((resolve) => setImmediate(resolve))
      if (dice.chance(50)) client.socket.write(frame.subarray(cut))
    } else client.socket.write(frame)
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, 30)
    })
    const answered = client.next().then(
      () => {},
      () => {},
    )
    await Promise.race([answered, patience])
    clearTimeout(timer)
  } finally {
    client.close()
  }
}

t.test('damaged frames of every served API and version', { timeout }, async (t) => {
  const { broker, port, connect, errors } = await openBroker(t)
  const witness = await connect()
  await createTopic(witness, 'undisturbed-topic')
  await createTopic(witness, 'fuzz')
  const targets = servedTargets()
  t.ok(FRAMES > 2 * targets.length, `${targets.length} versions of APIs, each several times`)

  let isOver = false
  let acknowledged = 0
  const undisturbed = (async () => {
    while (!isOver) {
      const { errorCode, baseOffset } = await append(
        witness,
        'undisturbed-topic',
        batchOf([`value ${acknowledged}`]),
      )
      if (errorCode !== 0 || baseOffset !== acknowledged) {
        t.fail(`the undisturbed client got error ${errorCode}, offset ${baseOffset}`)
        return
      }
      acknowledged++
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })()

  const rssBefore = process.memoryUsage().rss
  let next = 0
  const lane = async (dice: Dice) => {
    while (next < FRAMES) {
      const target = targets[next++ % targets.length] as Target
      const message = randomRequest(dice, target.api.request.fields, target.version)
      const whole = frameOf(target, message, next)
      const kind = dice.int(10)
      const frame =
        kind === 0
          ? whole
          : kind === 1
            ? damage(dice, whole, 0)
            : reframed(damage(dice, whole, dice.chance(70) ? 14 : 4))
      await throwAt(port, frame, dice)
    }
  }
  await Promise.all(Array.from({ length: LANES }, (_, i) => lane(new Dice(seed + i))))
  isOver = true
  await undisturbed

  t.same(errors, [], 'no bug was met')
  t.ok(acknowledged > 0, `the undisturbed client produced ${acknowledged} records`)
  const batches = await readAll(t, witness, 'undisturbed-topic')
  t.equal(batches.length, acknowledged, 'and finds every one of them')
  witness.close()

  const text = await (await fetch(`${broker.httpAddress}/metrics`)).text()
  const gauge = (name: string) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])
  t.equal(gauge('lmq_request_memory_bytes'), 0, 'no memory of requests is left')
  t.equal(gauge('lmq_answer_memory_bytes'), 0, 'no memory of answers is left')
  const grownBytes = process.memoryUsage().rss - rssBefore
  t.ok(grownBytes < 512 * 1024 * 1024, `the process grew by ${grownBytes >> 20} MiB`)
})

t.test('damaged batches: what is refused is not stored', { timeout }, async (t) => {
  const { connect, errors } = await openBroker(t)
  const client = await connect()
  await createTopic(client, 'batches')
  const dice = new Dice(seed)
  let end = 0
  let refused = 0
  for (let i = 0; i < BATCHES; i++) {
    const values = Array.from({ length: 1 + dice.int(4) }, (_, j) =>
      `${i}-${j}`.repeat(1 + dice.int(9)),
    )
    let batch = batchOf(values)
    if (dice.chance(90)) batch = damage(dice, batch, 0)
    // Half of them with a checksum that fits the damage: it must be found all the same.
    if (dice.chance(50) && batch.length > 61)
      setCrc(batch, 0, crc32c(batch, CRC_START, batch.length))
    const { errorCode, baseOffset } = await append(client, 'batches', batch)
    if (errorCode === 0) {
      if (baseOffset !== end) t.fail(`batch ${i} got offset ${baseOffset}, expected ${end}`)
      end += recordCountOf(batch, 0)
    } else {
      refused++
      if (baseOffset !== -1) t.fail(`refused batch ${i} has offset ${baseOffset}`)
    }
    if (i % 50 === 0) t.equal(await endOf(client, 'batches'), end, 'the log ends where it should')
  }
  t.equal(await endOf(client, 'batches'), end)
  t.ok(refused > BATCHES / 4, `${refused} of ${BATCHES} were refused`)
  const batches = await readAll(t, client, 'batches')
  t.equal(
    batches.reduce((sum, batch) => sum + recordCountOf(batch, 0), 0),
    end,
    'exactly what was acknowledged can be read',
  )
  t.same(errors, [])
})
