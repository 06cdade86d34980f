import type { EpochStart } from './checkpoint-file.ts'

export const noEpoch = -1
export const noOffset = -1

/**
 * Which leader epoch began at which offset, ascending in both. Answers how far a log and another one that once had the
 * same leader agree (KIP-101). Kept in `leader-epoch-checkpoint`; like Kafka's LeaderEpochFileCache.
 */
export class LeaderEpochCache {
  #entries: EpochStart[] = []
  /** True when the file does not have what is here. */
  isDirty = false

  get entries(): readonly EpochStart[] {
    return this.#entries
  }

  /** -1 when nothing was ever appended. */
  get latestEpoch(): number {
    return this.#entries.at(-1)?.epoch ?? noEpoch
  }

  load(entries: readonly EpochStart[]): void {
    this.#entries = []
    for (const { epoch, startOffset } of entries) this.note(epoch, startOffset)
    this.isDirty = false
  }

  /** A batch of `epoch` stands at `startOffset`. Entries that contradict it go: the newest one is right. */
  note(epoch: number, startOffset: number): void {
    const last = this.#entries.at(-1)
    if (last && last.epoch === epoch && startOffset >= last.startOffset) return
    if (epoch < 0) return
    while (this.#entries.length > 0) {
      const { epoch: lastEpoch, startOffset: lastStart } = this.#entries.at(-1) as EpochStart
      if (lastEpoch < epoch && lastStart < startOffset) break
      this.#entries.pop()
    }
    this.#entries.push({ epoch, startOffset })
    this.isDirty = true
  }

  /**
   * The largest epoch known that is not above the one asked for, and where it ended (exclusive); -1, -1 when nothing
   * can be said.
   */
  endOffsetFor(epoch: number, logEndOffset: number): { epoch: number; endOffset: number } {
    if (epoch < 0) return { epoch: noEpoch, endOffset: noOffset }
    if (epoch === this.latestEpoch) return { epoch, endOffset: logEndOffset }
    const higher = this.#entries.findIndex((entry) => entry.epoch > epoch)
    if (higher < 0) return { epoch: noEpoch, endOffset: noOffset }
    const { startOffset } = this.#entries[higher] as EpochStart
    const floor = this.#entries[higher - 1]
    return { epoch: floor ? floor.epoch : epoch, endOffset: startOffset }
  }

  /** The epoch of the record at `offset`; -1 when it is before all entries. */
  epochAt(offset: number): number {
    for (let index = this.#entries.length - 1; index >= 0; index--) {
      const entry = this.#entries[index] as EpochStart
      if (entry.startOffset <= offset) return entry.epoch
    }
    return noEpoch
  }

  /** The log now ends at `endOffset` (exclusive). */
  truncateEnd(endOffset: number): void {
    while ((this.#entries.at(-1)?.startOffset ?? -1) >= endOffset) {
      this.#entries.pop()
      this.isDirty = true
    }
  }

  /** The log now begins at `startOffset`; the epoch that reaches over it begins there too. */
  truncateStart(startOffset: number): void {
    let covering: EpochStart | undefined
    while (
      this.#entries.length > 0 &&
      (this.#entries[0] as EpochStart).startOffset <= startOffset
    ) {
      covering = this.#entries.shift()
    }
    if (!covering) return
    this.#entries.unshift({ epoch: covering.epoch, startOffset })
    if (covering.startOffset !== startOffset) this.isDirty = true
  }
}
