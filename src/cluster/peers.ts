/**
 * Connections to the other brokers, on their inter-broker listeners, authenticated as this broker. Knows where they are
 * from their registrations, and from the store's members for those that are not registered yet or came back elsewhere.
 */
import { LmqError } from '../base/errors.ts'
import {
  type Address,
  Connection,
  type ConnectionOptions,
  defaultConnectionOptions,
} from '../client/connection.ts'
import type { Io } from '../io/io.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { MetadataStore } from './metadata-store.ts'

export type PeersOptions = {
  readonly io: Io
  readonly brokerId: number
  readonly image: MetadataImage
  readonly store: Pick<MetadataStore, 'members'>
  /** The name of the listener over which brokers talk to one another. */
  readonly listenerName: string
  /** A connection to a broker broke; nobody here closed it. */
  readonly onBroken?: (brokerId: number) => void
}

/** Long enough for a busy peer on another host; a peer that is gone refuses at once. */
const CONNECT_TIMEOUT_MS = 1_500
const REQUEST_TIMEOUT_MS = 30_000

/** A connection that was taken and broken without a word: soon the port refuses, or somebody answers. */
const REDIAL_MS = 5
/** ApiVersions v0, which every broker answers to anybody: size, key 18, version, correlation id, no client id. */
const knockFrame = Buffer.from('0000000a0012000000000000ffff', 'hex')

/** What a dial says of a broker's process. */
export type DialOutcome = 'answers' | 'refused' | 'silent'

/** Whether nobody listens where a connection was asked for: the process is gone, its machine is not. */
export function isRefusal(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ((cause as { code?: unknown }).code === 'ECONNREFUSED') return true
  }
  return false
}

export class Peers {
  readonly #options: PeersOptions
  /** By broker and lane. */
  readonly #connections = new Map<string, Promise<Connection>>()
  readonly #open = new Set<Connection>()
  #closed = false

  constructor(options: PeersOptions) {
    this.#options = options
  }

  /**
   * The connection to a broker that all who use the same lane share. A broker serves the requests of one connection one
   * after the other: what must not wait for others takes a lane of its own.
   *
   * @throws LMQ_CONNECTION_CLOSED, LMQ_PROTOCOL when the other side is no broker of this cluster
   */
  async connection(brokerId: number, lane = 'calls'): Promise<Connection> {
    const key = `${brokerId}/${lane}`
    const known = this.#connections.get(key)
    if (known) {
      const connection = await known
      if (!connection.isClosed) return connection
      if (this.#connections.get(key) !== known) return this.connection(brokerId, lane)
    }
    const opening = this.open(brokerId)
    this.#connections.set(key, opening)
    const forget = () => {
      if (this.#connections.get(key) === opening) this.#connections.delete(key)
    }
    opening.then((connection) => connection.onClosed(forget), forget)
    return opening
  }

  /** A connection of the caller's own; it is closed with the peers at the latest. @throws as `connection` */
  async open(brokerId: number, options: Partial<ConnectionOptions> = {}): Promise<Connection> {
    const { io, image } = this.#options
    const all: ConnectionOptions = {
      ...defaultConnectionOptions,
      clientId: `broker-${this.#options.brokerId}`,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      ...options,
    }
    const identity = {
      brokerId: this.#options.brokerId,
      secret: image.clusterSecret,
      peerId: brokerId,
    }
    const connection = await this.#tryAddresses(brokerId, (address) => {
      if (this.#closed) throw new LmqError('LMQ_SHUTTING_DOWN', {})
      return Connection.open(io, address, all, { identity })
    })
    this.#open.add(connection)
    connection.onClosed((isOwn) => {
      this.#open.delete(connection)
      if (!isOwn && !this.#closed) this.#options.onBroken?.(brokerId)
    })
    if (this.#closed) connection.close()
    return connection
  }

  /**
   * Looks whether a broker's process is there. That the system takes a connection says nothing: it does so while a killed
   * process is being torn down, and for one that hangs. Only an answer counts. Of a process that is registered the store
   * is not asked: it may be slow, and knows only where a later one is.
   */
  async dial(brokerId: number, timeoutMs: number): Promise<DialOutcome> {
    const { io } = this.#options
    const endMs = io.monotonic.nowMs() + timeoutMs
    const address = this.#registered(brokerId) ?? (await this.#joined(brokerId))
    if (!address) return 'silent'
    for (;;) {
      const leftMs = Math.max(1, endMs - io.monotonic.nowMs())
      try {
        const outcome = await knock(io, address, leftMs)
        if (outcome !== 'closed') return outcome
      } catch (error) {
        return isRefusal(error) ? 'refused' : 'silent'
      }
      if (io.monotonic.nowMs() + REDIAL_MS >= endMs) return 'silent'
      await new Promise<void>((resolve) => io.timers.schedule(REDIAL_MS, resolve))
    }
  }

  close(): void {
    this.#closed = true
    for (const connection of this.#open) connection.close()
    this.#connections.clear()
  }

  /** The registered address first; where that fails, the one that the broker gave to the store, if it is another. */
  async #tryAddresses<Result>(
    brokerId: number,
    attempt: (address: Address) => Promise<Result>,
  ): Promise<Result> {
    const registered = this.#registered(brokerId)
    if (registered) {
      try {
        return await attempt(registered)
      } catch (error) {
        const joined = await this.#joined(brokerId)
        const isSame = joined?.host === registered.host && joined.port === registered.port
        if (!joined || isSame) throw error
        return attempt(joined)
      }
    }
    const joined = await this.#joined(brokerId)
    if (!joined) throw new LmqError('LMQ_CONNECTION_CLOSED', { brokerId, reason: 'not known' })
    return attempt(joined)
  }

  #registered(brokerId: number): Address | undefined {
    const broker = this.#options.image.brokers.get(brokerId)
    return broker?.listeners.find(({ name }) => name === this.#options.listenerName)
  }

  /** Undefined when the store does not know it or does not answer. */
  async #joined(brokerId: number): Promise<Address | undefined> {
    try {
      const members = await this.#options.store.members()
      const member = members.find((each) => each.brokerId === brokerId)
      if (!member) return undefined
      const colon = member.address.lastIndexOf(':')
      const host = member.address.slice(0, colon).replace(/^\[|\]$/g, '')
      return { host, port: Number(member.address.slice(colon + 1)) }
    } catch {
      return undefined
    }
  }
}

/** @throws Node's own error (ECONNREFUSED, ETIMEDOUT ...) */
async function knock(
  io: Pick<Io, 'net' | 'timers'>,
  address: Address,
  timeoutMs: number,
): Promise<'answers' | 'silent' | 'closed'> {
  const socket = await io.net.connect(address, timeoutMs)
  return new Promise((resolve) => {
    const timer = io.timers.schedule(timeoutMs, () => end('silent'))
    const end = (outcome: 'answers' | 'silent' | 'closed') => {
      timer.cancel()
      socket.destroy()
      resolve(outcome)
    }
    socket.onData(() => end('answers'))
    socket.onClose(() => end('closed'))
    socket.write([knockFrame])
  })
}
