// Goal: idempotent producers may send their batches in any order and as often as they like: each is in the log once, in
// the order of its sequences, and what is refused is not there.
// Method: random batches of several producers to several partitions, some requests at a time, against a running broker and
// a model; then the log is read back. LMQ_SEED repeats a run, LMQ_FUZZ_PORT plays it against another broker.
import fc from 'fast-check'
import t from 'tap'
import { crc32c } from '../../src/io/crc32c.ts'
import { produce } from '../../src/protocol/apis/00-produce.ts'
import { fetch as fetchApi } from '../../src/protocol/apis/01-fetch.ts'
import { initProducerId } from '../../src/protocol/apis/22-init-producer-id.ts'
import { buildBatch } from '../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import { batchSizeOf, lastOffsetOf, recordCountOf } from '../../src/protocol/record-batch.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import { RawClient } from '../unit/server/raw-client.ts'
import {
  ask,
  Connections,
  createTopic,
  expect,
  openPort,
  patiently,
  playStories,
  seed,
} from './state-run.ts'

const timeout = 900_000
const PARTITIONS = 3
const PRODUCERS = 3
/** A producer may have so many requests under way, so as many batches are known again. */
const REMEMBERED = 5
const SEQUENCES = 2 ** 31
t.setTimeout(timeout)
t.comment(`seed ${seed}: repeat with LMQ_SEED=${seed}`)

type Batch = { epoch: number; first: number; count: number }
/** What a partition knows of a producer. */
type Known = { epoch: number; next: number; batches: (Batch & { offset: number })[] }

/** Kafka's rules (KIP-98, KIP-360): a duplicate is told its offset, a gap and an old epoch are refused. */
class PartitionModel {
  readonly producers = new Map<number, Known>()
  /** The batch at each offset at which one begins. */
  readonly log: { offset: number; count: number; text: string }[] = []
  end = 0

  append(producer: number, batch: Batch, text: string): { errorCode: number; offset: number } {
    const { epoch, first, count } = batch
    const known = this.producers.get(producer)
    const refused = (errorCode: number) => ({ errorCode, offset: -1 })
    if (known) {
      const same = known.batches.find(
        (each) => each.epoch === epoch && each.first === first && each.count === count,
      )
      if (same) return { errorCode: ErrorCode.NONE, offset: same.offset }
      if (epoch < known.epoch) return refused(ErrorCode.INVALID_PRODUCER_EPOCH)
      const isNext = epoch > known.epoch ? first === 0 : first === known.next
      if (!isNext) return refused(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    }
    const offset = this.end
    const batches = known && known.epoch === epoch ? known.batches.slice(1 - REMEMBERED) : []
    batches.push({ ...batch, offset })
    this.producers.set(producer, { epoch, next: (first + count) % SEQUENCES, batches })
    this.log.push({ offset, count, text })
    this.end += count
    return { errorCode: ErrorCode.NONE, offset }
  }
}

/** Where a batch begins, seen from what the partition expects next. */
const places = [
  'next',
  'next',
  'next',
  'next',
  'again',
  'older',
  'gap',
  'back',
  'zero',
  'overlap',
  'last',
]

type Send = {
  producer: number
  partition: number
  place: string
  count: number
  epochStep: number
}

class World {
  readonly client: RawClient
  readonly topic: string
  readonly ids: readonly number[]
  readonly partitions = Array.from({ length: PARTITIONS }, () => new PartitionModel())
  #number = 0

  constructor(client: RawClient, topic: string, ids: readonly number[]) {
    this.client = client
    this.topic = topic
    this.ids = ids
  }

  /** Sends all requests at once, each of one batch, and holds the answers against the model in their order. */
  async send(sends: readonly Send[]): Promise<void> {
    const expected: { errorCode: number; offset: number }[] = []
    const frames = sends.map((send, index) => {
      const { batch, epoch } = this.#batchOf(send)
      const text = `${this.#number++}`
      const model = this.partitions[send.partition] as PartitionModel
      expected.push(model.append(send.producer, { ...batch, epoch }, text))
      return this.#frame(send, { ...batch, epoch }, text, index)
    })
    this.client.socket.write(Buffer.concat(frames))
    for (const [index, wanted] of expected.entries()) {
      const frame = await patiently(this.client.next(), 'Produce')
      expect(frame.readInt32BE(0), index, 'the correlation id')
      const answer = RawClient.body(produce, 9, frame)
      const told = answer.responses[0]?.partitionResponses[0]
      const { errorCode, baseOffset: offset } = told ?? {}
      expect({ errorCode, offset }, wanted, JSON.stringify(sends[index]))
    }
  }

