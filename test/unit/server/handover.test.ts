// Goal: a producer loses nothing and sees no refusal while the leader that it talks to stops: what it goes on sending
// there is stored by the new leader, once and in order. Method: three brokers of one process; a raw connection to the
// leader with several requests under way, with and without idempotence, until the new leader is known for a while.
import t, { type Test } from 'tap'
import { createTopic } from '../../../src/client/admin-topics.ts'
import type { Client } from '../../../src/client/client.ts'
import { Fetcher } from '../../../src/client/fetcher.ts'
import { crc32c } from '../../../src/io/crc32c.ts'
import { produce } from '../../../src/protocol/apis/00-produce.ts'
import { initProducerId } from '../../../src/protocol/apis/22-init-producer-id.ts'
import { type BatchOptions, buildBatch } from '../../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../../src/protocol/error-code.ts'
import { clusterOf, patienceMs } from '../cluster/cluster-of.ts'
import { RawClient } from './raw-client.ts'

const TOPIC = 'orders'
const VERSION = 10

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function open(t: Test) {
  const { cluster, client } = await clusterOf(t, { brokers: 3 })
  const configs = new Map([['min.insync.replicas', '2']])
  await createTopic(client, { name: TOPIC, partitionCount: 1, replicationFactor: 3, configs })
  const leader = async () => {
    const { topics } = await client.metadata([TOPIC])
    return topics[0]?.partitions[0]?.leaderId ?? -1
  }
  return { cluster, client, leader }
}

/** Sends one record each few milliseconds, whether the ones before are answered or not. */
class Load {
  readonly #raw: RawClient
  readonly #batch: BatchOptions
  readonly acknowledged: { value: string; offset: number; atMs: number }[] = []
  readonly refused: ErrorCode[] = []
  /** Who leads, as answers said. */
  readonly named = new Set<number>()
  sent = 0
  isOver = false

  constructor(raw: RawClient, batch: BatchOptions) {
    this.#raw = raw
    this.#batch = batch
  }

  async run(everyMs: number): Promise<void> {
    const answers = this.#answers().catch(() => {})
    while (!this.isOver && !this.#raw.ended) {
      this.#send()
      await pause(everyMs)
    }
    await answers
  }

  #send(): void {
    const number = this.sent++
    const sequence = this.#batch.producerId === undefined ? {} : { baseSequence: number }
    const value = Buffer.from(String(number))
    const record = { key: null, value, timestamp: Date.now() }
    const records = buildBatch([record], { ...this.#batch, ...sequence }, crc32c)
    const partitionData = [{ index: 0, records }]
    const topicData = [{ name: TOPIC, partitionData }]
    const request = { transactionalId: null, acks: -1, timeoutMs: 10_000, topicData }
    const { socket } = this.#raw
    socket.write(RawClient.frame(produce, VERSION, request as never, { correlationId: number }))
  }

  async #answers(): Promise<void> {
    for (let number = 0; ; number++) {
      const { responses } = RawClient.body(produce, VERSION, await this.#raw.next())
      const [found] = responses[0]?.partitionResponses ?? []
      if (found?.currentLeader && found.currentLeader.leaderId >= 0) {
        this.named.add(found.currentLeader.leaderId)
      }
      if (found?.errorCode !== ErrorCode.NONE) {
        this.refused.push((found?.errorCode ?? -1) as ErrorCode)
        this.isOver = true
        continue
      }
      const offset = found.baseOffset
      this.acknowledged.push({ value: String(number), offset, atMs: performance.now() })
    }
  }
}

async function everything(client: Client, least: number): Promise<Map<number, string>> {
  const fetcher = new Fetcher(client, { maxWaitMs: 50 })
  fetcher.assign([{ topic: TOPIC, partitionIndex: 0, offset: 0 }])
  const found = new Map<number, string>()
  const endMs = performance.now() + patienceMs
  for (let quiet = 0; quiet < 3 && performance.now() < endMs; ) {
    const records = await fetcher.poll()
    for (const { offset, value } of records) found.set(Number(offset), String(value))
    if (records.length === 0 && found.size >= least) quiet++
  }
  return found
}

/** @returns how many records were acknowledged by the one that did not lead any more */
async function once(t: Test, isIdempotent: boolean): Promise<number> {
  const { cluster, client, leader } = await open(t)
  const stopped = await leader()
  const broker = cluster.brokers.find(({ brokerId }) => brokerId === stopped)
  const raw = await RawClient.connect(Number(broker?.bootstrap.split(':').at(-1)))
  t.teardown(() => raw.close())
  const { producerId, producerEpoch } = await raw.ask(initProducerId, 4, {
    transactionalId: null,
    transactionTimeoutMs: 1_000,
    producerId: -1,
    producerEpoch: -1,
  })
  const load = new Load(raw, isIdempotent ? { producerId, producerEpoch } : {})
  const running = load.run(isIdempotent ? 1 : 10)
  while (load.acknowledged.length < 20) await pause(5)
  const stopping = cluster.stopBroker(stopped)
  let movedMs = Number.POSITIVE_INFINITY
  while ((await leader()) === stopped) await pause(1)
  movedMs = performance.now()
  await stopping
  await running

  const late = load.acknowledged.filter(({ atMs }) => atMs > movedMs)
  // At the end, and without idempotence what was under way when the lead moved: nobody may store that again.
  const expected = new Set<ErrorCode>([ErrorCode.NOT_LEADER_OR_FOLLOWER])
  t.ok(
    load.refused.every((code) => expected.has(code)),
    String(load.refused),
  )
  const found = await everything(client, load.acknowledged.length)
  const wrong = load.acknowledged.filter(({ offset, value }) => found.get(offset) !== value)
  t.same(wrong, [], 'all that was acknowledged is where the answer said')
  t.equal(new Set(found.values()).size, found.size, 'nothing is stored twice')
  const order = load.acknowledged.map(({ offset }) => offset)
  t.same(
    order,
    order.toSorted((a, b) => a - b),
    'in order',
  )
  return late.length
}

t.test('an idempotent producer goes on at a leader that stops', async (t) => {
  // A machine that is busy with others may sleep through the short time in which requests are passed on.
  for (let tries = 0; tries < 5; tries++) {
    const count = await once(t, true)
    t.comment(`${count} records were passed on`)
    if (count > 0) return
  }
  t.fail('nothing was passed on')
})

t.test('a producer without idempotence stores nothing twice', async (t) => {
  await once(t, false)
})
