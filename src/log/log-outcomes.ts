import { ErrorCode } from '../protocol/error-code.ts'
import type { RecordError, Refusal } from './batch-check.ts'
import type { AbortedTransaction } from './transaction-index.ts'

export type AppendOrigin = 'client' | 'coordinator'

export type AppendOptions = {
  readonly leaderEpoch: number
  /** The broker clock. */
  readonly nowMs: number
  readonly origin: AppendOrigin
  /** Version of the Produce request: old ones may carry less. */
  readonly produceVersion: number
}

export type AppendResult = {
  readonly errorCode: ErrorCode
  readonly errorMessage: string | null
  readonly recordErrors: readonly RecordError[]
  /** -1 when the batch was refused. */
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  /** -1 unless the topic uses log append time; for a duplicate the time of the first one. */
  readonly logAppendTimeMs: number
  /** Nothing was appended: the same batch stands at `baseOffset` already. */
  readonly duplicate: boolean
  /** Wait for this offset (exclusive) with `whenWritten` before answering. */
  readonly end: number
}

const noErrors: readonly RecordError[] = []

export function refused({ errorCode, errorMessage, recordErrors }: Refusal): AppendResult {
  return {
    errorCode,
    errorMessage,
    recordErrors,
    baseOffset: -1,
    lastOffset: -1,
    logAppendTimeMs: -1,
    duplicate: false,
    end: -1,
  }
}

export function appended(
  baseOffset: number,
  lastOffset: number,
  logAppendTimeMs: number,
  duplicate: boolean,
): AppendResult {
  return {
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    recordErrors: noErrors,
    baseOffset,
    lastOffset,
    logAppendTimeMs,
    duplicate,
    end: lastOffset + 1,
  }
}

export type ReplicateOptions = {
  /** The epoch under which the leader was asked: what it wrote later is not taken. */
  readonly leaderEpoch: number
  /** The log's end when the leader was asked. If it is another one now, nothing is taken: it would leave a hole. */
  readonly fromOffset: number
  /** The broker clock. */
  readonly nowMs: number
}

export type ReplicateResult = {
  /**
   * NONE, CORRUPT_MESSAGE (batches before the damaged one were taken), OFFSET_OUT_OF_RANGE (the log was cut meanwhile)
   * or KAFKA_STORAGE_ERROR.
   */
  readonly errorCode: ErrorCode
  /** What is wrong, for the log; null: nothing. */
  readonly reason: string | null
  /** Bytes taken. */
  readonly sizeBytes: number
  /** The log's end afterwards. Count it only when it is written: `whenWritten(end)`. */
  readonly end: number
}

export type ReadOptions = {
  /** Exclusive: high watermark or last stable offset. Never beyond what is written. */
  readonly upTo: number
  /** The first batch is given even if it is larger than `maxBytes`. */
  readonly minOneBatch: boolean
  /** Whether `abortedTransactions` is wanted (read_committed). */
  readonly withAborted?: boolean
}

export type ReadResult = {
  readonly errorCode: ErrorCode
  /** Whole batches, in order; several buffers that belong together. Must not be changed. */
  readonly records: readonly Buffer[]
  readonly sizeBytes: number
  /** Base offset of the first batch; it may be below the offset asked for. */
  readonly firstOffset: number
  /** Behind the last batch given. */
  readonly nextOffset: number
  /** Those that overlap what was given; null when not asked for. */
  readonly abortedTransactions: readonly AbortedTransaction[] | null
}

const noRecords: readonly Buffer[] = []

export function readError(errorCode: ErrorCode): ReadResult {
  return {
    errorCode,
    records: noRecords,
    sizeBytes: 0,
    firstOffset: -1,
    nextOffset: -1,
    abortedTransactions: null,
  }
}

export function readNothing(offset: number, withAborted: boolean): ReadResult {
  return {
    errorCode: ErrorCode.NONE,
    records: noRecords,
    sizeBytes: 0,
    firstOffset: offset,
    nextOffset: offset,
    abortedTransactions: withAborted ? [] : null,
  }
}
