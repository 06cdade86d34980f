/**
 * Reads Kafka's primitive types from a window of a buffer. Every read is checked against the window first: nothing
 * the peer says about a length is believed before the bytes are there. Values that are views (bytes, records) share
 * the buffer's memory.
 */
import { assert } from '../base/assert.ts'
import { int64At } from './int64.ts'
import { protocolError } from './protocol-error.ts'
import { utf8Slice } from './utf8.ts'
import { type Uuid, uuidSlice } from './uuid.ts'

/**
 * What one message may grow to in memory when it is decoded, by estimate: six bytes on the wire can become an object
 * of a hundred and more, so a count that fits its bytes does not bound memory by itself. Room for a Metadata answer
 * about some 400,000 partitions.
 */
export const MAX_DECODED_BYTES = 128 * 1024 * 1024
/** A small object and a view of the buffer. */
const UNKNOWN_TAG_BYTES = 200

/** A tagged field this version does not know, kept so that it survives a re-encoding. */
export type UnknownTag = { tag: number; bytes: Buffer }

export class Reader {
  readonly buffer: Buffer
  /** Position of the next byte. */
  position: number
  /** Exclusive. */
  readonly end: number
  #decodedBytesLeft = MAX_DECODED_BYTES

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    assert(start >= 0 && start <= end && end <= buffer.length, 'a reader stays in its buffer')
    this.buffer = buffer
    this.position = start
    this.end = end
  }

  get remaining(): number {
    return this.end - this.position
  }

  /** Claims `size` bytes and returns where they start. */
  take(size: number): number {
    const start = this.position
    if (size < 0 || size > this.end - start) throw truncated(size, this.end - start)
    this.position = start + size
    return start
  }

  bool(): boolean {
    return this.buffer[this.take(1)] !== 0
  }

  int8(): number {
    return ((this.buffer[this.take(1)] as number) << 24) >> 24
  }

  int16(): number {
    const at = this.take(2)
    const b = this.buffer
    return ((((b[at] as number) << 8) | (b[at + 1] as number)) << 16) >> 16
  }

  uint16(): number {
    const at = this.take(2)
    const b = this.buffer
    return ((b[at] as number) << 8) | (b[at + 1] as number)
  }

  int32(): number {
    const at = this.take(4)
    const b = this.buffer
    return (
      ((b[at] as number) << 24) |
      ((b[at + 1] as number) << 16) |
      ((b[at + 2] as number) << 8) |
      (b[at + 3] as number)
    )
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  /** Saturates at +-(2^53 - 1): no offset, time or id of a correct client is beyond it. */
  int64(): number {
    return int64At(this.buffer, this.take(8))
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.take(8))
  }

  uuid(): Uuid {
    return uuidSlice(this.buffer, this.take(16))
  }

  /** Unsigned varint: 7 bits a byte, low group first, at most 5 bytes and 32 bits. */
  uvarint(): number {
    if (this.position >= this.end) throw truncated(1, 0)
    const first = this.buffer[this.position++] as number
    return first < 0x80 ? first : this.#longUvarint(first & 0x7f)
  }

  #longUvarint(lowest: number): number {
    let value = lowest
    for (let factor = 0x80; factor <= 0x10000000; factor *= 0x80) {
      if (this.position >= this.end) throw truncated(1, 0)
      const byte = this.buffer[this.position++] as number
      if (factor === 0x10000000 && byte > 0x0f) break
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
    throw protocolError('varint too long')
  }

  string(): string {
    const text = this.nullableString()
    if (text === null) throw protocolError('null string where none is allowed')
    return text
  }

  /** Null is written as -1 and read from any negative size, here and below (generated readers of Kafka). */
  nullableString(): string | null {
    const size = this.int16()
    if (size < 0) return null
    return this.#text(size)
  }

  compactString(): string {
    const text = this.compactNullableString()
    if (text === null) throw protocolError('null string where none is allowed')
    return text
  }

  compactNullableString(): string | null {
    const size = this.uvarint() - 1
    if (size === -1) return null
    if (size > 0x7fff) throw protocolError('string too long', { size })
    return this.#text(size)
  }

  #text(size: number): string {
    const at = this.take(size)
    return utf8Slice(this.buffer, at, at + size)
  }

  bytes(): Buffer {
    return notNull(this.nullableBytes())
  }

  nullableBytes(): Buffer | null {
    const size = this.int32()
    if (size < 0) return null
    const at = this.take(size)
    return this.buffer.subarray(at, at + size)
  }

  compactBytes(): Buffer {
    return notNull(this.compactNullableBytes())
  }

  compactNullableBytes(): Buffer | null {
    const size = this.uvarint() - 1
    if (size === -1) return null
    const at = this.take(size)
    return this.buffer.subarray(at, at + size)
  }

  /**
   * The count before an array's elements, refused before anything is allocated when the elements cannot fit in the
   * bytes left or would take too much memory.
   *
   * @param minElementBytes the fewest bytes one element takes on the wire
   * @param decodedElementBytes about what one element takes in memory
   * @returns -1 for null
   */
  arrayLength(minElementBytes: number, decodedElementBytes: number): number {
    return this.#checkedCount(Math.max(-1, this.int32()), minElementBytes, decodedElementBytes)
  }

  compactArrayLength(minElementBytes: number, decodedElementBytes: number): number {
    return this.#checkedCount(this.uvarint() - 1, minElementBytes, decodedElementBytes)
  }

  #checkedCount(count: number, minElementBytes: number, decodedElementBytes: number): number {
    if (count * minElementBytes > this.end - this.position) {
      throw protocolError('array count exceeds the bytes left', { count, left: this.remaining })
    }
    if (count > 0) this.#spend(count * decodedElementBytes)
    return count
  }

  #spend(decodedBytes: number): void {
    this.#decodedBytesLeft -= decodedBytes
    if (this.#decodedBytesLeft < 0) {
      throw protocolError('message takes too much memory', { limitBytes: MAX_DECODED_BYTES })
    }
  }

  /** Reads one unknown tagged field's payload. */
  unknownTag(tag: number, size: number): UnknownTag {
    this.#spend(UNKNOWN_TAG_BYTES)
    const at = this.take(size)
    return { tag, bytes: this.buffer.subarray(at, at + size) }
  }
}

function notNull(value: Buffer | null): Buffer {
  if (value === null) throw protocolError('null bytes where none are allowed')
  return value
}

function truncated(wanted: number, left: number) {
  return protocolError('message ends early', { wanted, left })
}
