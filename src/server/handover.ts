/**
 * While this broker stops, passes Produce requests on to whoever leads now what it led.
 *
 * A client that is told NOT_LEADER_OR_FOLLOWER pauses before it tries again, 100 ms in librdkafka, and all that it sent
 * meanwhile fails with it. Passed on, nothing fails, and the answer can name the new leader as well (KIP-951): librdkafka
 * takes it from a success, too. A client that does not is refused after a while, as ever.
 *
 * The new leader takes what it gets as from any client: nothing here decides who leads.
 */
import { LmqError } from '../base/errors.ts'
import type { Connection } from '../client/connection.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import type { Partition } from '../cluster/partition.ts'
import type { Partitions } from '../cluster/partitions.ts'
import type { Io } from '../io/io.ts'
import { produce } from '../protocol/apis/00-produce.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import {
  assignOffset,
  attributesOf,
  BATCH_HEADER_BYTES,
  batchSizeOf,
  hasLogAppendTime,
  NO_PRODUCER_ID,
  producerIdOf,
} from '../protocol/record-batch.ts'
import type { ResponseOf } from '../protocol/schema.ts'

export type HandoverOptions = {
  readonly io: Pick<Io, 'timers' | 'monotonic'>
  readonly brokerId: number
  readonly image: MetadataImage
  readonly partitions: Pick<Partitions, 'onLeadership'>
  /** To another broker; requests on it keep their order. */
  readonly connect: (brokerId: number) => Promise<Connection>
}

/** What the new leader answered, or why it could not be asked. */
export type PassedOn = Pick<
  ResponseOf<typeof produce>['responses'][number]['partitionResponses'][number],
  | 'errorCode'
  | 'baseOffset'
  | 'logAppendTimeMs'
  | 'logStartOffset'
  | 'recordErrors'
  | 'errorMessage'
>

export type PassOnRequest = {
  readonly topic: string
  readonly topicId: string
  readonly partitionIndex: number
  readonly records: Buffer
  readonly acks: -1 | 1
  readonly timeoutMs: number
  /** What stands for the client: its connection. */
  readonly client: object
}

/** @param mayGo the client is to be told who leads: it can go there without a pause */
type Done = (answer: PassedOn, mayGo: boolean) => void

type Queued = PassOnRequest & {
  readonly endMs: number
  readonly done: (answer: PassedOn) => void
}

/** A client's requests for one partition that were passed on. */
type Line = { underWay: number; cameMs: number }

/** So long a request waits for the new leader. */
const WAIT_MS = 1_000
/** So long after the lead was lost requests are passed on. */
const PASS_ON_MS = 250
/** After that a client that has not gone is refused, and has so long to notice before its connection ends. */
const FAREWELL_MS = 100
/** What a client has sent already is read within this time. */
const HESITATION_MS = 2
const RETRY_MS = 5
/** A stop does not wait longer for connections to others. */
const CONNECT_MS = 250
/** Requests that wait for one partition: the memory that they take is counted where they came in. */
const MOST_WAITING = 1_000

const keyOf = (topicId: string, partitionIndex: number): string => `${topicId}/${partitionIndex}`

export class Handover {
  readonly #options: HandoverOptions
  /** Until when requests are passed on, by partition that was led here when the stop began. */
  readonly #resigned = new Map<string, number>()
  /** By partition, in the order in which they came: while the new leader has not answered the first of them. */
  readonly #queues = new Map<string, Queued[]>()
  /** Partitions of which the new leader knows that it is: what comes now is passed on at once. */
  readonly #taken = new Set<string>()
  readonly #lines = new WeakMap<object, Map<string, Line>>()
  #isOpen = false
  #isUsed = false
  /** When the last of them is no longer passed on. */
  #lastMs = Number.NEGATIVE_INFINITY

