import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { Io, Timer } from '../io/io.ts'
import type { ReplicateResult } from '../log/log-outcomes.ts'
import { fetch } from '../protocol/apis/01-fetch.ts'
import { ErrorCode, errorName } from '../protocol/error-code.ts'
import type { RequestInput, ResponseOf } from '../protocol/schema.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import type { Partition } from './partition.ts'
import { type FollowedPartition, followedKey, ReplicaSession } from './replica-session.ts'
import type { ReplicationThrottle } from './replication-throttle.ts'

type FetchRequest = RequestInput<typeof fetch>
type FetchResponse = ResponseOf<typeof fetch>
type FetchedPartition = FetchResponse['responses'][number]['partitions'][number]

/**
 * A connection to a leader that knows this broker. `client/connection.ts` is one. The records of an answer may be in
 * memory of the `Io`, and are given back when they are in the file.
 */
export type ReplicaConnection = {
  readonly isClosed: boolean
  request(
    api: typeof fetch,
    request: FetchRequest,
    options: { readonly timeoutMs: number },
  ): Promise<FetchResponse>
  close(): void
}

export type ReplicaFetcherOptions = {
  readonly io: Pick<Io, 'timers' | 'random' | 'memory'>
  readonly brokerId: number
  readonly leaderId: number
  /** Of this process' registration. */
  brokerEpoch(): number
  /** @throws LmqError when the leader cannot be reached */
  open(): Promise<ReplicaConnection>
  readonly config: BrokerConfig
  readonly throttle: ReplicationThrottle
  /** Bytes were taken for a topic. */
  onBytes(topic: string, sizeBytes: number): void
  readonly logger: Logger
}

/** Partitions that one request names: more would hold the event loop for too long, as their logs have to be opened. */
const MOST_NAMED = 250
/** Told once: this partition is done with its part of an answer, which counts now. */
type Done = (errorCode?: ErrorCode) => void

/** First pause after a failure; each next one is twice as long, up to replica.fetch.backoff.ms. */
const FIRST_PAUSE_MS = 20
/** An answer may take this much longer than what the leader is asked to wait. */
const MIN_TIMEOUT_MS = 1_000

/**
 * Fetches from one leader for all partitions that it leads and this broker follows: one request at a time, in a
 * session. The next request leaves when all that the last one brought is written (or durable, where `flush.messages`
 * is 1), because asking for an offset says that everything before it is kept. Like Kafka's ReplicaFetcherThread.
 */
export class ReplicaFetcher {
  readonly #options: ReplicaFetcherOptions
  readonly #followed = new Map<string, FollowedPartition>()
  readonly #session = new ReplicaSession(this.#followed, (followed) => this.#mayAsk(followed))
  readonly #timers = new Set<Timer>()
  #connection: ReplicaConnection | undefined
  #wake: (() => void) | undefined
  #isWaiting = false
  #isNudging = false
  /** Pausing after a failure of the connection: nobody cuts that short. */
  #isRecovering = false
  #isWakeScheduled = false
  #failures = 0
  #closed = false

  constructor(options: ReplicaFetcherOptions) {
    this.#options = options
    void this.#run()
  }

  get size(): number {
    return this.#followed.size
  }

  /** The largest lag of any partition, in records. */
  get maxLag(): number {
    let max = 0
    for (const { lag } of this.#followed.values()) if (lag > max) max = lag
    return max
  }

  /** Partitions that did not succeed lately. */
  get failing(): number {
    let count = 0
    for (const { failures } of this.#followed.values()) if (failures > 0) count++
    return count
  }

  /** Fetches the partition under its present leader epoch from now on. */
  add(partition: Partition): void {
    const key = followedKey(partition)
    this.#followed.set(key, {
      key,
      partition,
      leaderEpoch: partition.leaderEpoch,
      isReady: true,
      askedOffset: -1,
      askedLogStart: -1,
      failures: 0,
      lag: 0,
    })
    this.#session.changed(key)
    this.#wakeSoon()
  }

