import { LmqError } from '../base/errors.ts'
import { errorName, retriableErrors } from '../protocol/error-code.ts'

/** A broker answered, and the answer was no. */
export class OutcomeError extends Error {
  override readonly name = 'OutcomeError'
  readonly errorCode: number
  /** What was asked for: `topic orders`, `group billing`. */
  readonly subject: string

  /** @param detail the broker's own sentence, if it gave one */
  constructor(errorCode: number, subject: string, detail?: string | null) {
    super(`${subject}: ${errorName(errorCode)}${detail ? ` (${detail})` : ''}`)
    this.errorCode = errorCode
    this.subject = subject
  }

  get errorName(): string {
    return errorName(this.errorCode)
  }
}

/** @throws {OutcomeError} unless the code is NONE */
export function checkOutcome(errorCode: number, subject: string, detail?: string | null): void {
  if (errorCode !== 0) throw new OutcomeError(errorCode, subject, detail)
}

const passing = new Set(['LMQ_CONNECTION_CLOSED', 'LMQ_REQUEST_TIMED_OUT'])

/** Whether the same request may succeed later: the broker is away, restarting, or said so itself. */
export function isRetriable(error: unknown): boolean {
  if (error instanceof OutcomeError) return retriableErrors.has(error.errorCode)
  return error instanceof LmqError && passing.has(error.code)
}
