import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import { type CompactionRange, compact, compactionRangeOf } from './log-compaction.ts'
import type { PartitionLog } from './partition-log.ts'

/** A look at the logs leaves the event loop after this. */
const sliceMs = 5

/**
 * Picks the dirtiest log with cleanup.policy=compact, compacts it in a worker thread, and goes on until none is due. One
 * log at a time. A log that cannot be compacted is left alone until the broker restarts.
 */
export class LogCleaner {
  readonly #io: Io
  readonly #logger: Logger
  readonly #logs: () => Iterable<PartitionLog>
  readonly #uncleanable = new WeakSet<PartitionLog>()
  #isStopped = false

  constructor(io: Io, logger: Logger, logs: () => Iterable<PartitionLog>) {
    this.#io = io
    this.#logger = logger
    this.#logs = logs
  }

  stop(): void {
    this.#isStopped = true
  }

  /** @returns how many rounds were done */
  async cleanDue(): Promise<number> {
    let rounds = 0
    while (!this.#isStopped) {
      const nowMs = this.#io.brokerClock.nowMs()
      const next = await this.#dirtiest(nowMs)
      if (!next) break
      rounds++
      await this.#clean(next.log, next.range, nowMs)
    }
    return rounds
  }

  /** Looks at all logs, in slices: one that nobody asked for yet is opened by the look. */
  async #dirtiest(
    nowMs: number,
  ): Promise<{ log: PartitionLog; range: CompactionRange } | undefined> {
    let best: { log: PartitionLog; range: CompactionRange } | undefined
    let endMs = this.#io.monotonic.nowMs() + sliceMs
    for (const log of [...this.#logs()]) {
      if (this.#isStopped) return undefined
      if (this.#io.monotonic.nowMs() >= endMs) {
        await new Promise<void>((resolve) => this.#io.timers.endOfTurn(resolve))
        endMs = this.#io.monotonic.nowMs() + sliceMs
      }
      if (!log.config.isCompacted || !log.hasFolder || this.#uncleanable.has(log)) continue
      if (log.isMoving) continue
      if (log.home.isOffline || log.state === 'closed') continue
      const range = compactionRangeOf(log, nowMs)
      if (range.isDue && (!best || range.dirtyRatio > best.range.dirtyRatio)) best = { log, range }
    }
    return best
  }

  async #clean(log: PartitionLog, range: CompactionRange, nowMs: number): Promise<void> {
    const startMs = this.#io.monotonic.nowMs()
    log.isCompacting = true
    try {
      const done = await compact(log, range, nowMs)
      if (!done) return
      log.home.checkpointSoon()
      const { readBytes, writtenBytes, cleanedOffset } = done
      const ms = Math.round(this.#io.monotonic.nowMs() - startMs)
      this.#logger.info({ log: log.name, readBytes, writtenBytes, cleanedOffset, ms }, 'compacted')
    } catch (error) {
      if (this.#isStopped || log.state !== 'open') return
      this.#uncleanable.add(log)
      this.#logger.error(
        { log: log.name, error: String(error) },
        'the log cannot be compacted and grows until the broker restarts: check the disk and the segments',
      )
    } finally {
      log.isCompacting = false
    }
  }
}
