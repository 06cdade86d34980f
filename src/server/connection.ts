import { AssertionError } from '../base/assert.ts'
import { LmqError } from '../base/errors.ts'
import type { ClusterLogin } from '../client/cluster-proof.ts'
import type { Socket } from '../io/io.ts'
import { apiVersions } from '../protocol/apis/18-api-versions.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { Reader } from '../protocol/reader.ts'
import { inRange } from '../protocol/versions.ts'
import { AnswerSender } from './answer-sender.ts'
import type { ServedApi } from './api-table.ts'
import type { ConnectionSurroundings } from './connection-surroundings.ts'
import { outcomeOf } from './error-mapping.ts'
import { describeOversize } from './foreign-bytes.ts'
import { FrameReader } from './frame-reader.ts'
import {
  type ClusterPort,
  type ConnectionFacts,
  EncodedBody,
  type HandlerContext,
} from './handler.ts'
import { bodyOfForwarded, encodeAnswer } from './inner-request.ts'
import { plainAddress } from './peer-address.ts'
import { RequestHeaderReader } from './request-header.ts'
import { isProduce, RequestSlots, type Slot } from './request-slots.ts'

const FETCH = 1
const API_VERSIONS = 18
/** What a broker asks before it has shown that it is one. */
const loginApis: ReadonlySet<number> = new Set([17, API_VERSIONS, 36])

/**
 * Bytes of requests that are worked on for one connection; above it no further one starts. Enough to have the next
 * batches here while some are being written, and little enough that their memory comes back in time to be used again.
 */
const MAX_OUTSTANDING_BYTES = 4 * 1024 * 1024
/** From here on a frame's memory is worth using again. */
const LARGE_FRAME_BYTES = 64 * 1024

/**
 * One client connection: cuts frames, starts requests in order, sends answers in order.
 *
 * Requests of one connection do not overtake each other: a Produce starts behind other Produces that still wait for
 * their acknowledgement, any other request starts when all answers before it are ready (Kafka mutes the channel from
 * receipt to response; overlapping Produces differ from that only in speed, as their appends happen in order).
 * A request that cannot start stays in the reader, and the socket is not read beyond the chunk behind it.
 */
export class Connection implements ConnectionFacts {
  readonly id: number
  readonly listenerName: string
  readonly remoteAddress: string
  readonly remotePort: number
  clientSoftware?: { readonly name: string; readonly version: string }
  principal = 'User:ANONYMOUS'
  brokerId: number | undefined
  login: ClusterLogin | undefined
  readonly #socket: Socket
  readonly #around: ConnectionSurroundings
  readonly #frames: FrameReader
  readonly #headers = new RequestHeaderReader()
  readonly #slots = new RequestSlots()
  readonly #sender: AnswerSender
  #advancing = false
  #paused = false
  #finishing = false
  /** Nothing is read or answered any more; the socket may still be sending what is queued. */
  #closed = false
  #ended = false
  #gone = false
  /** Bytes counted in the request budget: requests in work, and a frame that is being gathered. */
  #grantedBytes = 0
  #gatheringBytes = 0
  #requestsSeen = 0
  readonly #endListeners = new Set<() => void>()
  #onNext: (() => void) | undefined
  /** On the monotonic clock: last time bytes came or left. */
  lastActiveMs: number

