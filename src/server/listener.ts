import type { Server, Socket, Timer } from '../io/io.ts'
import { ListenerMetrics } from '../metrics/request-metrics.ts'
import type { ApiTable } from './api-table.ts'
import { Connection } from './connection.ts'
import type { ConnectionLimits } from './connection-limits.ts'
import type { ConnectionSurroundings } from './connection-surroundings.ts'
import type { Services } from './handler.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { Outbox } from './outbox.ts'
import { plainAddress } from './peer-address.ts'
import { RateLimitedLog } from './rate-limited-log.ts'

/** A connection that is ending has this long to take what is queued for it. */
const ENDING_MS = 5_000
/** While others wait for memory, a connection that holds some for a request must make progress within this time, */
const STALLED_MS = 15_000
/** and one that has answers to read must take some of them within this. */
const UNREAD_MS = 4_000
const MAX_SWEEP_MS = 1_000
const WAIT = { verdict: 'wait' } as const

export type ListenerOptions = {
  /** As in `listeners`: PLAINTEXT, INTERNAL ... */
  readonly name: string
  /** undefined = all interfaces */
  readonly host: string | undefined
  /** 0 = any free port */
  readonly port: number
}

/** What all listeners of a broker share. */
export type ListenerSurroundings = {
  readonly table: ApiTable
  readonly services: Services
  readonly outbox: Outbox
  readonly requestMemory: MemoryBudget
  readonly answerMemory: MemoryBudget
  readonly limits: ConnectionLimits
  /** Gives connections their numbers. */
  nextConnectionId(): number
}

/**
 * One listening port and its connections. Owns their limits, their idle time-out and their end; what they say is the
 * connections' business.
 */
export class Listener {
  readonly name: string
  readonly metrics: ListenerMetrics
  readonly #around: ListenerSurroundings
  readonly #connections = new Set<Connection>()
  readonly #starting = new Set<Timer>()
  /** Accepted, but beyond `max.connections`: nothing of them is read until a slot is free. Oldest first. */
  readonly #waiting = new Set<Connection>()
  readonly #log: RateLimitedLog
  readonly #surroundings: ConnectionSurroundings
  #server: Server | undefined
  #sweep: Timer | undefined
  #serving = false
  #closing = false
  #allGone: (() => void) | undefined

