/** The outline of zstd frames (RFC 8878): enough to see whether the last one is whole, and where blocks end. */
const MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const RLE_BLOCK = 1
const RESERVED_BLOCK = 3
const CHECKSUM_BYTES = 4

/**
 * True when `packed` is one or more frames and ends with the last of them. Node 22's zstd opens a frame that was cut off
 * without an error and gives what it has.
 */
export const isWholeZstd = (packed: Buffer): boolean => countZstdBlocks(packed) >= 0

/** Blocks of all frames, each of which opens to 128 KiB at most; -1 when the last frame is cut off, or none is there. */
export function countZstdBlocks(packed: Buffer): number {
  if (packed.length === 0) return -1
  let blocks = 0
  const count = () => {
    blocks++
  }
  for (let at = 0; at < packed.length; ) {
    at = frameEnd(packed, at, count)
    if (at < 0 || at > packed.length) return -1
  }
  return blocks
}

/**
 * Cuts frames into pieces that open to at most `blocksPerPiece` times 128 KiB each: a block opens to no more, and may take
 * as little as four bytes.
 *
 * @param packed for which `isWholeZstd` holds
 */
export function* zstdPieces(packed: Buffer, blocksPerPiece: number): Generator<Buffer> {
  let start = 0
  let blocks = 0
  for (let at = 0; at < packed.length; ) {
    if (isSkippable(packed, at)) {
      at = frameEnd(packed, at)
      continue
    }
    const hasChecksum = checksumFollows(packed, at)
    at = firstBlock(packed, at)
    for (let isLast = false; !isLast; ) {
      const block = packed.readUIntLE(at, 3)
      isLast = (block & 1) === 1
      at = blockEnd(at, block)
      if (++blocks % blocksPerPiece !== 0) continue
      yield packed.subarray(start, at)
      start = at
    }
    if (hasChecksum) at += CHECKSUM_BYTES
  }
  if (start < packed.length) yield packed.subarray(start)
}

/** @returns the position behind the frame that begins at `start`; -1 when it is cut off or none */
function frameEnd(packed: Buffer, start: number, onBlock?: () => void): number {
  if (isSkippable(packed, start)) {
    return packed.length - start < 8 ? -1 : start + 8 + packed.readUInt32LE(start + 4)
  }
  if (packed.length - start < 6 || packed.readUInt32LE(start) !== MAGIC) return -1
  let at = firstBlock(packed, start)
  for (;;) {
    if (packed.length - at < 3) return -1
    const block = packed.readUIntLE(at, 3)
    if (typeOf(block) === RESERVED_BLOCK) return -1
    at = blockEnd(at, block)
    onBlock?.()
    if ((block & 1) === 1) break
  }
  return at + (checksumFollows(packed, start) ? CHECKSUM_BYTES : 0)
}

function isSkippable(packed: Buffer, start: number): boolean {
  return (
    packed.length - start >= 6 &&
    (packed.readUInt32LE(start) & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC
  )
}

const typeOf = (block: number) => (block >> 1) & 3

/** @param block the three bytes at `at`: last or not, type, size */
const blockEnd = (at: number, block: number) =>
  at + 3 + (typeOf(block) === RLE_BLOCK ? 1 : block >> 3)

const checksumFollows = (packed: Buffer, start: number) => ((packed[start + 4] as number) & 4) !== 0

/** Behind the frame header: descriptor, window, dictionary id, content size. */
function firstBlock(packed: Buffer, start: number): number {
  const descriptor = packed[start + 4] as number
  const isSingleSegment = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number
  const contentBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number
  return start + 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes + contentBytes
}