  #batchOf({ producer, partition, place, count, epochStep }: Send) {
    const model = this.partitions[partition] as PartitionModel
    const known = model.producers.get(producer)
    const epoch = Math.max(0, (known?.epoch ?? 0) + epochStep)
    const next = known?.next ?? 0
    const last = known?.batches.at(-1)
    const again = place === 'older' ? known?.batches[0] : last
    const wrapped = (sequence: number) => (sequence + SEQUENCES) % SEQUENCES
    if ((place === 'again' || place === 'older') && again) {
      return { batch: { first: again.first, count: again.count }, epoch }
    }
    const firsts: Record<string, number> = {
      gap: wrapped(next + 3),
      back: wrapped(next - 1),
      zero: 0,
      overlap: last?.first ?? 0,
      // Where sequences wrap soon: of a producer that is new here any beginning is taken.
      last: known ? next : SEQUENCES - 2,
    }
    return { batch: { first: firsts[place] ?? next, count }, epoch }
  }

  #frame(send: Send, { epoch, first, count }: Batch, text: string, correlationId: number): Buffer {
    const records = buildBatch(
      Array.from({ length: count }, () => ({
        key: null,
        value: Buffer.from(text),
        timestamp: 1_700_000_000_000,
      })),
      {
        producerId: this.ids[send.producer] as number,
        producerEpoch: epoch,
        baseSequence: first,
      },
      crc32c,
    )
    const partitionData = [{ index: send.partition, records }]
    const topicData = [{ name: this.topic, topicId: ZERO_UUID, partitionData }]
    const request = { transactionalId: null, acks: -1, timeoutMs: 30_000, topicData }
    return RawClient.frame(produce, 9, request, { correlationId })
  }

  /** The log holds exactly what the model says, batch by batch. */
  async compare(): Promise<void> {
    for (const [partition, model] of this.partitions.entries()) {
      const found: { offset: number; count: number; text: string }[] = []
      let offset = 0
      while (offset < model.end) {
        const answer = await ask(this.client, fetchApi, 11, {
          maxWaitMs: 0,
          minBytes: 1,
          topics: [
            {
              topic: this.topic,
              topicId: ZERO_UUID,
              partitions: [{ partition, fetchOffset: offset, partitionMaxBytes: 1 << 20 }],
            },
          ],
          forgottenTopicsData: [],
        })
        const told = answer.responses[0]?.partitions[0]
        expect(told?.errorCode, ErrorCode.NONE, 'the log is readable')
        expect(told?.highWatermark, model.end, 'the log ends')
        const records = told?.records ?? Buffer.alloc(0)
        if (records.length === 0) throw new Error(`nothing is at ${offset} of ${model.end}`)
        for (let at = 0; at < records.length; at += batchSizeOf(records, at)) {
          const batch = records.subarray(at, at + batchSizeOf(records, at))
          const count = recordCountOf(batch, 0)
          const begin = lastOffsetOf(batch, 0) - count + 1
          const value = batch.subarray(61)
          const text = model.log.find((each) => each.offset === begin)?.text ?? '?'
          if (!value.includes(text)) throw new Error(`another batch is at ${begin}`)
          found.push({ offset: begin, count, text })
          offset = begin + count
        }
      }
      expect(found, model.log, `partition ${partition}`)
    }
  }
}

const send: fc.Arbitrary<Send> = fc.record({
  producer: fc.nat(PRODUCERS - 1),
  partition: fc.nat(PARTITIONS - 1),
  place: fc.constantFrom(...places),
  count: fc.integer({ min: 1, max: 4 }),
  epochStep: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 2, -1),
})
/** Some requests under way at a time; one producer and partition more often than others. */
const rounds = fc.array(
  fc.array(
    fc.oneof(
      send,
      send.map((each) => ({ ...each, producer: 0, partition: 0 })),
    ),
    { minLength: 1, maxLength: 8 },
  ),
  {
    minLength: 1,
    maxLength: 40,
    size: 'max',
  },
)

t.test('idempotent producers in any order', { timeout }, async (t) => {
  const connections = new Connections(await openPort(t))
  t.teardown(() => connections.close())
  const unique = Date.now().toString(36)
  let count = 0
  await playStories(t, rounds, async (story) => {
    const client = await connections.take()
    const topic = `sequences-${unique}-${count++}`
    await createTopic(client, topic, PARTITIONS)
    const ids: number[] = []
    while (ids.length < PRODUCERS) {
      const request = { transactionalId: null, transactionTimeoutMs: 1000 }
      const { errorCode, producerId } = await ask(client, initProducerId, 1, request)
      if (errorCode === ErrorCode.NONE) ids.push(producerId)
    }
    const world = new World(client, topic, ids)
    try {
      for (const sends of story) await world.send(sends)
      await world.compare()
    } catch (error) {
      // Answers to the rest may still come.
      client.close()
      throw error
    }
    connections.giveBack(client)
  })
})
