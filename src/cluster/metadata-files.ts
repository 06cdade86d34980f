import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { DiskFile, Io } from '../io/io.ts'
import { decodeFrame, FrameKind, findFrame, type MetadataFrame } from './metadata-frame.ts'
import type { StoreEntry, StoreSnapshot } from './metadata-store.ts'

/**
 * The files of a metadata log: `<20 digits>.entries` (frames, the name is the first index) and `<20 digits>.snapshot`
 * (one frame, the name is its index). Owns what is on disk, and what a crash may have left there. Two snapshots are
 * kept, and the entries behind the older one.
 */
export class MetadataFiles {
  readonly #io: Io
  readonly #folder: string
  #active: DiskFile
  #position: number
  /** First indexes of the entry files, ascending; the last one is the active file's. */
  readonly #bases: number[]
  /** Indexes of the snapshots, ascending. */
  readonly #snapshots: number[]

  private constructor(
    io: Io,
    folder: string,
    active: { file: DiskFile; position: number },
    bases: number[],
    snapshots: number[],
  ) {
    this.#io = io
    this.#folder = folder
    this.#active = active.file
    this.#position = active.position
    this.#bases = bases
    this.#snapshots = snapshots
  }

  /**
   * Reads all of a folder, which is made when missing. A torn last entry, which nobody was told of, is cut off. What was
   * read is on the disk when this returns.
   *
   * @throws LMQ_STORE_CORRUPT for damage anywhere else
   */
  static open(
    io: Io,
    folder: string,
    logger: Logger,
  ): { files: MetadataFiles; recovered: RecoveredLog } {
    const isNew = !io.disk.existsSync(folder)
    if (isNew) io.disk.makeFolderSync(folder)
    const { bases, snapshots } = listFolder(io, folder)
    const { snapshot, damaged } = newestReadable(io, folder, snapshots, logger)
    const recovered: RecoveredLog = {
      snapshot: snapshot && { index: snapshot.index, payload: snapshot.payload },
      entries: [],
      lastIndex: snapshot?.index ?? -1,
      digests: [snapshot?.previousDigest ?? 0],
      controllerEpoch: snapshot?.controllerEpoch ?? 0,
    }
    if (bases.length === 0) bases.push(recovered.lastIndex + 1)
    const firstBase = bases[0] as number
    if (firstBase > recovered.lastIndex + 1) {
      throw new LmqError('LMQ_STORE_CORRUPT', {
        folder,
        why: `entries ${recovered.lastIndex + 1} to ${firstBase - 1} are missing`,
      })
    }
    let active: { file: DiskFile; position: number } | undefined
    for (const [at, base] of bases.entries()) {
      const isLast = at === bases.length - 1
      const reader = new EntryFileReader(io, entriesPath(folder, base), base, logger)
      const { position, nextIndex } = reader.readInto(recovered, isLast)
      if (isLast && nextIndex === recovered.lastIndex + 1) active = { file: reader.file, position }
      else reader.file.closeSync()
    }
    if (!active) {
      // A crash came between a snapshot from further on and its entry file.
      const base = recovered.lastIndex + 1
      active = { file: io.disk.openSync(entriesPath(folder, base), 'write'), position: 0 }
      bases.push(base)
    }
    for (const path of damaged) io.disk.removeFileSync(path)
    // What a killed process left in the page cache counts as committed from here on, so it must be on the disk.
    if (active.position > 0) active.file.flushSync()
    io.disk.flushFolderSync(folder)
    if (isNew) io.disk.flushFolderSync(folder.slice(0, folder.lastIndexOf('/')) || '/')
    return { files: new MetadataFiles(io, folder, active, bases, snapshots), recovered }
  }

