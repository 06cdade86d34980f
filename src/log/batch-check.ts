import { LmqError } from '../base/errors.ts'
import { Codec, type CodecId, type Timers } from '../io/io.ts'
import { packedBound } from '../io/packed-bound.ts'
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

/** The records of a batch, not compressed: `buffer[start, end)`. */
export type Block = { readonly buffer: Buffer; readonly start: number; readonly end: number }

type Crc32c = (buffer: Buffer, start: number, end: number) => number

/** Fetch and Produce below this version have no zstd. */
const firstZstdVersion = 7
const shownRecordErrors = 3
/** A client that gets so many leaves the rest aside, too. */
const maxRecordErrors = 10_000
/** Records of an opened batch that are looked at in one turn of the event loop: some ten milliseconds. */
const recordsPerTurn = 200_000
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
  if (codec > Codec.zstd) return refusal(ErrorCode.INVALID_RECORD, `Unknown codec ${codec}`)
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
 * @param block the opened records, `block[start, end)`; undefined when the batch stays compressed (see `checkOutline`): the
 *   times in its header are believed then
 */
export function checkRecords(
  batch: Buffer,
  block: Block | undefined,
  config: LogConfig,
  nowMs: number,
  crc32c: Crc32c,
): Refusal | undefined {
  if (block) {
    try {
      recordCheck.run(block.buffer, block.start, block.end, recordCountOf(batch, 0))
    } catch (error) {
      return malformed(error)
    }
  }
  return judge(batch, block, recordCheck, config, nowMs, crc32c)
}

/** Length, attributes, two deltas, two lengths and the number of headers: one byte each. */
const LEAST_RECORD_BYTES = 7

/** A compressed batch that stays closed: it is what its codec says, and can hold the records that its header counts. */
export function checkOutline(batch: Buffer): Refusal | undefined {
  const codec = codecOf(attributesOf(batch, 0)) as CodecId
  const count = recordCountOf(batch, 0)
  try {
    const bound = packedBound(codec, batch.subarray(BATCH_HEADER_BYTES))
    if (count * LEAST_RECORD_BYTES <= bound) return undefined
    return refusal(
      ErrorCode.INVALID_RECORD,
      `Inconsistent count of records: ${count} declared, which do not fit into ${bound} bytes`,
    )
  } catch (error) {
    return malformed(error)
  }
}

/** As `checkRecords`, for a block of any size: others have their turns in between. */
export async function checkManyRecords(
  batch: Buffer,
  block: Buffer,
  config: LogConfig,
  nowMs: number,
  io: { readonly crc32c: Crc32c; readonly timers: Timers },
): Promise<Refusal | undefined> {
  const check = new RecordCheck()
  try {
    check.begin(block, 0, block.length, recordCountOf(batch, 0))
    while (!check.advance(recordsPerTurn)) await nextTurn(io.timers)
  } catch (error) {
    return malformed(error)
  }
  const whole = { buffer: block, start: 0, end: block.length }
  return judge(batch, whole, check, config, nowMs, io.crc32c)
}

const nextTurn = (timers: Timers): Promise<void> =>
  new Promise((resolve) => timers.endOfTurn(resolve))

function malformed(error: unknown): Refusal {
  if (!(error instanceof LmqError)) throw error
  return refusal(ErrorCode.INVALID_RECORD, error.message)
}

/** What a walk over the records found, and the header. */
function judge(
  batch: Buffer,
  block: Block | undefined,
  check: RecordCheck,
  config: LogConfig,
  nowMs: number,
  crc32c: Crc32c,
): Refusal | undefined {
  const attributes = attributesOf(batch, 0)
  const saysLogAppendTime = hasLogAppendTime(attributes)
  let maxTimestamp = maxTimestampOf(batch, 0)
  let minTimestamp = maxTimestamp
  if (block) {
    const refused = refusalOf(batch, block, check, config)
    if (refused) return refused
    if (!saysLogAppendTime) {
      const base = baseTimestampOf(batch, 0)
      maxTimestamp = Math.max(NO_TIMESTAMP, base + check.maxTimestampDelta)
      minTimestamp = base + check.minTimestampDelta
    }
  }
  if (saysLogAppendTime && (config.usesLogAppendTime || maxTimestamp === NO_TIMESTAMP)) {
    return timestampRefusal(batch, block, check, config, nowMs)
  }
  if (config.usesLogAppendTime) {
    changeTime(batch, TimestampType.logAppendTime, nowMs, crc32c)
    return undefined
  }
  const isEarly =
    minTimestamp !== NO_TIMESTAMP && nowMs - minTimestamp > config.timestampBeforeMaxMs
  if (isEarly || maxTimestamp - nowMs > config.timestampAfterMaxMs) {
    return timestampRefusal(batch, block, check, config, nowMs)
  }
  if (saysLogAppendTime || maxTimestamp !== maxTimestampOf(batch, 0)) {
    changeTime(batch, TimestampType.createTime, maxTimestamp, crc32c)
  }
  return undefined
}

