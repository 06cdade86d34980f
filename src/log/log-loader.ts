import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import { baseOffsetOf, lastOffsetOf, leaderEpochOf } from '../protocol/record-batch.ts'
import { scanBatches } from './batch-scan.ts'
import { decodeEpochs, type EpochStart, readCheckpoint } from './checkpoint-file.ts'
import { type LeaderEpochCache, noEpoch } from './leader-epoch-cache.ts'
import { leaderEpochFile } from './log-files.ts'
import { type LogFolder, readLogFolder } from './log-folder.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import type { ProducerStates } from './producer-states.ts'
import type { Segment, SegmentShared } from './segment.ts'

export type LoadInput = {
  readonly shared: SegmentShared
  readonly logger: Logger
  readonly folder: string
  readonly nowMs: number
  readonly indexIntervalBytes: number
  /** Producers of the snapshot that were silent for so long are not taken up. */
  readonly producerExpirationMs: number
  /** The last stop was orderly: what the files say is whole. */
  readonly wasClean: boolean
  /** Everything below was flushed. */
  readonly recoveryPoint: number
  readonly logStartOffset: number
  /** What a gap between offsets means. */
  readonly gaps: Gaps
  readonly producers: ProducerStates
  readonly snapshots: ProducerSnapshots
  readonly epochs: LeaderEpochCache
}

/**
 * Only compaction leaves gaps, and whoever copies a compacted log. `impossible`: the log was never compacted, so a gap
 * is damage. `unlikely`: nothing says that it was, so a single gap before the very last batch is damage: a batch behind
 * it would contradict. `expected`: it was.
 */
export type Gaps = 'impossible' | 'unlikely' | 'expected'

/** Where recovery shall stop, whatever stands there. */
type Limit = { readonly index: number; readonly position: number; readonly reason: string }

/** Offsets in an index are int32, relative to the segment: no batch is further away. */
const maxRelativeOffset = 2 ** 31 - 1

export type LoadedLog = {
  segments: Segment[]
  logStartOffset: number
  logEndOffset: number
  /** What recovery had to throw away; undefined: nothing. */
  cut: Cut | undefined
  recoveredBytes: number
}

export type Cut = { atOffset: number; bytes: number; segments: number; reason: string }

/**
 * Opens a log: takes up interrupted swaps, checks what may be torn, cuts it behind the last sound batch, builds indexes,
 * leader epochs and producer state anew where they may lag behind. After an orderly stop almost nothing is read.
 * Like Kafka's LogLoader.
 */
export function* loadLog(input: LoadInput): Generator<void, LoadedLog> {
  const { shared, folder, nowMs } = input
  const found = readLogFolder(shared, folder, nowMs)
  let loaded: LoadedLog | undefined
  try {
    loaded = yield* new Loading(input, found).run()
  } finally {
    // It failed, or the caller has given up.
    if (!loaded) for (const segment of found.segments) segment.close()
  }
  for (const segment of loaded.segments.slice(0, -1)) {
    segment.offsetIndex.setActive(false)
    segment.timeIndex.setActive(false)
  }
  const active = loaded.segments.at(-1)
  active?.offsetIndex.setActive(true)
  active?.timeIndex.setActive(true)
  return loaded
}

class Loading {
  readonly #input: LoadInput
  readonly #segments: Segment[]
  /** As the checkpoint has them. */
  readonly #epochs: readonly EpochStart[]
  readonly #epochsAreLost: boolean
  #logEndOffset = 0
  #cut: Cut | undefined
  #recoveredBytes = 0

  constructor(input: LoadInput, found: LogFolder) {
    this.#input = input
    this.#segments = found.segments
    input.snapshots.load(found.snapshotOffsets)
    const path = join(input.folder, leaderEpochFile)
    const { entries, damage } = found.names.has(leaderEpochFile)
      ? readCheckpoint(input.shared.disk, path, decodeEpochs)
      : { entries: [] }
    if (damage) input.logger.warn({ path }, 'leader epochs are unreadable and are built anew')
    this.#epochs = entries
    this.#epochsAreLost = damage !== undefined
    input.epochs.load(entries)
  }

  *run(): Generator<void, LoadedLog> {
    const from = this.#segments.length === 0 ? 0 : yield* this.#firstToRecover()
    yield* this.#loadProducers(from)
    if (from < this.#segments.length) {
      const limit = yield* this.#recover(from)
      if (limit) yield* this.#recoverUpTo(from, limit)
    }
    return this.#result()
  }

