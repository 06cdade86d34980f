import type { Facts } from '../base/errors.ts'
import type { Logger, LogLevel } from '../base/logger.ts'

type Entry = { readonly level: LogLevel; readonly facts: Facts; readonly message: string }

/** What is written before pino is there; more than this is dropped, oldest first. */
const maxEarly = 1_000

/**
 * JSON lines by pino, which is loaded only after the broker's port is open: until `load` entries are kept, with their
 * own time.
 */
export class JsonLogger implements Logger {
  readonly #least: LogLevel
  #early: Entry[] = []
  #write: ((entry: Entry) => void) | undefined

  constructor(least: LogLevel) {
    this.#least = least
  }

  /** Loads pino and writes what was kept. */
  async load(): Promise<void> {
    if (this.#write) return
    const { pino } = await import('pino')
    const target = pino({ level: this.#least, base: null, timestamp: false }, pino.destination(1))
    this.#write = ({ level, facts, message }) => target[level](facts, message)
    const early = this.#early
    this.#early = []
    for (const entry of early) this.#write(entry)
  }

  debug(facts: Facts, message: string): void {
    this.#log({ level: 'debug', facts, message })
  }

  info(facts: Facts, message: string): void {
    this.#log({ level: 'info', facts, message })
  }

  warn(facts: Facts, message: string): void {
    this.#log({ level: 'warn', facts, message })
  }

  error(facts: Facts, message: string): void {
    this.#log({ level: 'error', facts, message })
  }

  child(bindings: Facts): Logger {
    const of = (level: LogLevel) => (facts: Facts, message: string) =>
      this.#log({ level, facts: { ...bindings, ...facts }, message })
    return {
      debug: of('debug'),
      info: of('info'),
      warn: of('warn'),
      error: of('error'),
      child: (more) => this.child({ ...bindings, ...more }),
    }
  }

  #log({ level, facts, message }: Entry): void {
    const entry = { level, facts: { time: new Date().toISOString(), ...facts }, message }
    if (this.#write) {
      this.#write(entry)
      return
    }
    if (this.#early.length >= maxEarly) this.#early.shift()
    this.#early.push(entry)
  }
}
