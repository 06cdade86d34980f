/**
 * Reads records of assigned partitions from their leaders, and goes on where it was when a leader moves or restarts.
 * One fetch is in flight to each leader. Positions move only with what `poll` returned.
 */
import type { LmqError } from '../base/errors.ts'
import { fetch } from '../protocol/apis/01-fetch.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { ResponseOf } from '../protocol/schema.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import type { Client } from './client.ts'
import { listOffsets, OffsetSpec } from './offsets.ts'
import { type ConsumedRecord, openBatches } from './opened-batch.ts'
import { isRetriable, OutcomeError } from './outcome-error.ts'
import { TopicView } from './topic-view.ts'

export type PartitionPosition = {
  readonly topic: string
  readonly partitionIndex: number
  /** The next offset to read. */
  offset: number
}

export type FetcherOptions = {
  readonly maxWaitMs?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly maxPartitionBytes?: number
  readonly isolation?: 'read_uncommitted' | 'read_committed'
  /** Where to go on when a position is no longer there. `none`: an error. */
  readonly reset?: 'earliest' | 'latest' | 'none'
  /** Told when something is tried again. */
  readonly onRetry?: (error: Error) => void
}

/** Fetch versions above name topics by id. */
const fetchVersion = 12
const pauseAfterFailureMs = 200

type FetchAnswer = ResponseOf<typeof fetch>
type FetchedPartition = FetchAnswer['responses'][number]['partitions'][number]

/** What one answer brought of a partition. It counts only while the position is where it was asked for. */
type Move = {
  readonly position: PartitionPosition
  readonly from: number
  readonly to: number
  readonly records: readonly ConsumedRecord[]
}

/** What one answer brought. Positions move when `poll` returns it, not before. */
type Round = {
  readonly leaderId: number
  readonly generation: number
  readonly moves: Move[]
  failure?: Error | undefined
}

export class Fetcher {
  readonly #client: Client
  readonly #topics: TopicView
  readonly #options: Required<FetcherOptions>
  #positions = new Map<string, PartitionPosition>()
  readonly #flying = new Map<number, Promise<Round>>()
  /** Answers to fetches of an older assignment are dropped. */
  #generation = 0
  #failingSinceMs: number | undefined

