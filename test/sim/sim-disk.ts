import { basename, dirname } from 'node:path'
import { LmqError } from '../../src/base/errors.ts'
import type { DirectoryEntry, Disk, DiskFile, FileMode, FileStat } from '../../src/io/io.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimScheduler } from './sim-scheduler.ts'

type Write = { position: number; data: Buffer }

/** One file's bytes: as the program sees them, and as they would be after power was lost. */
class Inode {
  live: Buffer = Buffer.alloc(0)
  durable: Buffer = Buffer.alloc(0)
  unsynced: (Write | { sizeBytes: number })[] = []
  modifiedMs = 0

  write(position: number, data: Buffer): void {
    this.live = patched(this.live, position, data)
    this.unsynced.push({ position, data: Buffer.from(data) })
  }

  truncate(sizeBytes: number): void {
    this.live = resized(this.live, sizeBytes)
    this.unsynced.push({ sizeBytes })
  }

  sync(): void {
    this.durable = Buffer.from(this.live)
    this.unsynced = []
  }

  /** Power is lost: each write that was not synced is there, is not, or is torn. */
  losePower(random: SimRandom): void {
    let content = this.durable
    for (const change of this.unsynced) {
      if (random.chance(0.4)) continue
      if ('sizeBytes' in change) content = resized(content, change.sizeBytes)
      else {
        const kept = random.chance(0.5) ? change.data.length : random.int(change.data.length + 1)
        content = patched(content, change.position, change.data.subarray(0, kept))
      }
    }
    this.live = Buffer.from(content)
    this.sync()
  }
}

function patched(content: Buffer, position: number, data: Buffer): Buffer {
  if (data.length === 0) return content
  const target = Buffer.alloc(Math.max(content.length, position + data.length))
  content.copy(target)
  data.copy(target, position)
  return target
}

function resized(content: Buffer, sizeBytes: number): Buffer {
  const target = Buffer.alloc(sizeBytes)
  content.copy(target)
  return target
}

export type DiskCall = 'open' | 'read' | 'write' | 'flush' | 'rename' | 'remove' | 'truncate'
/** An error to be thrown by a call, or nothing. */
export type Fault = (call: DiskCall, path: string) => NodeJS.ErrnoException | undefined

export function diskError(code: string, path = ''): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(`${code}: simulated ${path}`)
  error.code = code
  return error
}

/**
 * A file system in memory that forgets what was not synced. Names are journalled in order: any flush makes all of them
 * durable, as on ext4; a power loss keeps some first part of the others.
 */
export class SimDisk implements Disk {
  readonly #scheduler: Pick<SimScheduler, 'schedule' | 'wall'>
  readonly #random: SimRandom
  readonly #now: () => number
  #names = new Map<string, Inode>()
  #folders = new Set<string>(['/'])
  #journal: { names: Map<string, Inode>; folders: Set<string> }[] = []
  #durableNames = new Map<string, Inode>()
  #durableFolders = new Set<string>(['/'])
  readonly #locked = new Set<string>()
  /** Rises with each crash: calls of the dead process never complete. */
  #life = 0
  fault: Fault = () => undefined
  /** Longest time of an asynchronous call. */
  latencyMs = 4
  openFiles = 0

  constructor(scheduler: Pick<SimScheduler, 'schedule' | 'wall'>, random: SimRandom) {
    this.#scheduler = scheduler
    this.#random = random
    this.#now = () => scheduler.wall.nowMs()
  }

  // -------------------------------------------------------------------------------------------------- crashes

  /** The process dies: what it had written stays, calls under way are done in part or not at all. */
  kill(): void {
    this.#life++
    this.#locked.clear()
    this.openFiles = 0
  }

