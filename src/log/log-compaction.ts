import { join } from 'node:path'
import type { CompactionInput, CompactionOutput, SegmentPlace } from './compaction-job.ts'
import { fileNameOf, Suffix } from './log-files.ts'
import type { PartitionLog } from './partition-log.ts'
import { Segment } from './segment.ts'
import type { AbortedTransaction } from './transaction-index.ts'

const jobModule = new URL(
  import.meta.url.endsWith('.ts') ? './compaction-job.ts' : './compaction-job.js',
  import.meta.url,
)
const fileSuffixes = [Suffix.log, Suffix.offsetIndex, Suffix.timeIndex, Suffix.transactionIndex]

/** What may be compacted in one log and how much it is due. */
export type CompactionRange = {
  readonly firstDirtyOffset: number
  /** Exclusive. */
  readonly endOffset: number
  readonly cleanBytes: number
  readonly dirtyBytes: number
  /** Share of the dirty part in what would be read. */
  readonly dirtyRatio: number
  readonly isDue: boolean
}

/**
 * Never the active segment, nothing from the last stable offset on, nothing younger than min.compaction.lag.ms. Due when
 * the dirty share is above min.cleanable.dirty.ratio, or the oldest dirty record is beyond max.compaction.lag.ms.
 * Like Kafka's LogCleanerManager.
 */
export function compactionRangeOf(log: PartitionLog, nowMs: number): CompactionRange {
  const { config } = log
  const { all, active } = log.segments
  const firstDirtyOffset = Math.max(log.cleanedOffset, log.logStartOffset)
  let endOffset = Math.min(active?.baseOffset ?? 0, log.lastStableOffset)
  let cleanBytes = 0
  let dirtyBytes = 0
  const hasMaxLag = config.maxCompactionLagMs < Number.MAX_SAFE_INTEGER
  let oldestDirtyMs = Number.MAX_SAFE_INTEGER
  for (const segment of all) {
    if (segment === active || segment.baseOffset >= endOffset) break
    const segmentEnd = log.segments.endOf(segment, log.logEndOffset)
    if (segmentEnd > log.writtenEndOffset) {
      endOffset = Math.min(endOffset, segment.baseOffset)
      break
    }
    const isDirty = segmentEnd > firstDirtyOffset
    const isYoung =
      config.minCompactionLagMs > 0 && segment.newestMs > nowMs - config.minCompactionLagMs
    if (isDirty && isYoung) {
      endOffset = Math.min(endOffset, segment.baseOffset)
      break
    }
    if (!isDirty) cleanBytes += segment.sizeBytes
    else {
      dirtyBytes += segment.sizeBytes
      if (hasMaxLag) oldestDirtyMs = Math.min(oldestDirtyMs, segment.firstMs)
    }
  }
  const dirtyRatio = dirtyBytes === 0 ? 0 : dirtyBytes / (cleanBytes + dirtyBytes)
  const isLate = dirtyBytes > 0 && nowMs - oldestDirtyMs > config.maxCompactionLagMs
  const isDirty = endOffset > firstDirtyOffset && dirtyBytes > 0
  const isDue = isDirty && (dirtyRatio > config.minCleanableDirtyRatio || isLate)
  return { firstDirtyOffset, endOffset, cleanBytes, dirtyBytes, dirtyRatio, isDue }
}

/**
 * One round: a worker thread writes the compacted segments beside the old ones, then the event loop swaps them in by
 * renames. A crash at any moment leaves either the old segments or the new ones (see `readLogFolder`). If the log was
 * truncated or segments were deleted meanwhile, the work is thrown away.
 *
 * @returns undefined when nothing was swapped in
 */
export async function compact(
  log: PartitionLog,
  range: CompactionRange,
  nowMs: number,
): Promise<CompactionOutput | undefined> {
  const { truncations } = log
  const aborted = await log.abortedTransactions(log.logStartOffset, range.endOffset)
  if (truncations !== log.truncations) return undefined
  const input = inputOf(log, range, aborted, nowMs)
  const output = await runJob(log, input)
  for (const group of output.groups) {
    const isValid = () => {
      const olds = segmentsOf(log, group)
      return log.state === 'open' && truncations === log.truncations && olds.length === group.length
    }
    if (!(await swapIn(log, group, isValid))) {
      removeLeftovers(log, output.groups)
      return undefined
    }
  }
  log.cleanedOffset = output.cleanedOffset
  return output
}

