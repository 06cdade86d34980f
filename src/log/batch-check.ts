import { LmqError } from '../base/errors.ts'
import { Codec } from '../io/io.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { newRecordPlace, nextRecord } from '../protocol/record.ts'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  baseOffsetOf,
  baseSequenceOf,
  baseTimestampOf,
  batchLengthOf,
  CRC_START,
  codecOf,
  crcOf,
  hasLogAppendTime,
  isControl,
  lastOffsetDeltaOf,
  MAGIC,
  magicOf,
  maxTimestampOf,
  NO_PRODUCER_ID,
  NO_TIMESTAMP,
  producerIdOf,
  recordCountOf,
  setCrc,
  setMaxTimestamp,
  TimestampType,
} from '../protocol/record-batch.ts'
import { VarintCursor } from '../protocol/varint.ts'
import type { LogConfig } from './log-config.ts'
import { RecordCheck } from './record-check.ts'

export type RecordError = { batchIndex: number; batchIndexErrorMessage: string }

/** Why a batch is not taken. The whole batch fails, also for one bad record. */
export type Refusal = {
  readonly errorCode: ErrorCode
  readonly errorMessage: string | null
  readonly recordErrors: readonly RecordError[]
}

type Crc32c = (buffer: Buffer, start: number, end: number) => number

/** Fetch and Produce below this version have no zstd. */
const firstZstdVersion = 7
const shownRecordErrors = 3
const recordCheck = new RecordCheck()

export function refusal(
  errorCode: ErrorCode,
  errorMessage: string | null = null,
  recordErrors: readonly RecordError[] = [],
): Refusal {
  return { errorCode, errorMessage, recordErrors }
}

/** Exactly one whole batch of magic 2 must fill the field (KIP-98; Kafka's ProduceRequest and MemoryRecords). */
export function checkFrame(records: Buffer, produceVersion: number): Refusal | undefined {
  if (records.length < BATCH_PREFIX_BYTES) return noBatch(produceVersion)
  const size = batchLengthOf(records, 0) + BATCH_PREFIX_BYTES
  if (size < BATCH_HEADER_BYTES - CRC_START + BATCH_PREFIX_BYTES) {
    return refusal(ErrorCode.CORRUPT_MESSAGE, 'Record size is smaller than the minimum')
  }
  if (size > records.length || records.length < BATCH_HEADER_BYTES) return noBatch(produceVersion)
  const magic = magicOf(records, 0)
  if (magic > MAGIC || magic < 0) {
    return refusal(ErrorCode.CORRUPT_MESSAGE, `Invalid magic found in record: ${magic}`)
  }
  if (magic < MAGIC) {
    return refusal(
      ErrorCode.INVALID_RECORD,
      `Produce requests with version ${produceVersion} are only allowed to contain record batches with magic version 2`,
    )
  }
  if (size < BATCH_HEADER_BYTES) {
    return refusal(ErrorCode.CORRUPT_MESSAGE, 'Record batch is smaller than its header')
  }
  if (size < records.length) {
    return refusal(
      ErrorCode.INVALID_RECORD,
      `Produce requests with version ${produceVersion} are only allowed to contain exactly one record batch per partition`,
    )
  }
  return undefined
}

function noBatch(produceVersion: number): Refusal {
  return refusal(
    ErrorCode.INVALID_RECORD,
    `Produce requests with version ${produceVersion} must have exactly one record batch per partition`,
  )
}

