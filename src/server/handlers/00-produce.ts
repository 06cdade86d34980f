import type { Partition } from '../../cluster/partition.ts'
import { isInternalTopic } from '../../cluster/topic-name.ts'
import type { AppendResult } from '../../log/log-outcomes.ts'
import { produce } from '../../protocol/apis/00-produce.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  batchSizeOf,
  isTransactional,
  MAGIC,
  magicOf,
  recordCountOf,
} from '../../protocol/record-batch.ts'
import type { RequestOf } from '../../protocol/schema.ts'
import { ZERO_UUID } from '../../protocol/uuid.ts'
import { defineDirectHandler, type HandlerContext, type Reply } from '../handler.ts'
import {
  currentLeaderOf,
  endpointsOf,
  findPartition,
  findPartitionById,
} from '../partition-lookup.ts'
import type { Expiring } from '../produce-timeouts.ts'

type ProduceRequest = RequestOf<typeof produce>

const Acks = { all: -1, none: 0, leader: 1 } as const
/** From here on topics are named by id. */
const FIRST_VERSION_WITH_IDS = 13
/** KIP-951: from here on an answer says who leads instead. */
const FIRST_VERSION_WITH_LEADER = 10
/** The only client id that may write internal topics (ReplicaManager.scala). */
const ADMIN_CLIENT_ID = '__admin_client'
const NO_RECORDS = Buffer.alloc(0)

/**
 * Appends batches. Every partition fails or succeeds alone; all are appended in this turn, and the answer leaves when
 * the last of them is where `acks` wants it.
 *
 * Not served: transactional batches, which are refused as a broker does whose rules allow them to nobody.
 */
export const produceHandler = defineDirectHandler({
  api: produce,
  versions: '3-13',
  // librdkafka before 2.11.1 turns compression off unless version 0 is named (KAFKA-18659).
  advertised: '0-13',
  requires: 'WRITE topic:topicData[], WRITE transactionalId:transactionalId',
  start: (request, context, reply) => {
    context.services.topicMetrics.total.produceRequests++
    const refusal = refusalOf(request)
    if (refusal === ErrorCode.NONE) return new ProduceAttempt(request, context, reply).start()
    context.services.topicMetrics.total.failedProduceRequests++
    if (request.acks === Acks.none) return reply('close')
    const isAboutAcks = refusal === ErrorCode.INVALID_REQUIRED_ACKS
    reply(isAboutAcks ? refusedAcks(request, context) : refused(request, refusal))
  },
  refuse: refused,
})

/** What is wrong with the request as a whole. */
function refusalOf({ acks, topicData }: ProduceRequest): ErrorCode {
  for (const { partitionData } of topicData) {
    for (const { records } of partitionData) {
      if (records === null || records.length < BATCH_HEADER_BYTES) continue
      // What is no whole batch of this format has no such bit: it is refused for what it is.
      const isBatch = magicOf(records, 0) === MAGIC && batchSizeOf(records, 0) <= records.length
      if (isBatch && isTransactional(attributesOf(records, 0))) {
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
      }
    }
  }
  return acks === Acks.all || acks === Acks.none || acks === Acks.leader
    ? ErrorCode.NONE
    : ErrorCode.INVALID_REQUIRED_ACKS
}

type PartitionAnswer = {
  index: number
  errorCode: ErrorCode
  baseOffset: number
  logAppendTimeMs: number
  logStartOffset: number
  recordErrors: AppendResult['recordErrors']
  errorMessage: string | null
  currentLeader: { leaderId: number; leaderEpoch: number } | undefined
}

const NO_RECORD_ERRORS: AppendResult['recordErrors'] = []

/** One Produce request at work: what it waits for, and its answer as far as it is known. */
class ProduceAttempt implements Expiring {
  readonly #request: ProduceRequest
  readonly #context: HandlerContext
  readonly #reply: Reply<typeof produce>
  readonly #topics: { name: string; topicId: string; partitionResponses: PartitionAnswer[] }[] = []
  readonly deadlineMs: number
  /** Partitions without an outcome; one more while the appends are being started. */
  #pending = 1
  #failed = false
  /** Nothing of what was sent is waiting to be written any more. */
  #frameIsFree: boolean
  #leaders: Set<number> | undefined
  place = -1
  #finished = false

  constructor(request: ProduceRequest, context: HandlerContext, reply: Reply<typeof produce>) {
    this.#request = request
    this.#context = context
    this.#reply = reply
    this.#frameIsFree = request.acks !== Acks.none
    this.deadlineMs = context.services.io.monotonic.nowMs() + Math.max(0, request.timeoutMs)
  }

