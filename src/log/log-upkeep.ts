import { AssertionError } from '../base/assert.ts'
import type { Logger } from '../base/logger.ts'
import type { Io, Timer } from '../io/io.ts'
import { LogCleaner } from './log-cleaner.ts'
import type { LogDirectory } from './log-directory.ts'
import { retain } from './log-retention.ts'
import type { LogSettings } from './log-shared.ts'
import type { PartitionLog } from './partition-log.ts'

/** How long a log goes on keeping its tail in memory when nobody reads it. */
const tailIdleMs = 5_000
/** Checkpoints that are wanted soon wait for others. */
const soonMs = 100
/** A slice of housekeeping leaves the event loop after this. */
const sliceMs = 5

export type LogUpkeepOptions = { readonly logger: Logger; readonly settings: LogSettings }

/** What is looked after; all of it may change at any time. */
export type LogHousehold = {
  readonly directories: readonly LogDirectory[]
  /** By name. */
  readonly logs: ReadonlyMap<string, PartitionLog>
  readonly logsWithTail: ReadonlySet<PartitionLog>
}

/** What goes on in the background of all logs: retention, compaction, checkpoints, producers and tails that expire. */
export class LogUpkeep {
  readonly #io: Io
  readonly #options: LogUpkeepOptions
  readonly #household: LogHousehold
  readonly #cleaner: LogCleaner
  readonly #timers = new Set<Timer>()
  #checkpointTimer: Timer | undefined
  #isStopped = false

  constructor(io: Io, options: LogUpkeepOptions, household: LogHousehold) {
    this.#io = io
    this.#options = options
    this.#household = household
    this.#cleaner = new LogCleaner(io, options.logger, () => household.logs.values())
  }

  /** Checkpoints can still be saved afterwards. */
  stop(): void {
    this.#isStopped = true
    this.#cleaner.stop()
    for (const timer of this.#timers) timer.cancel()
  }

  start(): void {
    const { settings } = this.#options
    this.#every(
      () => settings['log.retention.check.interval.ms'],
      () => this.applyRetention(),
    )
    this.#every(
      () => settings['log.flush.offset.checkpoint.interval.ms'],
      () => this.#saveRecoveryPoints(),
    )
    this.#every(
      () => settings['replica.high.watermark.checkpoint.interval.ms'],
      () => this.#saveHighWatermarks(),
    )
    this.#every(
      () => settings['producer.id.expiration.check.interval.ms'],
      async () => this.#expireProducers(),
    )
    this.#every(
      () => tailIdleMs,
      async () => this.#dropIdleTails(),
    )
    this.#every(
      () => settings['log.cleaner.backoff.ms'],
      () => this.applyCompaction(),
    )
  }

  /** Runs `task` again and again, `intervalMs` after it has ended, whatever became of it. */
  #every(intervalMs: () => number, task: () => Promise<void>): void {
    const wait = () => {
      if (this.#isStopped) return
      const timer = this.#io.timers.schedule(Math.max(1, intervalMs()), () => {
        this.#timers.delete(timer)
        if (this.#isStopped) return
        task()
          .catch((error: unknown) => {
            if (error instanceof AssertionError) throw error
            this.#options.logger.error(
              { error },
              'a round of housekeeping failed; the next one comes',
            )
          })
          .then(wait)
      })
      this.#timers.add(timer)
    }
    wait()
  }

  /** One round of retention over all logs, in slices. */
  async applyRetention(): Promise<void> {
    await this.#eachInSlices((log) => {
      const counts = retain(log, this.#io.brokerClock.nowMs())
      if (counts.size === 0) return
      log.home.logger.info(
        { log: log.name, segments: Object.fromEntries(counts), logStartOffset: log.logStartOffset },
        'retention removed old segments',
      )
    })
  }

  /** Compacts whatever is due, one log after the other. */
  async applyCompaction(): Promise<void> {
    if (this.#options.settings['log.cleaner.enable']) await this.#cleaner.cleanDue()
  }

  async #eachInSlices(visit: (log: PartitionLog) => void): Promise<void> {
    let endMs = this.#io.monotonic.nowMs() + sliceMs
    const { logs } = this.#household
    for (const log of [...logs.values()]) {
      if (this.#isStopped) return
      if (log.home.isOffline || !log.hasFolder || logs.get(log.name) !== log) continue
      try {
        visit(log)
      } catch (error) {
        log.home.fail(error, 'delete')
      }
      if (this.#io.monotonic.nowMs() < endMs) continue
      await new Promise<void>((resolve) => this.#io.timers.endOfTurn(resolve))
      endMs = this.#io.monotonic.nowMs() + sliceMs
    }
  }

  #expireProducers(): void {
    const nowMs = this.#io.brokerClock.nowMs()
    const expirationMs = this.#options.settings['producer.id.expiration.ms']
    for (const log of this.#household.logs.values()) {
      if (log.state === 'open') log.producers.expire(nowMs, expirationMs)
    }
  }

  #dropIdleTails(): void {
    for (const log of this.#household.logsWithTail) {
      if (log.tailWasRead) log.tailWasRead = false
      else log.dropTail()
    }
  }

  /** A directory's checkpoints changed in a way that should not wait for the next round. */
  checkpointSoon(): void {
    if (this.#checkpointTimer || this.#isStopped) return
    const timer = this.#io.timers.schedule(soonMs, () => {
      this.#timers.delete(timer)
      this.#checkpointTimer = undefined
      void this.#saveRecoveryPoints()
    })
    this.#checkpointTimer = timer
    this.#timers.add(timer)
  }

  /** All of them, now. */
  async saveCheckpoints(): Promise<void> {
    await this.#saveRecoveryPoints()
    await this.#saveHighWatermarks()
  }

  async #saveRecoveryPoints(): Promise<void> {
    await Promise.all(
      this.#household.directories.map((directory) => directory.saveRecoveryPoints()),
    )
  }

  async #saveHighWatermarks(): Promise<void> {
    await Promise.all(
      this.#household.directories.map((directory) => directory.saveHighWatermarks()),
    )
  }
}
