import { ErrorCode } from '../protocol/error-code.ts'
import {
  highWatermarkOf,
  type LeaderView,
  laggards,
  maximalIsr,
  mayJoin,
  type PendingIsr,
} from './isr.ts'
import { type ReplicaFetch, ReplicaState } from './replica-state.ts'
import type { PartitionImage } from './topic-image.ts'

/** What a leader asks the controller for. */
export type IsrProposal = {
  readonly topicId: string
  readonly partitionIndex: number
  readonly leaderEpoch: number
  /** The change applies to the state of this epoch, and to no other. */
  readonly partitionEpoch: number
  /** With the broker epochs that were seen; -1: unknown. */
  readonly isr: readonly { readonly brokerId: number; readonly brokerEpoch: number }[]
  /** False when the metadata has moved on: it need not be asked for any more. */
  isCurrent(): boolean
  /** Called at most once. */
  settle(outcome: IsrOutcome): void
}

/**
 * `committed`: done; the metadata will tell, and only then it counts: whatever the controller decided before it, such as
 * how many members may commit, stands there, too, and must be known here first. `dropped`: surely not done. `unknown`:
 * it may have been done; the metadata will tell.
 */
export type IsrOutcome = { readonly kind: 'committed' | 'dropped' | 'unknown' }

/** What a partition's leader needs to know of the other brokers. */
export type ReplicaPeers = {
  /**
   * The epoch of a broker that may join the ISR of a partition: registered, not fenced, not shutting down, and the disk
   * under its replica did not fail; otherwise -1.
   */
  eligibleEpoch(brokerId: number, topicId: string, partitionIndex: number): number
  /** Of its registration; -1: not registered. */
  brokerEpoch(brokerId: number): number
  /** Monotonic time of the last fetch of a broker, of whatever partitions; minus infinity: none. */
  lastFetchMs(brokerId: number): number
  lagTimeMaxMs(): number
  /** Monotonic. */
  nowMs(): number
  propose(proposal: IsrProposal): void
  /** Changes of the ISRs of what is led here, since the start. */
  readonly counts: { isrShrinks: number; isrExpands: number }
}

/** What the partition's own log and state say. */
export type LeaderLog = {
  readonly topicId: string
  readonly partitionIndex: number
  readonly highWatermark: number
  readonly countedEnd: number
  readonly partitionEpoch: number
  readonly isr: readonly number[]
}

const DROPPED_PAUSE_MS = 200

/** One leadership of a partition with followers: how far they are, and who shall be in the ISR. */
export class Leadership {
  readonly leaderEpoch: number
  readonly epochStartOffset: number
  readonly #brokerId: number
  readonly #peers: ReplicaPeers
  readonly #log: LeaderLog
  readonly #replicas = new Map<number, ReplicaState>()
  #pending: PendingIsr | undefined
  /** After a change that was not done, nothing is asked for until then. */
  #notBeforeMs = Number.NEGATIVE_INFINITY
  /** The leader's end when it was last looked at. */
  #knownEnd: number

  constructor(
    brokerId: number,
    peers: ReplicaPeers,
    log: LeaderLog,
    image: Pick<PartitionImage, 'replicas' | 'isr' | 'leaderEpoch'>,
    epochStartOffset: number,
  ) {
    this.#brokerId = brokerId
    this.#peers = peers
    this.#log = log
    this.leaderEpoch = image.leaderEpoch
    this.epochStartOffset = epochStartOffset
    this.#knownEnd = log.countedEnd
    this.assign(image)
  }

  /** The followers, in no order. */
  get followers(): Iterable<ReplicaState> {
    return this.#replicas.values()
  }

  get hasPending(): boolean {
    return this.#pending !== undefined
  }