  start(): void {
    for (const { name, topicId, partitionData } of this.#request.topicData) {
      // Topics without partitions do not appear in the answer.
      if (partitionData.length === 0) continue
      const partitionResponses: PartitionAnswer[] = []
      this.#topics.push({ name, topicId, partitionResponses })
      for (const { index, records } of partitionData) {
        partitionResponses.push(this.#append(name, topicId, index, records ?? NO_RECORDS))
      }
    }
    this.#pending--
    if (this.#pending === 0) {
      this.#finish()
    } else if (this.#request.acks === Acks.all) {
      this.#context.services.produceTimeouts.add(this)
    }
  }

  /** Answers with REQUEST_TIMED_OUT what is not acknowledged yet; the data stays (DelayedProduce.java). */
  expire(): void {
    this.#frameIsFree = false
    this.#countWaiting()
    this.#finish()
  }

  /** The answer gives the request's memory back: what waits for the disk is counted by itself from now on. */
  #countWaiting(): void {
    const { services, apiVersion } = this.#context
    for (const { name, topicId, partitionData } of this.#request.topicData) {
      for (const { index, records } of partitionData) {
        const partition =
          apiVersion >= FIRST_VERSION_WITH_IDS
            ? findPartitionById(services, topicId, index)
            : findPartition(services, name, index)
        if (typeof partition === 'number' || records === null) continue
        services.requestMemory.take(records.length)
        partition.log.whenSettled(() => services.requestMemory.give(records.length))
      }
    }
  }

  #append(name: string, topicId: string, index: number, records: Buffer): PartitionAnswer {
    const { services, clientId, apiVersion } = this.#context
    const answer: PartitionAnswer = {
      index,
      // Until its outcome is known: what stands here when the time is over.
      errorCode: ErrorCode.REQUEST_TIMED_OUT,
      baseOffset: -1,
      logAppendTimeMs: -1,
      logStartOffset: -1,
      recordErrors: NO_RECORD_ERRORS,
      errorMessage: null,
      currentLeader: undefined,
    }
    const partition =
      apiVersion >= FIRST_VERSION_WITH_IDS
        ? findPartitionById(services, topicId, index)
        : findPartition(services, name, index)
    if (typeof partition === 'number') {
      const isLate = partition === ErrorCode.NOT_LEADER_OR_FOLLOWER
      if (isLate && this.#passLate(answer, name, topicId, records)) return answer
      return this.#refuse(answer, name, topicId, partition)
    }
    if (isInternalTopic(partition.topic) && clientId !== ADMIN_CLIENT_ID) {
      return this.#refuse(answer, name, topicId, ErrorCode.INVALID_TOPIC_EXCEPTION)
    }
    this.#pending++
    const metrics = services.topicMetrics.of(partition.topic)
    metrics.produceRequests++
    // Counted before the append, which may change the batch in place or pass it on.
    const count = records.length >= BATCH_HEADER_BYTES ? recordCountOf(records, 0) : 0
    const acks = this.#request.acks
    partition.append(records, { acks, produceVersion: apiVersion }, (result) =>
      this.#isDeposed(result, partition) && this.#passAppended(answer, partition, records)
        ? undefined
        : this.#appended(answer, partition, result, count, records.length),
    )
    return answer
  }

  // ------------------------------------------------------------------------------------------------ handed over

