import { assert } from '../base/assert.ts'
import type { Disk, DiskFile } from '../io/io.ts'

const LEAST_OPEN = 2

/**
 * Keeps at most so many files open over all logs, closing one that was not used for long (the second-chance algorithm: to
 * use a file is to set a flag). A file that an asynchronous call works on is pinned and stays.
 */
export class FileHandles {
  readonly disk: Disk
  #limit: number
  readonly #open = new Set<PooledFile>()

  /** @param allowed what the system lets this process open: half of it is left to sockets */
  constructor(disk: Disk, limit = 512, allowed = Number.POSITIVE_INFINITY) {
    this.disk = disk
    this.#limit = Math.max(LEAST_OPEN, Math.min(limit, Math.floor(allowed / 2)))
  }

  get openCount(): number {
    return this.#open.size
  }

  opened(file: PooledFile): void {
    this.#open.add(file)
    if (this.#open.size > this.#limit) this.#makeRoom(file)
  }

  /** The system has no file left to open: from now on fewer are held. @returns whether any was closed */
  shrink(): boolean {
    const before = this.#open.size
    this.#limit = Math.max(LEAST_OPEN, Math.floor(before / 2))
    this.#makeRoom()
    return this.#open.size < before
  }

  closed(file: PooledFile): void {
    this.#open.delete(file)
  }

  /** Those used since they were looked at last go to the end of the row and are looked at again when it is their turn. */
  #makeRoom(newest?: PooledFile): void {
    for (const file of this.#open) {
      if (file.isPinned || file === newest) continue
      if (!file.wasUsed) {
        file.close()
        if (this.#open.size <= this.#limit) return
        continue
      }
      file.wasUsed = false
      this.#open.delete(file)
      this.#open.add(file)
    }
  }
}

/** One file by path, opened when first used and again after it was closed to make room. */
export class PooledFile {
  path: string
  readonly #handles: FileHandles
  #file: DiskFile | undefined
  #pins = 0
  #closeWhenFree = false
  /** Since its turn to be closed came last. */
  wasUsed = false
  #isDisposed = false

  constructor(handles: FileHandles, path: string) {
    this.#handles = handles
    this.path = path
  }

  get isDisposed(): boolean {
    return this.#isDisposed
  }

  get isPinned(): boolean {
    return this.#pins > 0
  }

  /** Makes the file. */
  create(): void {
    this.#opened('write')
  }

  /** The open file, good until the current turn ends. It must exist. */
  use(): DiskFile {
    assert(!this.#isDisposed, `${this.path} is used after its log was closed`)
    this.wasUsed = true
    return this.#file ?? this.#opened('update')
  }

  /** For who reads in steps: the file is opened again when it was closed between two of them. */
  readSync(target: Buffer, position: number): number {
    return this.use().readSync(target, position)
  }

  /** Runs asynchronous work on the file, which stays open meanwhile. */
  async pinned<Result>(work: (file: DiskFile) => Promise<Result>): Promise<Result> {
    const file = this.use()
    this.#pins++
    try {
      return await work(file)
    } finally {
      this.#pins--
      if (this.#pins === 0 && this.#closeWhenFree) this.close()
    }
  }

  /** Closes the file for good. */
  dispose(): void {
    this.#isDisposed = true
    this.close()
  }

  /** Closes the file, or lets the last pinned work do it. */
  close(): void {
    if (this.#pins > 0) {
      this.#closeWhenFree = true
      return
    }
    this.#closeWhenFree = false
    this.#handles.closed(this)
    const file = this.#file
    this.#file = undefined
    file?.closeSync()
  }

  #opened(mode: 'write' | 'update'): DiskFile {
    if (this.#file) return this.#file
    const file = this.#openSync(mode)
    this.#file = file
    this.wasUsed = true
    this.#handles.opened(this)
    return file
  }

  #openSync(mode: 'write' | 'update'): DiskFile {
    const { disk } = this.#handles
    try {
      return disk.openSync(this.path, mode)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if ((code !== 'EMFILE' && code !== 'ENFILE') || !this.#handles.shrink()) throw error
      return disk.openSync(this.path, mode)
    }
  }
}