  constructor(id: number, listenerName: string, socket: Socket, around: ConnectionSurroundings) {
    this.id = id
    this.listenerName = listenerName
    this.remoteAddress = plainAddress(socket.remoteAddress)
    this.remotePort = socket.remotePort
    this.#socket = socket
    this.#around = around
    this.#sender = new AnswerSender(socket, around, () => this.#sent())
    this.#frames = new FrameReader(around.maxFrameBytes, around.services.io.memory)
    this.lastActiveMs = around.services.io.monotonic.nowMs()
    socket.onClose((error) => this.#forget(error))
  }

  /** Begins to read. */
  start(): void {
    if (this.#closed) return
    const reader = {
      target: () => (this.#closed ? undefined : this.#frames.target()),
      read: (chunk: Buffer, inTarget: boolean) => this.#receive(chunk, true, inTarget),
    }
    if (!this.#socket.readInto?.(reader)) {
      this.#socket.onData((chunk) => this.#receive(chunk, false, false))
    }
    this.#socket.onDrain(() => this.#drained())
  }

  get closed(): boolean {
    return this.#closed || this.#finishing
  }

  /** True from the moment on at which only the end of the socket is awaited. */
  get ending(): boolean {
    return this.#ended
  }

  /** Requests that have no answer yet. */
  get outstanding(): number {
    return this.#slots.count
  }

  /** True while the peer holds memory that others may be waiting for without making progress itself. */
  get holdsMemory(): boolean {
    return this.#gatheringBytes > 0 || this.#sender.holdsMemory
  }

  /** It is the answers that hold memory: the peer has to take them. */
  get holdsAnswers(): boolean {
    return this.#sender.holdsMemory
  }

  /** Looks whether the peer took some of what is queued for it since the last look. */
  noteProgress(nowMs: number): void {
    if (this.#sender.hasProgressed()) this.lastActiveMs = nowMs
  }

  /** The peer has proved to be that broker of this cluster. */
  authenticate(brokerId: number): void {
    this.login = undefined
    this.brokerId = brokerId
    this.principal = `Broker:${brokerId}`
  }

  onEnd(listener: () => void): void {
    this.#endListeners.add(listener)
  }

  offEnd(listener: () => void): void {
    this.#endListeners.delete(listener)
  }

  onNext(listener: (() => void) | undefined): void {
    this.#onNext = listener
  }

  /** Starts no further request; ends the connection when the answers in work have been sent. */
  finish(): void {
    if (this.#finishing || this.#closed) return
    this.#finishing = true
    this.#pause()
    this.#tellEnd()
    this.#endWhenDone()
  }

  /** Drops the connection now. */
  destroy(): void {
    if (this.#gone) return
    this.#socket.destroy()
    this.#forget(undefined)
  }

  /**
   * @param isBorrowed the chunk's memory is used again when this returns
   * @param inTarget the bytes are where the frame that is being gathered wants them
   */
  #receive(chunk: Buffer, isBorrowed: boolean, inTarget: boolean): void {
    if (this.#closed) return
    this.lastActiveMs = this.#around.services.io.monotonic.nowMs()
    this.#around.metrics.bytesReceived += chunk.length
    if (this.#finishing) return
    if (inTarget) this.#frames.filled(chunk.length)
    else this.#frames.feed(chunk, isBorrowed)
    this.#advance()
    this.#frames.settle()
  }

  /** Starts every request that is complete and allowed to start. */
  readonly #advance = (): void => {
    if (this.#advancing) return
    this.#advancing = true
    while (!this.#closed && !this.#finishing && this.#step());
    this.#advancing = false
    if (this.#closed || this.#finishing) return
    if (this.#frames.hasUnread) this.#pause()
    else if (this.#paused) this.#resume()
  }

  /** @returns whether another step may be possible */
  #step(): boolean {
    const frames = this.#frames
    switch (frames.next()) {
      case 'more':
        return false
      case 'memory':
        return this.#grantMemory()
      case 'negative':
        this.#refuseStream(`frame size ${frames.frameBytes} is negative`)
        return false
      case 'too-large':
        this.#refuseStream(describeOversize(frames.frameBytes, this.#around.maxFrameBytes))
        return false
      case 'frame': {
        const { start, end } = frames
        const buffer = frames.buffer as Buffer
        const key = end - start >= 2 ? buffer.readInt16BE(start) : -1
        if (!this.#mayStart(key)) {
          if (this.#onNext) this.#around.services.io.timers.endOfTurn(this.#onNext)
          return false
        }
        this.#begin(buffer, start, end, key)
        return true
      }
    }
  }

  #grantMemory(): boolean {
    const { requestMemory } = this.#around
    const sizeBytes = this.#frames.frameBytes
    if (!requestMemory.tryTake(sizeBytes)) {
      requestMemory.wait(this.#advance)
      return false
    }
    this.#gatheringBytes = sizeBytes
    this.#grantedBytes += sizeBytes
    this.#frames.allocate()
    return true
  }

  #mayStart(key: number): boolean {
    const slots = this.#slots
    if (!slots.admits(key)) return false
    const workedOnBytes = this.#grantedBytes - this.#gatheringBytes
    if (slots.count > 0 && workedOnBytes > MAX_OUTSTANDING_BYTES) return false
    const { requestMemory, answerMemory } = this.#around
    if (this.#sender.isCongested || this.#isHeld(key)) return false
    // A gathered frame is counted already; one within a chunk is about to be.
    if (this.#gatheringBytes === 0 && requestMemory.exhausted && this.#grantedBytes > 0) {
      requestMemory.wait(this.#advance)
      return false
    }
    // Fetch is the one whose answers are large; what is waited for is that other readers read.
    if (key === FETCH && answerMemory.exhausted && this.#sender.isClear) {
      answerMemory.wait(this.#advance)
      return false
    }
    return true
  }

  /** Clients wait while this broker does not know whether others took its place; brokers find out from one another. */
  #isHeld(key: number): boolean {
    const wakefulness = this.#around.services.cluster?.wakefulness
    if (wakefulness === undefined || this.brokerId !== undefined || loginApis.has(key)) return false
    if (wakefulness.mayServe(this.lastActiveMs)) return false
    wakefulness.wait(this.#advance)
    return true
  }

  /** Reads header and body of one frame and starts its handler. */
  #begin(buffer: Buffer, start: number, end: number, key: number): void {
    const sizeBytes = end - start
    if (this.#gatheringBytes > 0) {
      this.#gatheringBytes = 0
    } else {
      this.#around.requestMemory.take(sizeBytes)
      this.#grantedBytes += sizeBytes
    }
    this.#requestsSeen++
    const { isBorrowed, isGathered } = this.#frames
    this.#frames.consume()
    const served = this.#around.table.get(key)
    const version = sizeBytes >= 4 ? buffer.readInt16BE(start + 2) : -1
    if (served === undefined) {
      this.#refuseStream(`API key ${key} is not served`)
    } else if (inRange(served.versions, version)) {
      // What the request refers to must outlive this call.
      if (isBorrowed && served.holdsViews) this.#startCopied(buffer, start, end, served, version)
      else {
        const memory = isGathered ? buffer : undefined
        this.#startRequest(buffer, start, end, served, version, memory)
      }
    } else if (key === API_VERSIONS) {
      this.#answerUnknownApiVersions(buffer, start, end, served)
    } else {
      this.#refuseStream(`${served.api.name} version ${version} is not served`)
    }
  }

  #startCopied(
    buffer: Buffer,
    start: number,
    end: number,
    served: ServedApi,
    version: number,
  ): void {
    const sizeBytes = end - start
    const isLarge = sizeBytes >= LARGE_FRAME_BYTES
    const copy = isLarge
      ? this.#around.services.io.memory.take(sizeBytes)
      : Buffer.allocUnsafe(sizeBytes)
    buffer.copy(copy, 0, start, end)
    this.#startRequest(copy, 0, sizeBytes, served, version, isLarge ? copy : undefined)
  }

  /** @param memory the frame's own memory, which may be used again when nobody refers to it any more */
  #startRequest(
    buffer: Buffer,
    start: number,
    end: number,
    served: ServedApi,
    version: number,
    memory: Buffer | undefined,
  ): void {
    try {
      const flexible = inRange(served.api.flexible, version)
      const header = this.#headers.read(buffer, start, end, flexible)
      const request = served.api.request.read(new Reader(buffer, header.bodyStart, end), version)
      const slot = this.#openSlot(served, header.correlationId, version, end - start, memory)
      const { services } = this.#around
      const context = {
        apiVersion: version,
        clientId: header.clientId,
        connection: this,
        services,
      }
      if (served.forwards && services.cluster?.forwards === true) {
        this.#forward(slot, Buffer.from(buffer.subarray(start, end)), request, context)
      } else this.#serve(slot, request, context)
    } catch (error) {
      if (!(error instanceof LmqError) || error.code !== 'LMQ_PROTOCOL') throw error
      this.#refuseStream(`${served.api.name} version ${version} is unreadable: ${error.message}`)
    }
  }

  #openSlot(
    served: ServedApi,
    correlationId: number,
    version: number,
    requestBytes: number,
    memory: Buffer | undefined,
  ): Slot {
    const slot: Slot = {
      served,
      correlationId,
      version,
      requestBytes,
      memory,
      startedMs: this.#around.services.io.monotonic.nowMs(),
      answered: false,
      chunks: undefined,
    }
    this.#slots.add(slot)
    served.metrics.requests++
    served.metrics.requestBytes += requestBytes
    return slot
  }

  #serve(slot: Slot, request: unknown, context: HandlerContext): void {
    const { handler } = slot.served
    // Request and answer types belong to the handler that stands in the table under this key.
    const message = request as never
    if (slot.served.interBroker && this.brokerId === undefined) {
      const code = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
      this.#reply(slot, handler.refuse(message, code, context))
      return
    }
    try {
      if (handler.start !== undefined) {
        handler.start(message, context, (answer, frameIsFree) =>
          this.#reply(slot, answer, frameIsFree),
        )
        return
      }
      const answer = handler.serve?.(message, context)
      if (answer instanceof Promise) {
        answer.then(
          (ready: object) => this.#reply(slot, ready),
          (error: unknown) => this.#fail(slot, message, context, error),
        )
      } else {
        this.#reply(slot, answer as object)
      }
    } catch (error) {
      this.#fail(slot, message, context, error)
    }
  }

  /** What only the controller decides is served there, and answered here. */
  #forward(slot: Slot, frame: Buffer, request: unknown, context: HandlerContext): void {
    const answering = (context.services.cluster as ClusterPort).forward(frame, this)
    answering.then(
      (answer) => {
        const isFlexible = inRange(slot.served.api.flexible, slot.version)
        this.#reply(slot, new EncodedBody(bodyOfForwarded(answer, isFlexible)))
      },
      (error: unknown) => this.#fail(slot, request as never, context, error),
    )
  }

  #fail(slot: Slot, request: never, context: HandlerContext, error: unknown): void {
    if (error instanceof AssertionError) throw error
    slot.served.metrics.failures++
    const outcome = outcomeOf(error)
    const facts = {
      api: slot.served.api.name,
      version: slot.version,
      connection: this.id,
      clientId: context.clientId,
    }
    if (outcome === undefined) {
      this.#around.logger.error(
        { ...facts, error },
        'a request failed because of a bug in the broker: please report it with this line',
      )
    } else {
      this.#around.logger.warn({ ...facts, error }, 'a request could not be served')
    }
    const code: ErrorCode = outcome ?? ErrorCode.UNKNOWN_SERVER_ERROR
    this.#reply(slot, slot.served.handler.refuse(request, code, context))
  }

  #reply(slot: Slot, answer: object | undefined | 'close', frameIsFree = false): void {
    if (slot.answered) return
    slot.answered = true
    if (frameIsFree && slot.memory !== undefined) {
      this.#around.services.io.memory.giveBack(slot.memory)
    }
    if (this.#closed) {
      if (isProduce(slot)) this.#around.requestMemory.give(slot.requestBytes)
      return
    }
    if (answer === 'close') {
      this.#close('an acks=0 request failed')
      return
    }
    if (answer !== undefined) {
      try {
        slot.chunks = encodeAnswer(slot.served, slot.version, slot.correlationId, answer)
      } catch (error) {
        this.#failToEncode(slot, error)
        return
      }
    }
    slot.served.metrics.observe(this.#around.services.io.monotonic.nowMs() - slot.startedMs)
    if (this.#slots.isOldest(slot)) this.#releaseAnswers()
  }

  /** An answer that has no place in its version is a bug of its handler; without it the stream cannot go on. */
  #failToEncode(slot: Slot, error: unknown): void {
    slot.served.metrics.failures++
    this.#around.logger.error(
      { api: slot.served.api.name, version: slot.version, connection: this.id, error },
      'an answer could not be encoded because of a bug in the broker: please report this line',
    )
    this.#close('an answer could not be encoded')
  }

  /** Moves the answers that are ready, in order, to what leaves at the end of this turn. */
  #releaseAnswers(): void {
    const slots = this.#slots
    for (let slot = slots.takeAnswered(); slot; slot = slots.takeAnswered()) {
      this.#grantedBytes -= slot.requestBytes
      this.#around.requestMemory.give(slot.requestBytes)
      if (slot.chunks !== undefined) this.#sender.add(slot.chunks)
    }
    if (this.#finishing) this.#endWhenDone()
    else this.#advance()
  }

  #sent(): void {
    this.lastActiveMs = this.#around.services.io.monotonic.nowMs()
    if (this.#finishing) this.#endWhenDone()
  }

  #drained(): void {
    if (this.#closed) return
    this.lastActiveMs = this.#around.services.io.monotonic.nowMs()
    this.#sender.drained()
    this.#advance()
  }

  #endWhenDone(): void {
    if (this.#closed || this.#slots.count > 0 || !this.#sender.isIdle) return
    this.#end()
  }

  /** Sends what is queued and ends; goes on reading, and dropping, so that the peer's end is noticed. */
  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#socket.end()
    this.#resume()
  }

  #answerUnknownApiVersions(buffer: Buffer, start: number, end: number, served: ServedApi): void {
    // The body is of an unknown version and stays unread; the answer is in v0, which every client reads.
    if (end - start < 8) {
      this.#refuseStream('header ends early')
      return
    }
    const slot = this.#openSlot(served, buffer.readInt32BE(start + 4), 0, end - start, undefined)
    const { min, max } = served.versions
    this.#reply(slot, {
      errorCode: ErrorCode.UNSUPPORTED_VERSION,
      apiKeys: [{ apiKey: apiVersions.key, minVersion: min, maxVersion: max }],
    })
  }

