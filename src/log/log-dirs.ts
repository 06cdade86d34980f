import { join } from 'node:path'
import { assert } from '../base/assert.ts'
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import { TailBudget } from './batch-tail.ts'
import { FileHandles } from './file-handles.ts'
import { IndexCache } from './index-cache.ts'
import { defaultLogConfig, type LogTopicConfig, logConfigOf } from './log-config.ts'
import { LogDirectory } from './log-directory.ts'
import { folderNameOf, partitionMetadataFile } from './log-files.ts'
import type { MoveProgress } from './log-move.ts'
import { LogMoves } from './log-moves.ts'
import type { LogSettings, LogShared } from './log-shared.ts'
import { LogUpkeep } from './log-upkeep.ts'
import { OpeningRoom } from './opening-room.ts'
import { PartitionLog } from './partition-log.ts'
import { decodePartitionMetadata, isSameTopicId } from './partition-metadata.ts'
import { TurnPace } from './turn-pace.ts'

/** Compressed batches that are open at the same time: one of the largest, or many small ones. */
const openingsBytes = 64 * 1024 * 1024
/** Of logs that are searched by time: a client may ask for all partitions at once. */
const searchesBytes = 32 * 1024 * 1024
/** Folders of partitions are made for so long in one turn of the event loop. */
const creationMs = 4
/** What many logs have gathered is written for so long in one turn, looking at the clock after so many of them. */
const drainMs = 4
const drainsPerLook = 32
/** Logs closed at the same time. */
const concurrency = 16
/** A slice of recovery leaves the event loop after this. */
const sliceMs = 5

export type LogDirsOptions = {
  readonly dirs: readonly string[]
  readonly clusterId: string
  readonly brokerId: number
  readonly logger: Logger
  readonly settings: LogSettings
  /** A directory was closed after a disk error; all of its logs were told already. */
  readonly onDirectoryFailed?: (path: string, error: unknown) => void
  readonly maxTailBytes?: number
  /** Ends an opening that is still under way, with LMQ_SHUTTING_DOWN. */
  readonly signal?: AbortSignal | undefined
  /** Segment files held open at once, over all logs; at most half of what the system lets this process open. */
  readonly maxOpenFiles?: number
  /** What a topic's logs are recovered with, before anybody asks for them; undefined: Kafka's defaults. */
  readonly configOf?: (topic: string) => LogTopicConfig | undefined
  /**
   * Has this topic been compacted at some time? undefined: not known, then recovery takes gaps between offsets for
   * compaction's work. False lets it find a damaged base offset, which no checksum covers.
   */
  readonly isCompacted?: (topic: string) => boolean | undefined
}

export type DirectoryDescription = {
  readonly path: string
  readonly directoryId: string
  readonly isOffline: boolean
  readonly totalBytes: number
  readonly usableBytes: number
  readonly logs: readonly PartitionLog[]
  /** Logs that are on their way here. */
  readonly moves: readonly MoveProgress[]
}

/** All logs of a broker, over its log directories. One that fails takes its own logs along and no others. */
export class LogDirs {
  readonly #io: Io
  readonly #options: LogDirsOptions
  readonly #shared: LogShared
  readonly #directories: LogDirectory[] = []
  readonly #logs = new Map<string, PartitionLog>()
  /** Found on disk, not asked for by anybody yet. */
  readonly #unclaimed = new Map<string, PartitionLog>()
  readonly #upkeep: LogUpkeep
  readonly moves: LogMoves
  /** Where logs were on their way to when the broker stopped, by name. */
  readonly #unfinished = new Map<string, LogDirectory>()
  #dirty: PartitionLog[] = []
  #isDraining = false
  #isClosed = false
  #unclosed = 0

  /**
   * Claims the directories and finds their logs. After an orderly stop nothing else is read; otherwise every log is
   * checked and mended here. A directory that cannot be opened is offline from the start; if that is all of them, or one
   * is taken or foreign, opening fails.
   *
   * @throws LMQ_LOG_DIR_TAKEN, LMQ_LOG_DIR_FOREIGN, LMQ_LOG_DIR_OFFLINE, LMQ_SHUTTING_DOWN
   */
  static async open(io: Io, options: LogDirsOptions): Promise<LogDirs> {
    const logDirs = new LogDirs(io, options)
    try {
      await logDirs.#open()
    } catch (error) {
      await logDirs.#giveUp()
      throw error
    }
    logDirs.#upkeep.start()
    return logDirs
  }

