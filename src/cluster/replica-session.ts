import type { fetch } from '../protocol/apis/01-fetch.ts'
import type { RequestInput } from '../protocol/schema.ts'
import type { Partition } from './partition.ts'

type FetchRequest = RequestInput<typeof fetch>
export type FetchTopic = FetchRequest['topics'][number]
export type ForgottenTopic = FetchRequest['forgottenTopicsData'][number]

/** A partition that is fetched, and how far its fetching is. */
export type FollowedPartition = {
  readonly key: string
  readonly partition: Partition
  /** It is followed under this epoch, and not under another one. */
  readonly leaderEpoch: number
  /** False while it pauses after a failure, is held back by a throttle, or holds what does not count yet. */
  isReady: boolean
  /** What was asked for last. */
  askedOffset: number
  askedLogStart: number
  failures: number
  /** Records behind the leader's high watermark, as of the last answer. */
  lag: number
}

export const followedKey = ({ topicId, partitionIndex }: Partition): string =>
  `${topicId}/${partitionIndex}`

const FULL_FETCH = 0
const LAST_EPOCH = 2_147_483_647

/**
 * The follower's side of an incremental fetch session (KIP-227): remembers what the leader has been told, so that a
 * request names only partitions that changed. Many thousands that are quiet cost nothing.
 */
export class ReplicaSession {
  readonly #followed: ReadonlyMap<string, FollowedPartition>
  readonly #mayAsk: (followed: FollowedPartition) => boolean
  #sessionId = 0
  #epoch = FULL_FETCH
  /** What the leader has in the session. */
  readonly #known = new Map<string, { topicId: string; partitionIndex: number }>()
  /** What may have to be told. */
  readonly #changed = new Set<string>()

  /** @param mayAsk asked for partitions that are to be named: false when they are not ready */
  constructor(
    followed: ReadonlyMap<string, FollowedPartition>,
    mayAsk: (followed: FollowedPartition) => boolean,
  ) {
    this.#followed = followed
    this.#mayAsk = mayAsk
  }

  get sessionId(): number {
    return this.#sessionId
  }

  get epoch(): number {
    return this.#epoch
  }

  /** The partition came, went, moved on, became ready or is not any more. */
  changed(key: string): void {
    this.#changed.add(key)
  }

  /**
   * The next request names everything, and begins a new session.
   *
   * @param isForgotten the leader is another process, or another connection: it does not have the old one any more
   */
  reset(isForgotten = false): void {
    if (isForgotten) this.#sessionId = 0
    this.#epoch = FULL_FETCH
    this.#known.clear()
    for (const key of this.#followed.keys()) this.#changed.add(key)
  }

  /**
   * What the next request has to name; undefined: there is nothing that could be fetched.
   *
   * @param most partitions that are named at once: the first time that one is, both sides open its log
   * @returns `isPartial`: there is more to be named, so this request should not wait
   */
  next(
    maxBytes: number,
    most: number,
  ): { topics: FetchTopic[]; forgotten: ForgottenTopic[]; isPartial: boolean } | undefined {
    const topics = new Map<
      string,
      { topic: FetchTopic; partitions: FetchTopic['partitions'][number][] }
    >()
    const forgotten = new Map<string, number[]>()
    let count = 0
    for (const key of this.#changed) {
      if (count === most) break
      this.#changed.delete(key)
      const followed = this.#followed.get(key)
      if (followed && this.#mayAsk(followed)) {
        this.#name(followed, topics, maxBytes)
        count++
      } else this.#forget(key, forgotten)
    }
    if (this.#known.size === 0) {
      // An empty session would be closed by the leader.
      this.reset()
      return undefined
    }
    return {
      topics: [...topics.values()].map(({ topic }) => topic),
      forgotten: [...forgotten].map(([topicId, partitions]) => ({
        topic: '',
        topicId,
        partitions,
      })),
      isPartial: this.#changed.size > 0,
    }
  }

  #name(
    followed: FollowedPartition,
    topics: Map<string, { topic: FetchTopic; partitions: FetchTopic['partitions'][number][] }>,
    maxBytes: number,
  ): void {
    const { partition, leaderEpoch, key } = followed
    const { topicId, partitionIndex } = partition
    const { fetchOffset, lastFetchedEpoch, logStartOffset } = partition.fetchPosition
    followed.askedOffset = fetchOffset
    followed.askedLogStart = logStartOffset
    this.#known.set(key, { topicId, partitionIndex })
    let entry = topics.get(topicId)
    if (!entry) {
      const partitions: FetchTopic['partitions'][number][] = []
      entry = { topic: { topic: '', topicId, partitions }, partitions }
      topics.set(topicId, entry)
    }
    entry.partitions.push({
      partition: partitionIndex,
      currentLeaderEpoch: leaderEpoch,
      fetchOffset,
      lastFetchedEpoch,
      logStartOffset,
      partitionMaxBytes: maxBytes,
      highWatermark: partition.leaderHighWatermark,
    })
  }

  #forget(key: string, forgotten: Map<string, number[]>): void {
    const known = this.#known.get(key)
    if (!known) return
    this.#known.delete(key)
    const list = forgotten.get(known.topicId)
    if (list) list.push(known.partitionIndex)
    else forgotten.set(known.topicId, [known.partitionIndex])
  }

  /** The leader answered without an error of the whole. @param sessionId 0: it keeps no session */
  answered(sessionId: number): void {
    if (sessionId === 0) {
      this.reset(true)
      return
    }
    this.#sessionId = sessionId
    this.#epoch = this.#epoch === LAST_EPOCH ? 1 : this.#epoch + 1
  }
}