  #refuseStream(reason: string): void {
    if (this.#closed) return
    this.#around.metrics.protocolErrors++
    this.#around.onProtocolError(this, reason, this.#requestsSeen <= 1)
    this.#close(reason)
  }

  /** Sends the answers that are ready, then closes: what was asked before the bad request was served. */
  #close(reason: string): void {
    if (this.#closed) return
    this.#around.logger.debug({ connection: this.id, reason }, 'closing a connection')
    this.#sender.flush()
    this.#release()
    this.#end()
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#socket.pause()
  }

  #resume(): void {
    this.#paused = false
    this.#socket.resume()
  }

  #tellEnd(): void {
    const listeners = [...this.#endListeners]
    this.#endListeners.clear()
    for (const listener of listeners) listener()
  }

  /**
   * Gives back everything that is shared. Answers that come later are dropped; a Produce stays counted until then: its
   * batches may be waiting for the disk.
   */
  #release(): void {
    if (this.#closed) return
    this.#closed = true
    const { requestMemory, answerMemory } = this.#around
    requestMemory.stopWaiting(this.#advance)
    answerMemory.stopWaiting(this.#advance)
    this.#around.services.cluster?.wakefulness.stopWaiting(this.#advance)
    this.#grantedBytes -= this.#slots.abandon()
    requestMemory.give(this.#grantedBytes)
    this.#grantedBytes = 0
    this.#gatheringBytes = 0
    this.#sender.stop()
    this.#tellEnd()
  }

  #forget(error: Error | undefined): void {
    if (this.#gone) return
    this.#gone = true
    this.#release()
    if (error) this.#around.logger.debug({ connection: this.id, error }, 'a connection broke')
    this.#around.onClosed(this)
  }
}
