import { LmqError } from '../base/errors.ts'
import { type CodecPace, TURN_BYTES } from './codec-pace.ts'

/**
 * Snappy in Kafka comes in two shapes: one raw block (librdkafka, franz-go), or the xerial stream of Java: a header,
 * then chunks of up to 32 KiB of input, each with an int32 length before it. Readers tell them by the first 8 bytes.
 */
const xerialMagic = Buffer.from('82534e4150505900', 'hex')
/** Magic, version 1, lowest compatible version 1. */
const xerialHeader = Buffer.concat([xerialMagic, Buffer.from('0000000100000001', 'hex')])
const chunkBytes = 32 * 1024

export type RawSnappy = {
  compressSync(plain: Buffer): Buffer
  uncompressSync(packed: Buffer): Buffer
  /** In another thread. */
  uncompress(packed: Buffer): Promise<Buffer>
}

export async function compressXerial(
  snappy: RawSnappy,
  plain: Buffer,
  pace: CodecPace,
): Promise<Buffer> {
  const parts: Buffer[] = [xerialHeader]
  for (let at = 0; at < plain.length; at += chunkBytes) {
    const turn = pace.turn()
    if (turn) await turn
    pace.spend(chunkBytes)
    const block = snappy.compressSync(plain.subarray(at, at + chunkBytes))
    const length = Buffer.allocUnsafe(4)
    length.writeInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

/** Reads either shape. The size that a block declares is checked before the block is opened. */
export async function decompressSnappy(
  snappy: RawSnappy,
  packed: Buffer,
  maxBytes: number,
  pace: CodecPace,
): Promise<Buffer> {
  const open = async (block: Buffer, sizeBytes: number): Promise<Buffer> => {
    if (sizeBytes > TURN_BYTES) return snappy.uncompress(block)
    const turn = pace.turn()
    if (turn) await turn
    pace.spend(sizeBytes)
    return snappy.uncompressSync(block)
  }
  if (packed.length < 16 || !packed.subarray(0, 8).equals(xerialMagic)) {
    const sizeBytes = declaredSize(packed)
    checkSize(sizeBytes, maxBytes)
    return open(packed, sizeBytes)
  }
  const parts: Buffer[] = []
  let total = 0
  for (let at = xerialHeader.length; at < packed.length; ) {
    if (packed.length - at < 4) throw damaged('a chunk length is cut off')
    const length = packed.readInt32BE(at)
    at += 4
    if (length < 0 || length > packed.length - at) throw damaged('a chunk is cut off')
    const block = packed.subarray(at, at + length)
    const sizeBytes = declaredSize(block)
    total += sizeBytes
    checkSize(total, maxBytes)
    parts.push(await open(block, sizeBytes))
    at += length
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}

/** The unsigned varint at a raw block's start. */
function declaredSize(block: Buffer): number {
  let size = 0
  for (let index = 0; index < 5; index++) {
    const byte = block[index]
    if (byte === undefined) break
    size += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return size
  }
  throw damaged('no size at the start of a block')
}

function checkSize(sizeBytes: number, maxBytes: number): void {
  if (sizeBytes > maxBytes) {
    throw new LmqError('LMQ_CODEC_TOO_LARGE', { codec: 'snappy', sizeBytes, maxBytes })
  }
}

function damaged(reason: string): LmqError {
  return new LmqError('LMQ_CODEC_FAILED', { codec: 'snappy', reason })
}
