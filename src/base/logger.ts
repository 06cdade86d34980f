import type { Facts } from './errors.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Structured logs: facts first, then one sentence that says what happened and, at warn and above, what to do. */
export type Logger = {
  debug(facts: Facts, message: string): void
  info(facts: Facts, message: string): void
  warn(facts: Facts, message: string): void
  error(facts: Facts, message: string): void
  /** A logger that adds `bindings` to every line. */
  child(bindings: Facts): Logger
}

/** Drops everything. For tests and embedders that want silence. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
}
