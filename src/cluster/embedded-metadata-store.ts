import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import { EmbeddedStoreHandle } from './embedded-store-handle.ts'
import { EmbeddedLocks, LockLeadership } from './lock.ts'
import { MetadataFiles, type RecoveredLog } from './metadata-files.ts'
import { encodeFrame, FrameKind } from './metadata-frame.ts'
import type {
  Candidate,
  Leadership,
  Membership,
  MetadataStore,
  StoreEntry,
  StoreHead,
  StoreMember,
  StoreRead,
  StoreSnapshot,
  Watch,
} from './metadata-store.ts'
import { readStored } from './stored-entries.ts'

export type EmbeddedStoreOptions = {
  readonly io: Io
  /** Where the log lies; undefined keeps it in memory only. The caller holds the lock on the folder around it. */
  readonly folder: string | undefined
  readonly logger: Logger
}

/**
 * The metadata log of a broker that is a cluster by itself: files in its data folder. Several brokers of one process
 * may share one object, each by a handle of its own (`share`), then they are a cluster.
 *
 * Appends that arrive while the disk is busy leave together in one write and one flush.
 */
export class EmbeddedMetadataStore implements MetadataStore {
  readonly locks = new EmbeddedLocks()
  readonly #io: Io
  readonly #files: MetadataFiles | undefined
  #snapshot: StoreSnapshot | undefined
  /** Committed entries behind `#snapshot`. */
  #entries: StoreEntry[]
  #entryBytes = 0
  /** Of the last committed entry. */
  #index: number
  /** Of the last entry that was taken in, committed or not. */
  #queuedIndex: number
  /** The digest of the entry at each index from the snapshot's on, those that are queued included. */
  readonly #digests: { firstIndex: number; values: number[] }
  #controllerEpoch: number
  #leader: LockLeadership | undefined
  #queue: QueuedAppend[] = []
  /** Work on the files, one after the other; never rejects. */
  #work: Promise<void> = Promise.resolve()
  #commitPlanned = false
  #failure: LmqError | undefined
  #closed = false
  readonly #watchers = new Set<() => void>()
  readonly #members = new Set<StoreMember>()
  #handles = 0

  private constructor(io: Io, files: MetadataFiles | undefined, log: RecoveredLog) {
    this.#io = io
    this.#files = files
    this.#snapshot = log.snapshot
    this.#entries = log.entries
    for (const entry of log.entries) this.#entryBytes += entry.payload.length
    this.#index = log.lastIndex
    this.#queuedIndex = log.lastIndex
    this.#digests = { firstIndex: log.snapshot?.index ?? -1, values: log.digests }
    this.#controllerEpoch = log.controllerEpoch
  }

  /** @throws LMQ_STORE_CORRUPT, LMQ_DISK_READ or Node's own error when the folder cannot be read */
  static open({ io, folder, logger }: EmbeddedStoreOptions): EmbeddedMetadataStore {
    if (folder === undefined) {
      const empty = { snapshot: undefined, entries: [], lastIndex: -1, digests: [0] }
      return new EmbeddedMetadataStore(io, undefined, { ...empty, controllerEpoch: 0 })
    }
    const { files, recovered } = MetadataFiles.open(io, folder, logger)
    return new EmbeddedMetadataStore(io, files, recovered)
  }

