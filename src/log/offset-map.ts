import { KeyHash } from './key-hash.ts'

const bytesPerSlot = 24
const wordsPerKey = 4

/** The last offset of each key, for compaction: a hash table of fixed size without the keys. Like SkimpyOffsetMap. */
export class OffsetMap {
  /** Everything up to here (inclusive) is in the map; -1: nothing. */
  latestOffset = -1
  size = 0
  readonly #slots: number
  readonly #maxSize: number
  readonly #keys: Int32Array
  readonly #offsets: Float64Array
  readonly #hash = new KeyHash()

  /**
   * @param maxBytes memory it may take
   * @param loadFactor share of the slots that may be used
   * @param maxKeys no more keys will come: the table is made no larger than they need
   */
  constructor(maxBytes: number, loadFactor: number, maxKeys: number) {
    const affordable = Math.max(16, Math.floor(maxBytes / bytesPerSlot))
    this.#slots = Math.min(affordable, Math.max(16, Math.ceil(maxKeys / loadFactor) + 1))
    this.#maxSize = Math.max(1, Math.floor(this.#slots * loadFactor))
    this.#keys = new Int32Array(this.#slots * wordsPerKey)
    this.#offsets = new Float64Array(this.#slots).fill(-1)
  }

  /** @returns false when the map is full and the key is not in it */
  put(buffer: Buffer, start: number, end: number, offset: number): boolean {
    const slot = this.#find(buffer, start, end)
    if ((this.#offsets[slot] as number) < 0) {
      if (this.size >= this.#maxSize) return false
      this.size++
      const at = slot * wordsPerKey
      this.#keys[at] = this.#hash.h1
      this.#keys[at + 1] = this.#hash.h2
      this.#keys[at + 2] = this.#hash.h3
      this.#keys[at + 3] = this.#hash.h4
    }
    this.#offsets[slot] = offset
    return true
  }

  /** -1: the key is not in the map. */
  get(buffer: Buffer, start: number, end: number): number {
    return this.#offsets[this.#find(buffer, start, end)] as number
  }

  /** The key's slot, or the free one where it would go. */
  #find(buffer: Buffer, start: number, end: number): number {
    this.#hash.update(buffer, start, end)
    const { h1, h2, h3, h4 } = this.#hash
    let slot = (h1 >>> 0) % this.#slots
    while ((this.#offsets[slot] as number) >= 0) {
      const at = slot * wordsPerKey
      if (
        this.#keys[at] === h1 &&
        this.#keys[at + 1] === h2 &&
        this.#keys[at + 2] === h3 &&
        this.#keys[at + 3] === h4
      ) {
        return slot
      }
      slot = slot + 1 === this.#slots ? 0 : slot + 1
    }
    return slot
  }
}
