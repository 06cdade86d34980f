import type { Memory } from '../io/io.ts'
import { BATCH_HEADER_BYTES, baseOffsetOf, lastOffsetOf } from '../protocol/record-batch.ts'

/** Small batches are copied into chunks of this size, so that a reader gets many of them as one buffer. */
const chunkBytes = 64 * 1024
/** From here on a batch is kept as it came, if it is most of the memory that it lives in. */
const largeBatchBytes = 16 * 1024

type Chunk = {
  readonly buffer: Buffer
  usedBytes: number
  readonly firstOffset: number
  /** Exclusive. */
  nextOffset: number
  /** Memory held alive by this chunk. */
  readonly heldBytes: number
  /** Last offset and start position of each batch. */
  readonly lastOffsets: number[]
  readonly positions: number[]
}

/** Bounds what the tails of all logs hold together. */
export class TailBudget {
  readonly maxBytes: number
  readonly maxBytesPerLog: number
  heldBytes = 0

  constructor(maxBytes = 64 * 1024 * 1024, maxBytesPerLog = 8 * 1024 * 1024) {
    this.maxBytes = maxBytes
    this.maxBytesPerLog = maxBytesPerLog
  }

  get isSpent(): boolean {
    return this.heldBytes > this.maxBytes
  }
}

export type TailRead = { records: Buffer[]; firstOffset: number; nextOffset: number }

/**
 * The newest batches of one log in memory, without gaps up to its end: consumers that keep up are served from here and
 * never touch the disk. Kept only while somebody reads at the log's end.
 */
export class BatchTail {
  readonly #budget: TailBudget
  readonly #memory: Memory | undefined
  readonly #chunks: Chunk[] = []
  #heldBytes = 0

  /** @param memory where batches come from that are kept as they came */
  constructor(budget: TailBudget, memory?: Memory) {
    this.#budget = budget
    this.#memory = memory
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0
  }

  /** Keeps one batch; it must follow the last one. The bytes must not change any more. */
  add(batch: Buffer): void {
    const isLarge = batch.length >= largeBatchBytes
    if (isLarge && batch.length * 2 >= batch.buffer.byteLength) {
      this.#memory?.keep(batch)
      this.#push(batch, batch.length, batch.buffer.byteLength)
    } else {
      let chunk = this.#chunks.at(-1)
      if (!chunk || chunk.buffer.length - chunk.usedBytes < batch.length)
        chunk = this.#newChunk(batch)
      batch.copy(chunk.buffer, chunk.usedBytes)
      this.#note(chunk, chunk.usedBytes)
      chunk.usedBytes += batch.length
    }
    while (
      this.#chunks.length > 1 &&
      (this.#heldBytes > this.#budget.maxBytesPerLog || this.#budget.isSpent)
    ) {
      this.#dropOldest()
    }
  }

  clear(): void {
    while (this.#chunks.length > 0) this.#dropOldest()
  }

  /**
   * Whole batches from the one that holds `offset`, as far as `upTo` (exclusive) and `maxBytes` allow.
   *
   * @param minOneBatch the first batch is given however large it is
   * @returns undefined when `offset` is not in the tail
   */
  read(offset: number, upTo: number, maxBytes: number, minOneBatch: boolean): TailRead | undefined {
    let index = this.#chunks.length - 1
    while (index >= 0 && (this.#chunks[index] as Chunk).firstOffset > offset) index--
    const first = this.#chunks[index]
    if (!first || offset >= first.nextOffset) return undefined
    const records: Buffer[] = []
    let leftBytes = maxBytes
    let mayExceed = minOneBatch
    let nextOffset = offset
    for (; index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index] as Chunk
      const from = records.length === 0 ? batchIndexOf(chunk, offset) : 0
      const to = this.#lastBatchWithin(chunk, from, upTo, leftBytes, mayExceed)
      if (to <= from) break
      const start = chunk.positions[from] as number
      const end = to < chunk.positions.length ? (chunk.positions[to] as number) : chunk.usedBytes
      records.push(
        start === 0 && end === chunk.buffer.length
          ? chunk.buffer
          : chunk.buffer.subarray(start, end),
      )
      nextOffset = (chunk.lastOffsets[to - 1] as number) + 1
      leftBytes -= end - start
      mayExceed = false
      if (to < chunk.positions.length) break
    }
    const firstOffset = records[0] ? baseOffsetOf(records[0], 0) : offset
    return { records, firstOffset, nextOffset }
  }

  /** @returns the index behind the last batch of the chunk that may be given */
  #lastBatchWithin(
    chunk: Chunk,
    from: number,
    upTo: number,
    maxBytes: number,
    mayExceed: boolean,
  ): number {
    const start = chunk.positions[from] as number
    let to = from
    while (to < chunk.positions.length) {
      if ((chunk.lastOffsets[to] as number) >= upTo) break
      const end = chunk.positions[to + 1] ?? chunk.usedBytes
      if (end - start > maxBytes && !(mayExceed && to === from)) break
      to++
      if (end - start > maxBytes) break
    }
    return to
  }

  #newChunk(batch: Buffer): Chunk {
    const size = Math.max(batch.length, this.#chunks.length === 0 ? 8 * 1024 : chunkBytes)
    return this.#push(Buffer.allocUnsafeSlow(size), 0, size, baseOffsetOf(batch, 0))
  }

  #push(buffer: Buffer, usedBytes: number, heldBytes: number, firstOffset?: number): Chunk {
    const chunk: Chunk = {
      buffer,
      usedBytes,
      firstOffset: firstOffset ?? baseOffsetOf(buffer, 0),
      nextOffset: 0,
      heldBytes,
      lastOffsets: [],
      positions: [],
    }
    this.#chunks.push(chunk)
    this.#heldBytes += heldBytes
    this.#budget.heldBytes += heldBytes
    if (usedBytes >= BATCH_HEADER_BYTES) this.#note(chunk, 0)
    return chunk
  }

  #note(chunk: Chunk, position: number): void {
    const lastOffset = lastOffsetOf(chunk.buffer, position)
    chunk.lastOffsets.push(lastOffset)
    chunk.positions.push(position)
    chunk.nextOffset = lastOffset + 1
  }

  #dropOldest(): void {
    const chunk = this.#chunks.shift()
    if (!chunk) return
    this.#heldBytes -= chunk.heldBytes
    this.#budget.heldBytes -= chunk.heldBytes
  }
}

/** The first batch whose last offset is not below `offset`. */
function batchIndexOf(chunk: Chunk, offset: number): number {
  let low = 0
  let high = chunk.lastOffsets.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if ((chunk.lastOffsets[middle] as number) < offset) low = middle + 1
    else high = middle
  }
  return low
}