/** What the header alone says, and the checksum. `batch` passed `checkFrame`. */
export function checkHeader(
  batch: Buffer,
  produceVersion: number,
  maxMessageBytes: number,
  crc32c: Crc32c,
): Refusal | undefined {
  const attributes = attributesOf(batch, 0)
  const codec = codecOf(attributes)
  if (codec > Codec.zstd) return refusal(ErrorCode.INVALID_RECORD, `Unknown codec ${codec}`)
  if (codec === Codec.zstd && produceVersion < firstZstdVersion) {
    return refusal(
      ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
      `Produce requests with version ${produceVersion} are not allowed to use ZStandard compression`,
    )
  }
  if (baseOffsetOf(batch, 0) !== 0) {
    return refusal(
      ErrorCode.INVALID_RECORD,
      `The baseOffset of the record batch should be 0, but it is ${baseOffsetOf(batch, 0)}`,
    )
  }
  if (batch.length > maxMessageBytes) {
    return refusal(
      ErrorCode.MESSAGE_TOO_LARGE,
      `The record batch size is ${batch.length} bytes which exceeds the maximum configured value of ${maxMessageBytes}.`,
    )
  }
  if (crcOf(batch, 0) !== crc32c(batch, CRC_START, batch.length)) {
    return refusal(ErrorCode.CORRUPT_MESSAGE, 'Record is corrupt: its checksum does not match')
  }
  const count = recordCountOf(batch, 0)
  if (count <= 0 || lastOffsetDeltaOf(batch, 0) !== count - 1) {
    return refusal(
      ErrorCode.INVALID_RECORD,
      `Inconsistent count of records: ${count} declared, last offset delta ${lastOffsetDeltaOf(batch, 0)}`,
    )
  }
  if (isControl(attributes)) {
    return refusal(ErrorCode.INVALID_RECORD, 'Clients are not allowed to write control records')
  }
  if (producerIdOf(batch, 0) > NO_PRODUCER_ID && baseSequenceOf(batch, 0) < 0) {
    return refusal(
      ErrorCode.INVALID_RECORD,
      `Invalid sequence number ${baseSequenceOf(batch, 0)} in record batch with producerId ${producerIdOf(batch, 0)}`,
    )
  }
  return undefined
}

/**
 * Checks the opened records against count, keys and time bounds, and brings the header's time fields to what the topic
 * wants (Kafka's LogValidator). The batch's checksum is computed anew only when the header changed.
 *
 * @param block the opened records, `block[start, end)`; undefined when the batch stays compressed: its header is
 *   believed then
 */
export function checkRecords(
  batch: Buffer,
  block: { buffer: Buffer; start: number; end: number } | undefined,
  config: LogConfig,
  nowMs: number,
  crc32c: Crc32c,
): Refusal | undefined {
  const attributes = attributesOf(batch, 0)
  const saysLogAppendTime = hasLogAppendTime(attributes)
  let maxTimestamp = maxTimestampOf(batch, 0)
  let minTimestamp = maxTimestamp
  if (block) {
    const refused = walk(batch, block, config)
    if (refused) return refused
    if (!saysLogAppendTime) {
      const base = baseTimestampOf(batch, 0)
      maxTimestamp = Math.max(NO_TIMESTAMP, base + recordCheck.maxTimestampDelta)
      minTimestamp = base + recordCheck.minTimestampDelta
    }
  }
  if (saysLogAppendTime && (config.usesLogAppendTime || maxTimestamp === NO_TIMESTAMP)) {
    return timestampRefusal(batch, block, config, nowMs)
  }
  if (config.usesLogAppendTime) {
    changeTime(batch, TimestampType.logAppendTime, nowMs, crc32c)
    return undefined
  }
  const isEarly =
    minTimestamp !== NO_TIMESTAMP && nowMs - minTimestamp > config.timestampBeforeMaxMs
  if (isEarly || maxTimestamp - nowMs > config.timestampAfterMaxMs) {
    return timestampRefusal(batch, block, config, nowMs)
  }
  if (saysLogAppendTime || maxTimestamp !== maxTimestampOf(batch, 0)) {
    changeTime(batch, TimestampType.createTime, maxTimestamp, crc32c)
  }
  return undefined
}

