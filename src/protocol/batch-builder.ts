/** Builds one record batch (magic 2) from records: for coordinators, clients, compaction and tests. */
import { assert } from '../base/assert.ts'
import { type RecordFields, type RecordHeader, recordSize, writeRecord } from './record.ts'
import {
  attributesFrom,
  BATCH_HEADER_BYTES,
  type BatchHeader,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  type TimestampType,
  writeBatchHeader,
} from './record-batch.ts'

export type RecordInput = {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: readonly RecordHeader[]
  /** Milliseconds since 1970; -1: none. */
  readonly timestamp: number
}

export type BatchOptions = {
  readonly baseOffset?: number
  readonly leaderEpoch?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly timestampType?: TimestampType
  readonly transactional?: boolean
  readonly control?: boolean
}

type Crc32c = (buffer: Buffer, start: number, end: number) => number

/** The block of records alone: what a codec compresses. Offsets are 0, 1, 2 ... */
export function buildRecordBlock(records: readonly RecordInput[]): Buffer {
  const base = records[0]?.timestamp ?? NO_TIMESTAMP
  const fields: RecordFields[] = records.map((record, index) => ({
    offsetDelta: index,
    timestampDelta: record.timestamp - base,
    key: record.key,
    value: record.value,
    headers: record.headers ?? [],
  }))
  const block = Buffer.allocUnsafe(fields.reduce((sum, record) => sum + recordSize(record), 0))
  let position = 0
  for (const record of fields) position = writeRecord(block, position, record)
  return block
}

/**
 * A whole batch around a block of records that is already in the form of `codec`.
 *
 * @param records the same records as in the block: they give count and timestamps
 */
export function wrapBlock(
  block: Buffer,
  codec: number,
  records: readonly RecordInput[],
  options: BatchOptions,
  crc32c: Crc32c,
): Buffer {
  const batch = Buffer.allocUnsafe(BATCH_HEADER_BYTES + block.length)
  block.copy(batch, BATCH_HEADER_BYTES)
  writeBatchHeader(batch, 0, batch.length, headerFor(records, codec, options), crc32c)
  return batch
}

function headerFor(
  records: readonly RecordInput[],
  codec: number,
  options: BatchOptions,
): BatchHeader {
  assert(records.length > 0, 'a batch that is built holds at least one record')
  let maxTimestamp = NO_TIMESTAMP
  for (const record of records) maxTimestamp = Math.max(maxTimestamp, record.timestamp)
  const { timestampType, transactional, control } = options
  return {
    baseOffset: options.baseOffset ?? 0,
    leaderEpoch: options.leaderEpoch ?? -1,
    attributes: attributesFrom({
      codec,
      ...(timestampType === undefined ? {} : { timestampType }),
      ...(transactional === undefined ? {} : { transactional }),
      ...(control === undefined ? {} : { control }),
    }),
    lastOffsetDelta: records.length - 1,
    baseTimestamp: records[0]?.timestamp ?? NO_TIMESTAMP,
    maxTimestamp,
    producerId: options.producerId ?? NO_PRODUCER_ID,
    producerEpoch: options.producerEpoch ?? NO_PRODUCER_EPOCH,
    baseSequence: options.baseSequence ?? NO_SEQUENCE,
    recordCount: records.length,
  }
}

/** An uncompressed batch. */
export function buildBatch(
  records: readonly RecordInput[],
  options: BatchOptions,
  crc32c: Crc32c,
): Buffer {
  return wrapBlock(buildRecordBlock(records), 0, records, options, crc32c)
}
