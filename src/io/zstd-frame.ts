/** The outline of zstd frames (RFC 8878): enough to see whether the last one is whole, and where blocks end. */
const MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const RLE_BLOCK = 1
const RESERVED_BLOCK = 3

/**
 * True when `packed` is one or more frames and ends with the last of them. Node 22's zstd opens a frame that was cut off
 * without an error and gives what it has.
 */
export function isWholeZstd(packed: Buffer): boolean {
  let at = 0
  while (at < packed.length) {
    at = frameEnd(packed, at)
    if (at < 0 || at > packed.length) return false
  }
  return packed.length > 0
}

/**
 * Cuts frames into pieces that open to at most `blocksPerPiece` times 128 KiB each: a block opens to no more, and may take
 * as little as four bytes.
 *
 * @param packed for which `isWholeZstd` holds
 */
export function zstdPieces(packed: Buffer, blocksPerPiece: number): Buffer[] {
  const pieces: Buffer[] = []
  let start = 0
  let blocks = 0
  const cut = (end: number): void => {
    if (++blocks % blocksPerPiece !== 0) return
    pieces.push(packed.subarray(start, end))
    start = end
  }
  for (let at = 0; at < packed.length; ) at = frameEnd(packed, at, cut)
  if (start < packed.length) pieces.push(packed.subarray(start))
  return pieces
}

/** @returns the position behind the frame that begins at `start`; -1 when it is cut off or none */
function frameEnd(packed: Buffer, start: number, onBlock?: (end: number) => void): number {
  if (packed.length - start < 6) return -1
  const magic = packed.readUInt32LE(start)
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
    return packed.length - start < 8 ? -1 : start + 8 + packed.readUInt32LE(start + 4)
  }
  if (magic !== MAGIC) return -1
  const descriptor = packed[start + 4] as number
  let at = start + 5 + headerRest(descriptor)
  for (;;) {
    if (packed.length - at < 3) return -1
    const block = packed.readUIntLE(at, 3)
    const type = (block >> 1) & 3
    if (type === RESERVED_BLOCK) return -1
    at += 3 + (type === RLE_BLOCK ? 1 : block >> 3)
    onBlock?.(at)
    if ((block & 1) === 1) break
  }
  const hasChecksum = (descriptor & 4) !== 0
  return at + (hasChecksum ? 4 : 0)
}

/** Bytes of the frame header behind its descriptor: window, dictionary id, content size. */
function headerRest(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number
  const contentBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number
  return (isSingleSegment ? 0 : 1) + dictionaryBytes + contentBytes
}
