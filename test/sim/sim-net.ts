import { LmqError } from '../../src/base/errors.ts'
import type { ListenAddress, Net, Server, Socket } from '../../src/io/io.ts'
import { diskError } from './sim-disk.ts'
import type { SimRandom } from './sim-random.ts'
import type { SimScheduler } from './sim-scheduler.ts'

const highWaterBytes = 64 * 1024
/** A sender whose data nobody confirms gives up after this time. */
const GIVE_UP_MS = 15_000
const CONNECT_RETRY_MS = 250
const CONNECT_TIMEOUT_MS = 10_000

/** Runs a callback in a process: at once, later, or never, as that process lives. */
export type Gate = (task: () => void) => void

/** One direction between two hosts. */
type Link = {
  /** Nothing gets through; what is under way waits. */
  isCut: boolean
  /** Longest delay of one chunk; undefined: the network's. */
  latencyMs: number | undefined
}

type Item = Buffer | 'end' | 'reset'

type Listening = { readonly owner: SimNetPort; onConnection(socket: Socket): void }

const atOnce: Gate = (task) => task()

/**
 * Byte streams in memory, in order, with a random delay. One network for any number of hosts; each direction between two
 * of them may be slow or cut. Used as a `Net` itself, it is that of a host alone.
 */
export class SimNet implements Net {
  readonly #scheduler: SimScheduler
  readonly #random: SimRandom
  readonly #links = new Map<string, Link>()
  readonly #addresses = new Map<string, string>()
  readonly #own: SimNetPort
  readonly listeners = new Map<string, Listening>()
  readonly sockets = new Set<SimSocket>()
  /** Hosts without power. */
  readonly dark = new Set<string>()
  #nextPort = 20_000
  /** Longest delay of one chunk, one way. */
  latencyMs = 1

  constructor(scheduler: SimScheduler, random: SimRandom) {
    this.#scheduler = scheduler
    this.#random = random
    this.#own = this.attach('127.0.0.1', atOnce)
  }

  listen(address: ListenAddress, onConnection: (socket: Socket) => void): Promise<Server> {
    return this.#own.listen(address, onConnection)
  }

  connect(address: { host: string; port: number }, timeoutMs?: number): Promise<Socket> {
    return this.#own.connect(address, timeoutMs)
  }

  /** The network as one process on a host has it. */
  attach(host: string, gate: Gate): SimNetPort {
    if (!this.#addresses.has(host)) {
      const count = this.#addresses.size
      this.#addresses.set(host, count === 0 ? '127.0.0.1' : `10.0.0.${count}`)
    }
    return new SimNetPort(this, this.#scheduler, host, gate)
  }

  addressOf(host: string): string {
    return this.#addresses.get(host) ?? '127.0.0.1'
  }

  nextPort(): number {
    return this.#nextPort++
  }

  link(from: string, to: string): Link {
    const key = `${from} ${to}`
    let link = this.#links.get(key)
    if (!link) {
      link = { isCut: false, latencyMs: undefined }
      this.#links.set(key, link)
    }
    return link
  }

  isCut(from: string, to: string): boolean {
    return this.#links.get(`${from} ${to}`)?.isCut ?? false
  }

  cut(from: string, to: string): void {
    this.link(from, to).isCut = true
  }

  /** Everything gets through again, what waited first. */
  heal(): void {
    this.#links.clear()
    for (const socket of this.sockets) socket.goOn()
  }

  delayMs(from = '', to = ''): number {
    const latencyMs = this.#links.get(`${from} ${to}`)?.latencyMs ?? this.latencyMs
    return this.#random.int(latencyMs * 1_000) / 1_000
  }

  /** The host has power again: it knows nothing of its former connections. */
  light(host: string): void {
    this.dark.delete(host)
    for (const socket of [...this.sockets]) {
      if (socket.peerHost === host && socket.isLost) socket.refuse()
    }
  }
}

/** What one process has of the network, until it dies. */
export class SimNetPort implements Net {
  readonly host: string
  readonly gate: Gate
  readonly #net: SimNet
  readonly #scheduler: SimScheduler
  readonly sockets = new Set<SimSocket>()

  constructor(net: SimNet, scheduler: SimScheduler, host: string, gate: Gate) {
    this.#net = net
    this.#scheduler = scheduler
    this.host = host
    this.gate = gate
  }

  async listen(address: ListenAddress, onConnection: (socket: Socket) => void): Promise<Server> {
    const { listeners } = this.#net
    const port = address.port === 0 ? this.#net.nextPort() : address.port
    const key = `${this.host}:${port}`
    if (listeners.has(key)) throw new LmqError('LMQ_PORT_TAKEN', { port })
    const listening = { owner: this, onConnection }
    listeners.set(key, listening)
    return {
      port,
      host: address.host ?? '127.0.0.1',
      close: async () => {
        if (listeners.get(key) === listening) listeners.delete(key)
      },
    }
  }

