import { LmqError } from '../base/errors.ts'
import type { Memory } from '../io/io.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  lastOffsetOf,
} from '../protocol/record-batch.ts'
import { CHECKSUM_DAMAGE, damageAt } from './batch-scan.ts'
import type { Segment } from './segment.ts'

/** Enough for the headers between two index entries when batches are small. */
const probeBytes = 8 * 1024
/** Small reads of what was written just now are in the page cache: a thread would cost more than they do. */
const maxSyncBytes = 64 * 1024
const maxHints = 32

export type DiskRead = { records: Buffer | undefined; firstOffset: number; nextOffset: number }

/**
 * Reads batches of one log's files: one positioned read of the wanted range. Remembers where readers stopped, so that
 * one who reads on needs no index.
 */
export class LogReader {
  readonly #memory: Memory
  readonly #onBadIndex: (segment: Segment) => void
  /** By the offset that a reader will ask for next. */
  readonly #hints = new Map<number, { segment: Segment; position: number }>()

  /** @param memory for what is read: a socket that it is written to gives it back */
  constructor(memory: Memory, onBadIndex: (segment: Segment) => void) {
    this.#memory = memory
    this.#onBadIndex = onBadIndex
  }

  forgetHints(): void {
    this.#hints.clear()
  }

  /**
   * Whole batches of one segment from the one that holds `offset`, or the first one after it.
   *
   * @param isRecent the range was written just now
   * @returns no records when the segment has nothing at or above `offset`, or the first batch does not fit
   * @throws LMQ_LOG_CORRUPT
   */
  read(
    segment: Segment,
    offset: number,
    upTo: number,
    maxBytes: number,
    minOneBatch: boolean,
    isRecent: (position: number) => boolean,
  ): DiskRead | undefined | Promise<DiskRead | undefined> {
    const hint = this.#hints.get(offset)
    if (hint && hint.segment === segment) {
      const { position } = hint
      const length = Math.min(maxBytes, segment.writtenBytes - position)
      if (length <= maxSyncBytes && length >= BATCH_HEADER_BYTES && isRecent(position)) {
        const found = this.#readNow(segment, position, offset, upTo, length)
        if (found) return found
      }
      return this.#readAt(segment, position, offset, upTo, maxBytes, minOneBatch)
    }
    return this.#locateAndRead(segment, offset, upTo, maxBytes, minOneBatch)
  }