  /** A broker's own handle: closing it gives up that broker's part only; closing the last one closes the files. */
  share(): MetadataStore {
    this.#checkUsable()
    this.#handles++
    return new EmbeddedStoreHandle(this, async () => {
      this.#handles--
      if (this.#handles === 0) await this.close()
    })
  }

  async head(): Promise<StoreHead> {
    return {
      index: this.#index,
      controllerEpoch: this.#controllerEpoch,
      controllerId: this.#leader?.brokerId ?? -1,
    }
  }

  /** The epoch is durable with its first entry: one that wrote nothing has bound nobody, and may be given out again. */
  async lead(candidate: Candidate): Promise<Leadership | undefined> {
    this.#checkUsable()
    const lock = this.locks.tryAcquire(CONTROLLER_LOCK, candidate, this.#controllerEpoch)
    if (!lock) return undefined
    this.#controllerEpoch = lock.epoch
    const leadership = new LockLeadership(lock)
    this.#leader = leadership
    lock.onLost(() => {
      if (this.#leader !== leadership) return
      this.#leader = undefined
      this.#tellWatchers()
    })
    // What the former leader had queued is decided before the new one reads the head.
    await this.#work
    this.#tellWatchers()
    return leadership.held ? leadership : undefined
  }

  async depose(controllerEpoch: number): Promise<void> {
    await this.locks.depose(CONTROLLER_LOCK, controllerEpoch)
  }

  append(leadership: Leadership, afterIndex: number, payload: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#checkUsable()
      this.#checkLeads(leadership)
      if (afterIndex !== this.#queuedIndex) {
        throw new LmqError('LMQ_NOT_CONTROLLER', { afterIndex, lastIndex: this.#queuedIndex })
      }
      const index = ++this.#queuedIndex
      const { controllerEpoch } = leadership
      const previousDigest = this.#digests.values.at(-1) as number
      const { frame, digest } = encodeFrame(
        this.#io,
        { kind: FrameKind.entry, index, controllerEpoch, previousDigest },
        payload,
      )
      this.#digests.values.push(digest)
      this.#queue.push({ entry: { index, controllerEpoch, payload }, frame, resolve, reject })
      this.#planCommit()
    })
  }

  async read(fromIndex: number, maxBytes: number): Promise<StoreRead> {
    return readStored(this.#snapshot, this.#entries, fromIndex, maxBytes)
  }

  watch(listener: () => void): Watch {
    this.#watchers.add(listener)
    return { stop: () => this.#watchers.delete(listener) }
  }

  async bytesSinceSnapshot(): Promise<number> {
    return this.#entryBytes
  }

  writeSnapshot(leadership: Leadership, snapshot: StoreSnapshot): Promise<void> {
    const written = this.#work.then(async () => {
      this.#checkUsable()
      this.#checkLeads(leadership)
      const { index, payload } = snapshot
      if (index > this.#index || index <= (this.#snapshot?.index ?? -1)) return
      const previousDigest = this.#digests.values[index - this.#digests.firstIndex] as number
      const { frame } = encodeFrame(
        this.#io,
        { kind: FrameKind.snapshot, index, controllerEpoch: this.#controllerEpoch, previousDigest },
        payload,
      )
      try {
        await this.#files?.writeSnapshot(index, frame, this.#index)
      } catch (error) {
        throw this.#fail(error)
      }
      const first = this.#snapshot ? this.#snapshot.index + 1 : 0
      for (const entry of this.#entries.splice(0, index + 1 - first)) {
        this.#entryBytes -= entry.payload.length
      }
      this.#digests.values.splice(0, index - this.#digests.firstIndex)
      this.#digests.firstIndex = index
      this.#snapshot = snapshot
    })
    this.#work = written.then(
      () => undefined,
      () => undefined,
    )
    return written
  }

  /** The newest run of a broker takes the place of an earlier one that did not leave. */
  async join(member: StoreMember): Promise<Membership> {
    for (const other of this.#members) {
      if (other.brokerId === member.brokerId) this.#members.delete(other)
    }
    this.#members.add(member)
    this.#tellWatchers()
    return {
      leave: async () => {
        if (this.#members.delete(member)) this.#tellWatchers()
      },
    }
  }

  async members(): Promise<readonly StoreMember[]> {
    return [...this.#members]
  }

  /** There is nowhere to be shown. */
  announce(): void {}

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#work
    this.locks.close()
    this.#watchers.clear()
    await this.#files?.close()
  }

  #planCommit(): void {
    if (this.#commitPlanned) return
    this.#commitPlanned = true
    this.#work = this.#work.then(() => this.#commit())
  }

  async #commit(): Promise<void> {
    this.#commitPlanned = false
    const batch = this.#queue
    this.#queue = []
    try {
      if (this.#failure) throw this.#failure
      await this.#files?.append(batch.map(({ frame }) => frame))
    } catch (error) {
      const failure = this.#fail(error)
      for (const { reject } of batch) reject(failure)
      return
    }
    for (const { entry } of batch) {
      this.#entries.push(entry)
      this.#entryBytes += entry.payload.length
      this.#index = entry.index
    }
    for (const { entry, resolve } of batch) resolve(entry.index)
    this.#tellWatchers()
  }

  /** After a failed write or flush nobody knows what the files hold: nothing more is written until a restart. */
  #fail(error: unknown): LmqError {
    this.#failure ??= error instanceof LmqError ? error : new LmqError('LMQ_DISK_WRITE', {}, error)
    void this.#leader?.release()
    return this.#failure
  }

  #checkUsable(): void {
    if (this.#failure) throw this.#failure
    if (this.#closed) throw new LmqError('LMQ_SHUTTING_DOWN', { store: 'metadata' })
  }

  #checkLeads(leadership: Leadership): void {
    if (this.#leader === leadership) return
    throw new LmqError('LMQ_NOT_CONTROLLER', { controllerEpoch: leadership.controllerEpoch })
  }

  #tellWatchers(): void {
    for (const listener of [...this.#watchers]) listener()
  }
}

/** Who holds it is the controller. */
const CONTROLLER_LOCK = 'controller'

type QueuedAppend = {
  readonly entry: StoreEntry
  readonly frame: Buffer
  readonly resolve: (index: number) => void
  readonly reject: (error: unknown) => void
}
