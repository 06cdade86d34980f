// Goal: a disk that is stuck costs neither memory without bound nor clients their patience. Batches that wait for it stay
// counted, also when nobody waits for their answer any more: the producer's time-out is over, or its connection is gone.
// Method: a disk that takes minutes for a write, a small budget, and producers that send more than fits.
import t from 'tap'
import { silentLogger } from '../../src/base/logger.ts'
import { Broker } from '../../src/broker.ts'
import { loadStartOptions } from '../../src/config/start-options.ts'
import type { Socket } from '../../src/io/io.ts'
import { produce } from '../../src/protocol/apis/00-produce.ts'
import { fetch } from '../../src/protocol/apis/01-fetch.ts'
import { listOffsets } from '../../src/protocol/apis/02-list-offsets.ts'
import { metadata } from '../../src/protocol/apis/03-metadata.ts'
import { buildBatch } from '../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import type { Api, RequestInput, ResponseOf } from '../../src/protocol/schema.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import { RawClient } from '../unit/server/raw-client.ts'
import { createSimIo, type SimWorld } from './sim-io.ts'

const TOPIC = 'a'
const BATCH_BYTES = 500_000
const BUDGET_BYTES = 4 * 1024 * 1024
const SENT = 40
/** What the budget has room for, and one in each connection's hands. */
const AT_MOST = BUDGET_BYTES / BATCH_BYTES + 2
const STUCK_MS = 600_000

async function startIn(world: SimWorld): Promise<Broker> {
  const settings = {
    listeners: 'PLAINTEXT://127.0.0.1:0',
    'lmq.http.port': '-1',
    'socket.request.max.bytes': String(BUDGET_BYTES),
    'queued.max.request.bytes': String(BUDGET_BYTES),
  }
  const loaded = loadStartOptions({ settings, hostName: 'sim' }, () => '')
  const dataDirs = ['/data']
  const onFatal = (error: unknown) => {
    throw error
  }
  return Broker.start({ io: world.io, loaded, dataDirs, logger: silentLogger, onFatal })
}

/** Lets simulated time pass. */
const pass = (world: SimWorld, ms: number): Promise<void> =>
  new Promise((resolve) => void world.io.timers.schedule(ms, resolve))

/** Sends in pieces, as a network does. */
function send(socket: Socket, frame: Buffer): void {
  for (let at = 0; at < frame.length; at += 65_536) socket.write([frame.subarray(at, at + 65_536)])
}

class Peer {
  readonly answers: Buffer[] = []
  readonly socket: Socket
  #received: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.socket = socket
    socket.onData((chunk) => {
      this.#received = Buffer.concat([this.#received, chunk])
      while (this.#received.length >= 4) {
        const end = 4 + this.#received.readInt32BE(0)
        if (this.#received.length < end) return
        this.answers.push(this.#received.subarray(4, end))
        this.#received = this.#received.subarray(end)
      }
    })
  }

  static async connect(world: SimWorld, broker: Broker): Promise<Peer> {
    const port = broker.listeners[0]?.port ?? 0
    return new Peer(await world.io.net.connect({ host: '127.0.0.1', port }, 10_000))
  }

  async ask<A extends Api>(
    world: SimWorld,
    api: A,
    version: number,
    request: RequestInput<A>,
  ): Promise<ResponseOf<A>> {
    send(this.socket, RawClient.frame(api, version, request))
    while (this.answers.length === 0) await pass(world, 1)
    return RawClient.body(api, version, this.answers.shift() as Buffer)
  }
}

const produceRequest = (letter: number) => ({
  transactionalId: null,
  acks: -1,
  timeoutMs: 1,
  topicData: [{ name: TOPIC, topicId: ZERO_UUID, partitionData: [batchOf(letter)] }],
})

function batchOf(letter: number) {
  const record = { key: null, value: Buffer.alloc(BATCH_BYTES, letter), timestamp: 0 }
  return { index: 0, records: buildBatch([record], {}, createSimIo(1).io.crc32c) }
}

const metadataRequest = (name: string) => ({
  topics: [{ name, topicId: ZERO_UUID }],
  allowAutoTopicCreation: true,
  includeTopicAuthorizedOperations: false,
  includeClusterAuthorizedOperations: false,
})

async function withBroker(work: (world: SimWorld, broker: Broker) => Promise<void>) {
  const world = createSimIo(7)
  await world.run(async () => {
    const broker = await startIn(world)
    const client = await Peer.connect(world, broker)
    await client.ask(world, metadata, 9, metadataRequest(TOPIC))
    await work(world, broker)
    world.disk.latencyMs = 4
    await pass(world, 2 * STUCK_MS)
    await broker.stop()
  })
}

async function endOf(world: SimWorld, broker: Broker): Promise<number> {
  const client = await Peer.connect(world, broker)
  const answer = await client.ask(world, listOffsets, 5, {
    replicaId: -1,
    isolationLevel: 0,
    timeoutMs: 0,
    topics: [
      {
        name: TOPIC,
        partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }],
      },
    ],
  })
  return answer.topics[0]?.partitions[0]?.offset ?? -1
}

