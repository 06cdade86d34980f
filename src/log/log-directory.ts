import { join } from 'node:path'
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import { decodeOffsets, encodeOffsets, readCheckpoint } from './checkpoint-file.ts'
import { checkNoImport } from './import-staging.ts'
import {
  deletedFolderSuffix,
  folderNameOf,
  logOfFutureFolder,
  partitionOfFolderName,
  strayFolderSuffix,
} from './log-files.ts'
import type { LogHome } from './log-shared.ts'
import { claimDirectory } from './meta-properties.ts'
import type { PartitionLog } from './partition-log.ts'

export const cleanShutdownFile = '.kafka_cleanshutdown'
/** The files of a log directory that hold one offset of each partition. */
export const offsetCheckpoints = {
  recoveryPoint: 'recovery-point-offset-checkpoint',
  logStartOffset: 'log-start-offset-checkpoint',
  highWatermark: 'replication-offset-checkpoint',
  cleanedOffset: 'cleaner-offset-checkpoint',
} as const

export type StoredOffsets = {
  recoveryPoint: number
  logStartOffset: number
  highWatermark: number
  /** -1: never compacted. */
  cleanedOffset: number
}

/** What the directory calls back. */
export type DirectoryEvents = {
  drainAtEndOfTurn(log: PartitionLog): void
  checkpointSoon(): void
  failed(directory: LogDirectory, error: unknown): void
}

/** One log directory: its identity, its lock, its checkpoint files and whether the disk still works. */
export class LogDirectory implements LogHome {
  readonly path: string
  readonly logger: Logger
  readonly logs = new Map<string, PartitionLog>()
  directoryId = ''
  /** The last stop was orderly. */
  wasClean = false
  /** The epoch under which the broker that stopped in order was registered; -1: unknown. */
  cleanBrokerEpoch = -1
  readonly #io: Io
  readonly #events: DirectoryEvents
  #isOffline = false
  #lock: { release(): Promise<void> } | undefined
  readonly #saved = new Map<string, string>()
  #saving: Promise<void> = Promise.resolve()
  #isForgetting = false

  constructor(io: Io, path: string, logger: Logger, events: DirectoryEvents) {
    this.#io = io
    this.path = path
    this.logger = logger
    this.#events = events
  }

  get isOffline(): boolean {
    return this.#isOffline
  }