  /** Writes frames behind the last one and waits until they are on the disk. One call at a time. */
  async append(frames: readonly Buffer[]): Promise<void> {
    let sizeBytes = 0
    for (const frame of frames) sizeBytes += frame.length
    try {
      if (sizeBytes <= 65_536) this.#active.writeSync(frames, this.#position)
      else await this.#active.write(frames, this.#position)
    } catch (cause) {
      throw new LmqError('LMQ_DISK_WRITE', { path: this.#active.path }, cause)
    }
    this.#position += sizeBytes
    try {
      await this.#active.flush()
    } catch (cause) {
      throw new LmqError('LMQ_DISK_FLUSH', { path: this.#active.path }, cause)
    }
  }

  /**
   * Stores a snapshot, starts a new entry file and removes what is no longer needed. Not beside `append`.
   *
   * @param lastIndex of the last entry appended; the snapshot's own when that is from further on
   */
  async writeSnapshot(index: number, frame: Buffer, lastIndex: number): Promise<void> {
    const { disk } = this.#io
    try {
      await disk.replaceFile(snapshotPath(this.#folder, index), frame)
      this.#snapshots.push(index)
      if (this.#position > 0 || this.#bases.at(-1) !== lastIndex + 1) {
        const next = await disk.open(entriesPath(this.#folder, lastIndex + 1), 'write')
        await this.#active.close()
        this.#active = next
        this.#position = 0
        this.#bases.push(lastIndex + 1)
      }
      while (this.#snapshots.length > 2) {
        const oldest = this.#snapshots[0] as number
        await disk.removeFile(snapshotPath(this.#folder, oldest))
        this.#snapshots.shift()
      }
      // An entry file ends where the next one starts; with a single snapshot the first file may still be its fallback.
      const needed = this.#snapshots.length > 1 ? (this.#snapshots[0] as number) + 1 : 0
      while (this.#bases.length > 1 && (this.#bases[1] as number) <= needed) {
        await disk.removeFile(entriesPath(this.#folder, this.#bases[0] as number))
        this.#bases.shift()
      }
      await disk.flushFolder(this.#folder)
    } catch (cause) {
      throw new LmqError('LMQ_DISK_WRITE', { path: this.#folder }, cause)
    }
  }

  async close(): Promise<void> {
    await this.#active.close()
  }
}

export type RecoveredLog = {
  readonly snapshot: StoreSnapshot | undefined
  /** Behind the snapshot. */
  readonly entries: StoreEntry[]
  lastIndex: number
  /** Of the snapshot's last entry (0 without one), then of each of `entries`. */
  readonly digests: number[]
  controllerEpoch: number
}

/** Reads one entry file into a `RecoveredLog`, checking that the entries follow each other. */
class EntryFileReader {
  readonly file: DiskFile
  readonly #io: Io
  readonly #base: number
  readonly #logger: Logger

  constructor(io: Io, path: string, base: number, logger: Logger) {
    this.#io = io
    this.#base = base
    this.#logger = logger
    this.file = io.disk.openSync(path, 'write')
  }

  /**
   * @param isLast only the last file may have a torn tail: a file is flushed before the next one is made
   * @returns the position behind the last good frame, and the index that would stand there
   */
  readInto(log: RecoveredLog, isLast: boolean): { position: number; nextIndex: number } {
    const content = Buffer.allocUnsafe(this.file.sizeSync())
    const readBytes = content.length === 0 ? 0 : this.file.readSync(content, 0)
    if (readBytes !== content.length) throw this.#corrupt('the file is shorter than its size', 0)
    let position = 0
    let expected = this.#base
    let digest = this.#digestAt(log)
    while (position < content.length) {
      const frame = decodeFrame(this.#io, content, position)
      if (!frame) {
        if (!isLast || findFrame(this.#io, content, position + 1)) {
          throw this.#corrupt('an entry is damaged', position)
        }
        this.#cut(position, content.length)
        break
      }
      if (frame.kind !== FrameKind.entry || frame.index !== expected) {
        throw this.#corrupt(`entry ${expected} expected, ${frame.index} found`, position)
      }
      if (digest !== undefined && frame.previousDigest !== digest) {
        throw this.#corrupt(`entry ${expected} does not continue the one before it`, position)
      }
      this.#take(frame, log, position)
      digest = frame.digest
      position = frame.end
      expected++
    }
    return { position, nextIndex: expected }
  }

  /** The digest before this file's first entry; unknown when the log so far is only a snapshot from further on. */
  #digestAt(log: RecoveredLog): number | undefined {
    return log.lastIndex === this.#base - 1 ? log.digests.at(-1) : undefined
  }

  #take(frame: MetadataFrame, log: RecoveredLog, position: number): void {
    const { index, controllerEpoch, payload, digest } = frame
    if (index < log.lastIndex) return
    if (index === log.lastIndex) {
      if (digest !== log.digests.at(-1)) {
        throw this.#corrupt(`the snapshot of index ${index} is of another log`, position)
      }
      return
    }
    if (index !== log.lastIndex + 1) {
      throw this.#corrupt(`entries from ${log.lastIndex + 1} to ${index - 1} are missing`, position)
    }
    log.entries.push({ index, controllerEpoch, payload: Buffer.from(payload) })
    log.lastIndex = index
    log.digests.push(digest)
    log.controllerEpoch = Math.max(log.controllerEpoch, controllerEpoch)
  }

  #cut(position: number, sizeBytes: number): void {
    this.#logger.warn(
      { path: this.file.path, position, cutBytes: sizeBytes - position },
      'the last metadata entry was torn by a crash and is cut off; nobody was told that it had happened',
    )
    this.file.truncateSync(position)
    this.file.flushSync()
  }

  #corrupt(why: string, position: number): LmqError {
    return new LmqError('LMQ_STORE_CORRUPT', { path: this.file.path, position, why })
  }
}

function listFolder(io: Io, folder: string): { bases: number[]; snapshots: number[] } {
  const bases: number[] = []
  const snapshots: number[] = []
  for (const { name, isFolder } of io.disk.listSync(folder)) {
    const found = /^(\d{20})\.(entries|snapshot)$/.exec(name)
    if (isFolder || !found) continue
    const list = found[2] === 'entries' ? bases : snapshots
    list.push(Number(found[1]))
  }
  const ascending = (a: number, b: number) => a - b
  return { bases: bases.sort(ascending), snapshots: snapshots.sort(ascending) }
}

/** The newest snapshot whose checksum holds; damaged newer ones are taken out of `snapshots`. */
function newestReadable(
  io: Io,
  folder: string,
  snapshots: number[],
  logger: Logger,
): { snapshot: MetadataFrame | undefined; damaged: string[] } {
  const damaged: string[] = []
  for (let index = snapshots.at(-1); index !== undefined; index = snapshots.at(-1)) {
    const path = snapshotPath(folder, index)
    const frame = decodeFrame(io, io.disk.readFileSync(path), 0)
    if (frame?.kind === FrameKind.snapshot && frame.index === index) {
      return { snapshot: frame, damaged }
    }
    logger.warn({ path }, 'a metadata snapshot is damaged; the one before it is used')
    snapshots.pop()
    damaged.push(path)
  }
  return { snapshot: undefined, damaged }
}

const digits = (index: number) => String(index).padStart(20, '0')
const entriesPath = (folder: string, base: number) => `${folder}/${digits(base)}.entries`
const snapshotPath = (folder: string, index: number) => `${folder}/${digits(index)}.snapshot`
