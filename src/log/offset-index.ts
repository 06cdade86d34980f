import type { Disk } from '../io/io.ts'
import type { IndexCache } from './index-cache.ts'
import { IndexFile } from './index-file.ts'

const entryBytes = 8

/**
 * `.index`: about every index.interval.bytes the last offset of a batch (int32, relative to the segment) and the
 * position where that batch begins (int32). Like Kafka's OffsetIndex.
 */
export class OffsetIndex extends IndexFile {
  constructor(disk: Disk, cache: IndexCache, path: string, baseOffset: number) {
    super(disk, cache, path, baseOffset, entryBytes)
  }

  /** An offset that is not above the last one is left out: the index stays usable, only less dense. */
  append(lastOffset: number, position: number): void {
    const relative = lastOffset - this.baseOffset
    if (this.count > 0 && relative <= this.#offsetAt(this.count - 1)) return
    const { buffer, at } = this.grow()
    buffer.writeInt32BE(relative, at)
    buffer.writeInt32BE(position, at + 4)
  }

  /** Puts entries before those that were appended since `reset`. */
  prepend(places: readonly { offset: number; position: number }[]): void {
    const later = Array.from({ length: this.count }, (_, index) => ({
      offset: this.baseOffset + this.#offsetAt(index),
      position: this.#positionAt(index),
    }))
    this.reset()
    for (const { offset, position } of places) this.append(offset, position)
    for (const { offset, position } of later) this.append(offset, position)
  }

  /** Where to begin to look for `offset`: the position of the last entry that is not above it, else 0. */
  lookup(offset: number): number {
    const index = this.#floor(offset - this.baseOffset)
    return index < 0 ? 0 : this.#positionAt(index)
  }

  /** Forgets entries of `offset` and above. */
  truncateTo(offset: number): void {
    this.keep(this.#floor(offset - 1 - this.baseOffset) + 1)
  }

  /** The segment's base offset when there is no entry. */
  get lastOffset(): number {
    return this.baseOffset + (this.count === 0 ? 0 : this.#offsetAt(this.count - 1))
  }

  get lastPosition(): number {
    return this.count === 0 ? 0 : this.#positionAt(this.count - 1)
  }

  #floor(relative: number): number {
    let low = 0
    let high = this.count - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      if (this.#offsetAt(middle) <= relative) low = middle + 1
      else high = middle - 1
    }
    return high
  }

  #offsetAt(index: number): number {
    return this.buffer.readInt32BE(index * entryBytes)
  }

  #positionAt(index: number): number {
    return this.buffer.readInt32BE(index * entryBytes + 4)
  }

  protected override isSound(buffer: Buffer, count: number): boolean {
    let offset = -1
    let position = -1
    for (let at = 0; at < count * entryBytes; at += entryBytes) {
      const nextOffset = buffer.readInt32BE(at)
      const nextPosition = buffer.readInt32BE(at + 4)
      if (nextOffset <= offset || nextPosition <= position) return false
      offset = nextOffset
      position = nextPosition
    }
    return true
  }
}
