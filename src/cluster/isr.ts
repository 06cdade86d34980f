import type { ReplicaState } from './replica-state.ts'

/**
 * Who is in sync: the decisions alone. The ISR is what the controller has committed; a change that is asked for and not
 * settled may have happened already, so the leader counts with the *maximal* ISR, which has everybody who may be in it.
 * Like Kafka's PartitionState.
 */

export type PendingIsr = {
  /** As it will be if the controller agrees. */
  readonly isr: readonly number[]
}

/** Everybody who may be in the ISR, as far as the leader can know. */
export function maximalIsr(isr: readonly number[], pending: PendingIsr | undefined): number[] {
  if (!pending) return [...isr]
  return [...new Set([...isr, ...pending.isr])]
}

/** What the leader knows of its own log, and what the rules say. */
export type LeaderView = {
  readonly highWatermark: number
  /** Where the leader's epoch began: who has less may hold records that the leader does not. */
  readonly epochStartOffset: number
  /** What counts of the leader's own log (exclusive). */
  readonly leaderEnd: number
  readonly nowMs: number
  readonly lagTimeMaxMs: number
  /** The epoch of a broker that may join ISRs: registered, not fenced, not shutting down; otherwise -1. */
  eligibleEpoch(brokerId: number): number
}

/** May this follower join? Its eligibility counts for the very process that fetched (KIP-903). */
export function mayJoin(replica: ReplicaState, view: LeaderView): boolean {
  return (
    replica.logEndOffset >= view.highWatermark &&
    replica.logEndOffset >= view.epochStartOffset &&
    isEligible(replica, view)
  )
}

export function isEligible(
  { brokerId, brokerEpoch }: ReplicaState,
  { eligibleEpoch }: Pick<LeaderView, 'eligibleEpoch'>,
): boolean {
  const epoch = eligibleEpoch(brokerId)
  return epoch >= 0 && epoch === brokerEpoch
}

/** Members that have not had the leader's end for too long. A follower that never fetched is one when its time is up. */
export function laggards(
  isr: readonly number[],
  replicas: ReadonlyMap<number, ReplicaState>,
  { leaderEnd, nowMs, lagTimeMaxMs }: Pick<LeaderView, 'leaderEnd' | 'nowMs' | 'lagTimeMaxMs'>,
): number[] {
  return isr.filter((brokerId) => {
    const replica = replicas.get(brokerId)
    return replica !== undefined && !replica.isCaughtUp(leaderEnd, nowMs, lagTimeMaxMs)
  })
}

/**
 * The high watermark: the least end over the maximal ISR. A follower that is caught up and about to join counts too, or
 * a busy leader that is alone would run away from it for ever.
 *
 * @returns never less than the one before
 */
export function highWatermarkOf(
  members: readonly number[],
  replicas: ReadonlyMap<number, ReplicaState>,
  view: LeaderView,
): number {
  let end = view.leaderEnd
  for (const replica of replicas.values()) {
    if (replica.logEndOffset >= end) continue
    const counts =
      members.includes(replica.brokerId) ||
      (replica.isCaughtUp(view.leaderEnd, view.nowMs, view.lagTimeMaxMs) &&
        isEligible(replica, view))
    if (counts) end = Math.max(replica.logEndOffset, view.highWatermark)
  }
  return Math.max(end, view.highWatermark)
}
