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
 * have none and no file. Entry: int16 version 0, then four int64. Like Kafka's TransactionIndex. The file has no checksum:
 * what is found in it counts when `adopt` has put in its place what the segment says.
 */
export class TransactionIndex {
  path: string
  readonly #disk: Disk
  #entries: AbortedTransaction[] | undefined
  #savedCount = 0
  /** So many entries were found in the file. */
  #foundCount = 0
  #isDoubtful = false

  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.path = path
  }

  get entries(): readonly AbortedTransaction[] {
    this.#entries ??= this.#read()
    return this.#entries
  }

  /** There was a file, and nobody has compared it with the segment. */
  get isDoubtful(): boolean {
    this.#entries ??= this.#read()
    return this.#isDoubtful
  }

  append(entry: AbortedTransaction): void {
    this.#entries ??= this.#read()
    this.#entries.push(entry)
  }

  /**
   * Takes what the segment says in place of what was found in the file; entries that came since stay. Writes the file if
   * it says something else.
   *
   * @param until from here on the segment cannot be read, and what was found is kept; undefined: all of it was read
   * @returns whether the file was right
   */
  adopt(told: readonly AbortedTransaction[], until: number | undefined): boolean {
    const all = [...this.entries]
    const found = all.splice(0, this.#foundCount)
    const behind = until === undefined ? [] : found.filter((entry) => entry.lastOffset >= until)
    const right = [...told, ...behind]
    const wasRight = encodeAborted(found).equals(encodeAborted(right)) && this.#isFileWhole
    this.#entries = [...right, ...all]
    this.#foundCount = 0
    this.#isDoubtful = false
    if (wasRight) return true
    this.#savedCount = -1
    this.save()
    return false
  }

  /** Forgets transactions whose marker stands at `offset` or above. */
  truncateTo(offset: number): void {
    const kept = this.entries.filter((entry) => entry.lastOffset < offset)
    if (kept.length === this.entries.length) return
    const found = this.entries.slice(0, this.#foundCount)
    this.#foundCount = found.filter((entry) => entry.lastOffset < offset).length
    this.#entries = kept
    this.#savedCount = -1
  }

  reset(): void {
    this.#entries = []
    this.#savedCount = -1
    this.#foundCount = 0
    this.#isDoubtful = false
  }

  /** Writes to the file what it lacks; no flush. As long as there is a file, whoever reads it next looks at the segment. */
  save(): void {
    const entries = this.#entries
    if (!entries || this.#savedCount === entries.length) return
    if (entries.length === 0 && !this.#isDoubtful) {
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

  get #isFileWhole(): boolean {
    const sizeBytes = this.#disk.statSync(this.path)?.sizeBytes ?? 0
    return sizeBytes === this.#savedCount * entryBytes && sizeBytes > 0
  }

  #read(): AbortedTransaction[] {
    this.#isDoubtful = this.#disk.existsSync(this.path)
    const found = this.#isDoubtful ? decodeAborted(this.#disk.readFileSync(this.path)) : []
    this.#savedCount = found.length
    this.#foundCount = found.length
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
