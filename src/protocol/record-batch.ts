/**
 * The header of a record batch (magic 2), read and changed in place: functions over a buffer and the position of the
 * batch in it, so that passing a batch through makes no object. Layout: KIP-98.
 */
import { readInt64, writeInt64 } from './int64.ts'

/** Bytes before the records. */
export const BATCH_HEADER_BYTES = 61
/** Bytes that the batch length field does not count: base offset and the length itself. */
export const BATCH_PREFIX_BYTES = 12
/** The checksum covers the batch from here to its end. */
export const CRC_START = 21
export const MAGIC = 2

/** Also the "none" of sequences, epochs, ids and timestamps. */
export const NO_PRODUCER_ID = -1
export const NO_PRODUCER_EPOCH = -1
export const NO_SEQUENCE = -1
export const NO_TIMESTAMP = -1

export const TimestampType = { createTime: 0, logAppendTime: 1 } as const
export type TimestampType = (typeof TimestampType)[keyof typeof TimestampType]

const CODEC_MASK = 0x07
const LOG_APPEND_TIME_BIT = 0x08
const TRANSACTIONAL_BIT = 0x10
const CONTROL_BIT = 0x20
const DELETE_HORIZON_BIT = 0x40

export const baseOffsetOf = (b: Buffer, at: number): number => readInt64(b, at)
/** The batch length field: bytes after it. Not checked against anything. */
export const batchLengthOf = (b: Buffer, at: number): number => b.readInt32BE(at + 8)
/** The whole batch in bytes, by its length field. */
export const batchSizeOf = (b: Buffer, at: number): number =>
  batchLengthOf(b, at) + BATCH_PREFIX_BYTES
export const leaderEpochOf = (b: Buffer, at: number): number => b.readInt32BE(at + 12)
export const magicOf = (b: Buffer, at: number): number => b.readInt8(at + 16)
export const crcOf = (b: Buffer, at: number): number => b.readUInt32BE(at + 17)
export const attributesOf = (b: Buffer, at: number): number => b.readInt16BE(at + 21)
export const lastOffsetDeltaOf = (b: Buffer, at: number): number => b.readInt32BE(at + 23)
/** Inclusive. */
export const lastOffsetOf = (b: Buffer, at: number): number =>
  baseOffsetOf(b, at) + lastOffsetDeltaOf(b, at)
/** With `hasDeleteHorizon` this field holds the horizon instead. */
export const baseTimestampOf = (b: Buffer, at: number): number => readInt64(b, at + 27)
export const maxTimestampOf = (b: Buffer, at: number): number => readInt64(b, at + 35)
export const producerIdOf = (b: Buffer, at: number): number => readInt64(b, at + 43)
export const producerEpochOf = (b: Buffer, at: number): number => b.readInt16BE(at + 51)
export const baseSequenceOf = (b: Buffer, at: number): number => b.readInt32BE(at + 53)
export const recordCountOf = (b: Buffer, at: number): number => b.readInt32BE(at + 57)

/** The last record's sequence; after 2147483647 comes 0. */
export const lastSequenceOf = (b: Buffer, at: number): number => {
  const first = baseSequenceOf(b, at)
  return first === NO_SEQUENCE ? NO_SEQUENCE : (first + lastOffsetDeltaOf(b, at)) & 0x7fffffff
}

/** A codec number, 0 to 7: 5 to 7 stand for nothing. */
export const codecOf = (attributes: number): number => attributes & CODEC_MASK
export const hasLogAppendTime = (attributes: number): boolean =>
  (attributes & LOG_APPEND_TIME_BIT) !== 0
export const isTransactional = (attributes: number): boolean =>
  (attributes & TRANSACTIONAL_BIT) !== 0
export const isControl = (attributes: number): boolean => (attributes & CONTROL_BIT) !== 0
export const hasDeleteHorizon = (attributes: number): boolean =>
  (attributes & DELETE_HORIZON_BIT) !== 0

