/**
 * Reads records of assigned partitions from their leaders, or with a rack from the replicas that leaders name (KIP-392),
 * and goes on where it was when a leader moves or restarts. One fetch is in flight to each broker. Positions move only
 * with what `poll` returned.
 *
 * Each fetch names the leader epoch that the metadata told (KIP-320): a broker of another epoch answers with an error and
 * not with its log, and the metadata is asked for anew. The epoch of the last record goes with it: a leader whose log
 * parted from what was read says where, and reading goes on there.
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
import { type PartitionMetadata, TopicView } from './topic-view.ts'

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
  /** Where this reader is: a leader may send it to a replica in the same rack. */
  readonly rack?: string
  /** Where to go on when a position is no longer there. `none`: an error. */
  readonly reset?: 'earliest' | 'latest' | 'none'
  /** Told when something is tried again. */
  readonly onRetry?: (error: Error) => void
}

/** Fetch versions above name topics by id. */
const fetchVersion = 12
const pauseAfterFailureMs = 200
/** A leader is asked again after this time whether another replica is nearer, as by Kafka's consumer. */
const nearerForMs = 300_000

type FetchAnswer = ResponseOf<typeof fetch>
type FetchedPartition = FetchAnswer['responses'][number]['partitions'][number]

/** A position, and what is known of it besides. */
type Place = PartitionPosition & {
  /** Of the record before it; -1: not known. */
  lastEpoch: number
  /** The replica to read from; undefined: the leader. */
  nearer: { readonly brokerId: number; readonly untilMs: number } | undefined
}

/** A place, and what was true of it when it was asked for. */
type Asked = {
  readonly place: Place
  readonly offset: number
  readonly lastEpoch: number
  readonly leaderEpoch: number
}

/** What one answer brought of a partition. It counts only while the position is where it was asked for. */
type Move = {
  readonly place: Place
  readonly from: number
  readonly to: number
  readonly lastEpoch: number
  readonly records: readonly ConsumedRecord[]
}

/** What one answer brought. Positions move when `poll` returns it, not before. */
type Round = {
  readonly brokerId: number
  readonly generation: number
  readonly moves: Move[]
  failure?: Error | undefined
}