  constructor(client: Client, options: FetcherOptions = {}) {
    this.#client = client
    this.#topics = new TopicView(client)
    this.#options = {
      maxWaitMs: options.maxWaitMs ?? 500,
      minBytes: options.minBytes ?? 1,
      maxBytes: options.maxBytes ?? 50 * 1024 * 1024,
      maxPartitionBytes: options.maxPartitionBytes ?? 1024 * 1024,
      isolation: options.isolation ?? 'read_uncommitted',
      reset: options.reset ?? 'latest',
      onRetry: options.onRetry ?? (() => {}),
    }
  }

  /** Reads these partitions from now on, and no others. */
  assign(positions: Iterable<PartitionPosition>): void {
    this.#generation++
    this.#flying.clear()
    this.#positions = new Map(
      [...positions].map((each) => [`${each.topic}-${each.partitionIndex}`, { ...each }]),
    )
  }

  /** No longer reads a partition: it was read to where it should be. */
  unassign(topic: string, partitionIndex: number): void {
    this.#positions.delete(`${topic}-${partitionIndex}`)
  }

  /** Where reading stands: the next offsets of all partitions. */
  get positions(): readonly PartitionPosition[] {
    return [...this.#positions.values()]
  }

  /**
   * The next records of whichever leader answers first; none when nothing came within `maxWaitMs`.
   *
   * @throws what does not pass: a topic that is gone, a damaged batch, a position that is gone with reset `none`
   */
  async poll(): Promise<ConsumedRecord[]> {
    if (this.#positions.size === 0) {
      await this.#client.pause(this.#options.maxWaitMs)
      return []
    }
    try {
      await this.#fly()
      const round = await Promise.race(this.#flying.values())
      this.#flying.delete(round.leaderId)
      if (round.failure) throw round.failure
      if (round.generation !== this.#generation) return []
      this.#failingSinceMs = undefined
      return round.moves.flatMap(({ position, from, to, records }) => {
        // A former leader and the next one may both have answered.
        if (position.offset !== from) return []
        position.offset = to
        return records
      })
    } catch (error) {
      await this.#bear(error as Error)
      return []
    }
  }

  /** Sends a fetch to every leader that has none in flight. */
  async #fly(): Promise<void> {
    const byLeader = new Map<number, PartitionPosition[]>()
    for (const position of this.#positions.values()) {
      const leaderId = await this.#topics.leaderOf(position.topic, position.partitionIndex)
      const known = byLeader.get(leaderId)
      if (known) known.push(position)
      else byLeader.set(leaderId, [position])
    }
    for (const [leaderId, positions] of byLeader) {
      if (this.#flying.has(leaderId)) continue
      this.#flying.set(leaderId, this.#fetch(leaderId, positions, this.#generation))
    }
  }

  async #fetch(
    leaderId: number,
    positions: readonly PartitionPosition[],
    generation: number,
  ): Promise<Round> {
    const round: Round = { leaderId, generation, moves: [] }
    try {
      const asked = new Map(
        positions.map((each) => [`${each.topic}-${each.partitionIndex}`, each.offset]),
      )
      const connection = await this.#client.connectionTo({ brokerId: leaderId })
      const answer = await connection.request(fetch, this.#request(positions), {
        maxVersion: fetchVersion,
        timeoutMs: this.#options.maxWaitMs + 30_000,
      })
      if (generation === this.#generation) await this.#take(answer, asked, round)
    } catch (failure) {
      round.failure = failure as Error
    }
    return round
  }

  #request(positions: readonly PartitionPosition[]) {
    const { maxWaitMs, minBytes, maxBytes, maxPartitionBytes, isolation } = this.#options
    const topics = new Map<string, PartitionPosition[]>()
    for (const position of positions) {
      const known = topics.get(position.topic)
      if (known) known.push(position)
      else topics.set(position.topic, [position])
    }
    return {
      maxWaitMs,
      minBytes,
      maxBytes,
      isolationLevel: isolation === 'read_committed' ? 1 : 0,
      topics: [...topics].map(([topic, list]) => ({
        topic,
        topicId: ZERO_UUID,
        partitions: list.map(({ partitionIndex, offset }) => ({
          partition: partitionIndex,
          fetchOffset: offset,
          partitionMaxBytes: maxPartitionBytes,
        })),
      })),
      forgottenTopicsData: [],
    }
  }

  /** @param asked the offsets that were asked for: an answer about another place came too late */
  async #take(answer: FetchAnswer, asked: Map<string, number>, round: Round): Promise<void> {
    let failure: Error | undefined
    for (const { topic, partitions } of answer.responses) {
      for (const partition of partitions) {
        const key = `${topic}-${partition.partitionIndex}`
        const position = this.#positions.get(key)
        if (!position || position.offset !== asked.get(key)) continue
        const error = await this.#takeOne(position, partition, round)
        if (error && (!failure || isRetriable(failure))) failure = error
      }
    }
    // What was read counts; the failure comes back with the next fetch.
    if (round.moves.every(({ records }) => records.length === 0)) round.failure = failure
  }

  async #takeOne(
    position: PartitionPosition,
    partition: FetchedPartition,
    round: Round,
  ): Promise<Error | undefined> {
    const { topic, partitionIndex, offset } = position
    if (partition.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return this.#reset(position, round)
    if (partition.errorCode !== ErrorCode.NONE) {
      this.#topics.forget(topic)
      return new OutcomeError(partition.errorCode, `partition ${topic}-${partitionIndex}`)
    }
    if (!partition.records) return undefined
    const { io } = this.#client
    const { records, abortedTransactions } = partition
    const opened = await openBatches(io, position, records, offset, abortedTransactions)
    round.moves.push({ position, from: offset, to: opened.nextOffset, records: opened.records })
    return undefined
  }

  async #reset(position: PartitionPosition, round: Round): Promise<Error | undefined> {
    const { reset } = this.#options
    const { topic, partitionIndex, offset } = position
    if (reset === 'none') {
      const subject = `partition ${topic}-${partitionIndex}, offset ${offset}`
      return new OutcomeError(ErrorCode.OFFSET_OUT_OF_RANGE, subject)
    }
    const timestamp = reset === 'earliest' ? OffsetSpec.earliest : OffsetSpec.latest
    const [listed] = await listOffsets(this.#client, [{ topic, partitionIndex, timestamp }])
    if (listed) round.moves.push({ position, from: offset, to: listed.offset, records: [] })
    return undefined
  }

  /** Waits out what passes, as long as the client retries anything; throws the rest. */
  async #bear(error: Error): Promise<void> {
    if (!isRetriable(error)) throw error
    const nowMs = this.#client.io.monotonic.nowMs()
    this.#failingSinceMs ??= nowMs
    if (nowMs - this.#failingSinceMs > this.#client.retryForMs) throw error
    this.#options.onRetry(error as LmqError)
    for (const { topic } of this.#positions.values()) this.#topics.forget(topic)
    await this.#client.pause(pauseAfterFailureMs)
  }
}
