import { newRecordPlace, nextRecord } from '../protocol/record.ts'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  batchSizeOf,
  hasLogAppendTime,
  lastOffsetOf,
  leaderEpochOf,
  maxTimestampOf,
  recordCountOf,
} from '../protocol/record-batch.ts'
import { VarintCursor } from '../protocol/varint.ts'
import { openBatch, openingBytesOf } from './batch-recode.ts'
import { CHECKSUM_DAMAGE, damageAt } from './batch-scan.ts'
import type { LogCore } from './log-core.ts'
import { damaged, readRange } from './log-reader.ts'
import type { Segment } from './segment.ts'

export type FoundRecord = { timestamp: number; offset: number; leaderEpoch: number }

/** Read at once, unless a batch is larger. */
export const SEARCH_BYTES = 256 * 1024
/** Records of an opened batch that are looked at before others have their turn. */
const recordsPerTurn = 200_000

/**
 * The first record at or above the log start whose timestamp is not below `timestamp`. Segment by the newest record of
 * each, place in it by the time index, then batch by batch. Nothing when the record is not below `upTo`.
 */
export async function findByTimestamp(
  log: LogCore,
  timestamp: number,
  upTo: number,
): Promise<FoundRecord | undefined> {
  for (const segment of [...log.segments.all]) {
    // Only the last entry is read here; a segment whose time index cannot be believed is searched.
    if (isTooOld(segment, timestamp)) continue
    const from = Math.max(beginOf(log, segment, timestamp), log.logStartOffset)
    const found = await firstMatch(log, segment, from, timestamp)
    if (!found) continue
    return found.offset < upTo ? found : undefined
  }
  return undefined
}

/** @returns an offset before which there is no record of `timestamp` or younger */
function beginOf(log: LogCore, segment: Segment, timestamp: number): number {
  if (segment.timeIndex.load()) {
    const entry = segment.timeIndex.lookup(timestamp)
    if (!entry) return segment.baseOffset
    if (!entry.isFound || segment.agreesWith(entry)) return entry.offset
  }
  log.rebuildIndexes(segment)
  return segment.baseOffset
}

/** An index without an entry beside a segment with records says nothing: it may have been lost. */
function isTooOld(segment: Segment, timestamp: number): boolean {
  if (segment.sizeBytes === 0) return true
  const newestMs = segment.newest.timestamp
  return segment.timeIndex.seemsSound && newestMs >= 0 && newestMs < timestamp
}

/** The first of the records with the largest timestamp. */
export async function findNewest(log: LogCore): Promise<FoundRecord | undefined> {
  let newest: Segment | undefined
  for (const segment of log.segments.all) {
    if (!newest || segment.newest.timestamp > newest.newest.timestamp) newest = segment
  }
  if (!newest || newest.newest.timestamp < 0) return undefined
  const { timestamp, offset } = newest.newest
  return firstMatch(log, newest, offset, timestamp)
}

/** @param fromOffset lies in the first batch to look into, which may hold the record before that offset */
async function firstMatch(
  log: LogCore,
  segment: Segment,
  fromOffset: number,
  timestamp: number,
): Promise<FoundRecord | undefined> {
  let position = await log.reader.locate(segment, fromOffset)
  if (position < 0) return undefined
  while (position < segment.writtenBytes) {
    const limit = segment.writtenBytes
    let window = await readRange(segment, position, Math.min(SEARCH_BYTES, limit - position))
    let at = 0
    while (window.length - at >= BATCH_HEADER_BYTES) {
      const damage = damageAt(window, at, limit - position - at)
      if (damage) throw damaged(segment, position + at, damage)
      const sizeBytes = batchSizeOf(window, at)
      if (maxTimestampOf(window, at) >= timestamp && lastOffsetOf(window, at) >= fromOffset) {
        if (sizeBytes > window.length - at) {
          window = await readRange(segment, position + at, sizeBytes)
          position += at
          at = 0
        }
        if (!segment.isSound(window, at, position + at, sizeBytes)) {
          throw damaged(segment, position + at, CHECKSUM_DAMAGE)
        }
        const found = await matchIn(log, window.subarray(at, at + sizeBytes), timestamp)
        if (found) return found
      }
      at += sizeBytes
    }
    if (at === 0) throw damaged(segment, position, 'cut off inside a batch header')
    position += at
  }
  return undefined
}

async function matchIn(
  log: LogCore,
  batch: Buffer,
  timestamp: number,
): Promise<FoundRecord | undefined> {
  const { io, openings } = log.shared
  return openings.run(openingBytesOf(batch), async () => {
    const block = await openBatch(io, batch)
    const cursor = new VarintCursor(block)
    const place = newRecordPlace()
    const fixed = hasLogAppendTime(attributesOf(batch, 0)) ? maxTimestampOf(batch, 0) : undefined
    const base = baseTimestampOf(batch, 0)
    const count = recordCountOf(batch, 0)
    for (let index = 0; index < count; index++) {
      if (index > 0 && index % recordsPerTurn === 0) {
        await new Promise<void>((resolve) => io.timers.endOfTurn(resolve))
      }
      nextRecord(cursor, place)
      const offset = baseOffsetOf(batch, 0) + place.offsetDelta
      const recordTimestamp = fixed ?? base + place.timestampDelta
      if (recordTimestamp >= timestamp && offset >= log.logStartOffset) {
        return { timestamp: recordTimestamp, offset, leaderEpoch: leaderEpochOf(batch, 0) }
      }
    }
    return undefined
  })
}