  /** The lead was lost while a batch waited to be acknowledged. */
  #isDeposed({ errorCode }: AppendResult, partition: Partition): boolean {
    return errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER && partition.leaderId >= 0
  }

  /** What came after the lead was lost, and before the client knew. @returns false where it has to be refused */
  #passLate(answer: PartitionAnswer, name: string, topicId: string, records: Buffer): boolean {
    const { image } = this.#context.services
    const topic = topicId === ZERO_UUID ? image.topic(name) : image.topicById(topicId)
    if (!topic || isInternalTopic(topic.name)) return false
    if (!this.#handover?.takes(topic.topicId, answer.index)) return false
    this.#pending++
    this.#pass(answer, topic, records)
    return true
  }

  /** What was appended here and is not known to be anywhere else: the new leader tells it from a new batch. */
  #passAppended(answer: PartitionAnswer, partition: Partition, records: Buffer): boolean {
    const copy = this.#finished ? undefined : this.#handover?.copyOf(records, partition)
    if (!copy || isInternalTopic(partition.topic)) return false
    this.#pass(answer, { name: partition.topic, topicId: partition.topicId }, copy)
    return true
  }

  /** Brokers and those who want no answer are not served in this way. */
  get #handover() {
    const { services, connection } = this.#context
    if (this.#request.acks === Acks.none || connection.brokerId !== undefined) return undefined
    return services.cluster?.handover
  }

  #pass(
    answer: PartitionAnswer,
    { name, topicId }: { readonly name: string; readonly topicId: string },
    records: Buffer,
  ): void {
    const { acks, timeoutMs } = this.#request
    // The connection to the other broker may still have it when the answer is given up.
    this.#frameIsFree = false
    const request = {
      topic: name,
      topicId,
      partitionIndex: answer.index,
      records,
      acks: acks === Acks.all ? Acks.all : Acks.leader,
      timeoutMs,
      client: this.#context.connection,
    }
    this.#handover?.pass(request, (passed, mayGo) => {
      answer.errorCode = passed.errorCode as ErrorCode
      answer.baseOffset = passed.baseOffset
      answer.logAppendTimeMs = passed.logAppendTimeMs
      answer.logStartOffset = passed.logStartOffset
      answer.recordErrors = passed.recordErrors as AppendResult['recordErrors']
      answer.errorMessage = passed.errorMessage
      if (passed.errorCode !== ErrorCode.NONE) this.#failed = true
      const isRefused = passed.errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER
      if (mayGo || isRefused) this.#nameLeader(answer, name)
      this.#pending--
      if (this.#pending === 0) this.#finish()
    })
  }

  /** KIP-951: a client that knows who leads need not ask. */
  #nameLeader(answer: PartitionAnswer, topic: string): void {
    const { services, apiVersion } = this.#context
    if (apiVersion < FIRST_VERSION_WITH_LEADER) return
    answer.currentLeader = currentLeaderOf(services, topic, answer.index)
    if (answer.currentLeader.leaderId < 0) return
    this.#leaders ??= new Set()
    this.#leaders.add(answer.currentLeader.leaderId)
  }

  /** Before an append was begun. */
  #refuse(
    answer: PartitionAnswer,
    name: string,
    topicId: string,
    errorCode: ErrorCode,
  ): PartitionAnswer {
    const { services } = this.#context
    this.#failed = true
    answer.errorCode = errorCode
    services.topicMetrics.total.failedProduceRequests++
    if (errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER) {
      this.#nameLeader(
        answer,
        topicId === ZERO_UUID ? name : (services.image.topicById(topicId)?.name ?? ''),
      )
    }
    return answer
  }

  #appended(
    answer: PartitionAnswer,
    partition: Partition,
    result: AppendResult,
    count: number,
    sizeBytes: number,
  ): void {
    const { topicMetrics } = this.#context.services
    const metrics = topicMetrics.of(partition.topic)
    answer.errorCode = result.errorCode
    if (result.errorCode === ErrorCode.NONE) {
      answer.baseOffset = result.baseOffset
      answer.logAppendTimeMs = result.logAppendTimeMs
      answer.logStartOffset = partition.logStartOffset
      metrics.messagesIn += count
      metrics.bytesIn += sizeBytes
      topicMetrics.total.messagesIn += count
      topicMetrics.total.bytesIn += sizeBytes
    } else {
      this.#failed = true
      // After a disk error the system may still be at it.
      this.#frameIsFree = false
      answer.recordErrors = result.recordErrors
      if (isAboutSequence(result.errorCode)) answer.logStartOffset = partition.logStartOffset
      answer.errorMessage = result.errorMessage
      if (this.#isDeposed(result, partition)) this.#nameLeader(answer, partition.topic)
      metrics.failedProduceRequests++
      metrics.bytesRejected += sizeBytes
      topicMetrics.total.failedProduceRequests++
      topicMetrics.total.bytesRejected += sizeBytes
    }
    this.#pending--
    if (this.#pending === 0) this.#finish()
  }

  #finish(): void {
    if (this.#finished) return
    this.#finished = true
    this.#context.services.produceTimeouts.remove(this)
    if (this.#request.acks === Acks.none) {
      this.#reply(this.#failed ? 'close' : undefined)
      return
    }
    const { services, connection } = this.#context
    const answer = {
      responses: this.#topics,
      throttleTimeMs: 0,
      nodeEndpoints: this.#leaders
        ? endpointsOf(services, connection.listenerName, this.#leaders)
        : [],
    }
    this.#reply(answer, this.#frameIsFree)
  }
}

/** Topics that are not there are told first, as by Kafka. */
function refusedAcks(request: ProduceRequest, { services, apiVersion }: HandlerContext) {
  const { responses } = refused(request, ErrorCode.INVALID_REQUIRED_ACKS)
  for (const { name, topicId, partitionResponses } of responses) {
    for (const answer of partitionResponses) {
      const found =
        apiVersion >= FIRST_VERSION_WITH_IDS
          ? findPartitionById(services, topicId, answer.index)
          : findPartition(services, name, answer.index)
      const isUnknown =
        found === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION || found === ErrorCode.UNKNOWN_TOPIC_ID
      if (isUnknown) answer.errorCode = found
    }
  }
  return { responses }
}

/** A producer compares the log start with what it wrote before: its state may have been deleted with its records. */
const isAboutSequence = (errorCode: ErrorCode): boolean =>
  errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER ||
  errorCode === ErrorCode.INVALID_PRODUCER_EPOCH

function refused({ topicData }: ProduceRequest, errorCode: ErrorCode) {
  return {
    responses: topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index }) => ({
        index,
        errorCode,
        baseOffset: -1,
        recordErrors: NO_RECORD_ERRORS,
      })),
    })),
  }
}
