/**
 * One connection to one broker: frames, correlation, versions, time-outs. It knows no topic and retries nothing; a
 * request that fails here fails with LMQ_CONNECTION_CLOSED, LMQ_REQUEST_TIMED_OUT or LMQ_PROTOCOL.
 */
import { LmqError } from '../base/errors.ts'
import type { Io, Socket, Timer } from '../io/io.ts'
import { saslHandshake } from '../protocol/apis/17-sasl-handshake.ts'
import { apiVersions } from '../protocol/apis/18-api-versions.ts'
import { saslAuthenticate } from '../protocol/apis/36-sasl-authenticate.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { requestHeader } from '../protocol/messages/request-header.ts'
import { responseHeader } from '../protocol/messages/response-header.ts'
import { Reader } from '../protocol/reader.ts'
import type { Api, Fields, InputsOf, ValuesOf } from '../protocol/schema.ts'
import { inRange, type VersionRange } from '../protocol/versions.ts'
import { Writer } from '../protocol/writer.ts'
import { CLUSTER_MECHANISM, ClusterProver, NONCE_BYTES } from './cluster-proof.ts'
import { checkOutcome } from './outcome-error.ts'
import { ResponseFrames } from './response-frames.ts'

export type Address = { readonly host: string; readonly port: number }

export type ConnectionOptions = {
  readonly clientId: string
  readonly connectTimeoutMs: number
  /** How long an answer may take, beyond what the request itself asks the broker to wait. */
  readonly requestTimeoutMs: number
  /** Requests sent and not yet answered; further ones wait here. */
  readonly maxInFlight: number
  /**
   * Large answers come in memory of the `Io`: whoever is done with one gives its records back. Without it they are left
   * to the garbage collector.
   */
  readonly lendsMemory?: boolean
}

/** Who connects, when it is a broker of the same cluster. */
export type BrokerIdentity = {
  readonly brokerId: number
  /** Of the metadata log; base64. */
  readonly secret: string
  /** Who must be on the other side; undefined: any broker of the cluster. */
  readonly peerId?: number
}

export const defaultConnectionOptions: ConnectionOptions = {
  clientId: 'lmq',
  connectTimeoutMs: 5_000,
  requestTimeoutMs: 30_000,
  maxInFlight: 64,
}

export type RequestOptions = {
  /** No newer version than this. */
  readonly maxVersion?: number
  /** Instead of the connection's requestTimeoutMs. */
  readonly timeoutMs?: number
}

/** A message, or how it looks in the version that was agreed on: some fields have no place in some versions. */
export type Request<Q extends Fields> = InputsOf<Q> | ((version: number) => InputsOf<Q>)

const messageFor = <Q extends Fields>(request: Request<Q>, version: number): InputsOf<Q> =>
  typeof request === 'function' ? request(version) : request

type Waiting = {
  readonly decode: (reader: Reader) => unknown
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
  readonly api: string
  timer: Timer | undefined
}

type Queued = { readonly chunks: readonly Buffer[]; readonly correlationId: number }

export class Connection {
  readonly address: Address
  readonly #io: Io
  readonly #options: ConnectionOptions
  readonly #socket: Socket
  readonly #frames: ResponseFrames
  /** Sent or queued, not yet answered, by correlation id; in the order of sending. */
  readonly #waiting = new Map<number, Waiting>()
  /** Encoded requests above `maxInFlight`. */
  readonly #queued: Queued[] = []
  #inFlight = 0
  #nextCorrelationId = 0
  #served = new Map<number, VersionRange>()
  #closed: Error | undefined
  readonly #onClosed: ((isOwn: boolean) => void)[] = []
  #isClosing = false

