import type { PartitionLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

export type RetentionReason = 'time' | 'size' | 'start'

/**
 * Takes old segments out of one log, oldest first and only below the high watermark: those wholly below the log start,
 * and with cleanup.policy=delete those whose newest record is too old, and as many as make the log too large. The active
 * segment can go, too, if all of its records are too old. Like Kafka's UnifiedLog.deleteOldSegments.
 *
 * @returns how many segments went and why
 */
export function retain(log: PartitionLog, nowMs: number): Map<RetentionReason, number> {
  const counts = new Map<RetentionReason, number>()
  if (log.isCompacting) return counts
  const drop = (reason: RetentionReason, isOld: (segment: Segment) => boolean) => {
    const count = dropWhile(log, nowMs, isOld)
    if (count > 0) counts.set(reason, count)
  }
  const { isDeleted, retentionMs, retentionBytes } = log.config
  if (isDeleted && retentionMs >= 0) {
    drop('time', (segment) => nowMs - segment.newestMs > retentionMs)
  }
  if (isDeleted && retentionBytes >= 0) {
    let excessBytes = log.sizeBytes - retentionBytes
    drop('size', (segment) => {
      if (excessBytes < segment.sizeBytes) return false
      excessBytes -= segment.sizeBytes
      return true
    })
  }
  drop('start', (segment) => {
    const next = log.segments.after(segment)
    return next !== undefined && next.baseOffset <= log.logStartOffset
  })
  return counts
}

function dropWhile(log: PartitionLog, nowMs: number, isOld: (segment: Segment) => boolean): number {
  // Opens the log: until then it has no segments to look at.
  const { highWatermark, logEndOffset, segments } = log
  const gone: Segment[] = []
  for (const segment of segments.all) {
    if (segments.endOf(segment, logEndOffset) > highWatermark) break
    if (segment === segments.active && segment.sizeBytes === 0) break
    if (!isOld(segment)) break
    gone.push(segment)
  }
  if (gone.length === 0) return 0
  if (gone.length === segments.all.length) log.roll(nowMs)
  const first = segments.all[gone.length]
  log.removeSegments(gone)
  if (first) log.moveLogStart(first.baseOffset)
  return gone.length
}
