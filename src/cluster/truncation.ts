/** Where an epoch ended (exclusive); both -1: nothing is known. */
export type EpochEnd = { readonly epoch: number; readonly endOffset: number }

/**
 * How far a follower's log may agree with its leader's (KIP-101, KIP-279; Kafka's getOffsetTruncationState). When the
 * follower does not know the leader's epoch, it goes back to where its own largest one below ends, and asks again from
 * there.
 *
 * @param leader the end, in the leader's log, of the largest epoch that is not above the follower's last one
 * @returns where the follower's log shall end (exclusive)
 */
export function truncationOffset(
  leader: EpochEnd,
  follower: {
    readonly logEndOffset: number
    readonly highWatermark: number
    endOffsetForEpoch(epoch: number): EpochEnd
  },
): number {
  const { logEndOffset } = follower
  if (leader.endOffset < 0) return Math.min(follower.highWatermark, logEndOffset)
  if (leader.epoch < 0) return Math.min(leader.endOffset, logEndOffset)
  const own = follower.endOffsetForEpoch(leader.epoch)
  if (own.epoch < 0) return Math.min(leader.endOffset, logEndOffset)
  if (own.epoch !== leader.epoch) return Math.min(own.endOffset, logEndOffset)
  return Math.min(own.endOffset, leader.endOffset, logEndOffset)
}