  private constructor(name: string, around: ListenerSurroundings) {
    this.name = name
    this.#around = around
    this.metrics = new ListenerMetrics(name)
    const { services } = around
    const logger = services.logger.child({ listener: name })
    this.#log = new RateLimitedLog(logger, services.io.monotonic)
    this.#surroundings = {
      table: around.table,
      services,
      outbox: around.outbox,
      requestMemory: around.requestMemory,
      answerMemory: around.answerMemory,
      metrics: this.metrics,
      logger,
      maxFrameBytes: services.config['socket.request.max.bytes'],
      onClosed: (connection) => this.#closed(connection),
      onProtocolError: (connection, reason, firstFrame) =>
        this.#log.warn(
          firstFrame ? 'first' : 'later',
          { remoteAddress: connection.remoteAddress, connection: connection.id, reason },
          'closed a connection that does not speak the Kafka protocol as served here: check what connects to this port',
        ),
    }
  }

  /**
   * Takes the port. Connections are accepted from now on and read after `serve`: the port is known, and surely ours,
   * before the rest of the broker has started.
   *
   * @throws LMQ_PORT_TAKEN, LMQ_LISTENER_INVALID
   */
  static async open(options: ListenerOptions, around: ListenerSurroundings): Promise<Listener> {
    const listener = new Listener(options.name, around)
    around.limits.add(listener)
    const { io, config } = around.services
    const { host, port } = options
    const backlog = Math.max(511, config['socket.listen.backlog.size'])
    listener.#server = await io.net.listen({ host, port, backlog }, (socket) =>
      listener.#accept(socket),
    )
    return listener
  }

  /** Begins to read connections, those that wait first. */
  serve(): void {
    this.#serving = true
    for (const connection of this.#connections) connection.start()
  }

  /** The port really bound. */
  get port(): number {
    return this.#server?.port ?? 0
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /**
   * Takes no new connections, lets requests in work be answered, then ends the connections.
   *
   * @param graceMs after this time the connections that are left are dropped
   */
  async close(graceMs: number): Promise<void> {
    this.#closing = true
    this.#sweep?.cancel()
    for (const timer of this.#starting) timer.cancel()
    this.#starting.clear()
    this.#around.limits.remove(this)
    for (const connection of [...this.#waiting]) connection.destroy()
    const freed = this.#server?.close()
    const { timers } = this.#around.services.io
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#allGone = resolve
        const drop = () => {
          for (const connection of [...this.#connections]) connection.destroy()
        }
        // Sockets that are not read keep no process alive.
        const grace = timers.schedule(graceMs, drop, true)
        for (const connection of [...this.#connections]) connection.finish()
        this.#allGone = () => {
          grace.cancel()
          resolve()
        }
        if (this.#connections.size === 0) this.#allGone()
      })
    }
    await freed
  }

  #accept(socket: Socket): void {
    if (this.#closing) {
      socket.destroy()
      return
    }
    const { services, limits } = this.#around
    const address = plainAddress(socket.remoteAddress)
    const admission = this.#waiting.size > 0 ? WAIT : limits.admit(this.name, address, this.#nowMs)
    if (admission.verdict === 'refuse') {
      this.#refuse(address, admission.limit)
      socket.destroy()
      return
    }
    if (admission.verdict === 'wait' && this.#waiting.size >= this.#mostWaiting) {
      this.#refuse(address, 'max.connections')
      socket.destroy()
      return
    }
    const connection = new Connection(
      this.#around.nextConnectionId(),
      this.name,
      socket,
      this.#surroundings,
    )
    this.#sweep ??= this.#scheduleSweep()
    if (admission.verdict === 'serve') {
      this.#take(connection, admission.delayMs)
      return
    }
    this.#waiting.add(connection)
    services.logger.debug({ listener: this.name, address }, 'a connection waits for a slot')
  }

  get #nowMs(): number {
    return this.#around.services.io.monotonic.nowMs()
  }

  /** As many as the system would have kept waiting. */
  get #mostWaiting(): number {
    return this.#around.services.config['socket.listen.backlog.size']
  }

  #refuse(address: string, limit: string): void {
    this.metrics.connectionsRefused++
    this.#log.warn(
      limit,
      { remoteAddress: address, limit },
      'refused a connection: raise the limit, or find out why so many connect',
    )
  }

  #take(connection: Connection, delayMs: number): void {
    this.#connections.add(connection)
    this.metrics.connectionsOpened++
    if (!this.#serving) return
    if (delayMs === 0) {
      connection.start()
      return
    }
    const timer = this.#around.services.io.timers.schedule(delayMs, () => {
      this.#starting.delete(timer)
      connection.start()
    })
    this.#starting.add(timer)
  }

  admitWaiting(): void {
    for (const connection of this.#waiting) {
      const { remoteAddress } = connection
      const admission = this.#around.limits.admit(this.name, remoteAddress, this.#nowMs)
      if (admission.verdict === 'wait') return
      this.#waiting.delete(connection)
      if (admission.verdict === 'serve') this.#take(connection, admission.delayMs)
      else {
        this.#refuse(remoteAddress, admission.limit)
        connection.destroy()
      }
    }
  }

  get quietestMs(): number | undefined {
    return this.#quietest?.lastActiveMs
  }

  endQuietest(): void {
    this.#quietest?.finish()
  }

  get #quietest(): Connection | undefined {
    let quietest: Connection | undefined
    for (const connection of this.#connections) {
      if (connection.closed) continue
      if (!quietest || connection.lastActiveMs < quietest.lastActiveMs) quietest = connection
    }
    return quietest
  }

  #closed(connection: Connection): void {
    this.#waiting.delete(connection)
    if (!this.#connections.delete(connection)) return
    this.metrics.connectionsClosed++
    this.#around.limits.release(this.name, connection.remoteAddress)
    if (this.#connections.size + this.#waiting.size > 0) return
    this.#sweep?.cancel()
    this.#sweep = undefined
    this.#allGone?.()
  }

  #scheduleSweep(): Timer {
    const { io, config } = this.#around.services
    const idleMs = config['connections.max.idle.ms']
    const everyMs = Math.max(
      50,
      idleMs < 0 ? MAX_SWEEP_MS : Math.min(MAX_SWEEP_MS, Math.ceil(idleMs / 2)),
    )
    return io.timers.schedule(everyMs, () => {
      this.#sweep = this.#scheduleSweep()
      this.#sweepConnections(io.monotonic.nowMs(), idleMs)
    })
  }

  #sweepConnections(nowMs: number, idleMs: number): void {
    const { requestMemory, answerMemory } = this.#around
    // The limit may have been raised.
    this.admitWaiting()
    const shortOfMemory = requestMemory.waiting + answerMemory.waiting > 0
    for (const connection of [...this.#connections]) {
      if (shortOfMemory && connection.holdsAnswers) connection.noteProgress(nowMs)
      const quietMs = nowMs - connection.lastActiveMs
      const stalledMs = connection.holdsAnswers ? UNREAD_MS : STALLED_MS
      if (connection.ending) {
        if (quietMs > ENDING_MS) connection.destroy()
      } else if (shortOfMemory && connection.holdsMemory && quietMs > stalledMs) {
        this.#log.warn(
          'stalled',
          { remoteAddress: connection.remoteAddress, connection: connection.id },
          'dropped a connection that made no progress while memory was short: its client hangs or the network does',
        )
        connection.destroy()
      } else if (idleMs >= 0 && quietMs > idleMs && connection.outstanding === 0) {
        connection.finish()
      }
    }
  }
}