  /**
   * Claims the folder for this process and broker.
   *
   * @throws LMQ_LOG_DIR_TAKEN, LMQ_LOG_DIR_FOREIGN, LMQ_IMPORT_UNFINISHED, Node's own disk errors
   */
  async claim(owner: { clusterId: string; brokerId: number }): Promise<void> {
    const { disk } = this.#io
    disk.makeFolderSync(this.path)
    this.#lock = await disk.lockFolder(this.path)
    try {
      checkNoImport(disk, this.path)
      this.directoryId = claimDirectory(this.#io, this.path, owner).directoryId
      const mark = join(this.path, cleanShutdownFile)
      this.wasClean = disk.existsSync(mark)
      if (!this.wasClean) return
      this.cleanBrokerEpoch = epochOfMark(disk.readFileSync(mark))
      disk.removeFileSync(mark)
      disk.flushFolderSync(this.path)
    } catch (error) {
      await this.release()
      throw error
    }
  }

  /** The partitions that have a folder here; folders of deleted ones are removed on the side. */
  list(): { topic: string; partitionIndex: number }[] {
    const found: { topic: string; partitionIndex: number }[] = []
    for (const { name, isFolder } of this.#io.disk.listSync(this.path)) {
      if (!isFolder) continue
      if (name.endsWith(deletedFolderSuffix)) this.#removeLater(join(this.path, name), 0)
      else {
        const partition = partitionOfFolderName(name)
        if (partition) found.push(partition)
      }
    }
    return found
  }

  /** Removes the copies of logs that were on their way here when the broker stopped. @returns names of these logs */
  takeFutures(): string[] {
    const found: string[] = []
    for (const { name, isFolder } of this.#io.disk.listSync(this.path)) {
      const log = isFolder ? logOfFutureFolder(name) : undefined
      if (log === undefined) continue
      this.#io.disk.removeFolderSync(join(this.path, name))
      found.push(log)
    }
    return found
  }

  /** Puts a partition's folder aside that is not served from here, so that a later start does not take it for newer. */
  putAside(name: string): void {
    const to = join(this.path, this.#lateName(name, strayFolderSuffix))
    this.#io.disk.renameSync(join(this.path, name), to)
    const facts = { log: name, dir: this.path, renamedTo: to }
    this.logger.warn(facts, 'a log lies in two directories: it is served from the other one')
  }

  /** A name that no other folder has; cut where it would be too long for the disk. */
  #lateName(name: string, end: string): string {
    const id = Buffer.from(this.#io.random.bytes(16)).toString('hex')
    const suffix = `.${id}${end}`
    return `${name.slice(0, 255 - suffix.length)}${suffix}`
  }

  /** What the checkpoint files say, by folder name. */
  readStoredOffsets(): (name: string) => StoredOffsets {
    const read = (file: string) => {
      const path = join(this.path, file)
      const { entries, damage } = readCheckpoint(this.#io.disk, path, decodeOffsets)
      if (damage)
        this.logger.warn({ path }, 'a checkpoint is unreadable: logs are checked as a whole')
      const offsets = new Map(
        entries.map((entry) => [folderNameOf(entry.topic, entry.partitionIndex), entry.offset]),
      )
      return { offsets, isLost: damage !== undefined }
    }
    const recoveryPoints = read(offsetCheckpoints.recoveryPoint)
    const logStarts = read(offsetCheckpoints.logStartOffset)
    const highWatermarks = read(offsetCheckpoints.highWatermark)
    const cleaned = read(offsetCheckpoints.cleanedOffset)
    return (name) => ({
      recoveryPoint: recoveryPoints.offsets.get(name) ?? 0,
      logStartOffset: logStarts.offsets.get(name) ?? 0,
      highWatermark: highWatermarks.offsets.get(name) ?? 0,
      // Not known is not never.
      cleanedOffset: cleaned.offsets.get(name) ?? (cleaned.isLost ? 0 : -1),
    })
  }

  /** Writes recovery points, log starts and how far compaction came, if they changed. */
  saveRecoveryPoints(): Promise<void> {
    return this.#save(async () => {
      await this.#replace(offsetCheckpoints.recoveryPoint, ({ recoveryPoint }) => recoveryPoint)
      // Like Kafka: only starts that the files do not tell by themselves.
      await this.#replace(offsetCheckpoints.logStartOffset, ({ logStartOffset }, log) =>
        logStartOffset > (log.segments.first?.baseOffset ?? 0) ? logStartOffset : undefined,
      )
      await this.#replace(offsetCheckpoints.cleanedOffset, ({ cleanedOffset }) =>
        cleanedOffset >= 0 ? cleanedOffset : undefined,
      )
    })
  }

  /**
   * A log was removed: a new one of the same name must not be taken for as old after a crash, or its records would be
   * below the log start. Many removals share one write.
   */
  forgetRemoved(): void {
    if (this.#isForgetting) return
    this.#isForgetting = true
    void this.#saving.then(() => {
      this.#isForgetting = false
      return this.saveRecoveryPoints()
    })
  }

  saveHighWatermarks(): Promise<void> {
    return this.#save(() =>
      this.#replace(offsetCheckpoints.highWatermark, ({ highWatermark }) => highWatermark),
    )
  }

  /** One save at a time; a failed one closes the directory. */
  #save(work: () => Promise<void>): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      if (this.#isOffline) return
      try {
        await work()
      } catch (error) {
        this.fail(error, 'checkpoint')
      }
    })
    return this.#saving
  }

  async #replace(
    file: string,
    pick: (offsets: StoredOffsets, log: PartitionLog) => number | undefined,
  ): Promise<void> {
    const entries = []
    for (const log of this.logs.values()) {
      if (!log.hasFolder) continue
      const offset = pick(log.storedOffsets, log)
      const { topic, partitionIndex } = log
      if (offset !== undefined) entries.push({ topic, partitionIndex, offset })
    }
    const content = encodeOffsets(entries)
    const text = content.toString('latin1')
    if (this.#saved.get(file) === text) return
    await this.#io.disk.replaceFile(join(this.path, file), content)
    this.#saved.set(file, text)
  }

  /** Leaves the mark that spares the next start its recovery. Everything in the logs' folders must be flushed. */
  async markClean(brokerEpoch: number): Promise<void> {
    const content = Buffer.from(JSON.stringify({ version: 0, brokerEpoch }))
    await this.#io.disk.flushFolder(this.path)
    await this.#io.disk.replaceFile(join(this.path, cleanShutdownFile), content)
  }

  /** Renames a partition's folder so that it is gone at once, and removes it after the delay. */
  removeFolder(log: PartitionLog): void {
    const target = join(this.path, this.#lateName(log.name, deletedFolderSuffix))
    this.#io.disk.renameSync(log.folder, target)
    this.#removeLater(target, log.config.fileDeleteDelayMs)
  }

  #removeLater(folder: string, delayMs: number): void {
    this.#io.timers.schedule(delayMs, () => {
      this.#io.disk.removeFolder(folder).catch((error: unknown) => {
        this.logger.warn({ folder, error: String(error) }, 'a deleted folder cannot be removed')
      })
    })
  }

  drainAtEndOfTurn(log: PartitionLog): void {
    this.#events.drainAtEndOfTurn(log)
  }

  checkpointSoon(): void {
    this.#events.checkpointSoon()
  }

  fail(error: unknown, doing: string): void {
    if (this.#isOffline) return
    this.#isOffline = true
    const cause = error instanceof LmqError ? error : new LmqError(codeOf(doing), { doing }, error)
    this.logger.error(
      { dir: this.path, doing, error: cause.message, logs: this.logs.size },
      'the log directory is closed after a disk error: mend the disk, then restart the broker',
    )
    for (const log of this.logs.values()) log.goOffline()
    this.#events.failed(this, cause)
  }

  async release(): Promise<void> {
    await this.#saving
    await this.#lock?.release()
    this.#lock = undefined
  }
}

function codeOf(doing: string): 'LMQ_DISK_READ' | 'LMQ_DISK_FLUSH' | 'LMQ_DISK_WRITE' {
  if (doing === 'read' || doing === 'open') return 'LMQ_DISK_READ'
  return doing === 'flush' ? 'LMQ_DISK_FLUSH' : 'LMQ_DISK_WRITE'
}

/** @returns -1 where the mark does not say */
function epochOfMark(content: Buffer): number {
  try {
    const { brokerEpoch } = JSON.parse(content.toString('utf8')) as { brokerEpoch?: unknown }
    return Number.isSafeInteger(brokerEpoch) ? (brokerEpoch as number) : -1
  } catch {
    return -1
  }
}
