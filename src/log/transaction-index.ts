import type { Disk } from '../io/io.ts'
import { readInt64, writeInt64 } from '../protocol/int64.ts'

const entryBytes = 34

/** One aborted transaction; offsets inclusive, but `lastStableOffset`: where that stood when the marker was written. */
export type AbortedTransaction = {
  producerId: number
  firstOffset: number
  lastOffset: number
  lastStableOffset: number
}

/**
 * `.txnindex`: the transactions whose abort marker stands in this segment, in the order of their markers. Most segments
 * have none and no file. Entry: int16 version 0, then four int64. Like Kafka's TransactionIndex.
 */
export class TransactionIndex {
  path: string
  readonly #disk: Disk
  #entries: AbortedTransaction[] | undefined
  #savedCount = 0

  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.path = path
  }

  get entries(): readonly AbortedTransaction[] {
    this.#entries ??= this.#read()
    return this.#entries
  }

  append(entry: AbortedTransaction): void {
    this.#entries ??= this.#read()
    this.#entries.push(entry)
  }

  /** Forgets transactions whose marker stands at `offset` or above. */
  truncateTo(offset: number): void {
    const kept = this.entries.filter((entry) => entry.lastOffset < offset)
    if (kept.length === this.entries.length) return
    this.#entries = kept
    this.#savedCount = -1
  }

  reset(): void {
    this.#entries = []
    this.#savedCount = -1
  }

  /** Writes to the file what it lacks; no flush. */
  save(): void {
    const entries = this.#entries
    if (!entries || this.#savedCount === entries.length) return
    if (entries.length === 0) {
      this.#disk.removeFileSync(this.path)
    } else {
      const from = Math.max(0, this.#savedCount)
      const file = this.#disk.openSync(this.path, 'write')
      try {
        if (this.#savedCount < 0) file.truncateSync(0)
        file.writeSync([encodeAborted(entries.slice(from))], from * entryBytes)
      } finally {
        file.closeSync()
      }
    }
    this.#savedCount = entries.length
  }

  rename(path: string): void {
    if (this.#disk.existsSync(this.path)) this.#disk.renameSync(this.path, path)
    this.path = path
  }

  #read(): AbortedTransaction[] {
    const found = this.#disk.existsSync(this.path)
      ? decodeAborted(this.#disk.readFileSync(this.path))
      : []
    this.#savedCount = found.length
    return found
  }
}

export function encodeAborted(entries: readonly AbortedTransaction[]): Buffer {
  const buffer = Buffer.alloc(entries.length * entryBytes)
  let at = 0
  for (const { producerId, firstOffset, lastOffset, lastStableOffset } of entries) {
    writeInt64(buffer, at + 2, producerId)
    writeInt64(buffer, at + 10, firstOffset)
    writeInt64(buffer, at + 18, lastOffset)
    writeInt64(buffer, at + 26, lastStableOffset)
    at += entryBytes
  }
  return buffer
}

/** Stops before an entry that is cut off or of another version. */
export function decodeAborted(buffer: Buffer): AbortedTransaction[] {
  const found: AbortedTransaction[] = []
  for (let at = 0; at + entryBytes <= buffer.length; at += entryBytes) {
    if (buffer.readInt16BE(at) !== 0) break
    found.push({
      producerId: readInt64(buffer, at + 2),
      firstOffset: readInt64(buffer, at + 10),
      lastOffset: readInt64(buffer, at + 18),
      lastStableOffset: readInt64(buffer, at + 26),
    })
  }
  return found
}
