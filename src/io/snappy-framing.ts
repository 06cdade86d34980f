import { LmqError } from '../base/errors.ts'
import { type CodecPace, joined, TURN_BYTES } from './codec-pace.ts'

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
  let total = xerialHeader.length
  for (let at = 0; at < plain.length; at += chunkBytes) {
    const turn = pace.turn()
    if (turn) await turn
    pace.spend(chunkBytes)
    const block = snappy.compressSync(plain.subarray(at, at + chunkBytes))
    const length = Buffer.allocUnsafe(4)
    length.writeInt32BE(block.length)
    parts.push(length, block)
    total += length.length + block.length
  }
  return joined(parts, total, pace)
}

/** Reads either shape. The size that a block declares is checked before the block is opened. */
export async function decompressSnappy(
  snappy: RawSnappy,
  packed: Buffer,
  maxBytes: number,
  pace: CodecPace,
): Promise<Buffer> {
  const parts: Buffer[] = []
  let total = 0
  for (const block of snappyBlocks(packed)) {
    const sizeBytes = declaredSize(block)
    total += sizeBytes
    checkSize(total, maxBytes)
    const turn = sizeBytes > TURN_BYTES ? undefined : pace.turn()
    if (turn) await turn
    if (sizeBytes > TURN_BYTES) parts.push(await snappy.uncompress(block))
    else {
      pace.spend(sizeBytes)
      parts.push(snappy.uncompressSync(block))
    }
  }
  return joined(parts, total, pace)
}

/** The raw blocks of either shape. @throws LMQ_CODEC_FAILED at one that is cut off */
export function* snappyBlocks(packed: Buffer): Generator<Buffer> {
  if (packed.length < 16 || !packed.subarray(0, 8).equals(xerialMagic)) {
    yield packed
    return
  }
  for (let at = xerialHeader.length; at < packed.length; ) {
    if (packed.length - at < 4) throw damaged('a chunk length is cut off')
    const length = packed.readInt32BE(at)
    at += 4
    if (length < 0 || length > packed.length - at) throw damaged('a chunk is cut off')
    yield packed.subarray(at, at + length)
    at += length
  }
}

/** Enough to tell what was never snappy; to walk them all would cost as much as to open the block. */
const ELEMENTS_LOOKED_AT = 64

/** Checks size and first elements (literals and copies) of a raw block. @throws LMQ_CODEC_FAILED */
export function checkElements(block: Buffer): void {
  const declared = declaredSize(block)
  let at = 1 + block.findIndex((byte) => byte < 0x80)
  let opened = 0
  for (let index = 0; index < ELEMENTS_LOOKED_AT && at < block.length; index++) {
    const tag = block[at++] as number
    const kind = tag & 3
    let length = (tag >> 2) + 1
    if (kind === 0) {
      if (length > 60) {
        const bytes = length - 60
        if (bytes > block.length - at) throw damaged('a literal is cut off')
        length = block.readUIntLE(at, bytes) + 1
        at += bytes
      }
      at += length
    } else {
      const bytes = kind === 3 ? 4 : kind
      if (bytes > block.length - at) throw damaged('a copy is cut off')
      const low = block.readUIntLE(at, bytes)
      if (kind === 1) length = ((tag >> 2) & 7) + 4
      const distance = kind === 1 ? ((tag >> 5) << 8) | low : low
      if (distance === 0 || distance > opened) throw damaged('a copy of what is not there')
      at += bytes
    }
    opened += length
    if (at > block.length || opened > declared) throw damaged('more than the declared size')
  }
  if (at >= block.length && opened !== declared) throw damaged('less than the declared size')
}

/** The unsigned varint at a raw block's start. */
export function declaredSize(block: Buffer): number {
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
