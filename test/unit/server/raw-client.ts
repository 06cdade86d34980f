// A socket that sends bytes and gives back frames: what a client library would never do can be done with it.
import net from 'node:net'
import { Reader } from '../../../src/protocol/reader.ts'
import type { Api, RequestInput, ResponseOf } from '../../../src/protocol/schema.ts'
import { inRange } from '../../../src/protocol/versions.ts'
import { Writer } from '../../../src/protocol/writer.ts'

export class RawClient {
  readonly socket: net.Socket
  #received: Buffer = Buffer.alloc(0)
  readonly #frames: Buffer[] = []
  #waiting: (() => void)[] = []
  ended = false
  #correlationId = 0

  private constructor(socket: net.Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#take(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.ended = true
      this.#wake()
    })
  }

  static connect(port: number): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1' }, () => resolve(new RawClient(socket)))
      socket.once('error', reject)
    })
  }

  /** A whole frame with header. */
  static frame<A extends Api>(
    api: A,
    version: number,
    request: RequestInput<A>,
    { correlationId = 1, clientId = 'test' as string | null } = {},
  ): Buffer {
    const writer = new Writer()
    writer.int32(0)
    writer.int16(api.key)
    writer.int16(version)
    writer.int32(correlationId)
    writer.nullableString(clientId)
    if (inRange(api.flexible, version)) writer.uvarint(0)
    api.request.write(writer, request as never, version)
    return Buffer.concat(writer.finishFrame())
  }

  /** Asks and awaits the answer; only when nothing else is outstanding. */
  async ask<A extends Api>(
    api: A,
    version: number,
    request: RequestInput<A>,
    clientId = 'test',
  ): Promise<ResponseOf<A>> {
    const correlationId = ++this.#correlationId
    this.socket.write(RawClient.frame(api, version, request, { correlationId, clientId }))
    const frame = await this.next()
    if (frame.readInt32BE(0) !== correlationId) throw new Error('answers came in another order')
    return RawClient.body(api, version, frame)
  }

  static body<A extends Api>(api: A, version: number, frame: Buffer): ResponseOf<A> {
    const reader = new Reader(frame, 4)
    if (api.key !== 18 && inRange(api.flexible, version)) reader.uvarint()
    const answer = api.response.read(reader, version)
    if (reader.remaining !== 0) throw new Error(`${reader.remaining} bytes behind the answer`)
    return answer as ResponseOf<A>
  }

  /** The next frame without its size field. @throws when the connection ends first */
  async next(): Promise<Buffer> {
    while (this.#frames.length === 0) {
      if (this.ended) throw new Error('the connection ended')
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    return this.#frames.shift() as Buffer
  }

  get framesReady(): number {
    return this.#frames.length
  }

  async end(): Promise<void> {
    while (!this.ended) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  close(): void {
    this.socket.destroy()
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length ? Buffer.concat([this.#received, chunk]) : chunk
    while (this.#received.length >= 4) {
      const size = this.#received.readInt32BE(0)
      if (this.#received.length < 4 + size) break
      this.#frames.push(this.#received.subarray(4, 4 + size))
      this.#received = this.#received.subarray(4 + size)
    }
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