  get maximalIsr(): number[] {
    return maximalIsr(this.#log.isr, this.#pending)
  }

  /** Takes the replicas of the image: new ones begin, those that left are forgotten. */
  assign({ replicas, isr }: Pick<PartitionImage, 'replicas' | 'isr'>): void {
    const nowMs = this.#peers.nowMs()
    for (const brokerId of this.#replicas.keys()) {
      if (!replicas.includes(brokerId)) this.#replicas.delete(brokerId)
    }
    for (const brokerId of replicas) {
      if (brokerId === this.#brokerId || this.#replicas.has(brokerId)) continue
      const caughtUpMs = isr.includes(brokerId) ? nowMs : Number.NEGATIVE_INFINITY
      this.#replicas.set(brokerId, new ReplicaState(brokerId, caughtUpMs))
    }
  }

  /** The metadata has a newer state: whatever was asked for is decided. */
  settled(): void {
    this.#pending = undefined
  }

  /**
   * A follower asks for what is behind `fetchOffset`: it has everything before.
   *
   * @param leaderEnd what could be given away when it asked
   * @returns NONE; STALE_BROKER_EPOCH for a process that has a successor; NOT_LEADER_OR_FOLLOWER for a broker that
   *   has no replica
   */
  fetched(fetch: ReplicaFetch, leaderEnd: number): ErrorCode {
    const replica = this.#replicas.get(fetch.brokerId)
    if (!replica) return ErrorCode.NOT_LEADER_OR_FOLLOWER
    const { brokerEpoch } = fetch
    const known = Math.max(replica.brokerEpoch, this.#peers.brokerEpoch(fetch.brokerId))
    if (brokerEpoch >= 0 && brokerEpoch < known) return ErrorCode.STALE_BROKER_EPOCH
    replica.fetched(fetch, leaderEnd)
    return ErrorCode.NONE
  }

  /** The leader's end moved. Followers that had all of it were caught up until their last fetch. */
  moved(): void {
    const end = this.#log.countedEnd
    if (end === this.#knownEnd) return
    for (const replica of this.#replicas.values()) {
      if (replica.logEndOffset < this.#knownEnd) continue
      replica.caughtUpAt(this.#peers.lastFetchMs(replica.brokerId))
    }
    this.#knownEnd = end
  }

  highWatermark(): number {
    return highWatermarkOf(this.maximalIsr, this.#replicas, this.#view())
  }

  /** Asks for a follower to be taken into the ISR that has what it takes. At most one change is asked for at a time. */
  expand(): void {
    if (this.#pending || this.#replicas.size < this.#log.isr.length) return
    if (this.#peers.nowMs() < this.#notBeforeMs) return
    const { isr } = this.#log
    for (const replica of this.#replicas.values()) {
      if (isr.includes(replica.brokerId) || !mayJoin(replica, this.#view())) continue
      this.#propose([...isr, replica.brokerId])
      return
    }
  }

  /** Asks for members to be taken out that have not been caught up for too long. */
  shrink(): void {
    if (this.#pending || this.#log.isr.length <= 1) return
    if (this.#peers.nowMs() < this.#notBeforeMs) return
    this.moved()
    const { isr } = this.#log
    const late = laggards(isr, this.#replicas, this.#view())
    if (late.length === 0) return
    const left = isr.filter((brokerId) => !late.includes(brokerId))
    this.#propose(left)
  }

  #propose(isr: readonly number[]): void {
    const pending = { isr }
    this.#pending = pending
    const { topicId, partitionIndex, partitionEpoch } = this.#log
    this.#peers.propose({
      topicId,
      partitionIndex,
      partitionEpoch,
      leaderEpoch: this.leaderEpoch,
      isr: isr.map((brokerId) => ({ brokerId, brokerEpoch: this.#epochOf(brokerId) })),
      isCurrent: () => this.#pending === pending,
      settle: (outcome) => {
        if (this.#pending !== pending || outcome.kind !== 'dropped') return
        this.#pending = undefined
        this.#notBeforeMs = this.#peers.nowMs() + DROPPED_PAUSE_MS
      },
    })
  }

  #epochOf(brokerId: number): number {
    if (brokerId === this.#brokerId) return this.#peers.brokerEpoch(brokerId)
    const fetched = this.#replicas.get(brokerId)?.brokerEpoch ?? -1
    // A member whose process is a new one and did not fetch yet: the controller left it in, and answers for it.
    const isReturned = fetched !== this.#peers.brokerEpoch(brokerId)
    return isReturned && this.#log.isr.includes(brokerId) ? -1 : fetched
  }

  #view(): LeaderView {
    const { highWatermark, countedEnd, topicId, partitionIndex } = this.#log
    return {
      highWatermark,
      epochStartOffset: this.epochStartOffset,
      leaderEnd: countedEnd,
      nowMs: this.#peers.nowMs(),
      lagTimeMaxMs: this.#peers.lagTimeMaxMs(),
      eligibleEpoch: (brokerId) => this.#peers.eligibleEpoch(brokerId, topicId, partitionIndex),
    }
  }
}
