/** 64-bit integers in place, as numbers. Reading saturates at +-(2^53 - 1), as everywhere in LMQ. */
import { assert } from '../base/assert.ts'

const TWO_32 = 4294967296

export function readInt64(buffer: Buffer, at: number): number {
  const high = buffer.readInt32BE(at)
  if (high > 0x1fffff) return Number.MAX_SAFE_INTEGER
  if (high < -0x200000) return Number.MIN_SAFE_INTEGER
  return Math.max(high * TWO_32 + buffer.readUInt32BE(at + 4), Number.MIN_SAFE_INTEGER)
}

/** As `readInt64`, for callers that have checked that the eight bytes are there. */
export function int64At(b: Buffer, at: number): number {
  const high =
    ((b[at] as number) << 24) |
    ((b[at + 1] as number) << 16) |
    ((b[at + 2] as number) << 8) |
    (b[at + 3] as number)
  const low =
    ((b[at + 4] as number) << 24) |
    ((b[at + 5] as number) << 16) |
    ((b[at + 6] as number) << 8) |
    (b[at + 7] as number)
  if (high > 0x1fffff) return Number.MAX_SAFE_INTEGER
  if (high < -0x200000) return Number.MIN_SAFE_INTEGER
  return Math.max(high * TWO_32 + (low >>> 0), Number.MIN_SAFE_INTEGER)
}

/** @param value a whole number within +-(2^53 - 1) */
export function writeInt64(buffer: Buffer, at: number, value: number): void {
  assert(Number.isSafeInteger(value), 'a 64-bit value is a whole number within +-(2^53 - 1)')
  const high = Math.floor(value / TWO_32)
  buffer.writeInt32BE(high, at)
  buffer.writeInt32BE((value - high * TWO_32) | 0, at + 4)
}