  /**
   * Index of the first segment that must be read as a whole; the number of segments when none must. Closed segments
   * below the recovery point are believed: a damaged index of theirs is found and mended when somebody looks.
   */
  *#firstToRecover(): Generator<void, number> {
    const { wasClean, recoveryPoint } = this.#input
    const count = this.#segments.length
    if (this.#epochsAreLost) return 0
    if (!wasClean) {
      let first = count - 1
      while (first > 0 && (this.#segments[first] as Segment).baseOffset > recoveryPoint) first--
      return first
    }
    const end = yield* this.#endOfActive()
    return end === undefined ? count - 1 : count
  }

  #hasSoundIndexes(segment: Segment): boolean {
    return segment.offsetIndex.load() && segment.timeIndex.load()
  }

  /** @returns undefined when the active segment does not end with a sound batch, or its indexes are no good */
  *#endOfActive(): Generator<void, number | undefined> {
    const active = this.#segments.at(-1) as Segment
    const size = active.sizeBytes
    if (size > 0 && !this.#hasSoundIndexes(active)) return undefined
    const start = size > 0 ? active.offsetIndex.lastPosition : 0
    // The last entry is of a batch that is there.
    if (start > 0 && start >= size) return undefined
    const check = new OffsetCheck(active.baseOffset, this.#input.gaps)
    const visit = (buffer: Buffer, at: number, position: number) => {
      const baseOffset = baseOffsetOf(buffer, at)
      const lastOffset = lastOffsetOf(buffer, at)
      if (start > 0 && position === start) {
        if (lastOffset !== active.offsetIndex.lastOffset) return false
        check.nextOffset = baseOffset
      }
      return check.follows(baseOffset, lastOffset, { index: 0, position })
    }
    const { crc32c } = this.#input.shared
    const { damage, position } = yield* scanBatches(active.file, start, size, crc32c, visit)
    if (damage || position !== size || check.unlikelyEnd) return undefined
    const end = check.nextOffset
    this.#logEndOffset = end
    return end
  }

  /** Takes the newest snapshot that is not above what will be replayed, and replays from there. */
  *#loadProducers(from: number): Generator<void, void> {
    const { producers, snapshots } = this.#input
    const recovered = this.#segments[from]
    const replayTo = recovered ? recovered.baseOffset : this.#logEndOffset
    const snapshot = snapshots.readLatest(replayTo)
    producers.load(snapshot?.producers ?? [])
    producers.expire(this.#input.nowMs, this.#input.producerExpirationMs)
    const replayFrom = snapshot?.offset ?? 0
    if (replayFrom >= replayTo) return
    for (const segment of this.#segments.slice(0, from)) {
      const next = this.#segments[this.#segments.indexOf(segment) + 1]
      if (next && next.baseOffset <= replayFrom) continue
      yield* scanBatches(segment.file, 0, segment.sizeBytes, undefined, (buffer, at) => {
        if (lastOffsetOf(buffer, at) >= replayFrom) producers.note(buffer, at)
        return true
      })
    }
  }

  /** Once more, knowing that the batch at the limit is damaged: only what follows it told. */
  *#recoverUpTo(from: number, limit: Limit): Generator<void, void> {
    this.#input.epochs.load(this.#epochs)
    this.#recoveredBytes = 0
    yield* this.#loadProducers(from)
    yield* this.#recover(from, limit)
  }

  /**
   * The checksum covers neither base offset nor leader epoch, so both are checked by what stands around them: they never
   * go back, and offsets leave no gap unless compaction made it.
   *
   * @returns where a batch stands whose base offset was found to be wrong only afterwards; nothing is cut then
   */
  *#recover(from: number, limit?: Limit): Generator<void, Limit | undefined> {
    const { producers, indexIntervalBytes, gaps } = this.#input
    const check = new OffsetCheck((this.#segments[from] as Segment).baseOffset, gaps)
    const epochs = new EpochCheck(this.#input.epochs)
    for (let index = from; index < this.#segments.length; index++) {
      const segment = this.#segments[index] as Segment
      const fileBytes = segment.sizeBytes
      check.enter(segment.baseOffset, this.#segments[index + 1]?.baseOffset)
      const visit = (buffer: Buffer, at: number) => {
        const position = segment.sizeBytes
        if (limit && limit.index === index && limit.position === position) return false
        const baseOffset = baseOffsetOf(buffer, at)
        if (!check.follows(baseOffset, lastOffsetOf(buffer, at), { index, position })) return false
        epochs.see(leaderEpochOf(buffer, at), baseOffset)
        const aborted = producers.note(buffer, at)
        if (aborted) segment.transactionIndex.append(aborted)
        return true
      }
      const end = yield* segment.rebuild(indexIntervalBytes, visit)
      if (check.wrongBatch && !limit) return check.wrongBatch
      this.#recoveredBytes += end.position
      this.#logEndOffset = check.nextOffset
      if (end.position < fileBytes) {
        const reason = end.damage ?? limit?.reason ?? 'offsets do not follow one another'
        epochs.end()
        this.#cutAt(index, end.position, fileBytes, reason)
        return undefined
      }
      segment.saveIndexes()
    }
    epochs.end()
    return limit ? undefined : check.unlikelyEnd
  }

  #cutAt(index: number, position: number, fileBytes: number, reason: string): void {
    const damaged = this.#segments[index] as Segment
    const behind = this.#segments.splice(index + 1)
    this.#cut = {
      atOffset: this.#logEndOffset,
      bytes: behind.reduce((sum, { sizeBytes }) => sum + sizeBytes, fileBytes - position),
      segments: behind.length,
      reason,
    }
    damaged.truncate(position, this.#logEndOffset)
    damaged.saveIndexes()
    for (const segment of behind) this.#remove(segment)
    if (behind.length > 0) this.#input.shared.disk.flushFolderSync(this.#input.folder)
  }

  #remove(segment: Segment): void {
    segment.close()
    for (const path of segment.paths) this.#input.shared.disk.removeFileSync(path)
  }

  #result(): LoadedLog {
    const { epochs, producers, snapshots, logger, folder } = this.#input
    const first = this.#segments[0]
    const logStartOffset = Math.max(this.#input.logStartOffset, first?.baseOffset ?? 0)
    if (!first || this.#logEndOffset < logStartOffset) {
      if (first) {
        const facts = { folder, logStartOffset, logEndOffset: this.#logEndOffset }
        logger.warn(facts, 'the log ends before its start offset: all of its segments are removed')
      }
      for (const segment of this.#segments.splice(0)) this.#remove(segment)
      producers.clear()
      epochs.truncateEnd(0)
      this.#logEndOffset = logStartOffset
    }
    snapshots.removeAbove(this.#logEndOffset)
    epochs.truncateEnd(this.#logEndOffset)
    epochs.truncateStart(logStartOffset)
    return {
      segments: this.#segments,
      logStartOffset,
      logEndOffset: this.#logEndOffset,
      cut: this.#cut,
      recoveredBytes: this.#recoveredBytes,
    }
  }
}

/** Tells whether the offsets of batches follow one another. */
class OffsetCheck {
  nextOffset: number
  /** The batch before the one that does not follow, when it is that one which is wrong. */
  wrongBatch: Limit | undefined
  readonly #gaps: Gaps
  #gapCount = 0
  /** The last batch, if it stands behind a gap. */
  #suspect: (Limit & { readonly contiguousEnd: number }) | undefined
  #segmentBase = 0
  #segmentEnd = Number.MAX_SAFE_INTEGER

  constructor(firstOffset: number, gaps: Gaps) {
    this.nextOffset = firstOffset
    this.#gaps = gaps
  }

  /** @param endOffset where the next segment begins */
  enter(baseOffset: number, endOffset = Number.MAX_SAFE_INTEGER): void {
    this.#segmentBase = baseOffset
    this.#segmentEnd = endOffset
    if (baseOffset > this.nextOffset) this.nextOffset = baseOffset
  }

  follows(
    baseOffset: number,
    lastOffset: number,
    place: { readonly index: number; readonly position: number },
  ): boolean {
    if (baseOffset < this.nextOffset) {
      // It would stand just behind the suspect if that one left no gap.
      if (baseOffset === this.#suspect?.contiguousEnd) this.wrongBatch = this.#suspect
      return false
    }
    if (lastOffset < baseOffset || lastOffset >= this.#segmentEnd) return false
    if (lastOffset - this.#segmentBase > maxRelativeOffset) return false
    const isBehindGap = baseOffset > this.nextOffset
    if (isBehindGap && this.#gaps === 'impossible') return false
    this.#suspect = undefined
    if (isBehindGap) {
      this.#gapCount++
      const reason = 'the base offset does not follow'
      const contiguousEnd = this.nextOffset + (lastOffset - baseOffset) + 1
      this.#suspect = { ...place, reason, contiguousEnd }
    }
    this.nextOffset = lastOffset + 1
    return true
  }

  /** The log's last batch, when the only gap stands before it and nothing explains it. */
  get unlikelyEnd(): Limit | undefined {
    return this.#gaps === 'unlikely' && this.#gapCount === 1 ? this.#suspect : undefined
  }
}

/** Leader epochs never go back in a log: one that does, or that the next batch goes back from, is damaged. */
class EpochCheck {
  readonly #cache: LeaderEpochCache
  #known = noEpoch
  #last: EpochStart | undefined

  constructor(cache: LeaderEpochCache) {
    this.#cache = cache
  }

  see(epoch: number, startOffset: number): void {
    if (this.#last && epoch >= this.#last.epoch) this.end()
    this.#last = epoch >= this.#known ? { epoch, startOffset } : undefined
  }

  /** The last batch seen is believed. */
  end(): void {
    if (!this.#last) return
    const { epoch, startOffset } = this.#last
    this.#cache.note(epoch, startOffset)
    this.#known = Math.max(this.#known, epoch)
    this.#last = undefined
  }
}