/** Puts attributes together. Bits that are not named here are zero. */
export function attributesFrom(parts: {
  codec: number
  timestampType?: TimestampType
  transactional?: boolean
  control?: boolean
  deleteHorizon?: boolean
}): number {
  return (
    (parts.codec & CODEC_MASK) |
    (parts.timestampType === TimestampType.logAppendTime ? LOG_APPEND_TIME_BIT : 0) |
    (parts.transactional ? TRANSACTIONAL_BIT : 0) |
    (parts.control ? CONTROL_BIT : 0) |
    (parts.deleteHorizon ? DELETE_HORIZON_BIT : 0)
  )
}

/** Base offset and leader epoch stand outside of the checksum: the broker sets them without computing it again. */
export function assignOffset(b: Buffer, at: number, baseOffset: number, leaderEpoch: number): void {
  writeInt64(b, at, baseOffset)
  b.writeInt32BE(leaderEpoch, at + 12)
}

/** Changes what the checksum covers: compute it anew with `setCrc` afterwards. */
export function setMaxTimestamp(
  b: Buffer,
  at: number,
  type: TimestampType,
  timestamp: number,
): void {
  const others = attributesOf(b, at) & ~LOG_APPEND_TIME_BIT
  const bit = type === TimestampType.logAppendTime ? LOG_APPEND_TIME_BIT : 0
  b.writeInt16BE(others | bit, at + 21)
  writeInt64(b, at + 35, timestamp)
}

export function setCrc(b: Buffer, at: number, crc: number): void {
  b.writeUInt32BE(crc >>> 0, at + 17)
}

/** Everything in a batch header but the checksum and the size. */
export type BatchHeader = {
  baseOffset: number
  leaderEpoch: number
  attributes: number
  lastOffsetDelta: number
  baseTimestamp: number
  maxTimestamp: number
  producerId: number
  producerEpoch: number
  baseSequence: number
  recordCount: number
}

/** Reads a whole header into an object: for rare paths (compaction, tools, tests). */
export function readBatchHeader(b: Buffer, at: number): BatchHeader {
  return {
    baseOffset: baseOffsetOf(b, at),
    leaderEpoch: leaderEpochOf(b, at),
    attributes: attributesOf(b, at),
    lastOffsetDelta: lastOffsetDeltaOf(b, at),
    baseTimestamp: baseTimestampOf(b, at),
    maxTimestamp: maxTimestampOf(b, at),
    producerId: producerIdOf(b, at),
    producerEpoch: producerEpochOf(b, at),
    baseSequence: baseSequenceOf(b, at),
    recordCount: recordCountOf(b, at),
  }
}

/**
 * Writes a header for a batch of `sizeBytes` bytes and its checksum; the records must already stand behind it.
 *
 * @param crc32c checksum of `buffer[start, end)`
 */
export function writeBatchHeader(
  b: Buffer,
  at: number,
  sizeBytes: number,
  header: BatchHeader,
  crc32c: (buffer: Buffer, start: number, end: number) => number,
): void {
  writeInt64(b, at, header.baseOffset)
  b.writeInt32BE(sizeBytes - BATCH_PREFIX_BYTES, at + 8)
  b.writeInt32BE(header.leaderEpoch, at + 12)
  b.writeInt8(MAGIC, at + 16)
  b.writeInt16BE(header.attributes, at + 21)
  b.writeInt32BE(header.lastOffsetDelta, at + 23)
  writeInt64(b, at + 27, header.baseTimestamp)
  writeInt64(b, at + 35, header.maxTimestamp)
  writeInt64(b, at + 43, header.producerId)
  b.writeInt16BE(header.producerEpoch, at + 51)
  b.writeInt32BE(header.baseSequence, at + 53)
  b.writeInt32BE(header.recordCount, at + 57)
  setCrc(b, at, crc32c(b, at + CRC_START, at + sizeBytes))
}
