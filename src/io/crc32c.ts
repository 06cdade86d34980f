import { createRequire } from 'node:module'

type Checksum = (buffer: Buffer) => number
const require = createRequire(import.meta.url)
let checksum: Checksum | undefined

/** CRC-32C of `buffer[start, end)`: native where its prebuilt binary loads (6 GB/s), else JavaScript (1.7 GB/s). */
export function crc32c(buffer: Buffer, start: number, end: number): number {
  checksum ??= loadChecksum()
  return checksum(start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end))
}

function loadChecksum(): Checksum {
  try {
    return (require('@node-rs/crc32') as { crc32c: Checksum }).crc32c
  } catch {
    const { buf } = require('crc-32/crc32c.js') as { buf: Checksum }
    return (buffer) => buf(buffer) >>> 0
  }
}
