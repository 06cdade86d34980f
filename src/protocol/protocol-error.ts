import { LmqError } from '../base/errors.ts'

/** Bytes that no correct peer sends. The connection they came over is closed. Never a bug of ours, never an outcome. */
export function protocolError(what: string, facts: Record<string, unknown> = {}): LmqError {
  return new LmqError('LMQ_PROTOCOL', { what, ...facts })
}
