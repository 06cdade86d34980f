import { join } from 'node:path'
import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import type { LogDirectory } from './log-directory.ts'
import { folderNameOf, futureFolderSuffix } from './log-files.ts'
import { LogMove } from './log-move.ts'
import type { LogSettings } from './log-shared.ts'
import type { PartitionLog } from './partition-log.ts'

/** Partitions that are not here yet for which a directory is remembered. */
const MAX_PREFERRED = 10_000
const RATE = 'replica.alter.log.dirs.io.max.bytes.per.second'

/**
 * Which logs are on their way to another directory, and where logs shall lie that are not here yet (KIP-113). As many
 * moves run at a time as there are directories; the others wait.
 */
export class LogMoves {
  readonly #io: Io
  readonly #directories: readonly LogDirectory[]
  readonly #logger: Logger
  readonly #settings: LogSettings
  /** By the name of the log; waiting ones, too, in the order in which they were asked for. */
  readonly #moves = new Map<string, LogMove>()
  readonly #running = new Map<LogMove, Promise<void>>()
  /** Directory by name of the log. */
  readonly #preferred = new Map<string, LogDirectory>()
  #isClosed = false

  constructor(io: Io, directories: readonly LogDirectory[], logger: Logger, settings: LogSettings) {
    this.#io = io
    this.#directories = directories
    this.#logger = logger
    this.#settings = settings
  }

  directory(path: string): LogDirectory | undefined {
    return this.#directories.find((directory) => directory.path === path)
  }

  /** Undefined while the log stays where it is. */
  moveOf(log: PartitionLog): LogMove | undefined {
    return this.#moves.get(log.name)
  }

  /** Moves that lead into a directory, of logs that are not there yet. */
  *movesTo(directory: LogDirectory): Iterable<LogMove> {
    for (const move of this.#moves.values()) {
      if (move.target === directory && move.log.home !== directory) yield move
    }
  }

  /** The log of this partition shall lie there when it is made. */
  prefer(topic: string, partitionIndex: number, directory: LogDirectory): void {
    const name = folderNameOf(topic, partitionIndex)
    this.#preferred.delete(name)
    this.#preferred.set(name, directory)
    const [oldest] = this.#preferred.keys()
    if (this.#preferred.size > MAX_PREFERRED && oldest !== undefined) this.#preferred.delete(oldest)
  }

  /** Where a log that is made now shall lie, if somebody has said so. */
  takePreferred(name: string): LogDirectory | undefined {
    const directory = this.#preferred.get(name)
    this.#preferred.delete(name)
    return directory?.isOffline ? undefined : directory
  }

  /**
   * Has the log move to a directory; where it is, or on its way, already, nothing happens. Another move of it ends, and
   * back to where it lies is no move.
   */
  start(log: PartitionLog, target: LogDirectory): void {
    const known = this.#moves.get(log.name)
    if (known?.target === target || this.#isClosed) return
    known?.cancel()
    this.#moves.delete(log.name)
    if (log.home === target) return
    const source = log.home as LogDirectory
    const folder = join(target.path, this.#futureName(log.name))
    const move = new LogMove(log, target, folder, {
      io: this.#io,
      bytesPerSecond: () => this.#settings[RATE] ?? Number.MAX_SAFE_INTEGER,
      enter: () => {
        this.#io.disk.renameSync(folder, join(target.path, log.name))
        this.#io.disk.flushFolderSync(target.path)
      },
      leave: () => {
        source.logs.delete(log.name)
        target.logs.set(log.name, log)
        if (!log.hasFolder) {
          this.#io.disk.removeFolderSync(folder)
          return
        }
        source.removeFolder(log)
        // Else the old folder may come back after a loss of power, and be taken for the log.
        this.#io.disk.flushFolderSync(source.path)
      },
    })
    try {
      this.#io.disk.makeFolderSync(folder)
    } catch (error) {
      target.fail(error, 'write')
      return
    }
    this.#moves.set(log.name, move)
    this.#next()
  }

  /** Of a log that is deleted or closed. */
  cancel(log: PartitionLog): void {
    this.#moves.get(log.name)?.cancel()
    this.#moves.delete(log.name)
  }

  #futureName(name: string): string {
    const id = Buffer.from(this.#io.random.bytes(16)).toString('hex')
    return `${name}.${id}${futureFolderSuffix}`
  }

  #next(): void {
    for (const move of this.#moves.values()) {
      if (this.#running.size >= this.#directories.length) return
      if (this.#running.has(move)) continue
      // One that is being cancelled still uses the log.
      if ([...this.#running.keys()].some(({ log }) => log === move.log)) continue
      this.#running.set(move, this.#run(move))
    }
  }

  async #run(move: LogMove): Promise<void> {
    const { log } = move
    const target = move.target as LogDirectory
    const source = log.home as LogDirectory
    const facts = { log: log.name, from: source.path, to: target.path }
    try {
      if (await move.run()) {
        this.#logger.info(facts, 'the log lives in another directory now')
        await Promise.all([
          target.saveRecoveryPoints(),
          target.saveHighWatermarks(),
          source.saveRecoveryPoints(),
        ])
      } else {
        this.#logger.info(facts, 'the log stays where it is')
        // At a stop it stays, and tells the next start where the log shall go.
        if (!this.#isClosed) await this.#io.disk.removeFolder(move.folder).catch(() => {})
      }
    } catch (error) {
      target.fail(error, 'write')
    } finally {
      this.#running.delete(move)
      if (this.#moves.get(log.name) === move) this.#moves.delete(log.name)
      if (!this.#isClosed) this.#next()
    }
  }

  /** Copies that are not done are left: the next start begins them anew. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const move of this.#moves.values()) move.cancel()
    await Promise.all(this.#running.values())
    this.#moves.clear()
  }
}
