/**
 * Sends records in batches, each partition in order, one batch of a partition in flight. Idempotent unless told
 * otherwise: a batch that was sent twice because its answer was lost is stored once.
 */
import { assert } from '../base/assert.ts'
import { Codec, type CodecId } from '../io/io.ts'
import { produce } from '../protocol/apis/00-produce.ts'
import { initProducerId } from '../protocol/apis/22-init-producer-id.ts'
import {
  type BatchOptions,
  buildRecordBlock,
  type RecordInput,
  wrapBlock,
} from '../protocol/batch-builder.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import type { Client } from './client.ts'
import { partitionOfKey } from './murmur2.ts'
import { checkOutcome, OutcomeError } from './outcome-error.ts'
import { TopicView } from './topic-view.ts'

export type ProducerOptions = {
  readonly acks?: -1 | 0 | 1
  /** Needs acks -1. Default: true with acks -1. */
  readonly idempotent?: boolean
  readonly codec?: CodecId
  /** Records of a batch, before compression. */
  readonly batchBytes?: number
  /** Records that may wait, over all partitions, before `send` waits. */
  readonly bufferBytes?: number
  /** How long a batch is tried again while brokers are away. */
  readonly retryForMs?: number
  /** How long brokers may wait for replicas. */
  readonly timeoutMs?: number
  /** Told of each batch that was acknowledged, in order within a partition. */
  readonly onAcknowledged?: (batch: AcknowledgedBatch) => void
}

export type AcknowledgedBatch = {
  readonly topic: string
  readonly partitionIndex: number
  /** -1 when unknown (acks 0). */
  readonly baseOffset: number
  readonly recordCount: number
}

type PartitionQueue = {
  readonly topic: string
  readonly partitionIndex: number
  readonly records: RecordInput[]
  nextSequence: number
  draining: Promise<void> | undefined
}

type ProducerIdentity = { readonly producerId: number; readonly producerEpoch: number }
const noIdentity: ProducerIdentity = { producerId: -1, producerEpoch: -1 }

/** Room for a record's own fields besides key, value and headers. */
const recordOverheadBytes = 32
/** Produce versions above name topics by id. */
const produceVersion = 12

