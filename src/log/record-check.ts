import { protocolError } from '../protocol/protocol-error.ts'

/**
 * Walks the records of an opened block and checks that each one is whole, without making an object for any of them.
 * One walk runs at a time: its results are read from the fields before the next one.
 */
export class RecordCheck {
  /** Largest and smallest timestamp delta; 0 when there is no record. */
  maxTimestampDelta = 0
  minTimestampDelta = 0
  /** The record with the largest timestamp, the first one of them. */
  indexOfMaxTimestamp = 0
  /** The first record with the smallest timestamp. */
  indexOfMinTimestamp = 0
  /** The first record without a key; -1: all have one. */
  firstKeyless = -1
  /** The first record whose offset delta is not its index; -1: none. */
  firstMisplaced = -1
  #buffer: Buffer = Buffer.alloc(0)
  #at = 0
  #end = 0
  #index = 0
  #count = 0

  /**
   * The whole walk at once.
   *
   * @param count records that must stand in `block[start, end)`, no byte more
   * @throws LMQ_PROTOCOL when a record breaks the format
   */
  run(block: Buffer, start: number, end: number, count: number): void {
    this.begin(block, start, end, count)
    this.advance(count)
  }

  /** As `run`; the records are looked at by `advance`. */
  begin(block: Buffer, start: number, end: number, count: number): void {
    this.#buffer = block
    this.#at = start
    this.#end = end
    this.#index = 0
    this.#count = count
    this.firstKeyless = -1
    this.firstMisplaced = -1
    this.maxTimestampDelta = 0
    this.minTimestampDelta = 0
    this.indexOfMaxTimestamp = 0
    this.indexOfMinTimestamp = 0
  }

  /** Looks at some more records. @returns whether that were all @throws as `run` */
  advance(records: number): boolean {
    const until = Math.min(this.#count, this.#index + records)
    for (let index = this.#index; index < until; index++) this.#record(index)
    this.#index = until
    if (until < this.#count) return false
    this.#buffer = Buffer.alloc(0)
    if (this.#at !== this.#end) throw protocolError('bytes behind the last record')
    return true
  }

  #record(index: number): void {
    const size = this.#varint()
    const end = this.#at + size
    if (size < 1 || end > this.#end) throw protocolError('record ends early', { index })
    this.#at++ // attributes: unused
    const timestampDelta = this.#varlong()
    if (index === 0 || timestampDelta > this.maxTimestampDelta) {
      this.maxTimestampDelta = timestampDelta
      this.indexOfMaxTimestamp = index
    }
    if (index === 0 || timestampDelta < this.minTimestampDelta) {
      this.minTimestampDelta = timestampDelta
      this.indexOfMinTimestamp = index
    }
    if (this.#varint() !== index && this.firstMisplaced < 0) this.firstMisplaced = index
    if (this.#blob(end) < 0 && this.firstKeyless < 0) this.firstKeyless = index
    this.#blob(end)
    const headers = this.#varint()
    if (headers < 0 || headers > end - this.#at) throw protocolError('bad header count', { index })
    for (let header = 0; header < headers; header++) {
      if (this.#blob(end) < 0) throw protocolError('record header without a key', { index })
      this.#blob(end)
    }
    if (this.#at !== end) throw protocolError('record length differs from its parts', { index })
  }

  /** Steps over bytes with their size before them. @returns the size, -1 for null */
  #blob(end: number): number {
    const size = this.#varint()
    if (size < -1 || size > end - this.#at) throw protocolError('bad size in a record', { size })
    if (size > 0) this.#at += size
    return size
  }

  #varint(): number {
    const first = this.#byte()
    if (first < 0x80) return (first >>> 1) ^ -(first & 1)
    let raw = first & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      const byte = this.#byte()
      raw |= (byte & 0x7f) << shift
      if (byte < 0x80) return (raw >>> 1) ^ -(raw & 1)
    }
    throw protocolError('varint longer than 5 bytes')
  }

  /** Saturates at +-(2^53 - 1). */
  #varlong(): number {
    const first = this.#byte()
    if (first < 0x80) return (first >>> 1) ^ -(first & 1)
    let value = (first & 0x7f) >>> 1
    let factor = 64
    for (let count = 1; count < 10; count++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * factor
      factor *= 128
      if (byte < 0x80) {
        const signed = (first & 1) === 1 ? -value - 1 : value
        return Math.max(Math.min(signed, Number.MAX_SAFE_INTEGER), Number.MIN_SAFE_INTEGER)
      }
    }
    throw protocolError('varlong longer than 10 bytes')
  }

  #byte(): number {
    if (this.#at >= this.#end) throw protocolError('record ends early')
    return this.#buffer[this.#at++] as number
  }
}
