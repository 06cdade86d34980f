import type { Facts } from '../base/errors.ts'
import type { Logger, LogLevel } from '../base/logger.ts'

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }
const names: Readonly<Record<LogLevel, string>> = {
  debug: 'DEBUG',
  info: 'INFO ',
  warn: 'WARN ',
  error: 'ERROR',
}

const textOf = (value: unknown): string => {
  if (value instanceof Error) return JSON.stringify(value.message)
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  return JSON.stringify(value) ?? String(value)
}

/**
 * One readable line for each entry: time, level, sentence, facts as key=value.
 *
 * @param write takes a whole line with its end
 * @param least entries below this level are dropped
 */
export function createTextLogger(
  write: (line: string) => void,
  least: LogLevel,
  now: () => Date,
  bindings: Facts = {},
): Logger {
  const log = (level: LogLevel, facts: Facts, message: string): void => {
    if (ranks[level] < ranks[least]) return
    let line = `${now().toISOString()} ${names[level]} ${message}`
    for (const [key, value] of Object.entries({ ...bindings, ...facts })) {
      if (value !== undefined) line += ` ${key}=${textOf(value)}`
    }
    write(`${line}\n`)
  }
  return {
    debug: (facts, message) => log('debug', facts, message),
    info: (facts, message) => log('info', facts, message),
    warn: (facts, message) => log('warn', facts, message),
    error: (facts, message) => log('error', facts, message),
    child: (more) => createTextLogger(write, least, now, { ...bindings, ...more }),
  }
}
