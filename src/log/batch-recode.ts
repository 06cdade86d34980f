import { LmqError } from '../base/errors.ts'
import { Codec, type CodecId, type Io } from '../io/io.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  CRC_START,
  codecOf,
  setCrc,
} from '../protocol/record-batch.ts'
import { checkManyRecords, type Refusal, refusal } from './batch-check.ts'
import type { LogConfig } from './log-config.ts'

const maxOpenedBytes = 64 * 1024 * 1024
const maxInflation = 100
/** Repetitive small batches inflate more than a hundredfold and are harmless. */
const alwaysOpenedBytes = 4 * 1024 * 1024

/** How large the records of a batch may become when it is opened. */
export function openedBoundOf(batchBytes: number): number {
  return Math.min(maxOpenedBytes, Math.max(alwaysOpenedBytes, batchBytes * maxInflation))
}

/** How much memory it takes at most to open this batch. */
export function openingBytesOf(batch: Buffer): number {
  const isPlain = codecOf(attributesOf(batch, 0)) === Codec.none
  return isPlain ? batch.length : openedBoundOf(batch.length)
}

/** The records of a batch, decompressed. @throws LMQ_CODEC_* */
export function openBatch(io: Pick<Io, 'codecs'>, batch: Buffer): Promise<Buffer> {
  const codec = codecOf(attributesOf(batch, 0)) as CodecId
  const packed = batch.subarray(BATCH_HEADER_BYTES)
  return io.codecs.decompress(codec, packed, openedBoundOf(batch.length))
}

/**
 * Opens a batch, checks its records, and closes it again with the topic's codec if that is another one.
 *
 * @returns the batch to append, the same one where nothing but its header changed
 */
export async function recode(
  batch: Buffer,
  config: LogConfig,
  nowMs: number,
  io: Pick<Io, 'codecs' | 'crc32c' | 'timers'>,
): Promise<Buffer | Refusal> {
  try {
    const block = await openBatch(io, batch)
    const bad = await checkManyRecords(batch, block, config, nowMs, io)
    if (bad) return bad
    if (config.codec === undefined || config.codec === codecOf(attributesOf(batch, 0))) return batch
    const packed = await io.codecs.compress(config.codec, block, levelOf(config))
    const recoded = wrap(batch, packed, config.codec, io.crc32c)
    if (recoded.length <= config.maxMessageBytes) return recoded
    return refusal(
      ErrorCode.MESSAGE_TOO_LARGE,
      `The record batch size is ${recoded.length} bytes after compression, which exceeds the maximum configured value of ${config.maxMessageBytes}.`,
    )
  } catch (error) {
    if (!(error instanceof LmqError)) throw error
    if (error.code !== 'LMQ_CODEC_MISSING') return refusal(ErrorCode.INVALID_RECORD, error.message)
    // Where the broker looked for it is not for clients.
    return refusal(
      ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
      `The broker lacks the package ${error.facts['package']}, with which it would open this batch`,
    )
  }
}

/** -1 is Kafka's way to say: the codec's own default. */
function levelOf({ codec, codecLevel }: LogConfig): number | undefined {
  return codec === Codec.gzip && codecLevel === -1 ? undefined : codecLevel
}

/** The same header around another block. */
export function wrap(batch: Buffer, packed: Buffer, codec: CodecId, crc32c: Io['crc32c']): Buffer {
  const wrapped = Buffer.allocUnsafe(BATCH_HEADER_BYTES + packed.length)
  batch.copy(wrapped, 0, 0, BATCH_HEADER_BYTES)
  packed.copy(wrapped, BATCH_HEADER_BYTES)
  wrapped.writeInt32BE(wrapped.length - BATCH_PREFIX_BYTES, 8)
  wrapped.writeInt16BE((attributesOf(batch, 0) & ~0x07) | codec, CRC_START)
  setCrc(wrapped, 0, crc32c(wrapped, CRC_START, wrapped.length))
  return wrapped
}
