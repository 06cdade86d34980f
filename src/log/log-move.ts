import { join } from 'node:path'
import type { Io } from '../io/io.ts'
import { Suffix } from './log-files.ts'
import type { LogHome } from './log-shared.ts'
import type { PartitionLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

/** Bytes copied at a time; also how far behind the copy may be when appends begin to wait for the rest. */
const CHUNK_BYTES = 1024 * 1024
const COMPACTION_POLL_MS = 50

export type MovePorts = {
  readonly io: Pick<Io, 'disk' | 'timers' | 'memory'>
  /** Bytes a second, over all moves of a broker. */
  bytesPerSecond(): number
  /** In the turn in which the log moves: see `NewPlace`. */
  enter(): void
  leave(): void
}

/** How far a log has come on its way to another directory. */
export type MoveProgress = {
  readonly topic: string
  readonly partitionIndex: number
  /** Bytes of the copy. */
  readonly sizeBytes: number
  /** Records that the log has and the copy does not have yet; those of a segment count when it is whole. */
  readonly lagRecords: number
}

/**
 * One log on its way to another log directory (KIP-113). Its files are copied beside the one that is in use, into a
 * folder whose name ends in `-future`, while appends and reads go on; when little is left, appends wait for the rest,
 * and the log lives there. Compaction leaves it alone meanwhile.
 */
export class LogMove {
  readonly log: PartitionLog
  readonly target: LogHome
  /** Of the copy, until the log lives in it. */
  readonly folder: string
  readonly #ports: MovePorts
  /** How much of each segment's file is in the copy. */
  readonly #copied = new Map<Segment, number>()
  /** Closed segments that are in the copy with their indexes. */
  readonly #whole = new Set<Segment>()
  #truncations: number
  #isCancelled = false
  /** Ends a wait. */
  #wake: (() => void) | undefined

  constructor(log: PartitionLog, target: LogHome, folder: string, ports: MovePorts) {
    this.log = log
    this.target = target
    this.folder = folder
    this.#ports = ports
    this.#truncations = log.truncations
  }

  /** Of now; only until the log lives in its new place. */
  get progress(): MoveProgress {
    const { topic, partitionIndex } = this.log
    return { topic, partitionIndex, sizeBytes: this.#copiedBytes, lagRecords: this.#lagRecords }
  }

  get #copiedBytes(): number {
    let sum = 0
    for (const bytes of this.#copied.values()) sum += bytes
    return sum
  }

  get #lagRecords(): number {
    const { segments, logEndOffset } = this.log
    for (const segment of segments.all) {
      if ((this.#copied.get(segment) ?? 0) >= segment.sizeBytes) continue
      return logEndOffset - segment.baseOffset
    }
    return 0
  }

  get isCancelled(): boolean {
    return this.#isCancelled
  }

  cancel(): void {
    this.#isCancelled = true
    this.#wake?.()
  }

  /**
   * Copies and moves.
   *
   * @returns whether the log lives in the new place; false after `cancel`, or when one of the directories or the log is
   *   gone. The copy is left to the caller then
   * @throws Node's own errors of the new disk
   */
  async run(): Promise<boolean> {
    const { log, target } = this
    log.isMoving = true
    try {
      while (log.isCompacting && this.#goesOn) await this.#wait(COMPACTION_POLL_MS)
      if (!this.#goesOn) return false
      if (log.hasFolder) await this.#copyUntilNear()
      if (!this.#goesOn) return false
      // Retention must not take segments away while the rest is brought over.
      log.isCompacting = true
      const { enter, leave } = this.#ports
      const folder = join(target.path, log.name)
      const finishCopy = () => this.#finishCopy()
      return await log.moveTo({ home: target, folder, finishCopy, enter, leave })
    } catch (error) {
      if (log.state === 'open' && !log.home.isOffline) throw error
      return false
    } finally {
      log.isMoving = false
      log.isCompacting = false
    }
  }

  get #goesOn(): boolean {
    const { log, target } = this
    const isUsable = log.state === 'open' || log.state === 'unloaded'
    return !this.#isCancelled && isUsable && !target.isOffline
  }

  /** Copies segments until less than a chunk is left. A log that was cut is copied anew. */
  async #copyUntilNear(): Promise<void> {
    while (this.#goesOn) {
      this.#noticeTruncation()
      await this.#copyIndexes()
      const segment = this.log.segments.all.find((one) => this.#leftOf(one) > 0)
      if (!segment) break
      if (segment === this.log.segments.active && this.#leftOf(segment) < CHUNK_BYTES) break
      const before = this.#copiedBytes
      await this.#copyChunk(segment)
      await this.#pace(this.#copiedBytes - before)
    }
    if (this.#goesOn) await this.#flushSegments()
  }

  #leftOf(segment: Segment): number {
    return segment.writtenBytes - (this.#copied.get(segment) ?? 0)
  }

  #noticeTruncation(): void {
    const { truncations, segments } = this.log
    const isCut = truncations !== this.#truncations
    this.#truncations = truncations
    for (const segment of this.#copied.keys()) {
      if (!isCut && segments.has(segment)) continue
      this.#copied.delete(segment)
      this.#whole.delete(segment)
    }
  }

  /** The small files of the segments that are copied and grow no more. */
  async #copyIndexes(): Promise<void> {
    const { disk } = this.#ports.io
    for (const segment of this.#copied.keys()) {
      if (this.#whole.has(segment) || segment === this.log.segments.active) continue
      if (this.#leftOf(segment) > 0) continue
      for (const path of segment.paths.slice(1)) {
        if (!disk.existsSync(path)) continue
        const name = path.slice(segment.folder.length + 1)
        await disk.writeFile(join(this.folder, name), disk.readFileSync(path))
      }
      this.#whole.add(segment)
    }
  }

  /** @returns false when the segment is gone */
  async #copyChunk(segment: Segment): Promise<boolean> {
    const { disk, memory } = this.#ports.io
    const from = this.#copied.get(segment) ?? 0
    const chunk = memory.take(Math.min(CHUNK_BYTES, segment.writtenBytes - from))
    let count: number
    try {
      count = await segment.file.pinned((file) => file.read(chunk, from))
    } catch (error) {
      if (!this.log.segments.has(segment)) return false
      this.log.home.fail(error, 'read')
      return false
    }
    if (count === 0) return false
    const file = await disk.open(this.#pathOf(segment), 'write')
    try {
      if (from === 0) file.truncateSync(0)
      await file.write([chunk.subarray(0, count)], from)
    } finally {
      file.closeSync()
    }
    memory.giveBack(chunk)
    // It may have been cut meanwhile: then it begins anew at the next look.
    if (this.#truncations === this.log.truncations) this.#copied.set(segment, from + count)
    return true
  }

  #pathOf(segment: Segment): string {
    return join(this.folder, segment.file.path.slice(segment.folder.length + 1))
  }

  /** So that little is left to be made durable while appends wait. */
  async #flushSegments(): Promise<void> {
    for (const segment of this.#copied.keys()) {
      await this.#flush(this.#pathOf(segment))
      if (!this.#goesOn) return
    }
  }

  async #makeEmpty(path: string): Promise<void> {
    const file = await this.#ports.io.disk.open(path, 'write')
    file.truncateSync(0)
    file.closeSync()
  }

  async #flush(path: string): Promise<void> {
    const file = await this.#ports.io.disk.open(path, 'update')
    try {
      await file.flush()
    } finally {
      file.closeSync()
    }
  }

  /** What changed since, the small files, and nothing else: the copy is the folder of a log that was closed in order. */
  async #finishCopy(): Promise<boolean> {
    const { log, folder } = this
    if (!this.#goesOn) return false
    if (!log.hasFolder) return true
    const { disk } = this.#ports.io
    this.#noticeTruncation()
    for (const segment of log.segments.all) {
      const had = this.#copied.get(segment) ?? 0
      if (segment.writtenBytes === 0) await this.#makeEmpty(this.#pathOf(segment))
      while (this.#leftOf(segment) > 0) if (!(await this.#copyChunk(segment))) return false
      if (had !== segment.writtenBytes) await this.#flush(this.#pathOf(segment))
    }
    const wanted = new Set(log.segments.all.map((segment) => this.#pathOf(segment)))
    for (const segment of this.#whole) {
      for (const path of segment.paths)
        wanted.add(join(folder, path.slice(segment.folder.length + 1)))
    }
    for (const { name, isFolder } of await disk.list(log.folder)) {
      if (isFolder || name.endsWith(Suffix.log) || isPassing(name)) continue
      const path = join(folder, name)
      if (wanted.has(path)) continue
      await disk.writeFile(path, disk.readFileSync(join(log.folder, name)))
      wanted.add(path)
    }
    for (const { name } of await disk.list(folder)) {
      const path = join(folder, name)
      if (!wanted.has(path)) disk.removeFileSync(path)
    }
    await disk.flushFolder(folder)
    return this.#goesOn
  }

  /** Holds the moves of a broker to their rate. */
  async #pace(bytes: number): Promise<void> {
    const rate = this.#ports.bytesPerSecond()
    if (rate <= 0) return
    const delayMs = (bytes / rate) * 1000
    if (delayMs >= 1) await this.#wait(Math.min(delayMs, 60_000))
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#ports.io.timers.schedule(delayMs, () => this.#wake?.())
      this.#wake = () => {
        this.#wake = undefined
        timer.cancel()
        resolve()
      }
    })
  }
}

/** Files that compaction, deletion or a save are about to rename or remove. */
const isPassing = (name: string): boolean =>
  [Suffix.deleted, Suffix.cleaned, Suffix.swap, '.tmp'].some((suffix) => name.endsWith(suffix))
