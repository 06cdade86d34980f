import { LmqError } from '../base/errors.ts'
import { type CodecPace, joined } from './codec-pace.ts'

/**
 * The LZ4 frame around raw blocks, as far as a bound on its content needs it. Kafka's own reader refuses linked blocks
 * (each block must stand alone), and so does this one.
 */
const frameMagic = 0x184d2204

export type RawLz4 = {
  /** Opens one raw block that has its largest size, int32 little-endian, before it. */
  uncompressSync(block: Buffer): Buffer
}

export type Lz4Frame = {
  blocks: readonly { start: number; end: number; isPlain: boolean }[]
  blockMaxBytes: number
}

/** @throws LMQ_CODEC_FAILED when the frame breaks its own rules */
export function parseLz4Frame(packed: Buffer): Lz4Frame {
  const blocks: { start: number; end: number; isPlain: boolean }[] = []
  const blockMaxBytes = walkLz4Blocks(packed, (start, end, isPlain) => {
    blocks.push({ start, end, isPlain })
  })
  return { blocks, blockMaxBytes }
}

/**
 * @returns the most that a block of this frame opens to
 * @throws LMQ_CODEC_FAILED when the frame breaks its own rules
 */
export function walkLz4Blocks(
  packed: Buffer,
  onBlock: (start: number, end: number, isPlain: boolean) => void,
): number {
  if (packed.length < 7 || packed.readUInt32LE(0) !== frameMagic) throw damaged('no frame magic')
  const flags = packed.readUInt8(4)
  const sizeCode = (packed.readUInt8(5) >> 4) & 7
  if (flags >> 6 !== 1) throw damaged('unknown frame version')
  if ((flags & 0x20) === 0) throw damaged('linked blocks')
  if (sizeCode < 4) throw damaged('unknown block size')
  const blockMaxBytes = 1 << (8 + 2 * sizeCode)
  const blockTrailer = flags & 0x10 ? 4 : 0
  let at = 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0)
  for (;;) {
    if (packed.length - at < 4) throw damaged('the end mark is missing')
    const word = packed.readUInt32LE(at)
    at += 4
    if (word === 0) return blockMaxBytes
    const sizeBytes = word & 0x7fffffff
    if (sizeBytes > blockMaxBytes || sizeBytes + blockTrailer > packed.length - at) {
      throw damaged('a block is larger than the frame allows')
    }
    onBlock(at, at + sizeBytes, word >>> 31 === 1)
    at += sizeBytes + blockTrailer
  }
}

/** Opens block by block, so that more than `maxBytes` is never held, and others work in between. */
export async function decompressLz4Blocks(
  lz4: RawLz4,
  packed: Buffer,
  { blocks, blockMaxBytes }: Lz4Frame,
  maxBytes: number,
  pace: CodecPace,
): Promise<Buffer> {
  const parts: Buffer[] = []
  let total = 0
  for (const { start, end, isPlain } of blocks) {
    const turn = pace.turn()
    if (turn) await turn
    const part = isPlain
      ? packed.subarray(start, end)
      : lz4.uncompressSync(withSize(packed.subarray(start, end), blockMaxBytes))
    pace.spend(part.length)
    total += part.length
    if (total > maxBytes) {
      throw new LmqError('LMQ_CODEC_TOO_LARGE', { codec: 'lz4', sizeBytes: total, maxBytes })
    }
    parts.push(part)
  }
  return joined(parts, total, pace)
}

function withSize(block: Buffer, sizeBytes: number): Buffer {
  const sized = Buffer.allocUnsafe(block.length + 4)
  sized.writeUInt32LE(sizeBytes, 0)
  block.copy(sized, 4)
  return sized
}

function damaged(reason: string): LmqError {
  return new LmqError('LMQ_CODEC_FAILED', { codec: 'lz4', reason })
}