function walk(
  batch: Buffer,
  { buffer, start, end }: { buffer: Buffer; start: number; end: number },
  config: LogConfig,
): Refusal | undefined {
  try {
    recordCheck.run(buffer, start, end, recordCountOf(batch, 0))
  } catch (error) {
    if (!(error instanceof LmqError)) throw error
    return refusal(ErrorCode.INVALID_RECORD, error.message)
  }
  const { firstMisplaced, firstKeyless } = recordCheck
  if (firstMisplaced >= 0) {
    return refusal(ErrorCode.INVALID_RECORD, 'Records do not have incremental offsets', [
      { batchIndex: firstMisplaced, batchIndexErrorMessage: 'Unexpected offset delta' },
    ])
  }
  if (config.isCompacted && firstKeyless >= 0) {
    return keylessRefusal(buffer, start, end, recordCountOf(batch, 0))
  }
  return undefined
}

/** A slow walk that names the records, once a batch is known to be refused. */
function keylessRefusal(buffer: Buffer, start: number, end: number, count: number): Refusal {
  const errors: RecordError[] = []
  eachRecord(buffer, start, end, count, (index, place) => {
    if (place.keySize >= 0) return
    errors.push({
      batchIndex: index,
      batchIndexErrorMessage: 'Compacted topic cannot accept message without key.',
    })
  })
  return refusal(ErrorCode.INVALID_RECORD, summaryOf(errors), errors)
}

function timestampRefusal(
  batch: Buffer,
  block: { buffer: Buffer; start: number; end: number } | undefined,
  config: LogConfig,
  nowMs: number,
): Refusal {
  const errors: RecordError[] = []
  const add = (index: number, timestamp: number) => {
    const reason = timestampReason(batch, timestamp, index, config, nowMs)
    if (reason) errors.push({ batchIndex: index, batchIndexErrorMessage: reason })
  }
  if (!block) {
    add(0, maxTimestampOf(batch, 0))
  } else {
    const base = baseTimestampOf(batch, 0)
    const fixed = hasLogAppendTime(attributesOf(batch, 0)) ? maxTimestampOf(batch, 0) : undefined
    eachRecord(block.buffer, block.start, block.end, recordCountOf(batch, 0), (index, place) =>
      add(index, fixed ?? base + place.timestampDelta),
    )
  }
  return refusal(ErrorCode.INVALID_TIMESTAMP, summaryOf(errors), errors)
}

function timestampReason(
  batch: Buffer,
  timestamp: number,
  index: number,
  config: LogConfig,
  nowMs: number,
): string | undefined {
  const isBounded = !config.usesLogAppendTime && timestamp !== NO_TIMESTAMP
  const from = Math.max(nowMs - config.timestampBeforeMaxMs, Number.MIN_SAFE_INTEGER)
  const to = nowMs + config.timestampAfterMaxMs
  if (isBounded && (timestamp < from || timestamp > to)) {
    return `Timestamp ${timestamp} of message with offset ${index} is out of range. The timestamp should be within [${from}, ${to}]`
  }
  if (!isBounded && hasLogAppendTime(attributesOf(batch, 0))) {
    return `Invalid timestamp type in message ${index}. Producer should not set timestamp type to LogAppendTime.`
  }
  return undefined
}

function eachRecord(
  buffer: Buffer,
  start: number,
  end: number,
  count: number,
  visit: (index: number, place: ReturnType<typeof newRecordPlace>) => void,
): void {
  const cursor = new VarintCursor(buffer, start, end)
  const place = newRecordPlace()
  for (let index = 0; index < count; index++) {
    nextRecord(cursor, place)
    visit(index, place)
  }
}

function summaryOf(errors: readonly RecordError[]): string {
  const shown = errors
    .slice(0, shownRecordErrors)
    .map(({ batchIndex, batchIndexErrorMessage }) => `${batchIndex}: ${batchIndexErrorMessage}`)
  return `One or more records have been rejected due to ${errors.length} record errors in total, and only showing the first three errors at most: [${shown.join('; ')}]`
}

function changeTime(batch: Buffer, type: TimestampType, timestamp: number, crc32c: Crc32c): void {
  setMaxTimestamp(batch, 0, type, timestamp)
  setCrc(batch, 0, crc32c(batch, CRC_START, batch.length))
}
