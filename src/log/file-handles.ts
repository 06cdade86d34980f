import { assert } from '../base/assert.ts'
import type { Disk, DiskFile } from '../io/io.ts'

/**
 * Keeps at most so many files open over all logs, closing what was not used for longest. A file that an asynchronous
 * call works on is pinned and stays.
 */
export class FileHandles {
  readonly disk: Disk
  readonly #limit: number
  readonly #open = new Set<PooledFile>()
  #newest: PooledFile | undefined

  constructor(disk: Disk, limit = 512) {
    this.disk = disk
    this.#limit = limit
  }

  get openCount(): number {
    return this.#open.size
  }

  touch(file: PooledFile): void {
    if (file === this.#newest) return
    this.#open.delete(file)
    this.#open.add(file)
    this.#newest = file
    if (this.#open.size > this.#limit) this.#closeOldest()
  }

  forget(file: PooledFile): void {
    this.#open.delete(file)
    if (this.#newest === file) this.#newest = undefined
  }

  #closeOldest(): void {
    for (const file of this.#open) {
      if (file.isPinned || file === this.#newest) continue
      file.close()
      return
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
    this.#file ??= this.#handles.disk.openSync(this.path, 'write')
    this.#handles.touch(this)
  }

  /** The open file, good until the current turn ends. It must exist. */
  use(): DiskFile {
    assert(!this.#isDisposed, `${this.path} is used after its log was closed`)
    this.#file ??= this.#handles.disk.openSync(this.path, 'update')
    this.#handles.touch(this)
    return this.#file
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
    this.#handles.forget(this)
    const file = this.#file
    this.#file = undefined
    file?.closeSync()
  }
}
