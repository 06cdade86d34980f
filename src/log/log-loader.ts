import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import { baseOffsetOf, lastOffsetOf, leaderEpochOf } from '../protocol/record-batch.ts'
import { scanBatches } from './batch-scan.ts'
import { decodeEpochs, readCheckpoint } from './checkpoint-file.ts'
import type { LeaderEpochCache } from './leader-epoch-cache.ts'
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
  /** Compaction may have left gaps between offsets; otherwise a gap inside a segment is damage. */
  readonly mayHaveGaps: boolean
  readonly producers: ProducerStates
  readonly snapshots: ProducerSnapshots
  readonly epochs: LeaderEpochCache
}

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
    input.epochs.load(entries)
  }

  *run(): Generator<void, LoadedLog> {
    const from = this.#segments.length === 0 ? 0 : yield* this.#firstToRecover()
    yield* this.#loadProducers(from)
    if (from < this.#segments.length) yield* this.#recover(from)
    return this.#result()
  }

  /**
   * Index of the first segment that must be read as a whole; the number of segments when none must. Closed segments
   * below the recovery point are believed: a damaged index of theirs is found and mended when somebody looks.
   */
  *#firstToRecover(): Generator<void, number> {
    const { wasClean, recoveryPoint } = this.#input
    const count = this.#segments.length
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
    let end = active.baseOffset
    const start = size > 0 ? active.offsetIndex.lastPosition : 0
    if (start > size) return undefined
    const visit = (buffer: Buffer, at: number) => {
      end = lastOffsetOf(buffer, at) + 1
      return end > active.baseOffset
    }
    const { crc32c } = this.#input.shared
    const { damage, position } = yield* scanBatches(active.file, start, size, crc32c, visit)
    if (damage || position !== size) return undefined
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

  /**
   * The checksum covers neither base offset nor leader epoch, so offsets are checked by what stands around them: they
   * never go back, and leave no gap unless compaction made it.
   */
  *#recover(from: number): Generator<void, void> {
    const { epochs, producers, indexIntervalBytes, mayHaveGaps } = this.#input
    let expectedOffset = (this.#segments[from] as Segment).baseOffset
    for (let index = from; index < this.#segments.length; index++) {
      const segment = this.#segments[index] as Segment
      const fileBytes = segment.sizeBytes
      if (segment.baseOffset > expectedOffset) expectedOffset = segment.baseOffset
      const visit = (buffer: Buffer, at: number) => {
        const baseOffset = baseOffsetOf(buffer, at)
        const lastOffset = lastOffsetOf(buffer, at)
        if (baseOffset < expectedOffset || lastOffset < baseOffset) return false
        if (baseOffset > expectedOffset && !mayHaveGaps) return false
        expectedOffset = lastOffset + 1
        epochs.note(leaderEpochOf(buffer, at), baseOffset)
        const aborted = producers.note(buffer, at)
        if (aborted) segment.transactionIndex.append(aborted)
        return true
      }
      const end = yield* segment.rebuild(indexIntervalBytes, visit)
      this.#recoveredBytes += end.position
      this.#logEndOffset = expectedOffset
      if (end.position < fileBytes) {
        this.#cutAt(
          index,
          end.position,
          fileBytes,
          end.damage ?? 'offsets do not follow one another',
        )
        break
      }
      segment.saveIndexes()
    }
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
