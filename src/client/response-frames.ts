import type { Memory } from '../io/io.ts'
import { protocolError } from '../protocol/protocol-error.ts'

/** A broker's answer may hold a whole fetch; above this something other than Kafka speaks. */
const maxFrameBytes = 512 * 1024 * 1024
/** Memory is taken in steps as bytes arrive, not on the word of a length field. */
const firstStepBytes = 16 * 1024 * 1024
/** From here on memory is worth using again. */
const lentBytes = 128 * 1024

/** Cuts what a broker sends into frames (int32 size, then that many bytes). Each frame is memory of its own. */
export class ResponseFrames {
  readonly #onFrame: (frame: Buffer) => void
  readonly #memory: Memory | undefined
  readonly #prefix = Buffer.alloc(4)
  #prefixBytes = 0
  #frame: Buffer | undefined
  #frameBytes = 0
  #size = 0

  /** @param memory where large frames shall be, for a receiver that gives them back */
  constructor(onFrame: (frame: Buffer) => void, memory?: Memory) {
    this.#onFrame = onFrame
    this.#memory = memory
  }

  /** @throws LMQ_PROTOCOL when a size is impossible; nothing more can be read then */
  feed(chunk: Buffer): void {
    let position = 0
    while (position < chunk.length) {
      const frame = this.#frame
      if (frame) position += this.#fill(frame, chunk, position)
      else position += this.#readPrefix(chunk, position)
    }
  }

  #readPrefix(chunk: Buffer, position: number): number {
    const taken = chunk.copy(this.#prefix, this.#prefixBytes, position)
    this.#prefixBytes += taken
    if (this.#prefixBytes < 4) return taken
    const size = this.#prefix.readInt32BE(0)
    if (size < 4 || size > maxFrameBytes) throw protocolError('impossible frame size', { size })
    this.#prefixBytes = 0
    this.#size = size
    const sizeBytes = Math.min(size, firstStepBytes)
    this.#frame =
      this.#memory && size >= lentBytes && size === sizeBytes
        ? this.#memory.take(sizeBytes)
        : Buffer.allocUnsafe(sizeBytes)
    this.#frameBytes = 0
    return taken
  }

  #fill(frame: Buffer, chunk: Buffer, position: number): number {
    const taken = chunk.copy(frame, this.#frameBytes, position)
    this.#frameBytes += taken
    if (this.#frameBytes === this.#size) {
      this.#frame = undefined
      this.#onFrame(frame)
    } else if (this.#frameBytes === frame.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#size, frame.length * 2))
      frame.copy(larger)
      this.#frame = larger
    }
    return taken
  }
}
