import type { ErrorCode } from '../protocol/error-code.ts'
import type { MetadataRecord } from './metadata-records.ts'

/**
 * What a command of the controller leads to. Nothing has changed yet: `records` change the image when they are applied,
 * and `answer` and `effects` are for when they are committed.
 */
export type Decision<Answer> = {
  readonly answer: Answer
  readonly records: readonly MetadataRecord[]
  readonly effects: readonly ControllerEffect[]
}

/** A line for the operator. */
export type ControllerEffect = {
  readonly kind: 'log'
  readonly facts: Readonly<Record<string, unknown>>
  readonly message: string
}

/** What a client is told of one topic or resource. */
export type Outcome = { readonly errorCode: ErrorCode; readonly errorMessage: string | null }

export const refuse = (errorCode: ErrorCode, errorMessage: string | null): Outcome => ({
  errorCode,
  errorMessage,
})
