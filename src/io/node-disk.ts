import fs from 'node:fs'
import { dirname } from 'node:path'
import { lockFolder } from './folder-lock.ts'
import type { DirectoryEntry, Disk, DiskFile, FileMode, FileStat } from './io.ts'

/** Node's file system. Errors are Node's own; the callers know what a failure means for them. */
export const nodeDisk: Disk = {
  openSync: (path, mode) => new NodeFile(path, fs.openSync(path, openFlags(mode))),
  open: (path, mode) =>
    new Promise((resolve, reject) =>
      fs.open(path, openFlags(mode), (error, descriptor) =>
        error ? reject(error) : resolve(new NodeFile(path, descriptor)),
      ),
    ),
  readFileSync: (path) => fs.readFileSync(path),
  readFile: (path) => fs.promises.readFile(path),
  existsSync: (path) => fs.existsSync(path),
  statSync(path) {
    const stat = fs.statSync(path, { throwIfNoEntry: false })
    return stat && statOf(stat)
  },
  listSync: (path) => fs.readdirSync(path, { withFileTypes: true }).map(entryOf),
  list: async (path) => (await fs.promises.readdir(path, { withFileTypes: true })).map(entryOf),
  makeFolderSync,
  renameSync: (from, to) => fs.renameSync(from, to),
  rename: (from, to) => fs.promises.rename(from, to),
  removeFileSync: (path) => fs.rmSync(path, { force: true }),
  removeFile: (path) => fs.promises.rm(path, { force: true }),
  removeFolder: (path) => fs.promises.rm(path, { recursive: true, force: true }),
  removeFolderSync: (path) => fs.rmSync(path, { recursive: true, force: true }),
  replaceFileSync,
  replaceFile,
  writeFile,
  flushFolderSync(path) {
    const descriptor = fs.openSync(path, 'r')
    try {
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
  },
  flushFolder,
  async space(path) {
    const { bsize, bavail, blocks } = await fs.promises.statfs(path)
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  },
  mostOpenFiles,
  lockFolder,
}

/** What systems without /proc let a process open at the least: macOS. Windows has no such limit. */
const USUAL_OPEN_FILES = 10_240

/** Node raises its soft limit to the hard one when it starts. */
function mostOpenFiles(): number {
  try {
    const limits = fs.readFileSync('/proc/self/limits', 'latin1')
    const [, soft] = /^Max open files +(\d+|unlimited)/m.exec(limits) ?? []
    return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft ?? USUAL_OPEN_FILES)
  } catch {
    return USUAL_OPEN_FILES
  }
}

/**
 * Parents, too. Not by Node's `recursive`, which tries for ever where a parent exists and the system still says ENOENT,
 * as in /proc.
 */
function makeFolderSync(path: string): void {
  if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  const parent = dirname(path)
  if (parent !== path) makeFolderSync(parent)
  try {
    fs.mkdirSync(path)
  } catch (error) {
    // Somebody else may have been faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (!fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error
  }
}

function openFlags(mode: FileMode): number {
  const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants
  return mode === 'read' ? O_RDONLY : mode === 'update' ? O_RDWR : O_RDWR | O_CREAT
}

function entryOf(entry: fs.Dirent): DirectoryEntry {
  return { name: entry.name, isFolder: entry.isDirectory() }
}

function statOf(stat: fs.Stats): FileStat {
  return { sizeBytes: stat.size, modifiedMs: Math.floor(stat.mtimeMs) }
}

function replaceFileSync(path: string, content: Buffer): void {
  const temporary = `${path}.tmp`
  fs.writeFileSync(temporary, content, { flush: true })
  fs.renameSync(temporary, path)
  nodeDisk.flushFolderSync(dirname(path))
}

async function replaceFile(path: string, content: Buffer): Promise<void> {
  await writeFile(path, content)
  await flushFolder(dirname(path))
}

async function writeFile(path: string, content: Buffer): Promise<void> {
  const temporary = `${path}.tmp`
  await fs.promises.writeFile(temporary, content, { flush: true })
  await fs.promises.rename(temporary, path)
}

async function flushFolder(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

class NodeFile implements DiskFile {
  readonly path: string
  readonly #descriptor: number

  constructor(path: string, descriptor: number) {
    this.path = path
    this.#descriptor = descriptor
  }

  readSync(target: Buffer, position: number): number {
    let done = 0
    while (done < target.length) {
      const count = fs.readSync(
        this.#descriptor,
        target,
        done,
        target.length - done,
        position + done,
      )
      if (count === 0) break
      done += count
    }
    return done
  }

  read(target: Buffer, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const readFrom = (done: number) =>
        fs.read(
          this.#descriptor,
          target,
          done,
          target.length - done,
          position + done,
          (error, count) => {
            if (error) reject(error)
            else if (count === 0 || done + count === target.length) resolve(done + count)
            else readFrom(done + count)
          },
        )
      if (target.length === 0) resolve(0)
      else readFrom(0)
    })
  }

  writeSync(chunks: readonly Buffer[], position: number): void {
    let left = chunks
    let at = position
    while (left.length > 0) {
      const only = left.length === 1 ? left[0] : undefined
      const count = only
        ? fs.writeSync(this.#descriptor, only, 0, only.length, at)
        : fs.writevSync(this.#descriptor, left, at)
      at += count
      left = dropWritten(left, count)
    }
  }

  write(chunks: readonly Buffer[], position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const writeFrom = (left: readonly Buffer[], at: number) => {
        if (left.length === 0) return resolve()
        fs.writev(this.#descriptor, left, at, (error, count) => {
          if (error) reject(error)
          else writeFrom(dropWritten(left, count), at + count)
        })
      }
      writeFrom(chunks, position)
    })
  }

  flushSync(): void {
    fs.fdatasyncSync(this.#descriptor)
  }

  flush(): Promise<void> {
    return new Promise((resolve, reject) =>
      fs.fdatasync(this.#descriptor, (error) => (error ? reject(error) : resolve())),
    )
  }

  truncateSync(sizeBytes: number): void {
    fs.ftruncateSync(this.#descriptor, sizeBytes)
  }

  sizeSync(): number {
    return fs.fstatSync(this.#descriptor).size
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) =>
      fs.close(this.#descriptor, (error) => (error ? reject(error) : resolve())),
    )
  }

  closeSync(): void {
    fs.closeSync(this.#descriptor)
  }
}

/** What is left of `chunks` after a write took `count` bytes: a full disk or a signal can cut a write short. */
function dropWritten(chunks: readonly Buffer[], count: number): readonly Buffer[] {
  let written = count
  let index = 0
  for (; index < chunks.length; index++) {
    const chunk = chunks[index] as Buffer
    if (written < chunk.length) break
    written -= chunk.length
  }
  if (index === chunks.length) return []
  if (written === 0) return chunks.slice(index)
  return [(chunks[index] as Buffer).subarray(written), ...chunks.slice(index + 1)]
}
