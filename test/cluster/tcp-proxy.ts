// A TCP proxy that does to bytes what networks do: delays them, lets few through, holds one direction or both, or resets.
// What is held comes later, in order, as after TCP's own repetitions. It knows who connects by the client id of the first
// Kafka request, so that one broker's way to another one can be cut and the others' left alone.
import { connect, createServer, type Server, type Socket } from 'node:net'

export type Fault = {
  /** Nothing passes from whoever connects. */
  readonly holdsRequests?: boolean
  /** Nothing passes back. */
  readonly holdsAnswers?: boolean
  /** Each chunk comes so much later, each way. */
  readonly delayMs?: number
  /** Each way of each connection. */
  readonly bytesPerSecond?: number
}

type Line = { readonly from: Socket; readonly to: Socket; clientId: string | undefined }

const PIECE_BYTES = 16 * 1024
/** Key, version, correlation id, and the length of the client id. */
const CLIENT_ID_AT = 4 + 2 + 2 + 4

export class TcpProxy {
  readonly #server: Server
  readonly #lines = new Set<Line>()
  readonly #waiting = new Set<() => void>()
  #faultOf: (clientId: string | undefined) => Fault = () => ({})

  private constructor(server: Server) {
    this.#server = server
  }

  static async open(targetPort: number): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    const proxy = new TcpProxy(server)
    server.on('connection', (from) => proxy.#take(from, targetPort))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** @param faultOf by the client id that a connection began with; undefined while it has said nothing */
  fault(faultOf: (clientId: string | undefined) => Fault): void {
    this.#faultOf = faultOf
    for (const look of [...this.#waiting]) look()
  }

  heal(): void {
    this.fault(() => ({}))
  }

  /** Ends all connections as a router that restarts does. */
  reset(): void {
    for (const { from, to } of this.#lines) {
      from.resetAndDestroy()
      to.resetAndDestroy()
    }
  }

  async close(): Promise<void> {
    for (const { from, to } of this.#lines) {
      from.destroy()
      to.destroy()
    }
    this.heal()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #take(from: Socket, targetPort: number): void {
    const to = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const line: Line = { from, to, clientId: undefined }
    this.#lines.add(line)
    const end = () => {
      this.#lines.delete(line)
      from.destroy()
      to.destroy()
      for (const look of [...this.#waiting]) look()
    }
    // Of the end of a connection the other side hears nothing while nothing passes.
    const endWhen = (holds: (fault: Fault) => boolean) => () =>
      void this.#until(() => !holds(this.#faultOf(line.clientId))).then(end)
    from
      .on('error', () => {})
      .on(
        'close',
        endWhen(({ holdsRequests }) => holdsRequests === true),
      )
    to.on('error', () => {}).on(
      'close',
      endWhen(({ holdsAnswers }) => holdsAnswers === true),
    )
    void this.#pass(line, from, to, ({ holdsRequests }) => holdsRequests === true)
    void this.#pass(line, to, from, ({ holdsAnswers }) => holdsAnswers === true)
  }

  async #pass(line: Line, from: Socket, to: Socket, holds: (fault: Fault) => boolean) {
    let due = Promise.resolve()
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        if (from === line.from) line.clientId ??= clientIdOf(chunk)
        const { delayMs = 0 } = this.#faultOf(line.clientId)
        const readyMs = performance.now() + delayMs
        due = due.then(() => this.#deliver(line, to, chunk, readyMs, holds))
        // A little may be under way; then the sender has to wait, as with a network.
        if (delayMs === 0) await due
      }
      await due
      to.end()
    } catch {
      // The connection is over: `end` closes the other side.
    }
  }

  async #deliver(
    line: Line,
    to: Socket,
    chunk: Buffer,
    readyMs: number,
    holds: (fault: Fault) => boolean,
  ): Promise<void> {
    const waitMs = readyMs - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      await this.#until(() => to.destroyed || !holds(this.#faultOf(line.clientId)))
      if (to.destroyed) return
      const piece = chunk.subarray(at, at + PIECE_BYTES)
      if (!to.write(piece))
        await new Promise<void>((resolve) => to.once('drain', resolve).once('close', resolve))
      const { bytesPerSecond } = this.#faultOf(line.clientId)
      if (bytesPerSecond === undefined) continue
      await new Promise((resolve) => setTimeout(resolve, (1_000 * piece.length) / bytesPerSecond))
    }
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#waiting.delete(look)
          resolve()
        }
        this.#waiting.add(look)
      })
    }
  }
}

/** Of a connection's first bytes; '' when they are no Kafka request with a client id. */
function clientIdOf(chunk: Buffer): string {
  if (chunk.length < CLIENT_ID_AT + 2) return ''
  const length = chunk.readInt16BE(CLIENT_ID_AT)
  if (length < 0 || chunk.length < CLIENT_ID_AT + 2 + length) return ''
  return chunk.toString('utf8', CLIENT_ID_AT + 2, CLIENT_ID_AT + 2 + length)
}
