import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { LmqError } from '../base/errors.ts'

const lockName = '.lmq.lock'
/** Longest path of a unix socket, with room for the closing zero: 108 bytes on Linux, 104 on macOS. */
const longestSocketPath = 100

/**
 * One broker per folder. Node has no file locks, so the claim is a unix socket in the folder that somebody listens on:
 * it vanishes with its process, and a socket file that nobody answers on is left over from a crash and is replaced.
 *
 * @throws LMQ_LOG_DIR_TAKEN while another process, or this one, holds the folder
 */
export async function lockFolder(folder: string): Promise<{ release(): Promise<void> }> {
  const place = socketPlace(fs.realpathSync(folder))
  try {
    const server = await claim(place.path, folder)
    return {
      async release() {
        await new Promise((resolve) => server.close(resolve))
        place.release()
      },
    }
  } catch (error) {
    place.release()
    throw error
  }
}

/** Where to listen. A folder whose path is too long for a socket is reached by a short one. */
function socketPlace(folder: string): { path: string; release(): void } {
  const inFolder = path.join(folder, lockName)
  if (Buffer.byteLength(inFolder) <= longestSocketPath) return { path: inFolder, release() {} }
  if (process.platform === 'linux') {
    const descriptor = fs.openSync(folder, 'r')
    return {
      path: `/proc/self/fd/${descriptor}/${lockName}`,
      release: () => fs.closeSync(descriptor),
    }
  }
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 24)
  return { path: path.join(os.tmpdir(), `lmq-${name}.lock`), release() {} }
}

async function claim(socketPath: string, folder: string): Promise<net.Server> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const server = await listen(socketPath)
    if (server) return server
    if (await isAnswered(socketPath)) break
    if (!(await removeStale(socketPath))) break
  }
  throw new LmqError('LMQ_LOG_DIR_TAKEN', { folder })
}

/** @returns undefined when the path is in use */
function listen(socketPath: string): Promise<net.Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    )
    server.listen(socketPath, () => {
      server.unref()
      resolve(server)
    })
  })
}

function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) =>
      // EAGAIN: its queue is full, so somebody listens.
      resolve(error.code === 'EAGAIN'),
    )
  })
}

/**
 * Moves a dead socket file away, then asks it once more: between our question and the move another starter may have
 * replaced it by a living one, which goes back to its place.
 */
async function removeStale(socketPath: string): Promise<boolean> {
  const aside = `${socketPath}.${randomBytes(3).toString('hex')}`
  try {
    fs.renameSync(socketPath, aside)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
  if (await isAnswered(aside)) {
    fs.renameSync(aside, socketPath)
    return false
  }
  fs.rmSync(aside, { force: true })
  return true
}