async function runJob(log: PartitionLog, input: CompactionInput): Promise<CompactionOutput> {
  try {
    return await log.shared.io.jobs.run<CompactionOutput>(jobModule, input)
  } catch (error) {
    try {
      removeLeftovers(
        log,
        input.segments.map(({ baseOffset }) => [baseOffset]),
      )
    } catch {
      // What went wrong first is to be told; the next opening removes what is left.
    }
    throw error
  }
}

function inputOf(
  log: PartitionLog,
  range: CompactionRange,
  aborted: readonly AbortedTransaction[],
  nowMs: number,
): CompactionInput {
  const { config, segments, shared } = log
  const { settings } = shared
  const places: SegmentPlace[] = []
  for (const segment of segments.all) {
    if (segment === segments.active || segment.baseOffset >= range.endOffset) break
    places.push({
      baseOffset: segment.baseOffset,
      endOffset: segments.endOf(segment, log.logEndOffset),
      sizeBytes: segment.sizeBytes,
      indexBytes: Math.max(segment.offsetIndex.sizeBytes, segment.timeIndex.sizeBytes),
    })
  }
  return {
    folder: log.folder,
    segments: places,
    firstDirtyOffset: range.firstDirtyOffset,
    endOffset: range.endOffset,
    aborted,
    producers: [...log.producers.producers.values()].map(
      (producer) => [producer.producerId, producer.lastDataOffset, producer.epoch] as const,
    ),
    nowMs,
    deleteRetentionMs: config.deleteRetentionMs,
    segmentBytes: config.segmentBytes,
    segmentIndexBytes: config.segmentIndexBytes,
    indexIntervalBytes: config.indexIntervalBytes,
    mapBytes: settings['log.cleaner.dedupe.buffer.size'],
    mapLoadFactor: settings['log.cleaner.io.buffer.load.factor'],
    maxBytesPerSecond: settings['log.cleaner.io.max.bytes.per.second'],
  }
}

function segmentsOf(log: PartitionLog, group: readonly number[]): Segment[] {
  return log.segments.all.filter(
    (segment) => segment !== log.segments.active && group.includes(segment.baseOffset),
  )
}

/** `.cleaned` becomes `.swap`, the old segments `.deleted`, then `.swap` gets the final names. */
async function swapIn(
  log: PartitionLog,
  group: readonly number[],
  isValid: () => boolean,
): Promise<boolean> {
  const { disk, io } = log.shared
  const baseOffset = group[0] as number
  if (!isValid()) return false
  renameAll(log, baseOffset, Suffix.cleaned, Suffix.swap)
  await disk.flushFolder(log.folder)
  if (!isValid()) return false
  const olds = segmentsOf(log, group)
  for (const old of olds) log.discardFiles(old)
  renameAll(log, baseOffset, Suffix.swap, '')
  const cleaned = new Segment(log.shared, log.folder, baseOffset, io.brokerClock.nowMs())
  log.replaceSegments([cleaned], olds)
  log.snapshots.keepOnly(new Set(log.segments.all.map((segment) => segment.baseOffset)))
  return true
}

function renameAll(log: PartitionLog, baseOffset: number, from: string, to: string): void {
  const { disk } = log.shared
  for (const suffix of fileSuffixes) {
    const path = join(log.folder, fileNameOf(baseOffset, suffix))
    if (disk.existsSync(path + from)) disk.renameSync(path + from, path + to)
  }
}

function removeLeftovers(log: PartitionLog, groups: readonly (readonly number[])[]): void {
  const { disk } = log.shared
  for (const [baseOffset] of groups) {
    for (const suffix of fileSuffixes) {
      const path = join(log.folder, fileNameOf(baseOffset as number, suffix))
      disk.removeFileSync(path + Suffix.cleaned)
      disk.removeFileSync(path + Suffix.swap)
    }
  }
}
