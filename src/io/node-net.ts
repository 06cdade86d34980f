import net from 'node:net'
import { LmqError } from '../base/errors.ts'
import type { ListenAddress, Memory, Net, Server, Socket, SocketReader } from './io.ts'
import { readWithOwnMemory } from './node-socket-memory.ts'

/** @param memory gets its buffers back when they are sent */
export function createNodeNet(memory: Memory): Net {
  return {
    listen: (address, onConnection) => listen(address, onConnection, memory),
    connect: (address, timeoutMs) => connect(address, timeoutMs, memory),
  }
}

/** Chunks of this size and more may be from `memory`. */
const largeChunkBytes = 64 * 1024

/** @throws LMQ_PORT_TAKEN, LMQ_LISTENER_INVALID */
function listen(
  address: ListenAddress,
  onConnection: (socket: Socket) => void,
  memory: Memory,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Nothing is read before somebody says how: what Node reads by itself goes into memory of its own.
    const options = { noDelay: true, keepAlive: true, pauseOnConnect: true }
    const server = net.createServer(options, (socket) =>
      onConnection(new NodeSocket(socket, memory)),
    )
    const facts = { host: address.host ?? '*', port: address.port }
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new LmqError(
          error.code === 'EADDRINUSE' ? 'LMQ_PORT_TAKEN' : 'LMQ_LISTENER_INVALID',
          facts,
          error,
        ),
      ),
    )
    const { host, port, backlog } = address
    const place = { port, ...(host !== undefined && { host }), ...(backlog && { backlog }) }
    server.listen(place, () => {
      server.removeAllListeners('error')
      // A failed accept (no file descriptor left) costs that connection, not the listener.
      server.on('error', () => {})
      const bound = server.address() as net.AddressInfo
      resolve({
        port: bound.port,
        host: bound.address,
        async close() {
          // The port is free as soon as this returns; its callback would wait for all connections.
          server.close()
        },
      })
    })
  })
}

function connect(
  address: { host: string; port: number },
  timeoutMs: number,
  memory: Memory,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...address, noDelay: true, keepAlive: true })
    const timeout = setTimeout(() => {
      const error: NodeJS.ErrnoException = new Error(
        `connect to ${address.host}:${address.port} took more than ${timeoutMs} ms`,
      )
      error.code = 'ETIMEDOUT'
      socket.destroy(error)
    }, timeoutMs)
    const onError = (error: Error) => {
      clearTimeout(timeout)
      reject(error)
    }
    socket.once('error', onError)
    socket.once('connect', () => {
      clearTimeout(timeout)
      socket.removeListener('error', onError)
      resolve(new NodeSocket(socket, memory))
    })
  })
}

class NodeSocket implements Socket {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  #socket: net.Socket
  readonly #memory: Memory
  #error: Error | undefined
  #closed = false
  #onClose: ((error: Error | undefined) => void) | undefined

  constructor(socket: net.Socket, memory: Memory) {
    this.#socket = socket
    this.#memory = memory
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    this.localPort = socket.localPort ?? 0
    this.#listenForEnd(socket)
  }

  #listenForEnd(socket: net.Socket): void {
    socket.on('error', (error) => {
      if (socket === this.#socket) this.#error = error
    })
    socket.on('close', () => {
      if (socket !== this.#socket) return
      this.#closed = true
      this.#onClose?.(this.#error)
    })
  }

  get queuedBytes(): number {
    return this.#socket.writableLength
  }

  /** Node counts a write as a whole when its last byte has left; its own time-outs look here, too. */
  get untakenBytes(): number | undefined {
    const { _handle } = this.#socket as { _handle?: { writeQueueSize?: number } | null }
    return _handle?.writeQueueSize
  }

  onData(listener: (chunk: Buffer) => void): void {
    this.#socket.on('data', listener)
    this.#socket.resume()
  }

  /** Before anything else was asked of the socket. */
  readInto(reader: SocketReader): boolean {
    const socket = readWithOwnMemory(this.#socket, reader)
    if (!socket) return false
    this.#socket = socket
    this.#listenForEnd(socket)
    return true
  }

  onDrain(listener: () => void): void {
    this.#socket.on('drain', listener)
  }

  onClose(listener: (error: Error | undefined) => void): void {
    this.#onClose = listener
    if (this.#closed) queueMicrotask(() => listener(this.#error))
  }

  write(chunks: readonly Buffer[]): boolean {
    const socket = this.#socket
    if (socket.destroyed || socket.writableEnded) return true
    const only = chunks.length === 1 ? chunks[0] : undefined
    if (only) return this.#writeOne(only)
    let goOn = true
    socket.cork()
    for (const chunk of chunks) goOn = this.#writeOne(chunk)
    socket.uncork()
    return goOn
  }

  #writeOne(chunk: Buffer): boolean {
    if (chunk.length < largeChunkBytes) return this.#socket.write(chunk)
    // After an error the system may still be at it, so the memory is left to the garbage collector.
    return this.#socket.write(chunk, (error) => {
      if (!error) this.#memory.giveBack(chunk)
    })
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}
