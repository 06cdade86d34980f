import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  CRC_START,
  crcOf,
  lastOffsetDeltaOf,
  leaderEpochOf,
  MAGIC,
  magicOf,
  recordCountOf,
} from '../protocol/record-batch.ts'
import { CHECKSUM_DAMAGE } from './batch-scan.ts'

export type ReplicaPlace = {
  /** Where the follower's log ends (exclusive). */
  readonly logEndOffset: number
  /** It holds no batch: the first one may begin before its end, because a log may start inside of a batch. */
  readonly isEmpty: boolean
  /** The epoch that the leader was asked under. */
  readonly leaderEpoch: number
  /** The newest epoch in the follower's log; -1: none. */
  readonly latestEpoch: number
  crc32c(buffer: Buffer, start: number, end: number): number
}

/**
 * Cuts what a leader answered into batches that may stand at the end of a follower's log. The checksum covers neither
 * base offset nor epoch, so those are checked by what stands before them.
 *
 * @returns the sound batches up to the first damaged one, and what is wrong with that. A batch of a later leader epoch
 *   than the one asked under ends the list without being damage (as UnifiedLog.appendAsFollower does since Kafka 4.1),
 *   and so does a last batch that is cut off.
 */
export function replicatedBatches(
  records: Buffer,
  place: ReplicaPlace,
): { batches: Buffer[]; damage: string | undefined } {
  const batches: Buffer[] = []
  let { logEndOffset, isEmpty, latestEpoch } = place
  let at = 0
  const damaged = (what: string) => ({ batches, damage: `${what}, behind offset ${logEndOffset}` })
  while (records.length - at >= BATCH_HEADER_BYTES) {
    const sizeBytes = batchSizeOf(records, at)
    if (sizeBytes < BATCH_HEADER_BYTES) return damaged('impossible batch length')
    if (magicOf(records, at) !== MAGIC) return damaged('not a batch of magic 2')
    const end = at + sizeBytes
    if (end > records.length) break
    if (crcOf(records, at) !== place.crc32c(records, at + CRC_START, end)) {
      return damaged(CHECKSUM_DAMAGE)
    }
    const baseOffset = baseOffsetOf(records, at)
    const offsetDelta = lastOffsetDeltaOf(records, at)
    const nextOffset = baseOffset + offsetDelta + 1
    if (offsetDelta < 0 || recordCountOf(records, at) < 0 || !Number.isSafeInteger(nextOffset)) {
      return damaged('impossible offsets')
    }
    const goesOn = isEmpty ? nextOffset > logEndOffset : baseOffset >= logEndOffset
    if (!goesOn || baseOffset < 0) return damaged(`offset ${baseOffset} does not follow`)
    const epoch = leaderEpochOf(records, at)
    if (epoch > place.leaderEpoch) break
    if (epoch < latestEpoch) return damaged(`leader epoch ${epoch} after ${latestEpoch}`)
    batches.push(records.subarray(at, end))
    logEndOffset = nextOffset
    latestEpoch = epoch
    isEmpty = false
    at = end
  }
  return { batches, damage: undefined }
}