  constructor(options: HandoverOptions) {
    this.#options = options
    options.partitions.onLeadership({
      lead: ({ topicId, partitionIndex }) => {
        const key = keyOf(topicId, partitionIndex)
        this.#resigned.delete(key)
        this.#taken.delete(key)
      },
      resign: ({ topicId, partitionIndex }) => {
        if (!this.#isOpen) return
        this.#lastMs = this.#nowMs() + PASS_ON_MS
        this.#resigned.set(keyOf(topicId, partitionIndex), this.#lastMs)
      },
    })
  }

  /** This broker begins to stop. Resolves when there are connections to those that may lead soon. */
  async begin(): Promise<void> {
    this.#isOpen = true
    const { image, brokerId, connect, io } = this.#options
    const others = [...image.liveBrokers()].filter((broker) => broker.brokerId !== brokerId)
    const connected = others.map((broker) => connect(broker.brokerId).catch(orUndefined))
    await new Promise<void>((resolve) => {
      const timer = io.timers.schedule(CONNECT_MS, resolve, true)
      void Promise.all(connected).then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  /** Others lead. Resolves when clients that were served in this way have gone or were told. */
  async end(): Promise<void> {
    const restMs = this.#lastMs + FAREWELL_MS - this.#nowMs()
    if (this.#isUsed && restMs > 0) {
      await new Promise<void>((resolve) => this.#options.io.timers.schedule(restMs, resolve, true))
    }
    this.#isOpen = false
  }

  /** Whether a request that came too late is passed on. */
  takes(topicId: string, partitionIndex: number): boolean {
    if (!this.#isOpen) return false
    const key = keyOf(topicId, partitionIndex)
    const endMs = this.#resigned.get(key) ?? Number.NEGATIVE_INFINITY
    return this.#nowMs() < endMs && (this.#queues.get(key)?.length ?? 0) < MOST_WAITING
  }

  /**
   * What to pass on of a batch that was appended here and is not acknowledged: the new leader may have it or not.
   *
   * @param records as the log left them; they are not changed
   * @returns undefined where the new leader cannot tell the batch from a new one, or the client's own bytes are gone
   */
  copyOf(records: Buffer, partition: Partition): Buffer | undefined {
    if (!this.#isOpen || partition.leaderId === this.#options.brokerId) return undefined
    if (records.length < BATCH_HEADER_BYTES || records.length !== batchSizeOf(records, 0)) return
    if (producerIdOf(records, 0) === NO_PRODUCER_ID) return undefined
    if (hasLogAppendTime(attributesOf(records, 0))) return undefined
    const copy = Buffer.from(records)
    assignOffset(copy, 0, 0, -1)
    return copy
  }

  /** Asks the new leader, after what waits for it already. `records` must not change before `done`. */
  pass(request: PassOnRequest, done: Done): void {
    const key = keyOf(request.topicId, request.partitionIndex)
    this.#isUsed = true
    const endMs = this.#nowMs() + Math.min(WAIT_MS, Math.max(1, request.timeoutMs))
    const queued = { ...request, endMs, done: this.#onLine(request.client, key, done) }
    const queue = this.#queues.get(key)
    if (queue) queue.push(queued)
    else if (this.#taken.has(key)) this.#passNow(queued)
    else {
      const begun = [queued]
      this.#queues.set(key, begun)
      void this.#drain(key, begun)
    }
  }

  /**
   * A client that learns who leads goes there when it has its last answer from here, and librdkafka then may wait for a
   * second if it has sent something meanwhile. So only one is told of which nothing is under way, and whose requests
   * come slower than they are answered.
   */
  #onLine(client: object, key: string, done: Done): (answer: PassedOn) => void {
    const cameMs = this.#nowMs()
    let lines = this.#lines.get(client)
    if (!lines) {
      lines = new Map()
      this.#lines.set(client, lines)
    }
    const line = lines.get(key) ?? { underWay: 0, cameMs }
    lines.set(key, line)
    const pauseMs = cameMs - line.cameMs
    line.cameMs = cameMs
    line.underWay++
    return (answer) => {
      line.underWay--
      const tookMs = this.#nowMs() - cameMs
      const isQuiet = () => line.underWay === 0 && line.cameMs === cameMs
      if (!isQuiet() || 2 * (tookMs + HESITATION_MS) > pauseMs) done(answer, false)
      else this.#options.io.timers.schedule(HESITATION_MS, () => done(answer, isQuiet()))
    }
  }

  /** The first one alone: what follows must not overtake a batch that the new leader was not ready for. */
  async #drain(key: string, queue: Queued[]): Promise<void> {
    for (;;) {
      const first = queue.shift()
      if (!first) break
      const answer = await this.#ask(first, true)
      if (!isTooEarly(answer.errorCode)) this.#taken.add(key)
      first.done(answer)
      if (isTooEarly(answer.errorCode)) continue
      for (const queued of queue.splice(0)) this.#passNow(queued)
    }
    this.#queues.delete(key)
  }

  #passNow(queued: Queued): void {
    void this.#ask(queued, false).then(queued.done)
  }

  /**
   * Never rejects. Nothing is asked twice that may have been appended.
   *
   * @param isFirst nothing was sent behind it: it may be sent again while the new leader does not know that it is
   */
  async #ask(queued: Queued, isFirst: boolean): Promise<PassedOn> {
    const { image, brokerId, connect, io } = this.#options
    for (;;) {
      const partition = image.topicById(queued.topicId)?.partitions[queued.partitionIndex]
      const leader = partition?.leader ?? -1
      const leftMs = Math.ceil(queued.endMs - this.#nowMs())
      if (leader === brokerId || leftMs <= 0) return outcome(ErrorCode.NOT_LEADER_OR_FOLLOWER)
      const connection = leader < 0 ? undefined : await connect(leader).catch(orUndefined)
      if (connection) {
        const answer = await this.#send(connection, queued, leftMs)
        if (!isTooEarly(answer.errorCode)) return answer
      }
      if (!isFirst) return outcome(ErrorCode.NOT_LEADER_OR_FOLLOWER)
      await new Promise<void>((resolve) => io.timers.schedule(RETRY_MS, resolve))
    }
  }

  async #send(connection: Connection, queued: Queued, timeoutMs: number): Promise<PassedOn> {
    const { topic, topicId, partitionIndex, records, acks } = queued
    const partitionData = [{ index: partitionIndex, records }]
    const topicData = [{ name: topic, topicId, partitionData }]
    const request = { transactionalId: null, acks, timeoutMs, topicData }
    try {
      const answer = await connection.request(produce, request, { timeoutMs })
      const [found] = answer.responses[0]?.partitionResponses ?? []
      return found ?? outcome(ErrorCode.UNKNOWN_SERVER_ERROR)
    } catch (error) {
      orUndefined(error)
      // It may have been appended: a client that can tell tries again.
      return outcome(ErrorCode.REQUEST_TIMED_OUT)
    }
  }

  #nowMs(): number {
    return this.#options.io.monotonic.nowMs()
  }
}

const outcome = (errorCode: ErrorCode): PassedOn => ({
  errorCode,
  baseOffset: -1,
  logAppendTimeMs: -1,
  logStartOffset: -1,
  recordErrors: [],
  errorMessage: null,
})

/** The new leader does not know yet that it is. */
const isTooEarly = (errorCode: number): boolean =>
  errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER ||
  errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION ||
  errorCode === ErrorCode.UNKNOWN_TOPIC_ID

function orUndefined(error: unknown): undefined {
  if (!(error instanceof LmqError)) throw error
  return undefined
}
