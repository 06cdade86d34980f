import type { Clock, Random } from '../io/io.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { FetchList, type PartitionName } from './fetch-list.ts'

/** No session; also the session id of a request without one. */
export const NO_SESSION = 0
/** Session epoch of a full fetch that wants a session. */
export const INITIAL_EPOCH = 0
/** Session epoch of a full fetch without a session; it also ends the session that is named with it. */
export const FINAL_EPOCH = -1

/** A session may be replaced when it was not used for this long, or by a larger one when it is older than this. */
const EVICTABLE_AFTER_MS = 120_000
/** Larger fetches get no session: the broker may decline, and the client goes on with full fetches. */
const MAX_SESSION_PARTITIONS = 20_000

/** The broker id of a session that is no follower's. */
export const CONSUMER = -1

/** An incremental fetch session (KIP-227). */
export class FetchSession {
  readonly id: number
  /** Of the follower; CONSUMER: no follower's. */
  readonly brokerId: number
  readonly list: FetchList
  readonly createdMs: number
  lastUsedMs: number
  /** The epoch that the next request must have. */
  epoch = 1
  /** Makes the request that waits on this session answer now. */
  hurry: (() => void) | undefined

  constructor(id: number, brokerId: number, usesTopicIds: boolean, nowMs: number) {
    this.id = id
    this.brokerId = brokerId
    this.list = new FetchList(usesTopicIds, brokerId !== CONSUMER)
    this.createdMs = nowMs
    this.lastUsedMs = nowMs
  }
}

/** All fetch sessions of a broker; bounded by max.incremental.fetch.session.cache.slots. */
export class FetchSessionCache {
  readonly #slots: number
  readonly #clock: Clock
  readonly #random: Random
  /** The one used least recently stands first. */
  readonly #sessions = new Map<number, FetchSession>()
  /** By broker id: the sessions of a follower. */
  readonly #followers = new Map<number, Set<FetchSession>>()
  evictions = 0

  constructor(slots: number, clock: Clock, random: Random) {
    this.#slots = slots
    this.#clock = clock
    this.#random = random
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Partitions over all sessions. */
  get partitionCount(): number {
    let count = 0
    for (const session of this.#sessions.values()) count += session.list.size
    return count
  }

  /**
   * @param brokerId of the follower whose it is: consumers do not push it out
   * @returns a new session, or undefined when there is no room for one
   */
  create(
    usesTopicIds: boolean,
    partitionCount: number,
    brokerId = CONSUMER,
  ): FetchSession | undefined {
    if (partitionCount > MAX_SESSION_PARTITIONS) return undefined
    const nowMs = this.#clock.nowMs()
    const isReplica = brokerId !== CONSUMER
    if (this.#sessions.size >= this.#slots && !this.#evictFor(partitionCount, isReplica, nowMs)) {
      return undefined
    }
    const session = new FetchSession(this.#freeId(), brokerId, usesTopicIds, nowMs)
    this.#sessions.set(session.id, session)
    if (isReplica) {
      const known = this.#followers.get(brokerId)
      if (known) known.add(session)
      else this.#followers.set(brokerId, new Set([session]))
    }
    return session
  }

  /**
   * Finds the session of an incremental request and takes its epoch.
   *
   * @returns the session, or the error for the top of the answer
   */
  resume(
    id: number,
    epoch: number,
    usesTopicIds: boolean,
    brokerId = CONSUMER,
  ): FetchSession | ErrorCode {
    const session = this.#sessions.get(id)
    if (session?.brokerId !== brokerId) return ErrorCode.FETCH_SESSION_ID_NOT_FOUND
    if (session.epoch !== epoch) return ErrorCode.INVALID_FETCH_SESSION_EPOCH
    if (session.list.usesTopicIds !== usesTopicIds) return ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
    session.epoch = epoch === 2_147_483_647 ? 1 : epoch + 1
    session.lastUsedMs = this.#clock.nowMs()
    this.#sessions.delete(id)
    this.#sessions.set(id, session)
    return session
  }

  /** The partition is in the session no longer. */
  forget(session: FetchSession, partition: PartitionName): void {
    session.list.forget(partition)
    this.#lookAgain(session, [partition])
  }

  remove(id: number): void {
    const session = this.#sessions.get(id)
    if (session === undefined) return
    this.#sessions.delete(id)
    session.hurry?.()
    this.#lookAgain(session, session.list.entries())
    const others = this.#followers.get(session.brokerId)
    others?.delete(session)
    if (others?.size === 0) this.#followers.delete(session.brokerId)
    session.list.close()
  }

  /**
   * A follower fetches a partition in one session at a time, but its connections are not ordered among themselves: what
   * it said in a former one may come last. When that one ends, what it says in another session counts again.
   */
  #lookAgain(ended: FetchSession, partitions: Iterable<PartitionName>): void {
    const sessions = this.#followers.get(ended.brokerId)
    if (sessions === undefined || sessions.size === 1) return
    for (const partition of partitions) {
      for (const session of sessions) if (session !== ended) session.list.lookAgain(partition)
    }
  }

  close(): void {
    for (const id of [...this.#sessions.keys()]) this.remove(id)
  }

  /** Kafka's rule: first a session that is idle, then a smaller one that is not new; a follower's only for another. */
  #evictFor(partitionCount: number, isReplica: boolean, nowMs: number): boolean {
    const oldest = this.#oldest(isReplica)
    if (oldest === undefined) return false
    let victim = nowMs - oldest.lastUsedMs > EVICTABLE_AFTER_MS ? oldest : undefined
    if (victim === undefined) {
      for (const session of this.#sessions.values()) {
        if (session.list.isReplica && !isReplica) continue
        if (nowMs - session.createdMs <= EVICTABLE_AFTER_MS) continue
        if (session.list.size >= (victim?.list.size ?? partitionCount)) continue
        victim = session
      }
    }
    if (victim === undefined) return false
    this.remove(victim.id)
    this.evictions++
    return true
  }

  #oldest(isReplica: boolean): FetchSession | undefined {
    for (const session of this.#sessions.values()) {
      if (isReplica || !session.list.isReplica) return session
    }
    return undefined
  }

  #freeId(): number {
    for (;;) {
      const id = this.#random.int(2_147_483_647) + 1
      if (!this.#sessions.has(id)) return id
    }
  }
}
