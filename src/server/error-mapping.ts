import { LmqError, type OperatingErrorCode } from '../base/errors.ts'
import { ErrorCode } from '../protocol/error-code.ts'

/** The one place where an operating error becomes what a client is told. */
const outcomes: Partial<Record<OperatingErrorCode, ErrorCode>> = {
  LMQ_DISK_WRITE: ErrorCode.KAFKA_STORAGE_ERROR,
  LMQ_DISK_READ: ErrorCode.KAFKA_STORAGE_ERROR,
  LMQ_DISK_FLUSH: ErrorCode.KAFKA_STORAGE_ERROR,
  LMQ_LOG_DIR_OFFLINE: ErrorCode.KAFKA_STORAGE_ERROR,
  LMQ_LOG_CORRUPT: ErrorCode.KAFKA_STORAGE_ERROR,
  LMQ_STORE_UNREACHABLE: ErrorCode.REQUEST_TIMED_OUT,
  LMQ_STORE_DENIED: ErrorCode.REQUEST_TIMED_OUT,
  LMQ_STORE_DIVERGED: ErrorCode.REQUEST_TIMED_OUT,
  LMQ_NOT_CONTROLLER: ErrorCode.NOT_CONTROLLER,
  LMQ_REQUEST_TIMED_OUT: ErrorCode.REQUEST_TIMED_OUT,
  LMQ_CONNECTION_CLOSED: ErrorCode.NETWORK_EXCEPTION,
  LMQ_CODEC_MISSING: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
  LMQ_CODEC_FAILED: ErrorCode.CORRUPT_MESSAGE,
  LMQ_CODEC_TOO_LARGE: ErrorCode.CORRUPT_MESSAGE,
  LMQ_SHUTTING_DOWN: ErrorCode.COORDINATOR_NOT_AVAILABLE,
}

/** @returns the outcome of an operating error; undefined for anything else: that is a bug */
export function outcomeOf(error: unknown): ErrorCode | undefined {
  if (!(error instanceof LmqError)) return undefined
  return outcomes[error.code] ?? ErrorCode.UNKNOWN_SERVER_ERROR
}
