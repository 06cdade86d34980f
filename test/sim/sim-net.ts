import { LmqError } from '../../src/base/errors.ts'
import type { ListenAddress, Net, Server, Socket } from '../../src/io/io.ts'
import { diskError } from './sim-disk.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimScheduler } from './sim-scheduler.ts'

const highWaterBytes = 64 * 1024

/** Byte streams in memory, in order, with a random delay. One network may be shared by several simulated brokers. */
export class SimNet implements Net {
  readonly #scheduler: SimScheduler
  readonly #random: SimRandom
  readonly #listeners = new Map<number, (socket: Socket) => void>()
  #nextPort = 20_000
  /** Longest delay of one chunk, one way. */
  latencyMs = 1

  constructor(scheduler: SimScheduler, random: SimRandom) {
    this.#scheduler = scheduler
    this.#random = random
  }

  async listen(address: ListenAddress, onConnection: (socket: Socket) => void): Promise<Server> {
    const port = address.port === 0 ? this.#nextPort++ : address.port
    if (this.#listeners.has(port)) throw new LmqError('LMQ_PORT_TAKEN', { port })
    this.#listeners.set(port, onConnection)
    return {
      port,
      host: address.host ?? '127.0.0.1',
      close: async () => void this.#listeners.delete(port),
    }
  }

  connect(address: { host: string; port: number }): Promise<Socket> {
    return new Promise((resolve, reject) =>
      this.#scheduler.schedule(this.delayMs(), () => {
        const onConnection = this.#listeners.get(address.port)
        if (!onConnection) return reject(diskError('ECONNREFUSED'))
        const localPort = this.#nextPort++
        const here = new SimSocket(this, this.#scheduler, localPort, address.port)
        const there = new SimSocket(this, this.#scheduler, address.port, localPort)
        here.peer = there
        there.peer = here
        onConnection(there)
        resolve(here)
      }),
    )
  }

  delayMs(): number {
    return this.#random.int(this.latencyMs * 1_000) / 1_000
  }
}

class SimSocket implements Socket {
  readonly remoteAddress = '127.0.0.1'
  readonly localPort: number
  readonly remotePort: number
  peer: SimSocket | undefined
  queuedBytes = 0
  readonly #net: SimNet
  readonly #scheduler: SimScheduler
  readonly #waiting: (Buffer | 'end')[] = []
  #lastArrivalMs = 0
  #isPaused = false
  #mustDrain = false
  #isEnded = false
  #isClosed = false
  #onData: ((chunk: Buffer) => void) | undefined
  #onDrain: (() => void) | undefined
  #onClose: ((error: Error | undefined) => void) | undefined

  constructor(net: SimNet, scheduler: SimScheduler, localPort: number, remotePort: number) {
    this.#net = net
    this.#scheduler = scheduler
    this.localPort = localPort
    this.remotePort = remotePort
  }

  onData(listener: (chunk: Buffer) => void): void {
    this.#onData = listener
    this.#deliver()
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener
  }

  onClose(listener: (error: Error | undefined) => void): void {
    this.#onClose = listener
  }

  write(chunks: readonly Buffer[]): boolean {
    if (this.#isEnded || this.#isClosed) return true
    const data = Buffer.concat(chunks)
    this.queuedBytes += data.length
    this.#send(data)
    this.#mustDrain = this.queuedBytes > highWaterBytes
    return !this.#mustDrain
  }

  /** Chunks arrive in the order in which they were sent. */
  #send(item: Buffer | 'end'): void {
    const nowMs = this.#scheduler.monotonic.nowMs()
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, nowMs + this.#net.delayMs())
    this.#scheduler.schedule(this.#lastArrivalMs - nowMs, () => this.peer?.receive(item))
  }

  receive(item: Buffer | 'end'): void {
    if (this.#isClosed) return
    this.#waiting.push(item)
    this.#deliver()
  }

  #deliver(): void {
    while (!this.#isPaused && !this.#isClosed && this.#onData) {
      const item = this.#waiting.shift()
      if (item === undefined) return
      if (item === 'end') {
        this.close(undefined)
        return
      }
      this.peer?.taken(item.length)
      this.#onData(item)
    }
  }

  taken(sizeBytes: number): void {
    this.queuedBytes -= sizeBytes
    if (!this.#mustDrain || this.queuedBytes > 0) return
    this.#mustDrain = false
    this.#scheduler.schedule(0, () => {
      if (!this.#isClosed) this.#onDrain?.()
    })
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#scheduler.schedule(0, () => this.#deliver())
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#send('end')
    this.#scheduler.schedule(0, () => this.close(undefined))
  }

  destroy(): void {
    this.close(undefined)
    const { peer } = this
    if (peer)
      this.#scheduler.schedule(this.#net.delayMs(), () => peer.close(diskError('ECONNRESET')))
  }

  close(error: Error | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#scheduler.schedule(0, () => this.#onClose?.(error))
  }
}