  private constructor(io: Io, address: Address, socket: Socket, options: ConnectionOptions) {
    this.#io = io
    this.address = address
    this.#socket = socket
    this.#options = options
    const memory = options.lendsMemory ? io.memory : undefined
    this.#frames = new ResponseFrames((frame) => this.#receive(frame), memory)
    socket.onData((chunk) => this.#feed(chunk))
    socket.onClose((error) => this.#end(error))
  }

  /**
   * @param as proves that this is a broker of the cluster, and has the other side prove it
   * @throws LMQ_CONNECTION_CLOSED when the broker cannot be reached or does not speak Kafka; LMQ_PROTOCOL when the proof
   *   is refused, or the other side has none
   */
  static async open(
    io: Io,
    address: Address,
    options: ConnectionOptions,
    as: { readonly identity?: BrokerIdentity } = {},
  ): Promise<Connection> {
    const where = `${address.host}:${address.port}`
    let socket: Socket
    try {
      socket = await io.net.connect(address, options.connectTimeoutMs)
    } catch (error) {
      throw new LmqError('LMQ_CONNECTION_CLOSED', { address: where }, error)
    }
    const connection = new Connection(io, address, socket, options)
    try {
      await connection.#negotiate()
      if (as.identity) await connection.#prove(as.identity)
    } catch (error) {
      connection.close()
      throw error
    }
    return connection
  }

  get isClosed(): boolean {
    return this.#closed !== undefined
  }

  /**
   * `listener` is called once, when the connection is gone; at once when it is gone already. `isOwn`: by `close` here.
   */
  onClosed(listener: (isOwn: boolean) => void): void {
    if (this.#closed) listener(this.#isClosing)
    else this.#onClosed.push(listener)
  }

  /** What the broker serves of an API; undefined: nothing. */
  servedVersions(key: number): VersionRange | undefined {
    return this.#served.get(key)
  }

  /** The newest version that both sides know. @throws LMQ_PROTOCOL when there is none */
  versionOf(api: Api, maxVersion = api.versions.max): number {
    const served = this.#served.get(api.key)
    const version = Math.min(api.versions.max, maxVersion, served?.max ?? -1)
    if (!served || version < served.min || version < api.versions.min) {
      const range = served ? `${served.min}-${served.max}` : 'none'
      throw new LmqError('LMQ_PROTOCOL', { api: api.name, served: range, wanted: maxVersion })
    }
    return version
  }

  /** Sends a request and waits for its answer. */
  async request<Q extends Fields, S extends Fields>(
    api: Api<Q, S>,
    request: Request<Q>,
    options: RequestOptions = {},
  ): Promise<ValuesOf<S>> {
    const version = this.versionOf(api as unknown as Api, options.maxVersion)
    return this.#exchange(api, messageFor(request, version), version, options.timeoutMs)
  }

  /** Sends a request that has no answer (Produce with acks=0). */
  send<Q extends Fields, S extends Fields>(
    api: Api<Q, S>,
    request: Request<Q>,
    options: RequestOptions = {},
  ): void {
    if (this.#closed) throw this.#closed
    const version = this.versionOf(api as unknown as Api, options.maxVersion)
    const message = messageFor(request, version)
    this.#socket.write(this.#encode(api, message, version, this.#takeCorrelationId()))
  }

  /** Bytes that the system has not taken yet: a sender without answers watches this. */
  get queuedBytes(): number {
    return this.#socket.queuedBytes
  }

  close(): void {
    this.#isClosing = true
    this.#end(undefined)
    this.#socket.destroy()
  }

  #takeCorrelationId(): number {
    const id = this.#nextCorrelationId
    this.#nextCorrelationId = (id + 1) & 0x7fffffff
    return id
  }

  #encode<Q extends Fields, S extends Fields>(
    api: Api<Q, S>,
    message: InputsOf<Q>,
    version: number,
    correlationId: number,
  ): Buffer[] {
    const writer = new Writer()
    try {
      writer.int32(0)
      const header = {
        requestApiKey: api.key,
        requestApiVersion: version,
        correlationId,
        clientId: this.#options.clientId,
      }
      requestHeader.write(writer, header, inRange(api.flexible, version) ? 2 : 1)
      api.request.write(writer, message, version)
      return writer.finishFrame()
    } finally {
      writer.release()
    }
  }

  #exchange<Q extends Fields, S extends Fields>(
    api: Api<Q, S>,
    message: InputsOf<Q>,
    version: number,
    timeoutMs = this.#options.requestTimeoutMs,
    decodeBody?: (reader: Reader) => ValuesOf<S>,
  ): Promise<ValuesOf<S>> {
    if (this.#closed) return Promise.reject(this.#closed)
    const correlationId = this.#takeCorrelationId()
    const chunks = this.#encode(api, message, version, correlationId)
    const isFlexible = inRange(api.flexible, version) && api.key !== apiVersions.key
    const decode = (reader: Reader): ValuesOf<S> => {
      responseHeader.read(reader, isFlexible ? 1 : 0)
      return decodeBody ? decodeBody(reader) : api.response.read(reader, version)
    }
    return new Promise<ValuesOf<S>>((resolve, reject) => {
      const timer = this.#io.timers.schedule(timeoutMs, () => this.#timeOut(api.name, timeoutMs))
      const settle = resolve as (answer: unknown) => void
      this.#waiting.set(correlationId, { decode, resolve: settle, reject, api: api.name, timer })
      this.#queued.push({ chunks, correlationId })
      this.#sendQueued()
    })
  }

  #sendQueued(): void {
    while (this.#inFlight < this.#options.maxInFlight) {
      const next = this.#queued.shift()
      if (!next) return
      this.#inFlight++
      this.#socket.write(next.chunks)
    }
  }

  #feed(chunk: Buffer): void {
    try {
      this.#frames.feed(chunk)
    } catch (error) {
      this.#end(error as Error)
      this.#socket.destroy()
    }
  }

