import type { Disk } from '../io/io.ts'
import { readInt64, writeInt64 } from '../protocol/int64.ts'
import type { IndexCache } from './index-cache.ts'
import { IndexFile } from './index-file.ts'

const entryBytes = 12

export type TimestampOffset = { timestamp: number; offset: number }
export const noTimestampOffset: TimestampOffset = { timestamp: -1, offset: -1 }
/** `isFound`: it was in the file, which has no checksum. */
export type TimeEntry = TimestampOffset & { isFound: boolean }

/**
 * `.timeindex`: the largest timestamp of the segment up to here (int64) and the last offset of the batch that has it
 * (int32, relative). Records before an entry are not younger than it. Like Kafka's TimeIndex.
 */
export class TimeIndex extends IndexFile {
  constructor(disk: Disk, cache: IndexCache, path: string, baseOffset: number) {
    super(disk, cache, path, baseOffset, entryBytes)
  }

  /** Added only when it is younger than the last entry. */
  append(timestamp: number, offset: number): void {
    this.load()
    if (timestamp <= this.last.timestamp) return
    const { buffer, at } = this.grow()
    writeInt64(buffer, at, timestamp)
    buffer.writeInt32BE(offset - this.baseOffset, at + 8)
  }

  /** Puts entries before those that were appended since `reset`. */
  prepend(times: readonly TimestampOffset[]): void {
    const later = Array.from({ length: this.count }, (_, index) => this.#at(index))
    this.reset()
    for (const { timestamp, offset } of times) this.append(timestamp, offset)
    for (const { timestamp, offset } of later) this.append(timestamp, offset)
  }

  /** (-1, -1) when there is none. Does not read the whole file. */
  get last(): TimeEntry {
    if (this.isLoaded) {
      const index = this.count - 1
      if (index >= 0) return { ...this.#at(index), isFound: this.isFound(index) }
    } else {
      const entry = this.readLastEntry()
      if (entry) return { ...this.#entryIn(entry, 0), isFound: true }
    }
    return { ...noTimestampOffset, isFound: false }
  }

  /** The last entry that is not younger than `timestamp`; the first record of that age or younger is not before it. */
  lookup(timestamp: number): TimeEntry | undefined {
    let low = 0
    let high = this.count - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      if (readInt64(this.buffer, middle * entryBytes) <= timestamp) low = middle + 1
      else high = middle - 1
    }
    return high < 0 ? undefined : { ...this.#at(high), isFound: this.isFound(high) }
  }

  /** Forgets entries of `offset` and above. */
  truncateTo(offset: number): void {
    let count = this.count
    while (count > 0 && this.#at(count - 1).offset >= offset) count--
    this.keep(count)
  }

  #at(index: number): TimestampOffset {
    return this.#entryIn(this.buffer, index * entryBytes)
  }

  #entryIn(buffer: Buffer, at: number): TimestampOffset {
    const timestamp = readInt64(buffer, at)
    return { timestamp, offset: this.baseOffset + buffer.readInt32BE(at + 8) }
  }

  protected override isSound(buffer: Buffer, count: number): boolean {
    let timestamp = -1
    let offset = -1
    for (let at = 0; at < count * entryBytes; at += entryBytes) {
      const nextTimestamp = readInt64(buffer, at)
      const nextOffset = buffer.readInt32BE(at + 8)
      if (nextTimestamp <= timestamp || nextOffset < offset) return false
      timestamp = nextTimestamp
      offset = nextOffset
    }
    return true
  }
}
