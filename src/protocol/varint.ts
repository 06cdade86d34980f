/**
 * Zigzag varints as they stand inside records: at most 5 bytes for 32 bits, 10 for 64. Read by a cursor that moves
 * over one window of a buffer and allocates nothing.
 */
import { protocolError } from './protocol-error.ts'

export class VarintCursor {
  buffer: Buffer
  position: number
  /** Exclusive. */
  end: number

  constructor(buffer: Buffer, position = 0, end = buffer.length) {
    this.buffer = buffer
    this.position = position
    this.end = end
  }

  /** Points the same cursor at another window, so that loops over batches allocate none. */
  reset(buffer: Buffer, position: number, end: number): void {
    this.buffer = buffer
    this.position = position
    this.end = end
  }

  byte(): number {
    if (this.position >= this.end) throw protocolError('record ends early')
    return this.buffer[this.position++] as number
  }

  /** A signed 32-bit value. */
  varint(): number {
    let raw = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      raw |= (byte & 0x7f) << shift
      if (byte < 0x80) return (raw >>> 1) ^ -(raw & 1)
    }
    throw protocolError('varint longer than 5 bytes')
  }

  /** A signed 64-bit value; saturates at +-(2^53 - 1). */
  varlong(): number {
    let low = 0
    let factor = 1
    let negative = false
    for (let i = 0; i < 10; i++) {
      const byte = this.byte()
      if (i === 0) {
        negative = (byte & 1) === 1
        low = (byte & 0x7f) >>> 1
        factor = 64
      } else {
        low += (byte & 0x7f) * factor
        factor *= 128
      }
      if (byte < 0x80) {
        const value = negative ? -low - 1 : low
        return Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
      }
    }
    throw protocolError('varlong longer than 10 bytes')
  }

  /** Steps over `size` bytes and returns where they start. */
  skip(size: number): number {
    const start = this.position
    if (size < 0 || size > this.end - start) throw protocolError('record ends early', { size })
    this.position = start + size
    return start
  }
}

/** Bytes that a signed 32-bit value takes as a zigzag varint. */
export function varintSize(value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  let size = 1
  while (rest > 0x7f) {
    rest >>>= 7
    size++
  }
  return size
}

/** Bytes that a value within +-(2^53 - 1) takes as a zigzag varlong. */
export function varlongSize(value: number): number {
  let rest = value < 0 ? -(value + 1) * 2 + 1 : value * 2
  let size = 1
  while (rest > 0x7f) {
    rest = Math.floor(rest / 128)
    size++
  }
  return size
}

/** @returns the position behind the value */
export function writeVarint(buffer: Buffer, at: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  let position = at
  while (rest > 0x7f) {
    buffer[position++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  buffer[position++] = rest
  return position
}

/** @returns the position behind the value */
export function writeVarlong(buffer: Buffer, at: number, value: number): number {
  if (value >= -0x40000000 && value < 0x40000000) return writeVarint(buffer, at, value)
  let rest = value < 0 ? -(BigInt(value) + 1n) * 2n + 1n : BigInt(value) * 2n
  let position = at
  while (rest > 0x7fn) {
    buffer[position++] = Number(rest & 0x7fn) | 0x80
    rest >>= 7n
  }
  buffer[position++] = Number(rest)
  return position
}
