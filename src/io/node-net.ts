import net from 'node:net'
import { LmqError } from '../base/errors.ts'
import type { ListenAddress, Net, Server, Socket } from './io.ts'

export const nodeNet: Net = { listen, connect }

/** @throws LMQ_PORT_TAKEN, LMQ_LISTENER_INVALID */
function listen(address: ListenAddress, onConnection: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer({ noDelay: true, keepAlive: true }, (socket) =>
      onConnection(new NodeSocket(socket)),
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
    const options = { port, ...(host !== undefined && { host }), ...(backlog && { backlog }) }
    server.listen(options, () => {
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

function connect(address: { host: string; port: number }, timeoutMs: number): Promise<Socket> {
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
      resolve(new NodeSocket(socket))
    })
  })
}

class NodeSocket implements Socket {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localPort: number
  readonly #socket: net.Socket
  #error: Error | undefined
  #closed = false
  #onClose: ((error: Error | undefined) => void) | undefined

  constructor(socket: net.Socket) {
    this.#socket = socket
    this.remoteAddress = socket.remoteAddress ?? ''
    this.remotePort = socket.remotePort ?? 0
    this.localPort = socket.localPort ?? 0
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('close', () => {
      this.#closed = true
      this.#onClose?.(this.#error)
    })
  }

  get queuedBytes(): number {
    return this.#socket.writableLength
  }

  onData(listener: (chunk: Buffer) => void): void {
    this.#socket.on('data', listener)
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
    if (only) return socket.write(only)
    let goOn = true
    socket.cork()
    for (const chunk of chunks) goOn = socket.write(chunk)
    socket.uncork()
    return goOn
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