t.test('an answer for want of time does not free what still waits for the disk', async (t) => {
  await withBroker(async (world, broker) => {
    const client = await Peer.connect(world, broker)
    world.disk.latencyMs = STUCK_MS
    for (let i = 0; i < SENT; i++)
      send(client.socket, RawClient.frame(produce, 9, produceRequest(i)))
    await pass(world, 8_000)
    const early = client.answers.length
    t.ok(early >= 1, 'the time-out is told')
    t.ok(early <= AT_MOST, `${early} of ${SENT} requests were taken`)
    const [first] = client.answers
    const answer = first && RawClient.body(produce, 9, first)
    const code = answer?.responses[0]?.partitionResponses[0]?.errorCode
    t.equal(code, ErrorCode.REQUEST_TIMED_OUT)
    world.disk.latencyMs = 4
    await pass(world, 2 * STUCK_MS)
    t.equal(client.answers.length, SENT, 'all are taken when the disk is well again')
    t.equal(await endOf(world, broker), SENT)
  })
})

t.test('the end of a connection does not free what still waits for the disk', async (t) => {
  await withBroker(async (world, broker) => {
    world.disk.latencyMs = STUCK_MS
    for (let i = 0; i < SENT; i++) {
      const client = await Peer.connect(world, broker)
      send(client.socket, RawClient.frame(produce, 9, { ...produceRequest(i), timeoutMs: 30_000 }))
      await pass(world, 20)
      client.socket.destroy()
      await pass(world, 20)
    }
    world.disk.latencyMs = 4
    await pass(world, 2 * STUCK_MS)
    const end = await endOf(world, broker)
    t.ok(end >= 1 && end <= AT_MOST, `${end} of ${SENT} batches were taken`)
  })
})

t.test('who asks for a topic that is not there does not wait for ever', async (t) => {
  await withBroker(async (world, broker) => {
    const client = await Peer.connect(world, broker)
    world.disk.latencyMs = STUCK_MS
    const beginMs = world.io.monotonic.nowMs()
    const early = await client.ask(world, metadata, 9, metadataRequest('new'))
    t.equal(early.topics[0]?.errorCode, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    t.ok(world.io.monotonic.nowMs() - beginMs < 5_000)
    world.disk.latencyMs = 4
    await pass(world, 2 * STUCK_MS)
    const later = await Peer.connect(world, broker)
    const late = await later.ask(world, metadata, 9, metadataRequest('new'))
    t.equal(late.topics[0]?.errorCode, ErrorCode.NONE)
  })
})

t.test('a broker that stops answers a Fetch whose records are being read', async (t) => {
  const readMs = 200
  await withBroker(async (world, broker) => {
    const writer = await Peer.connect(world, broker)
    const batch = { ...produceRequest(1), timeoutMs: 30_000 }
    await writer.ask(world, produce, 9, batch)
    const client = await Peer.connect(world, broker)
    world.disk.latencyMs = readMs
    const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 25 }
    const request = {
      maxWaitMs: STUCK_MS,
      minBytes: 1 << 25,
      topics: [{ topic: TOPIC, topicId: ZERO_UUID, partitions: [partition] }],
      forgottenTopicsData: [],
    }
    send(client.socket, RawClient.frame(fetch, 12, request))
    await pass(world, 5)
    const stopped = broker.stop()
    await pass(world, 900)
    t.equal(client.answers.length, 1)
    await stopped
  })
})
