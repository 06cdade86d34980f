/**
 * Lets a socket read into memory that is used again. Node gives every read a fresh 64 KiB, which costs more than the
 * read itself where much comes in; its `onread` option avoids that, but only for sockets that a client makes. A socket
 * that a server accepted is given a second `net.Socket` around its handle here. Both `_handle` and the option `handle`
 * are Node's own means for that and not documented: where they are missing, the caller reads in the usual way.
 */
import net from 'node:net'
import type { SocketReader } from './io.ts'

/** Large enough that a megabyte comes in few reads. */
const sharedBytes = 256 * 1024

/** One for all sockets: a read fills it and its reader empties it before the next read happens. */
let shared: Buffer | undefined

/** As much of Node's handle as is looked at. */
type Handle = { useUserBuffer?: unknown }
type WithHandle = { _handle: Handle | null }
type HandleOptions = net.SocketConstructorOpts & { handle: Handle; onread: net.OnReadOpts }

/**
 * @param accepted paused since it was accepted
 * @returns the socket to use from now on; undefined: nothing was changed
 */
export function readWithOwnMemory(
  accepted: net.Socket,
  reader: SocketReader,
): net.Socket | undefined {
  const holder = accepted as unknown as WithHandle
  const handle = holder._handle
  // Windows fills a buffer while others read: one for all would not do.
  if (!handle || typeof handle.useUserBuffer !== 'function' || process.platform === 'win32') {
    return undefined
  }
  shared ??= Buffer.allocUnsafeSlow(sharedBytes)
  const memory = shared
  const options: HandleOptions = {
    handle,
    readable: true,
    writable: true,
    onread: {
      buffer: () => reader.target() ?? memory,
      callback(sizeBytes, filled) {
        const isOwn = filled !== memory
        reader.read((filled as Buffer).subarray(0, sizeBytes), isOwn)
        return true
      },
    },
  }
  holder._handle = null
  const socket = new net.Socket(options)
  // Without its handle it only takes itself off the server's count.
  accepted.destroy()
  return socket
}