  /** The machine dies: what was not synced is lost or torn. */
  losePower(): void {
    this.kill()
    const states = [{ names: this.#durableNames, folders: this.#durableFolders }, ...this.#journal]
    const kept = this.#random.pick(states)
    this.#names = new Map(kept.names)
    this.#folders = new Set(kept.folders)
    for (const inode of new Set(this.#names.values())) inode.losePower(this.#random)
    this.#commit()
  }

  /** Another disk is in its place, an empty one. */
  wipe(): void {
    this.kill()
    this.#names = new Map()
    this.#folders = new Set(['/'])
    this.#commit()
  }

  /** Flips one bit. */
  corrupt(path: string, position: number): void {
    const inode = this.#inode(path)
    inode.live[position] = (inode.live[position] as number) ^ (1 << this.#random.int(8))
    inode.sync()
  }

  cut(path: string, sizeBytes: number): void {
    const inode = this.#inode(path)
    inode.truncate(sizeBytes)
    inode.sync()
  }

  paths(): string[] {
    return [...this.#names.keys()].sort()
  }

  // -------------------------------------------------------------------------------------------------- names

  #changed(): void {
    this.#journal.push({ names: new Map(this.#names), folders: new Set(this.#folders) })
  }

  #commit(): void {
    this.#journal = []
    this.#durableNames = new Map(this.#names)
    this.#durableFolders = new Set(this.#folders)
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path)
    if (!inode) throw diskError('ENOENT', path)
    return inode
  }

  #check(call: DiskCall, path: string): void {
    const error = this.fault(call, path)
    if (error) throw error
  }

  /** Runs an asynchronous call later; never, if the process died meanwhile. */
  #later<Result>(call: () => Result, torn?: () => void): Promise<Result> {
    const life = this.#life
    return new Promise((resolve, reject) => {
      this.#scheduler.schedule(this.#random.int(this.latencyMs * 1_000) / 1_000, () => {
        if (life !== this.#life) {
          torn?.()
          return
        }
        try {
          resolve(call())
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  openSync(path: string, mode: FileMode): DiskFile {
    this.#check('open', path)
    let inode = this.#names.get(path)
    if (!inode) {
      if (mode !== 'write' || !this.#folders.has(dirname(path))) throw diskError('ENOENT', path)
      inode = new Inode()
      inode.modifiedMs = this.#now()
      this.#names.set(path, inode)
      this.#changed()
    }
    this.openFiles++
    return this.#file(path, inode)
  }

  open(path: string, mode: FileMode): Promise<DiskFile> {
    return this.#later(() => this.openSync(path, mode))
  }

  #file(path: string, inode: Inode): DiskFile {
    const read = (target: Buffer, position: number): number => {
      this.#check('read', path)
      // Behind the end of a file there is nothing, which is no error.
      const start = Math.min(position, inode.live.length)
      return inode.live.copy(target, 0, start, start + target.length)
    }
    const write = (chunks: readonly Buffer[], position: number): void => {
      const data = Buffer.concat(chunks)
      const error = this.fault('write', path)
      // A disk that is full takes a part of it first.
      inode.write(position, error ? data.subarray(0, this.#random.int(data.length)) : data)
      inode.modifiedMs = this.#now()
      if (error) throw error
    }
    const flush = (): void => {
      this.#check('flush', path)
      inode.sync()
      this.#commit()
    }
    let isOpen = true
    const closeSync = (): void => {
      if (!isOpen) throw diskError('EBADF')
      isOpen = false
      this.openFiles--
    }
    const opened = <Args extends unknown[], Result>(call: (...args: Args) => Result) => {
      return (...args: Args): Result => {
        if (!isOpen) throw diskError('EBADF')
        return call(...args)
      }
    }
    const tear = (chunks: readonly Buffer[], position: number) => () => {
      const data = Buffer.concat(chunks)
      inode.write(position, data.subarray(0, this.#random.int(data.length + 1)))
    }
    return {
      path,
      readSync: opened(read),
      read: (target, position) => this.#later(() => opened(read)(target, position)),
      writeSync: opened(write),
      write: (chunks, position) =>
        this.#later(() => opened(write)(chunks, position), tear(chunks, position)),
      flushSync: opened(flush),
      flush: () => this.#later(opened(flush)),
      truncateSync: opened((sizeBytes: number) => {
        this.#check('truncate', path)
        inode.truncate(sizeBytes)
      }),
      sizeSync: opened(() => inode.live.length),
      close: () => this.#later(closeSync),
      closeSync,
    }
  }

  readFileSync(path: string): Buffer {
    this.#check('read', path)
    return Buffer.from(this.#inode(path).live)
  }

  readFile(path: string): Promise<Buffer> {
    return this.#later(() => this.readFileSync(path))
  }

  existsSync(path: string): boolean {
    return this.#names.has(path) || this.#folders.has(path)
  }

  statSync(path: string): FileStat | undefined {
    const inode = this.#names.get(path)
    return inode && { sizeBytes: inode.live.length, modifiedMs: inode.modifiedMs }
  }

  listSync(path: string): DirectoryEntry[] {
    if (!this.#folders.has(path)) throw diskError('ENOENT', path)
    const files = [...this.#names.keys()].filter((name) => dirname(name) === path)
    const folders = [...this.#folders].filter((name) => name !== path && dirname(name) === path)
    return [
      ...files.map((name) => ({ name: basename(name), isFolder: false })),
      ...folders.map((name) => ({ name: basename(name), isFolder: true })),
    ]
  }

  list(path: string): Promise<DirectoryEntry[]> {
    return this.#later(() => this.listSync(path))
  }

  makeFolderSync(path: string): void {
    if (this.#folders.has(path)) return
    if (dirname(path) !== path) this.makeFolderSync(dirname(path))
    this.#folders.add(path)
    this.#changed()
  }

  renameSync(from: string, to: string): void {
    this.#check('rename', from)
    if (this.#folders.has(from)) this.#renameFolder(from, to)
    else {
      this.#names.set(to, this.#inode(from))
      this.#names.delete(from)
    }
    this.#changed()
  }

  #renameFolder(from: string, to: string): void {
    const moved = (path: string) =>
      path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path
    this.#folders = new Set([...this.#folders].map(moved))
    this.#names = new Map([...this.#names].map(([path, inode]) => [moved(path), inode]))
  }

  rename(from: string, to: string): Promise<void> {
    return this.#later(() => this.renameSync(from, to))
  }

  removeFileSync(path: string): void {
    this.#check('remove', path)
    if (this.#names.delete(path)) this.#changed()
  }

  removeFile(path: string): Promise<void> {
    return this.#later(() => this.removeFileSync(path))
  }

  removeFolderSync(path: string): void {
    const isInside = (name: string) => name === path || name.startsWith(`${path}/`)
    this.#names = new Map([...this.#names].filter(([name]) => !isInside(name)))
    this.#folders = new Set([...this.#folders].filter((name) => !isInside(name)))
    this.#changed()
  }

  removeFolder(path: string): Promise<void> {
    return this.#later(() => this.removeFolderSync(path))
  }

  replaceFileSync(path: string, content: Buffer): void {
    const file = this.openSync(`${path}.tmp`, 'write')
    file.truncateSync(0)
    file.writeSync([content], 0)
    file.flushSync()
    file.closeSync()
    this.renameSync(`${path}.tmp`, path)
    this.#commit()
  }

  async replaceFile(path: string, content: Buffer): Promise<void> {
    await this.writeFile(path, content)
    await this.flushFolder(dirname(path))
  }

  async writeFile(path: string, content: Buffer): Promise<void> {
    const file = await this.open(`${path}.tmp`, 'write')
    file.truncateSync(0)
    await file.write([content], 0)
    await file.flush()
    file.closeSync()
    await this.rename(`${path}.tmp`, path)
  }

  flushFolderSync(path: string): void {
    this.#check('flush', path)
    this.#commit()
  }

  flushFolder(path: string): Promise<void> {
    return this.#later(() => this.flushFolderSync(path))
  }

  mostOpenFiles(): number {
    return 20_000
  }

  async space(): Promise<{ freeBytes: number; totalBytes: number }> {
    return { freeBytes: 2 ** 40, totalBytes: 2 ** 41 }
  }

  async lockFolder(path: string): Promise<{ release(): Promise<void> }> {
    if (this.#locked.has(path)) throw new LmqError('LMQ_LOG_DIR_TAKEN', { folder: path })
    this.#locked.add(path)
    return { release: async () => void this.#locked.delete(path) }
  }
}
