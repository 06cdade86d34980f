import type { DiskFile } from '../io/io.ts'
import {
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  batchLengthOf,
  CRC_START,
  crcOf,
  MAGIC,
  magicOf,
} from '../protocol/record-batch.ts'

const chunkBytes = 1024 * 1024

/** What stands in errors and logs, for who reads and for who greps. */
export const CHECKSUM_DAMAGE = 'checksum does not match'

type Crc32c = (buffer: Buffer, start: number, end: number) => number

/** Where a scan ended: behind the last sound batch. `damage` says what stood there, if the file goes on. */
export type ScanEnd = { position: number; damage: string | undefined }

/**
 * Visits the batches of a file one after the other. A generator, so that whoever drives it decides when the event loop
 * gets its turn: it yields after each chunk read.
 *
 * @param end exclusive, usually the file's size
 * @param crc32c when given, a batch whose checksum is wrong ends the scan
 * @param visit gets a buffer that is overwritten later, where in it the batch begins, its position in the file and size
 * @returns false from `visit` to stop in front of that batch
 */
export function* scanBatches(
  file: Pick<DiskFile, 'readSync'>,
  start: number,
  end: number,
  crc32c: Crc32c | undefined,
  visit: (buffer: Buffer, at: number, position: number, sizeBytes: number) => boolean,
): Generator<void, ScanEnd> {
  let chunk = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(0, end - start)))
  let position = start
  while (position < end) {
    const window = chunk.subarray(0, Math.min(chunk.length, end - position))
    const filled = window.subarray(0, file.readSync(window, position))
    let at = 0
    while (at < filled.length) {
      const leftBytes = end - position - at
      const damage = damageAt(filled, at, leftBytes)
      if (damage) return { position: position + at, damage }
      if (filled.length - at < BATCH_HEADER_BYTES) break
      const sizeBytes = batchLengthOf(filled, at) + BATCH_PREFIX_BYTES
      if (sizeBytes > filled.length - at) {
        if (sizeBytes > chunk.length) chunk = Buffer.allocUnsafe(sizeBytes)
        break
      }
      if (crc32c && crcOf(filled, at) !== crc32c(filled, at + CRC_START, at + sizeBytes)) {
        return { position: position + at, damage: CHECKSUM_DAMAGE }
      }
      if (!visit(filled, at, position + at, sizeBytes)) {
        return { position: position + at, damage: undefined }
      }
      at += sizeBytes
    }
    if (at === 0 && filled.length < window.length) {
      return { position, damage: 'file is shorter than its size' }
    }
    position += at
    yield
  }
  return { position, damage: undefined }
}

/**
 * Why no sound batch can stand at `at`, by its first bytes.
 *
 * @param leftBytes from here to the end of the file
 */
export function damageAt(buffer: Buffer, at: number, leftBytes: number): string | undefined {
  if (leftBytes < BATCH_HEADER_BYTES) return 'cut off inside a batch header'
  if (buffer.length - at < BATCH_HEADER_BYTES) return undefined
  const length = batchLengthOf(buffer, at)
  if (length < BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES) return 'batch length is impossible'
  if (length + BATCH_PREFIX_BYTES > leftBytes) return 'cut off inside a batch'
  return magicOf(buffer, at) === MAGIC ? undefined : 'not a batch of magic 2'
}
