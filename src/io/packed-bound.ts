import { LmqError } from '../base/errors.ts'
import { Codec, type CodecId } from './io.ts'
import { walkLz4Blocks } from './lz4-frame.ts'
import { checkElements, declaredSize, snappyBlocks } from './snappy-framing.ts'
import { countZstdBlocks } from './zstd-frame.ts'

/** What one byte of a codec's format can open to at the most: a run of equal bytes. */
const MOST_INFLATION = { gzip: 1_032, snappy: 32, lz4: 255 } as const
const GZIP_LEAST_BYTES = 20
const ZSTD_BLOCK_BYTES = 128 * 1024

/**
 * The most bytes that `packed` can open to, by its outline alone: frames, blocks and the sizes they declare are walked,
 * nothing is opened.
 *
 * @returns an upper bound, inclusive
 * @throws LMQ_CODEC_FAILED when the outline is not the codec's, or cut off
 */
export function packedBound(codec: CodecId, packed: Buffer): number {
  switch (codec) {
    case Codec.none:
      return packed.length
    case Codec.gzip:
      return gzipBound(packed)
    case Codec.snappy:
      return snappyBound(packed)
    case Codec.lz4:
      return lz4Bound(packed)
    case Codec.zstd:
      return zstdBound(packed)
    default:
      throw new LmqError('LMQ_CODEC_FAILED', { codec, reason: 'no such codec' })
  }
}

/** RFC 1952: two bytes of magic, deflate as the only method. */
function gzipBound(packed: Buffer): number {
  if (packed.length < GZIP_LEAST_BYTES || packed.readUIntBE(0, 3) !== 0x1f8b08) {
    throw failed('gzip', 'no gzip header')
  }
  return packed.length * MOST_INFLATION.gzip
}

function snappyBound(packed: Buffer): number {
  let bound = 0
  for (const block of snappyBlocks(packed)) {
    const sizeBytes = declaredSize(block)
    if (sizeBytes > block.length * MOST_INFLATION.snappy) {
      throw failed('snappy', 'a block declares more than it can hold')
    }
    checkElements(block)
    bound += sizeBytes
  }
  return bound
}

function lz4Bound(packed: Buffer): number {
  let plainBytes = 0
  let packedBytes = 0
  let blocks = 0
  const blockMaxBytes = walkLz4Blocks(packed, (start, end, isPlain) => {
    if (isPlain) plainBytes += end - start
    else {
      packedBytes += end - start
      blocks++
    }
  })
  return plainBytes + Math.min(blocks * blockMaxBytes, packedBytes * MOST_INFLATION.lz4)
}

function zstdBound(packed: Buffer): number {
  const blocks = countZstdBlocks(packed)
  if (blocks < 0) throw failed('zstd', 'cut off, or no frame')
  return blocks * ZSTD_BLOCK_BYTES
}

const failed = (codec: string, reason: string) =>
  new LmqError('LMQ_CODEC_FAILED', { codec, reason })