  #receive(frame: Buffer): void {
    const correlationId = frame.readInt32BE(0)
    const waiting = this.#waiting.get(correlationId)
    const [oldest] = this.#waiting.keys()
    if (!waiting || correlationId !== oldest) {
      throw new LmqError('LMQ_PROTOCOL', { reason: 'an answer that nobody waits for' })
    }
    this.#waiting.delete(correlationId)
    waiting.timer?.cancel()
    this.#inFlight--
    try {
      waiting.resolve(waiting.decode(new Reader(frame)))
    } catch (error) {
      waiting.reject(error as Error)
    }
    this.#sendQueued()
  }

  /** Answers come in order: when one is missing, the ones behind it cannot come either. */
  #timeOut(api: string, timeoutMs: number): void {
    const address = `${this.address.host}:${this.address.port}`
    this.#end(new LmqError('LMQ_REQUEST_TIMED_OUT', { address, api, timeoutMs }))
    this.#socket.destroy()
  }

  #end(cause: Error | undefined): void {
    if (this.#closed) return
    const address = `${this.address.host}:${this.address.port}`
    this.#closed =
      cause instanceof LmqError ? cause : new LmqError('LMQ_CONNECTION_CLOSED', { address }, cause)
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    this.#queued.length = 0
    for (const { timer, reject } of waiting) {
      timer?.cancel()
      reject(this.#closed)
    }
    for (const listener of this.#onClosed.splice(0)) listener(this.#isClosing)
  }

  /** Both sides show that they know the cluster's secret; then the other one tells what it serves brokers. */
  async #prove({ brokerId, secret, peerId }: BrokerIdentity): Promise<void> {
    const address = `${this.address.host}:${this.address.port}`
    const refused = (why: string) => new LmqError('LMQ_PROTOCOL', { address, brokerId, why })
    const nonce = this.#io.random.bytes(NONCE_BYTES)
    const prover = new ClusterProver(secret, brokerId, nonce, peerId)
    const handshake = await this.request(saslHandshake, { mechanism: CLUSTER_MECHANISM })
    if (handshake.errorCode !== ErrorCode.NONE) throw refused('it takes no broker of this cluster')
    const challenge = await this.request(saslAuthenticate, { authBytes: prover.hello() })
    const proof = prover.answer(challenge.authBytes)
    if (challenge.errorCode !== ErrorCode.NONE || !proof) throw refused('it is not of this cluster')
    const verdict = await this.request(saslAuthenticate, { authBytes: proof })
    if (verdict.errorCode !== ErrorCode.NONE) throw refused('it does not believe this broker')
    await this.#negotiate()
  }

  /**
   * Asks what the broker serves. A broker that does not know the version answers with a body of version 0 and error
   * 35; both forms begin with the error code.
   */
  async #negotiate(): Promise<void> {
    const software = { clientSoftwareName: 'lmq', clientSoftwareVersion: '0.1.0' }
    for (const version of [4, 3, 0]) {
      const answer = await this.#exchange(apiVersions, software, version, undefined, (reader) => {
        const isOld = reader.buffer.readInt16BE(reader.position) === ErrorCode.UNSUPPORTED_VERSION
        return apiVersions.response.read(reader, isOld ? 0 : version)
      })
      if (answer.errorCode === ErrorCode.UNSUPPORTED_VERSION && version > 0) continue
      checkOutcome(answer.errorCode, 'ApiVersions')
      for (const { apiKey, minVersion, maxVersion } of answer.apiKeys) {
        this.#served.set(apiKey, { min: minVersion, max: maxVersion })
      }
      return
    }
  }
}
