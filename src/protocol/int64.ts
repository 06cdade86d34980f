/** 64-bit integers in place, as numbers. Reading saturates at +-(2^53 - 1), as everywhere in LMQ. */
const TWO_32 = 4294967296

export function readInt64(buffer: Buffer, at: number): number {
  const high = buffer.readInt32BE(at)
  if (high > 0x1fffff) return Number.MAX_SAFE_INTEGER
  if (high < -0x200000) return Number.MIN_SAFE_INTEGER
  return Math.max(high * TWO_32 + buffer.readUInt32BE(at + 4), Number.MIN_SAFE_INTEGER)
}

/** @param value a whole number within +-(2^53 - 1) */
export function writeInt64(buffer: Buffer, at: number, value: number): void {
  const high = Math.floor(value / TWO_32)
  buffer.writeInt32BE(high, at)
  buffer.writeInt32BE((value - high * TWO_32) | 0, at + 4)
}