  private constructor(io: Io, options: LogDirsOptions) {
    this.#io = io
    this.#options = options
    this.#shared = {
      io,
      disk: io.disk,
      handles: new FileHandles(io.disk, options.maxOpenFiles, io.disk.mostOpenFiles()),
      indexCache: new IndexCache(),
      crc32c: io.crc32c,
      tailBudget: new TailBudget(options.maxTailBytes),
      openings: new OpeningRoom(openingsBytes),
      searches: new OpeningRoom(searchesBytes),
      creations: new TurnPace(io.monotonic, io.timers, creationMs),
      settings: options.settings,
      mayHaveGaps: (topic) => options.isCompacted?.(topic) ?? true,
      logsWithTail: new Set(),
    }
    this.moves = new LogMoves(io, this.#directories, options.logger, options.settings)
    this.#upkeep = new LogUpkeep(io, options, {
      directories: this.#directories,
      logs: this.#logs,
      logsWithTail: this.#shared.logsWithTail,
    })
  }

  // ------------------------------------------------------------------------------------------------ opening

  async #open(): Promise<void> {
    const { dirs, logger } = this.#options
    const events = {
      drainAtEndOfTurn: (log: PartitionLog) => this.#drainAtEndOfTurn(log),
      checkpointSoon: () => this.#upkeep.checkpointSoon(),
      failed: (directory: LogDirectory, error: unknown) =>
        this.#options.onDirectoryFailed?.(directory.path, error),
    }
    for (const path of dirs) {
      const directory = new LogDirectory(this.#io, path, logger, events)
      this.#directories.push(directory)
      await this.#openDirectory(directory)
    }
    this.#assertOneLeft()
    await this.#recover()
    this.#assertOneLeft()
  }

  #assertOneLeft(): void {
    if (this.#directories.some(({ isOffline }) => !isOffline)) return
    throw new LmqError('LMQ_LOG_DIR_OFFLINE', { dirs: this.#options.dirs })
  }

  /**
   * Lets go of everything before the opening was done. A directory that was closed in order was not touched and gets
   * its mark back; one that was being recovered is recovered anew by the next start.
   */
  async #giveUp(): Promise<void> {
    this.#isClosed = true
    this.#upkeep.stop()
    for (const directory of this.#directories) {
      for (const log of directory.logs.values()) log.discard()
      if (directory.wasClean && !directory.isOffline) await directory.markClean(-1).catch(() => {})
      await directory.release()
    }
  }

  async #openDirectory(directory: LogDirectory): Promise<void> {
    try {
      await directory.claim(this.#options)
      const storedOffsets = directory.readStoredOffsets()
      for (const name of directory.takeFutures()) this.#unfinished.set(name, directory)
      for (const { topic, partitionIndex } of directory.list()) {
        const name = folderNameOf(topic, partitionIndex)
        if (this.#unclaimed.has(name)) {
          directory.putAside(name)
          continue
        }
        const stored = { ...storedOffsets(name), hasFolder: true, wasClean: directory.wasClean }
        const identity = { topic, partitionIndex, topicId: '' }
        const wanted = this.#options.configOf?.(topic)
        const config = wanted ? logConfigOf(wanted) : defaultLogConfig
        const log = new PartitionLog(this.#shared, directory, identity, config, stored)
        directory.logs.set(name, log)
        this.#unclaimed.set(name, log)
      }
    } catch (error) {
      if (error instanceof LmqError) throw error
      directory.fail(error, 'open')
    }
  }

  /** Opens the logs of directories that were not closed in order, giving the event loop its turns. */
  async #recover(): Promise<void> {
    for (const directory of this.#directories) {
      if (directory.wasClean || directory.isOffline || directory.logs.size === 0) continue
      const startMs = this.#io.monotonic.nowMs()
      let bytes = 0
      for (const log of [...directory.logs.values()]) {
        if (directory.isOffline) break
        if (this.#options.signal?.aborted) throw new LmqError('LMQ_SHUTTING_DOWN')
        bytes += await this.#recoverLog(directory, log)
      }
      directory.logger.info(
        {
          dir: directory.path,
          logs: directory.logs.size,
          bytes,
          ms: Math.round(this.#io.monotonic.nowMs() - startMs),
        },
        'recovered the logs after a stop that was not orderly',
      )
    }
  }

  async #recoverLog(directory: LogDirectory, log: PartitionLog): Promise<number> {
    try {
      const loaded = await this.#inSlices(log.openInSteps())
      return loaded?.recoveredBytes ?? 0
    } catch (error) {
      if (error instanceof LmqError && error.code === 'LMQ_SHUTTING_DOWN') throw error
      directory.fail(error, 'open')
      return 0
    }
  }

  async #inSlices<Result>(steps: Generator<void, Result>): Promise<Result> {
    let endMs = this.#io.monotonic.nowMs() + sliceMs
    for (;;) {
      const step = steps.next()
      if (step.done) return step.value
      if (this.#options.signal?.aborted) {
        steps.return(undefined as Result)
        throw new LmqError('LMQ_SHUTTING_DOWN')
      }
      if (this.#io.monotonic.nowMs() < endMs) continue
      await this.#nextTurn()
      endMs = this.#io.monotonic.nowMs() + sliceMs
    }
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#io.timers.endOfTurn(resolve))
  }

  // ------------------------------------------------------------------------------------------------ logs

  get(topic: string, partitionIndex: number): PartitionLog | undefined {
    return this.#logs.get(folderNameOf(topic, partitionIndex))
  }

  /** Whether the log of a partition is here already, asked for or only found on a disk. */
  has(topic: string, partitionIndex: number): boolean {
    const name = folderNameOf(topic, partitionIndex)
    return this.#logs.has(name) || this.#unclaimed.has(name)
  }

  all(): IterableIterator<PartitionLog> {
    return this.#logs.values()
  }

  /** Found on disk, but nobody asked for them: their topics were deleted while the broker was away. */
  strays(): PartitionLog[] {
    return [...this.#unclaimed.values()]
  }

  /**
   * The log of a partition: the one on disk if its topic id is the same, else a new one in the directory with the fewest
   * logs. Makes no file.
   *
   * @throws LMQ_LOG_DIR_OFFLINE when no directory is left, or the one that has the log is offline
   */
  create(
    topic: string,
    partitionIndex: number,
    topicId: string,
    config: LogTopicConfig,
  ): PartitionLog {
    const name = folderNameOf(topic, partitionIndex)
    const known = this.#logs.get(name)
    if (known) {
      assert(known.topicId === topicId, `log ${name} exists with another topic id`)
      return known
    }
    const found = this.#claim(name, topicId)
    const log = found ?? this.#newLog(topic, partitionIndex, topicId, config)
    log.config = logConfigOf(config)
    log.topicId = topicId
    this.#logs.set(name, log)
    const target = this.#unfinished.get(name)
    if (target && this.#unfinished.delete(name)) this.moves.start(log, target)
    return log
  }

  #claim(name: string, topicId: string): PartitionLog | undefined {
    const found = this.#unclaimed.get(name)
    if (!found) return undefined
    this.#unclaimed.delete(name)
    const storedId = this.#storedTopicId(found)
    if (storedId === undefined || isSameTopicId(storedId, topicId)) return found
    this.#options.logger.warn(
      { log: name, storedId, topicId },
      'the log on disk is of an older topic of the same name and is removed',
    )
    this.#remove(found)
    return undefined
  }

  #storedTopicId(log: PartitionLog): string | undefined {
    const path = join(log.folder, partitionMetadataFile)
    try {
      if (!this.#io.disk.existsSync(path)) return undefined
      return decodePartitionMetadata(this.#io.disk.readFileSync(path))
    } catch (error) {
      log.home.fail(error, 'read')
      return undefined
    }
  }

  #newLog(
    topic: string,
    partitionIndex: number,
    topicId: string,
    config: LogTopicConfig,
  ): PartitionLog {
    const preferred = this.moves.takePreferred(folderNameOf(topic, partitionIndex))
    const directory = preferred ?? this.#emptiest()
    const stored = {
      hasFolder: false,
      wasClean: true,
      recoveryPoint: 0,
      logStartOffset: 0,
      highWatermark: 0,
      cleanedOffset: -1,
    }
    const identity = { topic, partitionIndex, topicId }
    const log = new PartitionLog(this.#shared, directory, identity, logConfigOf(config), stored)
    directory.logs.set(log.name, log)
    return log
  }

  /** @throws LMQ_LOG_DIR_OFFLINE */
  #emptiest(): LogDirectory {
    let best: LogDirectory | undefined
    for (const directory of this.#directories) {
      if (directory.isOffline) continue
      if (!best || directory.logs.size < best.logs.size) best = directory
    }
    if (!best) throw new LmqError('LMQ_LOG_DIR_OFFLINE', { dirs: this.#options.dirs })
    return best
  }

  setConfig(log: PartitionLog, config: LogTopicConfig): void {
    log.config = logConfigOf(config)
  }

  /** Takes a log away at once; its files go after file.delete.delay.ms. Waiters get KAFKA_STORAGE_ERROR. */
  delete(log: PartitionLog): void {
    this.#logs.delete(log.name)
    this.#unclaimed.delete(log.name)
    this.#remove(log)
  }

  #remove(log: PartitionLog): void {
    this.moves.cancel(log)
    const directory = log.home as LogDirectory
    directory.logs.delete(log.name)
    log.discard()
    if (!log.hasFolder || directory.isOffline) return
    directory.forgetRemoved()
    try {
      directory.removeFolder(log)
    } catch (error) {
      directory.fail(error, 'delete')
    }
  }

  /** For DescribeLogDirs: all directories at one moment. Sizes are -1 where the volume does not tell. */
  async describe(): Promise<DirectoryDescription[]> {
    const unknown = { freeBytes: -1, totalBytes: -1 }
    const { disk } = this.#io
    const spaces = await Promise.all(
      this.#directories.map(({ path }) => disk.space(path).catch(() => unknown)),
    )
    // No await from here on: a log that moves meanwhile would be seen twice, or nowhere.
    return this.#directories.map((directory, i) => {
      const { path, directoryId, isOffline } = directory
      const { totalBytes, freeBytes: usableBytes } = spaces[i] ?? unknown
      const logs = [...directory.logs.values()]
      const moves = [...this.moves.movesTo(directory)].map((move) => move.progress)
      return { path, directoryId, isOffline, totalBytes, usableBytes, logs, moves }
    })
  }

  get directories(): readonly {
    readonly path: string
    readonly directoryId: string
    readonly isOffline: boolean
    /** The last broker here stopped in order. */
    readonly wasClean: boolean
    /** The epoch of that broker; -1: unknown. */
    readonly cleanBrokerEpoch: number
  }[] {
    return this.#directories
  }

  // ------------------------------------------------------------------------------------------------ background

  #drainAtEndOfTurn(log: PartitionLog): void {
    this.#dirty.push(log)
    if (this.#isDraining) return
    this.#isDraining = true
    this.#io.timers.endOfTurn(this.#drainAll)
  }

  readonly #drainAll = () => {
    const { monotonic, timers } = this.#io
    const dirty = this.#dirty
    this.#dirty = []
    this.#isDraining = false
    const untilMs = dirty.length > drainsPerLook ? monotonic.nowMs() + drainMs : 0
    let done = 0
    for (const log of dirty) {
      log.drain()
      done++
      if (untilMs > 0 && done % drainsPerLook === 0 && monotonic.nowMs() >= untilMs) break
    }
    if (done === dirty.length) return
    // The sockets first.
    this.#dirty = [...dirty.slice(done), ...this.#dirty]
    if (this.#isDraining) return
    this.#isDraining = true
    timers.nextTurn(this.#drainAll)
  }

  /** See `LogUpkeep`. */
  applyRetention(): Promise<void> {
    return this.#upkeep.applyRetention()
  }

  /** See `LogUpkeep`. */
  applyCompaction(): Promise<void> {
    return this.#upkeep.applyCompaction()
  }

  /** Logs that `close` has still to close. */
  get unclosedLogs(): number {
    return this.#unclosed
  }

  /**
   * Stops everything in order: all logs written, flushed and closed, checkpoints saved, the clean-shutdown mark left in
   * every directory that still works.
   *
   * @param brokerEpoch goes into the mark; -1: none
   */
  async close(brokerEpoch = -1): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#upkeep.stop()
    await this.moves.close()
    const logs = this.#directories.flatMap((directory) => [...directory.logs.values()])
    this.#unclosed = logs.length
    const next = logs[Symbol.iterator]()
    const closeSome = async () => {
      for (const log of next) {
        await log.close()
        this.#unclosed--
      }
    }
    await Promise.all(Array.from({ length: concurrency }, closeSome))
    await this.#upkeep.saveCheckpoints()
    for (const directory of this.#directories) {
      if (!directory.isOffline) await directory.markClean(brokerEpoch).catch(() => {})
      await directory.release()
    }
  }
}
