import type { Segment } from './segment.ts'

/** The segments of one log, by base offset. Only the last one, the active segment, takes appends. */
export class Segments {
  #list: Segment[] = []
  /** Rises when segments go: who holds one across an await looks whether it is still there. */
  removals = 0

  get all(): readonly Segment[] {
    return this.#list
  }

  get first(): Segment | undefined {
    return this.#list[0]
  }

  get active(): Segment | undefined {
    return this.#list.at(-1)
  }

  get sizeBytes(): number {
    let sum = 0
    for (const segment of this.#list) sum += segment.sizeBytes
    return sum
  }

  set(segments: readonly Segment[]): void {
    this.removals++
    this.#list = [...segments].sort((a, b) => a.baseOffset - b.baseOffset)
  }

  push(segment: Segment): void {
    this.#list.push(segment)
  }

  /** Index of the last segment that does not begin above `offset`; -1: there is none. */
  floorIndex(offset: number): number {
    const last = this.#list.length - 1
    if (last >= 0 && (this.#list[last] as Segment).baseOffset <= offset) return last
    let low = 0
    let high = last
    while (low <= high) {
      const middle = (low + high) >> 1
      if ((this.#list[middle] as Segment).baseOffset <= offset) low = middle + 1
      else high = middle - 1
    }
    return high
  }

  floor(offset: number): Segment | undefined {
    return this.#list[this.floorIndex(offset)]
  }

  has(segment: Segment): boolean {
    return this.#list.includes(segment)
  }

  after(segment: Segment): Segment | undefined {
    return this.#list[this.#list.indexOf(segment) + 1]
  }

  /** Where the segment's offsets end (exclusive): the next one's base, or the log's end. */
  endOf(segment: Segment, logEndOffset: number): number {
    return this.after(segment)?.baseOffset ?? logEndOffset
  }

  remove(gone: readonly Segment[]): void {
    this.removals++
    this.#list = this.#list.filter((segment) => !gone.includes(segment))
  }
}
