import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import { MetadataFiles, type RecoveredLog } from './metadata-files.ts'
import { encodeFrame, FrameKind } from './metadata-frame.ts'
import type { StoreEntry, StoreRead, StoreSnapshot } from './metadata-store.ts'
import { readStored } from './stored-entries.ts'

/**
 * A broker's own copy of a metadata log that lives elsewhere: in memory for its readers, and in the embedded store's
 * files, so that the broker knows after a restart, and without asking anybody, which log it belongs to and how far it
 * had come. Holds committed entries only, never more than the log itself. Writing the files is not waited for: a copy
 * that lags behind is still a true one.
 */
export class MetadataMirror {
  readonly #io: Io
  readonly #logger: Logger
  #files: MetadataFiles | undefined
  #snapshot: StoreSnapshot | undefined
  #entries: StoreEntry[]
  #entryBytes = 0
  #lastIndex: number
  #controllerEpoch: number
  /** The digest of each entry from `firstIndex` on. */
  readonly #digests: { firstIndex: number; values: number[] }
  #writing: Promise<void> = Promise.resolve()
  /** Frames that leave together when the disk is free. */
  #batch: Buffer[] | undefined

  private constructor(io: Io, logger: Logger, files: MetadataFiles | undefined, log: RecoveredLog) {
    this.#io = io
    this.#logger = logger
    this.#files = files
    this.#snapshot = log.snapshot
    this.#entries = log.entries
    for (const { payload } of log.entries) this.#entryBytes += payload.length
    this.#lastIndex = log.lastIndex
    this.#controllerEpoch = log.controllerEpoch
    this.#digests = { firstIndex: log.snapshot?.index ?? -1, values: log.digests }
  }

  /**
   * @param folder undefined: in memory only
   * @throws LMQ_STORE_CORRUPT, LMQ_DISK_READ
   */
  static open(io: Io, folder: string | undefined, logger: Logger): MetadataMirror {
    if (folder === undefined) {
      const log = { snapshot: undefined, entries: [], lastIndex: -1, digests: [0] }
      return new MetadataMirror(io, logger, undefined, { ...log, controllerEpoch: 0 })
    }
    const { files, recovered } = MetadataFiles.open(io, folder, logger)
    return new MetadataMirror(io, logger, files, recovered)
  }

  get lastIndex(): number {
    return this.#lastIndex
  }

  get lastDigest(): number {
    return this.#digests.values.at(-1) as number
  }

  /** Of the newest entry or snapshot. */
  get controllerEpoch(): number {
    return this.#controllerEpoch
  }

  get snapshot(): StoreSnapshot | undefined {
    return this.#snapshot
  }

  /** Behind the snapshot. */
  get entries(): readonly StoreEntry[] {
    return this.#entries
  }

  get entryBytes(): number {
    return this.#entryBytes
  }

  /** @returns undefined when the entry at `index` is not known one by one (any more) */
  digestAt(index: number): number | undefined {
    return this.#digests.values[index - this.#digests.firstIndex]
  }

  /** The digest that an entry behind the last one would have. */
  digestOf(entry: StoreEntry): number {
    return this.#frame(entry).digest
  }

  /** @param entry the next one; the caller has compared its digests */
  append(entry: StoreEntry): void {
    const { frame, digest } = this.#frame(entry)
    this.#entries.push(entry)
    this.#entryBytes += entry.payload.length
    this.#lastIndex = entry.index
    this.#controllerEpoch = Math.max(this.#controllerEpoch, entry.controllerEpoch)
    this.#digests.values.push(digest)
    if (this.#batch) {
      this.#batch.push(frame)
      return
    }
    const batch = [frame]
    this.#batch = batch
    this.#write((files) => {
      if (this.#batch === batch) this.#batch = undefined
      return files.append(batch)
    })
  }

  /**
   * Puts a snapshot in place of all entries up to its index. When it is from further on than the last entry, everything
   * here is replaced by it.
   *
   * @param digest of the entry at the snapshot's index
   */
  takeSnapshot(snapshot: StoreSnapshot, controllerEpoch: number, digest: number): void {
    const { index, payload } = snapshot
    if (index <= (this.#snapshot?.index ?? -1)) return
    const first = this.#snapshot ? this.#snapshot.index + 1 : 0
    for (const entry of this.#entries.splice(0, index + 1 - first)) {
      this.#entryBytes -= entry.payload.length
    }
    if (index > this.#lastIndex) {
      this.#lastIndex = index
      this.#digests.values.splice(0, this.#digests.values.length, digest)
    } else {
      this.#digests.values.splice(0, index - this.#digests.firstIndex)
    }
    this.#digests.firstIndex = index
    this.#controllerEpoch = Math.max(this.#controllerEpoch, controllerEpoch)
    this.#snapshot = snapshot
    const { lastIndex } = this
    const fields = { kind: FrameKind.snapshot, index, controllerEpoch, previousDigest: digest }
    const { frame } = encodeFrame(this.#io, fields, payload)
    // What comes later belongs into the file behind this snapshot.
    this.#batch = undefined
    this.#write((files) => files.writeSnapshot(index, frame, lastIndex))
  }

  /** As `MetadataStore.read`, of what is here. */
  read(fromIndex: number, maxBytes: number): StoreRead {
    return readStored(this.#snapshot, this.#entries, fromIndex, maxBytes)
  }

  /** Resolves when the files hold what is here, or cannot be written any more. */
  written(): Promise<void> {
    return this.#writing
  }

  async close(): Promise<void> {
    await this.#writing
    const files = this.#files
    this.#files = undefined
    await files?.close()
  }

  #frame(entry: StoreEntry): { frame: Buffer; digest: number } {
    const { index, controllerEpoch, payload } = entry
    const fields = { kind: FrameKind.entry, index, controllerEpoch }
    return encodeFrame(this.#io, { ...fields, previousDigest: this.lastDigest }, payload)
  }

  /** The log itself is safe elsewhere, so a disk that fails costs this copy only. */
  #write(task: (files: MetadataFiles) => Promise<void>): void {
    if (!this.#files) {
      this.#batch = undefined
      return
    }
    this.#writing = this.#writing.then(async () => {
      const files = this.#files
      if (!files) {
        this.#batch = undefined
        return
      }
      try {
        await task(files)
      } catch (error) {
        this.#files = undefined
        const facts = { error: String(error), lastIndex: this.#lastIndex }
        this.#logger.error(
          facts,
          'the copy of the metadata log cannot be written and stays as it is: check the disk',
        )
        await files.close().catch(() => {})
      }
    })
  }
}

/**
 * Opens the copy, or an empty one in its place when it is damaged: the log is read again from where it lives.
 *
 * @throws LMQ_DISK_READ
 */
export function openMirror(io: Io, folder: string | undefined, logger: Logger): MetadataMirror {
  try {
    return MetadataMirror.open(io, folder, logger)
  } catch (error) {
    if (folder === undefined) throw error
    if (!(error instanceof LmqError) || error.code !== 'LMQ_STORE_CORRUPT') throw error
    logger.error(
      { folder, error: error.message },
      'the copy of the metadata log is damaged and is read anew from the metadata store',
    )
    io.disk.removeFolderSync(folder)
    return MetadataMirror.open(io, folder, logger)
  }
}