  async #locateAndRead(
    segment: Segment,
    offset: number,
    upTo: number,
    maxBytes: number,
    minOneBatch: boolean,
  ): Promise<DiskRead | undefined> {
    // A reader from the beginning needs no search.
    const position = offset <= segment.baseOffset ? 0 : await this.locate(segment, offset)
    if (position < 0) return undefined
    return this.#readAt(segment, position, offset, upTo, maxBytes, minOneBatch)
  }

  /** Without leaving the turn; undefined when not even one batch fits. */
  #readNow(
    segment: Segment,
    position: number,
    offset: number,
    upTo: number,
    length: number,
  ): DiskRead | undefined {
    const buffer = Buffer.allocUnsafe(length)
    const filled = buffer.subarray(0, segment.file.use().readSync(buffer, position))
    const found = wholeBatches(segment, filled, position, offset, upTo)
    if (!found.records) return undefined
    this.#remember(segment, position + found.records.length, found.nextOffset)
    return found
  }

  async #readAt(
    segment: Segment,
    position: number,
    offset: number,
    upTo: number,
    maxBytes: number,
    minOneBatch: boolean,
  ): Promise<DiskRead | undefined> {
    const limit = segment.writtenBytes
    if (limit - position < BATCH_HEADER_BYTES) return undefined
    const wanted = Math.max(BATCH_HEADER_BYTES, Math.min(maxBytes, limit - position))
    let buffer = await fill(segment, position, this.#memory.take(wanted))
    if (buffer.length < BATCH_HEADER_BYTES) throw damaged(segment, position, 'file is too short')
    const firstBytes = batchSizeOf(buffer, 0)
    const damage = damageAt(buffer, 0, limit - position)
    if (damage) throw damaged(segment, position, damage)
    if (firstBytes > maxBytes) {
      if (!minOneBatch) return { records: undefined, firstOffset: offset, nextOffset: offset }
      this.#memory.giveBack(buffer)
      buffer = await fill(segment, position, this.#memory.take(firstBytes))
    }
    const found = wholeBatches(segment, buffer, position, offset, upTo)
    if (found.records) this.#remember(segment, position + found.records.length, found.nextOffset)
    return found
  }

  #remember(segment: Segment, position: number, nextOffset: number): void {
    this.#hints.delete(nextOffset)
    this.#hints.set(nextOffset, { segment, position })
    if (this.#hints.size <= maxHints) return
    for (const oldest of this.#hints.keys()) {
      this.#hints.delete(oldest)
      return
    }
  }

  /**
   * Position of the first batch whose last offset is not below `offset`; -1 when the segment ends before.
   *
   * @throws LMQ_LOG_CORRUPT
   */
  async locate(segment: Segment, offset: number): Promise<number> {
    if (!segment.offsetIndex.load()) this.#onBadIndex(segment)
    const start = segment.offsetIndex.lookup(offset)
    const limit = segment.writtenBytes
    if (start > 0 && start >= limit) {
      this.#onBadIndex(segment)
      return this.locate(segment, offset)
    }
    const probe = Buffer.allocUnsafe(probeBytes)
    let position = start
    while (position < limit) {
      const window = probe.subarray(0, Math.min(probeBytes, limit - position))
      const filled = window.subarray(
        0,
        await segment.file.pinned((file) => file.read(window, position)),
      )
      let at = 0
      while (filled.length - at >= BATCH_HEADER_BYTES) {
        const damage =
          damageAt(filled, at, limit - position - at) ??
          (position + at === start && start > 0
            ? indexDamage(segment, filled, at, offset)
            : undefined)
        if (damage && position + at === start && start > 0) {
          this.#onBadIndex(segment)
          return this.locate(segment, offset)
        }
        if (damage) throw damaged(segment, position + at, damage)
        if (lastOffsetOf(filled, at) >= offset) return position + at
        at += batchSizeOf(filled, at)
      }
      if (at === 0) throw damaged(segment, position, 'cut off inside a batch header')
      position += at
    }
    return -1
  }
}

/** An index entry that is not above `offset` must point at a batch that does not begin above it. */
function indexDamage(segment: Segment, b: Buffer, at: number, offset: number): string | undefined {
  const baseOffset = baseOffsetOf(b, at)
  return baseOffset > offset || baseOffset < segment.baseOffset ? 'the index is wrong' : undefined
}

export function readRange(segment: Segment, position: number, length: number): Promise<Buffer> {
  return fill(segment, position, Buffer.allocUnsafeSlow(length))
}

/** @returns the part of `buffer` for which the file had bytes */
function fill(segment: Segment, position: number, buffer: Buffer): Promise<Buffer> {
  return segment.file.pinned(async (file) => {
    const count = await file.read(buffer, position)
    return count === buffer.length ? buffer : buffer.subarray(0, count)
  })
}

/**
 * Cuts behind the last batch that is whole and below `upTo`, and before one that cannot be right. Batches that stood there
 * when the log was opened are read for the first time since somebody else wrote them: they must have their checksum, which
 * costs a first reader a sixth of a second per GB. No checksum covers lengths and offsets, but offsets never go back, and
 * where they do behind a gap it is the batch there that is wrong.
 */
function wholeBatches(
  segment: Segment,
  buffer: Buffer,
  position: number,
  offset: number,
  upTo: number,
): DiskRead {
  let at = 0
  let nextOffset = offset
  let lastAt = 0
  let isBehindGap = false
  while (buffer.length - at >= BATCH_HEADER_BYTES) {
    const sizeBytes = batchSizeOf(buffer, at)
    if (sizeBytes > buffer.length - at) break
    const baseOffset = baseOffsetOf(buffer, at)
    const lastOffset = lastOffsetOf(buffer, at)
    const goesBack = at > 0 && baseOffset < nextOffset
    if (sizeBytes < BATCH_HEADER_BYTES || lastOffset < baseOffset || goesBack) {
      if (goesBack && isBehindGap) at = lastAt
      if (at === 0) throw damaged(segment, position, 'impossible length or offset')
      if (at === lastAt) nextOffset = endBefore(buffer, at)
      break
    }
    if (lastOffset >= upTo) break
    if (!segment.isSound(buffer, at, position + at, sizeBytes)) {
      if (at === 0) throw damaged(segment, position, CHECKSUM_DAMAGE)
      break
    }
    isBehindGap = at === 0 ? baseOffset > offset : baseOffset > nextOffset
    lastAt = at
    nextOffset = lastOffset + 1
    at += sizeBytes
  }
  if (at === 0) return { records: undefined, firstOffset: offset, nextOffset: offset }
  segment.noteSound(position, position + at)
  return {
    records: at === buffer.length ? buffer : buffer.subarray(0, at),
    firstOffset: baseOffsetOf(buffer, 0),
    nextOffset,
  }
}

/** The offset behind the last batch that ends at `end`; there is at least one. */
function endBefore(buffer: Buffer, end: number): number {
  let at = 0
  for (;;) {
    const next = at + batchSizeOf(buffer, at)
    if (next >= end) return lastOffsetOf(buffer, at) + 1
    at = next
  }
}

export function damaged(segment: Segment, position: number, reason: string): LmqError {
  return new LmqError('LMQ_LOG_CORRUPT', { path: segment.file.path, position, reason })
}
