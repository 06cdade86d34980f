/**
 * Reads Kafka's primitive types from a window of a buffer. Every read is checked against the window first: nothing
 * the peer says about a length is believed before the bytes are there. Values that are views (bytes, records) share
 * the buffer's memory.
 */
import { protocolError } from './protocol-error.ts'
import { utf8Slice } from './utf8.ts'
import type { Uuid } from './uuid.ts'

const TWO_32 = 4294967296

/** A tagged field this version does not know, kept so that it survives a re-encoding. */
export type UnknownTag = { tag: number; bytes: Buffer }

export class Reader {
  readonly buffer: Buffer
  /** Position of the next byte. */
  position: number
  /** Exclusive. */
  readonly end: number

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
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
    const high = this.int32()
    const low = this.int32() >>> 0
    if (high > 0x1fffff) return Number.MAX_SAFE_INTEGER
    if (high < -0x200000) return Number.MIN_SAFE_INTEGER
    return Math.max(high * TWO_32 + low, Number.MIN_SAFE_INTEGER)
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.take(8))
  }

  uuid(): Uuid {
    const at = this.take(16)
    return this.buffer.toString('base64url', at, at + 16)
  }

  /** Unsigned varint: 7 bits a byte, low group first, at most 5 bytes and 32 bits. */
  uvarint(): number {
    const b = this.buffer
    let at = this.position
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= this.end) throw truncated(1, 0)
      const byte = b[at++] as number
      if (shift === 28 && byte > 0x0f) break
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        this.position = at
        return value
      }
    }
    throw protocolError('varint too long')
  }

  string(): string {
    const text = this.nullableString()
    if (text === null) throw protocolError('null string where none is allowed')
    return text
  }

  nullableString(): string | null {
    const size = this.int16()
    if (size === -1) return null
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
    if (size === -1) return null
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
   * The count before an array's elements.
   *
   * @param minElementBytes the fewest bytes one element takes: a count that cannot fit is refused before allocation
   * @returns -1 for null
   */
  arrayLength(minElementBytes: number): number {
    return this.#checkedCount(this.int32(), minElementBytes)
  }

  compactArrayLength(minElementBytes: number): number {
    return this.#checkedCount(this.uvarint() - 1, minElementBytes)
  }

  #checkedCount(count: number, minElementBytes: number): number {
    if (count < -1 || count * minElementBytes > this.end - this.position) {
      throw protocolError('array count exceeds the bytes left', { count, left: this.remaining })
    }
    return count
  }

  /** Reads one unknown tagged field's payload. */
  unknownTag(tag: number, size: number): UnknownTag {
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