export class Fetcher {
  readonly #client: Client
  readonly #topics: TopicView
  readonly #options: Required<FetcherOptions>
  #positions = new Map<string, Place>()
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
      rack: options.rack ?? '',
      reset: options.reset ?? 'latest',
      onRetry: options.onRetry ?? (() => {}),
    }
  }

  /** Reads these partitions from now on, and no others. */
  assign(positions: Iterable<PartitionPosition>): void {
    this.#generation++
    this.#flying.clear()
    this.#positions = new Map(
      [...positions].map(({ topic, partitionIndex, offset }) => [
        `${topic}-${partitionIndex}`,
        { topic, partitionIndex, offset, lastEpoch: -1, nearer: undefined },
      ]),
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
   * The next records of whichever broker answers first; none when nothing came within `maxWaitMs`.
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
      this.#flying.delete(round.brokerId)
      if (round.failure) throw round.failure
      if (round.generation !== this.#generation) return []
      this.#failingSinceMs = undefined
      return round.moves.flatMap(({ place, from, to, lastEpoch, records }) => {
        // A former leader and the next one may both have answered.
        if (place.offset !== from) return []
        place.offset = to
        place.lastEpoch = lastEpoch
        return records
      })
    } catch (error) {
      await this.#bear(error as Error)
      return []
    }
  }

  /** Sends a fetch to every broker that is to be read from and has none in flight. */
  async #fly(): Promise<void> {
    const byBroker = new Map<number, Asked[]>()
    for (const place of this.#positions.values()) {
      const partition = await this.#topics.partition(place.topic, place.partitionIndex)
      const { leaderEpoch } = partition
      const { offset, lastEpoch } = place
      const brokerId = this.#brokerFor(place, partition)
      const asked = { place, offset, lastEpoch, leaderEpoch }
      const known = byBroker.get(brokerId)
      if (known) known.push(asked)
      else byBroker.set(brokerId, [asked])
    }
    for (const [brokerId, asked] of byBroker) {
      if (this.#flying.has(brokerId)) continue
      this.#flying.set(brokerId, this.#fetch(brokerId, asked, this.#generation))
    }
  }

  #brokerFor(place: Place, { leaderId }: PartitionMetadata): number {
    if (place.nearer && place.nearer.untilMs <= this.#client.io.monotonic.nowMs()) {
      place.nearer = undefined
    }
    return place.nearer?.brokerId ?? leaderId
  }

  async #fetch(brokerId: number, asked: readonly Asked[], generation: number): Promise<Round> {
    const round: Round = { brokerId, generation, moves: [] }
    try {
      const connection = await this.#client.connectionTo({ brokerId })
      const answer = await connection.request(fetch, this.#request(asked), {
        maxVersion: fetchVersion,
        timeoutMs: this.#options.maxWaitMs + 30_000,
      })
      if (generation === this.#generation) await this.#take(answer, asked, round)
    } catch (failure) {
      round.failure = failure as Error
      for (const { place } of asked) leaveNearer(place, brokerId)
    }
    return round
  }

  #request(asked: readonly Asked[]) {
    const { maxWaitMs, minBytes, maxBytes, maxPartitionBytes, isolation, rack } = this.#options
    const topics = new Map<string, Asked[]>()
    for (const each of asked) {
      const known = topics.get(each.place.topic)
      if (known) known.push(each)
      else topics.set(each.place.topic, [each])
    }
    return {
      maxWaitMs,
      minBytes,
      maxBytes,
      isolationLevel: isolation === 'read_committed' ? 1 : 0,
      topics: [...topics].map(([topic, list]) => ({
        topic,
        topicId: ZERO_UUID,
        partitions: list.map(({ place, offset, lastEpoch, leaderEpoch }) => ({
          partition: place.partitionIndex,
          currentLeaderEpoch: leaderEpoch,
          fetchOffset: offset,
          // A higher one is of another topic, which had this name before.
          lastFetchedEpoch: lastEpoch <= leaderEpoch ? lastEpoch : -1,
          partitionMaxBytes: maxPartitionBytes,
        })),
      })),
      forgottenTopicsData: [],
      rackId: rack,
    }
  }

  /** An answer about a place where reading is no more came too late. */
  async #take(answer: FetchAnswer, asked: readonly Asked[], round: Round): Promise<void> {
    const offsets = new Map(asked.map(({ place, offset }) => [place, offset]))
    let failure: Error | undefined
    for (const { topic, partitions } of answer.responses) {
      for (const partition of partitions) {
        const key = `${topic}-${partition.partitionIndex}`
        const place = this.#positions.get(key)
        if (!place || place.offset !== offsets.get(place)) continue
        const error = await this.#takeOne(place, partition, round)
        if (error && (!failure || isRetriable(failure))) failure = error
      }
    }
    // What was read counts; the failure comes back with the next fetch.
    if (round.moves.every(({ records }) => records.length === 0)) round.failure = failure
  }

  async #takeOne(
    place: Place,
    partition: FetchedPartition,
    round: Round,
  ): Promise<Error | undefined> {
    const { topic, partitionIndex, offset } = place
    const { errorCode, divergingEpoch, preferredReadReplica } = partition
    if (errorCode !== ErrorCode.NONE) {
      const wasNearer = leaveNearer(place, round.brokerId)
      if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
        // What a follower does not have the leader may have.
        return wasNearer ? undefined : this.#reset(place, round)
      }
      this.#topics.forget(topic)
      return new OutcomeError(errorCode, `partition ${topic}-${partitionIndex}`)
    }
    if (divergingEpoch.endOffset >= 0) {
      const to = Math.min(offset, divergingEpoch.endOffset)
      const lastEpoch = divergingEpoch.epoch
      round.moves.push({ place, from: offset, to, lastEpoch, records: [] })
      return undefined
    }
    if (preferredReadReplica >= 0) {
      const untilMs = this.#client.io.monotonic.nowMs() + nearerForMs
      place.nearer = { brokerId: preferredReadReplica, untilMs }
    }
    if (!partition.records) return undefined
    const { io } = this.#client
    const { records, abortedTransactions } = partition
    const opened = await openBatches(io, place, records, offset, abortedTransactions)
    const { nextOffset: to } = opened
    const lastEpoch = to > offset ? opened.leaderEpoch : place.lastEpoch
    round.moves.push({ place, from: offset, to, lastEpoch, records: opened.records })
    return undefined
  }

  /**
   * A leader does not have the position. It is given up only when the leader of the newest metadata says where its log
   * begins and ends, and the position is not between: a jump cannot be undone.
   */
  async #reset(place: Place, round: Round): Promise<Error | undefined> {
    const { reset } = this.#options
    const { topic, partitionIndex, offset } = place
    const subject = `partition ${topic}-${partitionIndex}`
    this.#topics.forget(topic)
    const [first, end] = await listOffsets(
      this.#client,
      [OffsetSpec.earliest, OffsetSpec.latest].map((timestamp) => ({
        ...{ topic, partitionIndex, timestamp },
      })),
      'read_uncommitted',
      this.#topics,
    )
    if (!first || !end) return undefined
    if (offset >= first.offset && offset <= end.offset) {
      // Kafka says the same of an epoch that it does not remember.
      place.lastEpoch = -1
      return new OutcomeError(ErrorCode.NOT_LEADER_OR_FOLLOWER, subject)
    }
    if (reset === 'none') {
      return new OutcomeError(ErrorCode.OFFSET_OUT_OF_RANGE, `${subject}, offset ${offset}`)
    }
    const to = reset === 'earliest' ? first.offset : end.offset
    round.moves.push({ place, from: offset, to, lastEpoch: -1, records: [] })
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

/** @returns false when this broker was asked as the leader */
function leaveNearer(place: Place, brokerId: number): boolean {
  if (place.nearer?.brokerId !== brokerId) return false
  place.nearer = undefined
  return true
}
