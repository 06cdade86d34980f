import type { Io } from '../../io/io.ts'
import type { ConsulPair, ConsulPort } from './consul-port.ts'
import { Pauses } from './pauses.ts'

export type ConsulWatchOptions = {
  readonly io: Io
  readonly port: ConsulPort
  readonly key: string
  /** How long one query waits for news. Bounds what a hung Consul server can hold back. */
  readonly waitMs: number
  /** Called one at a time, with each new state of the key. When it fails, it is called again, with what is there then. */
  readonly onChange: (pair: ConsulPair | undefined) => Promise<void>
  /** @param failures in a row */
  readonly onFailure: (error: unknown, failures: number) => void
  /** After failures in a row: Consul answers again. Called before the news. */
  readonly onRecovered: () => void
}

/** Least time between two queries that brought nothing new: a watch on a missing key wakes on every write of anybody. */
const LEAST_MS = 100

/** One query that breaks says nothing of Consul: whatever stands before it may have cut it off. */
const ABSENCE_FAILURES = 2

/** News is what a broker waits for that missed some. */
const LONGEST_PAUSE_MS = 2_000

/** Follows one key by blocking queries, until it is stopped. */
export class ConsulWatch {
  readonly #options: ConsulWatchOptions
  readonly #pauses: Pauses
  #failures = 0
  #ended: Promise<void> | undefined

  constructor(options: ConsulWatchOptions) {
    this.#options = options
    this.#pauses = new Pauses(options.io)
  }

  /** @param modifyIndex of the state that the caller knows; 0: the key is not there */
  start(modifyIndex: number): void {
    this.#ended = this.#run(modifyIndex)
  }

  /** A query under way ends with the port. */
  stop(): void {
    this.#pauses.stop()
  }

  async ended(): Promise<void> {
    await this.#ended
  }

  async #run(known: number): Promise<void> {
    const { io, port, key, waitMs, onChange, onFailure, onRecovered } = this.#options
    let waitIndex = 0
    let seen: number | undefined = known
    while (!this.#pauses.stopped) {
      const startMs = io.monotonic.nowMs()
      try {
        const { index, pair } = await port.get(key, { waitIndex, waitMs })
        if (this.#pauses.stopped) return
        if (this.#failures >= ABSENCE_FAILURES) onRecovered()
        this.#failures = 0
        // An index that went back is of another history: begin again without one.
        waitIndex = index < waitIndex ? 0 : index
        const modifyIndex = pair?.modifyIndex ?? 0
        if (modifyIndex !== seen) {
          await onChange(pair)
          seen = modifyIndex
        } else if (io.monotonic.nowMs() - startMs < LEAST_MS) {
          await this.#pauses.wait(LEAST_MS)
        }
      } catch (error) {
        if (this.#pauses.stopped) return
        waitIndex = 0
        this.#failures++
        // It may be another history that comes back.
        if (this.#failures >= ABSENCE_FAILURES) seen = undefined
        onFailure(error, this.#failures)
        await this.#pauses.afterFailure(this.#failures, LONGEST_PAUSE_MS)
      }
    }
  }
}