const sizeOf = (record: RecordInput): number => {
  let size = recordOverheadBytes + (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (const { key, value } of record.headers ?? []) {
    size += Buffer.byteLength(key) + (value?.length ?? 0)
  }
  return size
}

export class Producer {
  readonly #client: Client
  readonly #topics: TopicView
  readonly #acks: -1 | 0 | 1
  readonly #idempotent: boolean
  readonly #codec: CodecId
  readonly #batchBytes: number
  readonly #bufferBytes: number
  readonly #retryForMs: number
  readonly #timeoutMs: number
  readonly #onAcknowledged: (batch: AcknowledgedBatch) => void
  readonly #queues = new Map<string, PartitionQueue>()
  readonly #sticky = new Map<string, { partitionIndex: number; bytesLeft: number }>()
  #identity: Promise<ProducerIdentity> | undefined
  #waitingBytes = 0
  #roomWanted: (() => void)[] = []
  #failure: unknown

  constructor(client: Client, options: ProducerOptions = {}) {
    this.#client = client
    this.#topics = new TopicView(client, { create: true })
    this.#acks = options.acks ?? -1
    this.#idempotent = options.idempotent ?? this.#acks === -1
    assert(!this.#idempotent || this.#acks === -1, 'an idempotent producer needs acks -1')
    this.#codec = options.codec ?? Codec.none
    this.#batchBytes = options.batchBytes ?? 512 * 1024
    this.#bufferBytes = options.bufferBytes ?? 32 * 1024 * 1024
    this.#retryForMs = options.retryForMs ?? 120_000
    this.#timeoutMs = options.timeoutMs ?? 30_000
    this.#onAcknowledged = options.onAcknowledged ?? (() => {})
  }

  /**
   * Takes a record. Resolves when there is room for more, not when it is stored: `flush` tells that.
   *
   * @param partitionIndex undefined: by the key's hash as every Kafka client, or one after the other without a key
   * @throws what made an earlier batch fail for good; UNKNOWN_TOPIC_OR_PARTITION for a partition that is not there
   */
  async send(topic: string, record: RecordInput, partitionIndex?: number): Promise<void> {
    if (this.#failure) throw this.#failure
    const size = sizeOf(record)
    const chosen =
      partitionIndex === undefined
        ? await this.#choose(topic, record, size)
        : await this.#checked(topic, partitionIndex)
    const queue = this.#queueOf(topic, chosen)
    queue.records.push(record)
    this.#waitingBytes += size
    queue.draining ??= this.#drain(queue)
    while (this.#waitingBytes > this.#bufferBytes && !this.#failure) {
      await new Promise<void>((resolve) => this.#roomWanted.push(resolve))
    }
  }

  /** Waits until everything taken so far is acknowledged. @throws what made a batch fail for good */
  async flush(): Promise<void> {
    for (;;) {
      const busy = [...this.#queues.values()].flatMap(({ draining }) => draining ?? [])
      if (busy.length === 0) break
      await Promise.all(busy)
    }
    if (this.#failure) throw this.#failure
  }

  /** Asks only when nothing is known, since every record comes here. */
  #countOf(topic: string): number | Promise<number> {
    const known = this.#topics.known(topic)
    if (known) return known.partitions.length
    const ask = (): Promise<number> => this.#topics.partitionCount(topic)
    return this.#client.retrying(ask, { forMs: this.#retryForMs })
  }

  /** A partition that is not there would be tried for as long as a topic that is being made. */
  async #checked(topic: string, partitionIndex: number): Promise<number> {
    if (partitionIndex < (await this.#countOf(topic))) return partitionIndex
    this.#topics.forget(topic)
    const count = await this.#countOf(topic)
    if (partitionIndex < count) return partitionIndex
    const detail = `the topic has ${count} partitions`
    const subject = `partition ${topic}-${partitionIndex}`
    throw new OutcomeError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, subject, detail)
  }

  async #choose(topic: string, record: RecordInput, size: number): Promise<number> {
    const count = await this.#countOf(topic)
    if (record.key) return partitionOfKey(record.key, count)
    const sticky = this.#sticky.get(topic)
    if (sticky && sticky.bytesLeft > 0) {
      sticky.bytesLeft -= size
      return sticky.partitionIndex
    }
    const partitionIndex = sticky
      ? (sticky.partitionIndex + 1) % count
      : this.#client.io.random.int(count)
    this.#sticky.set(topic, { partitionIndex, bytesLeft: this.#batchBytes - size })
    return partitionIndex
  }

  #queueOf(topic: string, partitionIndex: number): PartitionQueue {
    const key = `${topic}-${partitionIndex}`
    const known = this.#queues.get(key)
    if (known) return known
    const queue = { topic, partitionIndex, records: [], nextSequence: 0, draining: undefined }
    this.#queues.set(key, queue)
    return queue
  }

  async #drain(queue: PartitionQueue): Promise<void> {
    // What arrives in the same turn leaves in the same batch.
    await new Promise<void>((resolve) => this.#client.io.timers.endOfTurn(resolve))
    try {
      while (queue.records.length > 0 && !this.#failure) {
        const { records, bytes } = this.#takeBatch(queue)
        await this.#sendBatch(queue, records)
        this.#release(bytes)
      }
    } catch (error) {
      this.#failure ??= error
      this.#release(0)
    }
    queue.draining = undefined
  }

  #takeBatch(queue: PartitionQueue): { records: RecordInput[]; bytes: number } {
    let bytes = 0
    let count = 0
    for (const record of queue.records) {
      const size = sizeOf(record)
      if (count > 0 && bytes + size > this.#batchBytes) break
      bytes += size
      count++
    }
    return { records: queue.records.splice(0, count), bytes }
  }

  #release(bytes: number): void {
    this.#waitingBytes -= bytes
    const waiting = this.#roomWanted
    this.#roomWanted = []
    for (const resolve of waiting) resolve()
  }

  async #sendBatch(queue: PartitionQueue, records: RecordInput[]): Promise<void> {
    const { topic, partitionIndex } = queue
    const batch = await this.#build(queue, records)
    const baseOffset = await this.#client.retrying(
      () => this.#attempt(topic, partitionIndex, batch),
      { forMs: this.#retryForMs, forget: () => this.#topics.forget(topic) },
    )
    queue.nextSequence = (queue.nextSequence + records.length) & 0x7fffffff
    this.#onAcknowledged({ topic, partitionIndex, baseOffset, recordCount: records.length })
  }

  /** The bytes stay the same over all attempts: that is what makes a repetition recognizable. */
  async #build(queue: PartitionQueue, records: RecordInput[]): Promise<Buffer> {
    const { io } = this.#client
    const identity = this.#idempotent ? await this.#identify() : noIdentity
    const options: BatchOptions = this.#idempotent
      ? { ...identity, baseSequence: queue.nextSequence }
      : {}
    const plain = buildRecordBlock(records)
    const block = this.#codec === Codec.none ? plain : await io.codecs.compress(this.#codec, plain)
    return wrapBlock(block, this.#codec, records, options, io.crc32c)
  }

  #identify(): Promise<ProducerIdentity> {
    this.#identity ??= this.#client.retrying(
      async () => {
        const answer = await this.#client.request('any', initProducerId, {
          transactionalId: null,
          transactionTimeoutMs: 60_000,
        })
        checkOutcome(answer.errorCode, 'a producer id')
        return answer
      },
      { forMs: this.#retryForMs },
    )
    return this.#identity
  }

  async #attempt(topic: string, partitionIndex: number, records: Buffer): Promise<number> {
    const brokerId = await this.#topics.leaderOf(topic, partitionIndex)
    const connection = await this.#client.connectionTo({ brokerId })
    const request = {
      acks: this.#acks,
      timeoutMs: this.#timeoutMs,
      topicData: [
        { name: topic, topicId: ZERO_UUID, partitionData: [{ index: partitionIndex, records }] },
      ],
    }
    const options = { maxVersion: produceVersion }
    if (this.#acks === 0) {
      connection.send(produce, request, options)
      while (connection.queuedBytes > 0 && !connection.isClosed) await this.#client.pause(1)
      return -1
    }
    const answer = await connection.request(produce, request, options)
    const outcome = answer.responses[0]?.partitionResponses[0]
    const subject = `partition ${topic}-${partitionIndex}`
    if (!outcome) throw new OutcomeError(ErrorCode.UNKNOWN_SERVER_ERROR, subject, 'empty answer')
    if (outcome.errorCode === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) return -1
    const detail = outcome.recordErrors[0]?.batchIndexErrorMessage ?? outcome.errorMessage
    checkOutcome(outcome.errorCode, subject, detail)
    return outcome.baseOffset
  }
}