function refusalOf(
  batch: Buffer,
  block: Block,
  { firstMisplaced, firstKeyless }: RecordCheck,
  config: LogConfig,
): Refusal | undefined {
  if (firstMisplaced >= 0) {
    return refusal(ErrorCode.INVALID_RECORD, 'Records do not have incremental offsets', [
      { batchIndex: firstMisplaced, batchIndexErrorMessage: 'Unexpected offset delta' },
    ])
  }
  if (!config.isCompacted || firstKeyless < 0) return undefined
  const reason = 'Compacted topic cannot accept message without key.'
  return refusalFor(
    ErrorCode.INVALID_RECORD,
    batch,
    block,
    [{ index: firstKeyless, reason }],
    (place) => (place.keySize < 0 ? reason : undefined),
  )
}

function timestampRefusal(
  batch: Buffer,
  block: Block | undefined,
  check: RecordCheck,
  config: LogConfig,
  nowMs: number,
): Refusal {
  const reasonOf = (index: number, timestamp: number) =>
    timestampReason(batch, timestamp, index, config, nowMs)
  const code = ErrorCode.INVALID_TIMESTAMP
  if (!block) {
    const reason = reasonOf(0, maxTimestampOf(batch, 0))
    const errors = reason ? [{ batchIndex: 0, batchIndexErrorMessage: reason }] : []
    return refusal(code, summaryOf(errors, false), errors)
  }
  const base = baseTimestampOf(batch, 0)
  const fixed = hasLogAppendTime(attributesOf(batch, 0)) ? maxTimestampOf(batch, 0) : undefined
  const worst: KnownError[] = []
  const add = (index: number, delta: number) => {
    const reason = reasonOf(index, fixed ?? base + delta)
    if (reason && worst[0]?.index !== index) worst.push({ index, reason })
  }
  add(check.indexOfMinTimestamp, check.minTimestampDelta)
  add(check.indexOfMaxTimestamp, check.maxTimestampDelta)
  return refusalFor(code, batch, block, worst, (place, index) =>
    reasonOf(index, fixed ?? base + place.timestampDelta),
  )
}

type KnownError = { readonly index: number; readonly reason: string }

/**
 * Names the records that are wrong, once a batch is known to be refused: those among the first ones, and not more than a
 * client can make use of. A batch that is opened may hold millions.
 *
 * @param known are wrong, wherever they are
 */
function refusalFor(
  code: ErrorCode,
  batch: Buffer,
  { buffer, start, end }: Block,
  known: readonly KnownError[],
  reasonOf: (place: ReturnType<typeof newRecordPlace>, index: number) => string | undefined,
): Refusal {
  const errors: RecordError[] = []
  const cursor = new VarintCursor(buffer, start, end)
  const place = newRecordPlace()
  const count = Math.min(recordCountOf(batch, 0), recordsPerTurn)
  let index = 0
  for (; index < count && errors.length < maxRecordErrors; index++) {
    nextRecord(cursor, place)
    const reason = reasonOf(place, index)
    if (reason) errors.push({ batchIndex: index, batchIndexErrorMessage: reason })
  }
  const isCut = index < recordCountOf(batch, 0)
  for (const { index: batchIndex, reason } of known) {
    if (batchIndex >= index) errors.push({ batchIndex, batchIndexErrorMessage: reason })
  }
  return refusal(code, summaryOf(errors, isCut), errors)
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

/** @param isCut not all records were looked at */
function summaryOf(errors: readonly RecordError[], isCut: boolean): string {
  const shown = errors
    .slice(0, shownRecordErrors)
    .map(({ batchIndex, batchIndexErrorMessage }) => `${batchIndex}: ${batchIndexErrorMessage}`)
  return `One or more records have been rejected due to ${isCut ? 'at least ' : ''}${errors.length} record errors in total, and only showing the first three errors at most: [${shown.join('; ')}]`
}

function changeTime(batch: Buffer, type: TimestampType, timestamp: number, crc32c: Crc32c): void {
  setMaxTimestamp(batch, 0, type, timestamp)
  setCrc(batch, 0, crc32c(batch, CRC_START, batch.length))
}