  connect(address: { host: string; port: number }, timeoutMs = CONNECT_TIMEOUT_MS) {
    const net = this.#net
    const from = this.host
    const isLocal = address.host === '127.0.0.1' || address.host === 'localhost'
    const to = isLocal ? from : address.host
    const giveUpMs = this.#scheduler.monotonic.nowMs() + timeoutMs
    return new Promise<Socket>((resolve, reject) => {
      const attempt = () => {
        if (net.isCut(from, to) || net.isCut(to, from) || net.dark.has(to)) {
          const isLate = this.#scheduler.monotonic.nowMs() + CONNECT_RETRY_MS > giveUpMs
          if (isLate) this.gate(() => reject(diskError('ETIMEDOUT')))
          else this.#scheduler.schedule(CONNECT_RETRY_MS, attempt)
          return
        }
        const listening = net.listeners.get(`${to}:${address.port}`)
        if (!listening) {
          this.gate(() => reject(diskError('ECONNREFUSED')))
          return
        }
        const localPort = net.nextPort()
        const here = new SimSocket(net, this.#scheduler, this, to, localPort, address.port)
        const { owner } = listening
        const there = new SimSocket(net, this.#scheduler, owner, from, address.port, localPort)
        here.peer = there
        there.peer = here
        owner.gate(() => listening.onConnection(there))
        this.gate(() => resolve(here))
      }
      this.#scheduler.schedule(net.delayMs(from, to), attempt)
    })
  }

  /** The process dies. @param hasPower the system goes on and tells the other ends */
  end(hasPower: boolean): void {
    const { listeners } = this.#net
    for (const [key, { owner }] of [...listeners]) if (owner === this) listeners.delete(key)
    for (const socket of [...this.sockets]) socket.vanish(hasPower)
  }
}

export class SimSocket implements Socket {
  readonly remoteAddress: string
  readonly localPort: number
  readonly remotePort: number
  readonly peerHost: string
  peer: SimSocket | undefined
  queuedBytes = 0
  /** Something was sent to a host that has no power any more. */
  isLost = false
  readonly #net: SimNet
  readonly #scheduler: SimScheduler
  readonly #port: SimNetPort
  readonly #waiting: (Buffer | 'end')[] = []
  /** What waits for the link. */
  #held: Item[] = []
  #lastArrivalMs = 0
  #isPaused = false
  #mustDrain = false
  #isEnded = false
  #isClosed = false
  #givesUp = false
  #onData: ((chunk: Buffer) => void) | undefined
  #onDrain: (() => void) | undefined
  #onClose: ((error: Error | undefined) => void) | undefined

  constructor(
    net: SimNet,
    scheduler: SimScheduler,
    port: SimNetPort,
    peerHost: string,
    localPort: number,
    remotePort: number,
  ) {
    this.#net = net
    this.#scheduler = scheduler
    this.#port = port
    this.peerHost = peerHost
    this.remoteAddress = net.addressOf(peerHost)
    this.localPort = localPort
    this.remotePort = remotePort
    net.sockets.add(this)
    port.sockets.add(this)
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

  /** Chunks arrive in the order in which they were sent; those that cannot be sent now wait. */
  #send(item: Item): void {
    const { host } = this.#port
    if (this.#net.dark.has(this.peerHost)) {
      this.lose()
      return
    }
    if (this.#held.length > 0 || this.#net.isCut(host, this.peerHost)) {
      this.#held.push(item)
      this.#net.sockets.add(this)
      this.#giveUpLater()
      return
    }
    const nowMs = this.#scheduler.monotonic.nowMs()
    const delayMs = this.#net.delayMs(host, this.peerHost)
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, nowMs + delayMs)
    this.#scheduler.schedule(this.#lastArrivalMs - nowMs, () => this.peer?.receive(item))
  }

  /** Nobody is there to confirm what was sent. */
  lose(): void {
    this.isLost = true
    this.#giveUpLater()
  }

  /** The link is open again. */
  goOn(): void {
    const held = this.#held
    this.#held = []
    for (const item of held) this.#send(item)
    if (this.#isClosed && this.#held.length === 0) this.#net.sockets.delete(this)
  }

  #giveUpLater(): void {
    if (this.#givesUp) return
    this.#givesUp = true
    this.#scheduler.schedule(GIVE_UP_MS, () => {
      this.#givesUp = false
      if (this.#held.length > 0 || this.isLost) this.close(diskError('ETIMEDOUT'))
    })
  }

  /** The other host does not know this connection. */
  refuse(): void {
    this.#scheduler.schedule(this.#net.delayMs(this.peerHost, this.#port.host), () =>
      this.close(diskError('ECONNRESET')),
    )
  }

  receive(item: Item): void {
    if (this.#isClosed) {
      if (this.#net.dark.has(this.#port.host)) this.peer?.lose()
      else if (item !== 'reset') this.peer?.refuse()
      return
    }
    if (item === 'reset') {
      this.close(diskError('ECONNRESET'))
      return
    }
    this.#waiting.push(item)
    this.#port.gate(() => this.#deliver())
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
    this.#soon(() => {
      if (!this.#isClosed) this.#onDrain?.()
    })
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#soon(() => this.#deliver())
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#send('end')
    this.#soon(() => this.close(undefined))
  }

  destroy(): void {
    if (this.#isClosed) return
    this.close(undefined)
    this.#send('reset')
  }

  close(error: Error | undefined): void {
    if (this.#isClosed) return
    this.#forget()
    this.#soon(() => this.#onClose?.(error))
  }

  /** Its process is gone. */
  vanish(hasPower: boolean): void {
    if (this.#isClosed) return
    this.#forget()
    if (hasPower) this.#send('reset')
  }

  #forget(): void {
    this.#isClosed = true
    this.#net.sockets.delete(this)
    this.#port.sockets.delete(this)
  }

  #soon(task: () => void): void {
    this.#scheduler.schedule(0, () => this.#port.gate(task))
  }
}