  remove(partition: Partition): void {
    const key = followedKey(partition)
    if (!this.#followed.delete(key)) return
    this.#session.changed(key)
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    this.#followed.clear()
    this.#connection?.close()
    this.#wake?.()
  }

  // ------------------------------------------------------------------------------------------------ the loop

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        const connection = await this.#connect()
        const request = connection && this.#request()
        if (request && connection) await this.#fetch(connection, request)
        else if (!this.#closed) await this.#sleep()
      } catch (error) {
        if (!(error instanceof LmqError)) throw error
        await this.#recover(error)
      }
    }
  }

  /** Undefined: there is nothing to fetch. */
  async #connect(): Promise<ReplicaConnection | undefined> {
    if (this.#followed.size === 0) return undefined
    if (this.#connection && !this.#connection.isClosed) return this.#connection
    this.#session.reset(true)
    const connection = await this.#options.open()
    if (this.#closed) connection.close()
    else this.#connection = connection
    return this.#closed ? undefined : connection
  }

  #request(): FetchRequest | undefined {
    const { config } = this.#options
    this.#holdBack()
    const next = this.#session.next(config['replica.fetch.max.bytes'], MOST_NAMED)
    if (!next) return undefined
    return {
      ...this.#identity(),
      maxWaitMs: next.isPartial ? 0 : config['replica.fetch.wait.max.ms'],
      minBytes: config['replica.fetch.min.bytes'],
      maxBytes: config['replica.fetch.response.max.bytes'],
      sessionId: this.#session.sessionId,
      sessionEpoch: this.#session.epoch,
      topics: next.topics,
      forgottenTopicsData: next.forgotten,
    }
  }

  #identity() {
    const { brokerId, brokerEpoch } = this.#options
    return { replicaState: { replicaId: brokerId, replicaEpoch: brokerEpoch() } }
  }

  async #fetch(connection: ReplicaConnection, request: FetchRequest): Promise<void> {
    const { config } = this.#options
    const timeoutMs =
      Math.max(MIN_TIMEOUT_MS, config['replica.socket.timeout.ms']) + request.maxWaitMs
    this.#isWaiting = true
    let answer: FetchResponse
    try {
      answer = await connection.request(fetch, request, { timeoutMs })
    } finally {
      this.#isWaiting = false
      this.#isNudging = false
    }
    if (this.#closed) return
    if (answer.errorCode === ErrorCode.NONE) {
      this.#failures = 0
      this.#session.answered(answer.sessionId)
      await this.#takeAll(answer)
      return
    }
    this.#session.reset(true)
    const isLost =
      answer.errorCode === ErrorCode.FETCH_SESSION_ID_NOT_FOUND ||
      answer.errorCode === ErrorCode.INVALID_FETCH_SESSION_EPOCH ||
      answer.errorCode === ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
    if (!isLost || this.#failures > 0) {
      throw new LmqError('LMQ_PROTOCOL', { api: 'Fetch', errorCode: errorName(answer.errorCode) })
    }
    this.#failures++
  }

  /** Nothing is lost with a connection: fetching goes on where the logs end. */
  async #recover(error: LmqError): Promise<void> {
    this.#connection?.close()
    this.#connection = undefined
    if (this.#closed) return
    const { leaderId, logger } = this.#options
    const facts = { leaderId, partitions: this.#followed.size, error: error.message }
    if (this.#failures === 0) logger.info(facts, 'fetching from a leader failed, trying again')
    else logger.debug(facts, 'fetching from a leader failed again')
    this.#isRecovering = true
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#after(this.#pauseMs(this.#failures++), resolve)
    })
    this.#isRecovering = false
    this.#wake = undefined
  }

  /** Until somebody wakes us. */
  async #sleep(): Promise<void> {
    if (this.#followed.size === 0) {
      this.#connection?.close()
      this.#connection = undefined
    }
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = undefined
  }

  /** What one turn brings is asked for together. */
  #wakeSoon(): void {
    if (this.#isWakeScheduled || this.#closed) return
    this.#isWakeScheduled = true
    this.#options.io.timers.endOfTurn(() => {
      this.#isWakeScheduled = false
      if (this.#closed) return
      if (this.#isWaiting) this.#nudge()
      else if (!this.#isRecovering) this.#wake?.()
    })
  }

  /** The request that waits at the leader does not name what is ready now: another request behind it ends its wait. */
  #nudge(): void {
    const connection = this.#connection
    if (this.#isNudging || !connection) return
    this.#isNudging = true
    const nothing = {
      ...this.#identity(),
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 0,
      topics: [],
      forgottenTopicsData: [],
    }
    const timeoutMs = this.#options.config['replica.socket.timeout.ms']
    // What becomes of the connection is seen by the request before.
    connection.request(fetch, nothing, { timeoutMs }).catch(() => {})
  }

  // ------------------------------------------------------------------------------------------------ answers

  /** Resolves when everything is taken and counts. */
  #takeAll(answer: FetchResponse): Promise<void> {
    return new Promise((resolve) => {
      let open = 1
      let isClean = true
      const done = (errorCode: ErrorCode = ErrorCode.NONE) => {
        if (errorCode !== ErrorCode.NONE) isClean = false
        open--
        if (open > 0) return
        // After an error of the disk the system may still be at it.
        if (isClean) this.#giveBack(answer)
        resolve()
      }
      for (const { topicId, partitions } of answer.responses) {
        if (topicId === ZERO_UUID) continue
        for (const fetched of partitions) {
          const followed = this.#followed.get(`${topicId}/${fetched.partitionIndex}`)
          if (!followed?.partition.follows(followed.leaderEpoch)) continue
          open++
          this.#take(followed, fetched, done)
        }
      }
      done()
    })
  }

  #giveBack({ responses }: FetchResponse): void {
    const { memory } = this.#options.io
    for (const { partitions } of responses) {
      for (const { records } of partitions) if (records?.length) memory.giveBack(records)
    }
  }

  #take(followed: FollowedPartition, fetched: FetchedPartition, done: Done): void {
    const { partition, leaderEpoch } = followed
    const { fetchOffset } = partition.fetchPosition
    // The log changed meanwhile, or the partition was not asked for in this state.
    if (fetchOffset !== followed.askedOffset) {
      this.#session.changed(followed.key)
      done()
    } else if (fetched.errorCode !== ErrorCode.NONE) {
      this.#takeError(followed, fetched, done)
    } else if (fetched.divergingEpoch.endOffset >= 0) {
      this.#change(followed, partition.truncateToLeader(leaderEpoch, fetched.divergingEpoch), done)
    } else if (fetched.records && fetched.records.length > 0) {
      const result = partition.replicate(fetched.records, leaderEpoch, fetchOffset)
      if (result instanceof Promise) {
        result.then((ready) => this.#taken(followed, fetched, ready, done))
      } else this.#taken(followed, fetched, result, done)
    } else {
      this.#learn(followed, fetched)
      done()
    }
  }

  #taken(
    followed: FollowedPartition,
    fetched: FetchedPartition,
    result: ReplicateResult,
    done: Done,
  ): void {
    const { partition } = followed
    const { topic, partitionIndex } = partition
    const { errorCode, sizeBytes, reason } = result
    this.#session.changed(followed.key)
    if (sizeBytes > 0) {
      this.#options.onBytes(topic, sizeBytes)
      if (this.#isThrottled(partition)) this.#options.throttle.record(sizeBytes)
    }
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
      // The next request asks for what follows now.
      done()
      return
    }
    if (errorCode === ErrorCode.NONE && sizeBytes === 0) {
      // The leader gave nothing that could be taken: not to be asked for again at once.
      this.#fail(followed, 'the answer held no whole batch')
    } else if (errorCode === ErrorCode.KAFKA_STORAGE_ERROR) {
      followed.isReady = false
    } else if (errorCode !== ErrorCode.NONE) {
      this.#options.logger.error(
        { topic, partitionIndex, leaderId: this.#options.leaderId, reason },
        'what the leader gave is damaged and was not taken',
      )
      this.#fail(followed, reason ?? 'damaged')
    }
    this.#learn(followed, fetched)
    partition.whenCounted(done)
  }

  #learn(followed: FollowedPartition, fetched: FetchedPartition): void {
    const { partition, leaderEpoch } = followed
    const { highWatermark, logStartOffset } = fetched
    if (followed.isReady) followed.failures = 0
    partition.learn(leaderEpoch, highWatermark, logStartOffset)
    const position = partition.fetchPosition
    followed.lag = Math.max(0, highWatermark - position.fetchOffset)
    if (position.logStartOffset !== followed.askedLogStart) this.#session.changed(followed.key)
  }

  #takeError(followed: FollowedPartition, fetched: FetchedPartition, done: Done): void {
    const { partition, leaderEpoch } = followed
    const { errorCode, logStartOffset } = fetched
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE && logStartOffset >= 0) {
      const { fetchOffset } = partition.fetchPosition
      const isEmpty = partition.logStartOffset === fetchOffset
      if (logStartOffset > fetchOffset || isEmpty) {
        const facts = { topic: partition.topic, partitionIndex: partition.partitionIndex }
        this.#options.logger.info(
          { ...facts, logStartOffset, fetchOffset },
          'the leader has nothing that follows what is here; starting where it begins',
        )
        this.#change(followed, partition.startAt(leaderEpoch, logStartOffset), done)
        return
      }
    }
    this.#fail(followed, errorName(errorCode))
    done()
  }

  /** The log is being cut; the next request waits for it. */
  #change(followed: FollowedPartition, work: Promise<void>, done: Done): void {
    const { partition } = followed
    const { topic, partitionIndex } = partition
    work.then(
      () => {
        this.#session.changed(followed.key)
        // A follower that stays where it is would be told the same for ever.
        if (partition.fetchPosition.fetchOffset !== followed.askedOffset) followed.failures = 0
        else this.#fail(followed, 'the log could not be brought into line')
        done()
      },
      (error: unknown) => {
        if (!(error instanceof LmqError)) throw error
        this.#options.logger.error({ topic, partitionIndex, error }, 'a replica cannot be cut')
        followed.isReady = false
        this.#session.changed(followed.key)
        done()
      },
    )
  }

  // ------------------------------------------------------------------------------------------------ pauses

  /**
   * The partition pauses. After a change of leaders the follower often knows before the leader does: the first pauses
   * are short.
   */
  #fail(followed: FollowedPartition, reason: string): void {
    const { topic, partitionIndex } = followed.partition
    const { leaderId, logger } = this.#options
    logger.debug({ topic, partitionIndex, leaderId, reason }, 'a partition could not be fetched')
    this.#rest(followed, this.#pauseMs(followed.failures++))
  }

  #rest(followed: FollowedPartition, ms: number): void {
    followed.isReady = false
    this.#session.changed(followed.key)
    this.#after(ms, () => this.#goOn(followed))
  }

  #goOn(followed: FollowedPartition): void {
    if (this.#followed.get(followed.key) !== followed) return
    followed.isReady = true
    this.#session.changed(followed.key)
    this.#wakeSoon()
  }

  /** What a killed process left, or another setting let be, may not count yet: asking for what follows says it does. */
  #mayAsk(followed: FollowedPartition): boolean {
    if (!followed.isReady || followed.partition.isCounted) return followed.isReady
    followed.isReady = false
    followed.partition.whenCounted((errorCode) => {
      if (errorCode === ErrorCode.NONE) this.#goOn(followed)
    })
    return false
  }

  #isThrottled(partition: Partition): boolean {
    return partition.followerThrottled && !partition.isr.includes(this.#options.brokerId)
  }

  /** Partitions that are throttled and not in sync rest while there is no room for them (KIP-73). */
  #holdBack(): void {
    const { throttle, config } = this.#options
    if (!throttle.isExceeded) return
    const waitMs = Math.max(1, Math.min(throttle.waitMs, config['replica.fetch.backoff.ms']))
    for (const followed of this.#followed.values()) {
      if (followed.isReady && this.#isThrottled(followed.partition)) this.#rest(followed, waitMs)
    }
  }

  #pauseMs(failures: number): number {
    const longestMs = this.#options.config['replica.fetch.backoff.ms']
    const ms = Math.min(longestMs, FIRST_PAUSE_MS * 2 ** Math.min(failures, 20))
    return ms * (0.8 + this.#options.io.random.int(401) / 1000)
  }

  #after(ms: number, task: () => void): void {
    const timer = this.#options.io.timers.schedule(ms, () => {
      this.#timers.delete(timer)
      task()
    })
    this.#timers.add(timer)
  }
}
