import type { Disk } from '../io/io.ts'
import type { IndexCache } from './index-cache.ts'

const firstCapacity = 16

/**
 * Entries of one fixed size, ascending by their keys: the form that offset and time index share. The active segment's
 * entries are kept in memory and saved when the segment is closed or flushed; a closed segment's are read when somebody
 * looks and dropped again by the cache. What is in the file is checked as a whole when it is read: an index is a copy of
 * what the segment says, so a damaged one is built again from it.
 */
export abstract class IndexFile {
  path: string
  readonly baseOffset: number
  readonly #disk: Disk
  readonly #cache: IndexCache
  readonly #entryBytes: number
  #entries: Buffer | undefined
  #count = 0
  /** Entries from here on are not in the file; -1: the file must be written anew. */
  #savedCount = 0
  /** So many entries were found in the file: nobody has looked yet whether the segment agrees. */
  #foundCount = 0
  #isActive = false

  constructor(disk: Disk, cache: IndexCache, path: string, baseOffset: number, entryBytes: number) {
    this.#disk = disk
    this.#cache = cache
    this.path = path
    this.baseOffset = baseOffset
    this.#entryBytes = entryBytes
  }

  /** True when the entries of `buffer` ascend as they must and stay within their bounds. */
  protected abstract isSound(buffer: Buffer, count: number): boolean

  get count(): number {
    this.load()
    return this.#count
  }

  get sizeBytes(): number {
    if (this.#entries) return this.#count * this.#entryBytes
    return this.#disk.statSync(this.path)?.sizeBytes ?? 0
  }

  /** Bytes in memory, for the cache. */
  get heldBytes(): number {
    return this.#entries?.length ?? 0
  }

  /** Begins as an empty index whatever the file holds. */
  reset(): void {
    this.#entries = Buffer.alloc(0)
    this.#count = 0
    this.#savedCount = -1
    this.#foundCount = 0
    this.#isActive = true
    this.#cache.forget(this)
  }

  /** Reads the file if it is not in memory. @returns false when it is missing or damaged; it is empty then */
  load(): boolean {
    if (this.#entries) {
      if (!this.#isActive) this.#cache.touch(this)
      return true
    }
    const content = this.#disk.existsSync(this.path)
      ? this.#disk.readFileSync(this.path)
      : undefined
    const count = content ? content.length / this.#entryBytes : 0
    if (!content || !Number.isInteger(count) || !this.isSound(content, count)) {
      this.reset()
      return false
    }
    this.#entries = content
    this.#count = count
    this.#savedCount = count
    this.#foundCount = count
    if (!this.#isActive) this.#cache.touch(this)
    return true
  }

  /** The entry was not added by this process since the file was read. */
  protected isFound(index: number): boolean {
    return index < this.#foundCount
  }

  get isLoaded(): boolean {
    return this.#entries !== undefined
  }

  /** In memory, or a file of whole entries: all that can be said without reading it. */
  get seemsSound(): boolean {
    if (this.#entries) return true
    const stat = this.#disk.statSync(this.path)
    return stat !== undefined && stat.sizeBytes % this.#entryBytes === 0
  }

  /** The file's last entry, without reading the others; undefined when it has none. */
  protected readLastEntry(): Buffer | undefined {
    const sizeBytes = this.#disk.statSync(this.path)?.sizeBytes ?? 0
    if (sizeBytes === 0 || sizeBytes % this.#entryBytes !== 0) return undefined
    const entry = Buffer.alloc(this.#entryBytes)
    const file = this.#disk.openSync(this.path, 'read')
    try {
      file.readSync(entry, sizeBytes - this.#entryBytes)
    } finally {
      file.closeSync()
    }
    return entry
  }

  /** The active segment's index stays in memory and grows. */
  setActive(isActive: boolean): void {
    this.#isActive = isActive
    if (!isActive && this.#entries) this.#cache.touch(this)
    if (isActive) this.#cache.forget(this)
  }

  get isActive(): boolean {
    return this.#isActive
  }

  /** Drops the entries from memory if the file has them. */
  unload(): void {
    if (this.#savedCount === this.#count && !this.#isActive) {
      this.#entries = undefined
      this.#cache.forget(this)
    }
  }

  /** Where the next entry goes in `buffer`. */
  protected grow(): { buffer: Buffer; at: number } {
    this.load()
    const at = this.#count * this.#entryBytes
    let buffer = this.#entries as Buffer
    if (at + this.#entryBytes > buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(firstCapacity * this.#entryBytes, at * 2))
      buffer.copy(larger, 0, 0, at)
      this.#entries = larger
      buffer = larger
    }
    this.#count++
    return { buffer, at }
  }

  protected get buffer(): Buffer {
    this.load()
    return this.#entries as Buffer
  }

  /** Keeps the first `count` entries. */
  protected keep(count: number): void {
    this.load()
    if (count >= this.#count) return
    this.#count = count
    this.#foundCount = Math.min(this.#foundCount, count)
    if (this.#savedCount > count) this.#savedCount = -1
  }

  /** Writes to the file what it lacks; no flush. */
  save(): void {
    if (!this.#entries || this.#savedCount === this.#count) return
    const from = Math.max(0, this.#savedCount) * this.#entryBytes
    const end = this.#count * this.#entryBytes
    const file = this.#disk.openSync(this.path, 'write')
    try {
      if (this.#savedCount < 0) file.truncateSync(0)
      if (end > from) file.writeSync([this.#entries.subarray(from, end)], from)
    } finally {
      file.closeSync()
    }
    this.#savedCount = this.#count
  }

  rename(path: string): void {
    if (this.#disk.existsSync(this.path)) this.#disk.renameSync(this.path, path)
    this.path = path
  }

  close(): void {
    this.#entries = undefined
    this.#count = 0
    this.#cache.forget(this)
  }
}
