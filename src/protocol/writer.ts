/**
 * Writes Kafka's primitive types into a list of chunks. Growing adds a chunk and copies nothing; record data joins
 * the list as it is, so it goes from the log's memory to the socket without a copy. A writer is used once, within
 * one turn of the event loop.
 */
import { assert } from '../base/assert.ts'
import type { UnknownTag } from './reader.ts'
import { utf8Write } from './utf8.ts'
import type { Uuid } from './uuid.ts'

const TWO_32 = 4294967296
const SLAB_BYTES = 64 * 1024
/** Below this much free room a slab is given up: most answers then fit one chunk. */
const SLAB_ROOM_BYTES = 512

/** Memory for small answers, shared by consecutive writers. */
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
let slabUsed = 0
let slabClaimed = false

/** What `records` fields are encoded from: one buffer, or several that follow each other on the wire. */
export type Chunked = Buffer | readonly Buffer[]

export class Writer {
  #buffer: Buffer
  #position: number
  #chunkStart: number
  #ownsSlab: boolean
  readonly #chunks: Buffer[] = []
  /** Bytes in closed chunks. */
  #closedBytes = 0

  constructor() {
    if (slabClaimed) {
      this.#ownsSlab = false
      this.#buffer = Buffer.allocUnsafe(256)
      this.#position = 0
    } else {
      if (SLAB_BYTES - slabUsed < SLAB_ROOM_BYTES) {
        slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
        slabUsed = 0
      }
      this.#ownsSlab = true
      slabClaimed = true
      this.#buffer = slab
      this.#position = slabUsed
    }
    this.#chunkStart = this.#position
  }

  /** Bytes written so far. */
  get sizeBytes(): number {
    return this.#closedBytes + this.#position - this.#chunkStart
  }

  /** The written bytes in order. The writer must not be used any more. */
  finish(): Buffer[] {
    this.#closeChunk()
    this.release()
    return this.#chunks
  }

  /** The written bytes as one buffer, copied only if there are several chunks. */
  toBuffer(): Buffer {
    const chunks = this.finish()
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
  }

  /**
   * Ends a frame whose first four bytes were left open by `int32(0)`: puts the size of what follows there.
   *
   * @returns the chunks to send
   */
  finishFrame(): Buffer[] {
    const chunks = this.finish()
    const first = chunks[0]
    assert(first && first.length >= 4, 'a frame begins with its size')
    let size = -4
    for (const chunk of chunks) size += chunk.length
    first.writeInt32BE(size, 0)
    return chunks
  }

  /** Gives the shared memory back. Called by `finish`; call it when an encoding is given up after an error. */
  release(): void {
    if (!this.#ownsSlab) return
    this.#ownsSlab = false
    if (this.#buffer === slab) slabUsed = this.#position
    slabClaimed = false
  }

  #closeChunk(): void {
    if (this.#position > this.#chunkStart) {
      this.#chunks.push(this.#buffer.subarray(this.#chunkStart, this.#position))
      this.#closedBytes += this.#position - this.#chunkStart
      this.#chunkStart = this.#position
    }
  }

  #grow(size: number): void {
    this.#closeChunk()
    if (this.#ownsSlab && this.#buffer === slab) slabUsed = this.#position
    this.#buffer = Buffer.allocUnsafeSlow(
      Math.max(4096, size, Math.min(this.#closedBytes, 1 << 20)),
    )
    this.#position = 0
    this.#chunkStart = 0
  }

  #claim(size: number): number {
    if (this.#buffer.length - this.#position < size) this.#grow(size)
    const at = this.#position
    this.#position = at + size
    return at
  }

  bool(value: boolean): void {
    const at = this.#claim(1)
    this.#buffer[at] = value ? 1 : 0
  }

  int8(value: number): void {
    const at = this.#claim(1)
    this.#buffer[at] = value
  }

  int16(value: number): void {
    const at = this.#claim(2)
    const b = this.#buffer
    b[at] = value >>> 8
    b[at + 1] = value
  }

  uint16(value: number): void {
    this.int16(value)
  }

  int32(value: number): void {
    const at = this.#claim(4)
    const b = this.#buffer
    b[at] = value >>> 24
    b[at + 1] = value >>> 16
    b[at + 2] = value >>> 8
    b[at + 3] = value
  }

  uint32(value: number): void {
    this.int32(value | 0)
  }

  /** @param value a whole number within +-(2^53 - 1) */
  int64(value: number): void {
    const high = Math.floor(value / TWO_32)
    this.int32(high)
    this.int32((value - high * TWO_32) | 0)
  }

  float64(value: number): void {
    const at = this.#claim(8)
    this.#buffer.writeDoubleBE(value, at)
  }

  uuid(value: Uuid): void {
    const at = this.#claim(16)
    const written = this.#buffer.write(value, at, 16, 'base64url')
    assert(written === 16, 'a uuid has 22 characters')
  }

  uvarint(value: number): void {
    let rest = value >>> 0
    while (rest > 0x7f) {
      this.int8((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    this.int8(rest)
  }

  string(text: string): void {
    const size = Buffer.byteLength(text)
    assert(size <= 0x7fff, 'a string has at most 32767 bytes')
    this.int16(size)
    this.#text(text, size)
  }

  nullableString(text: string | null): void {
    if (text === null) this.int16(-1)
    else this.string(text)
  }

  compactString(text: string): void {
    const size = Buffer.byteLength(text)
    assert(size <= 0x7fff, 'a string has at most 32767 bytes')
    this.uvarint(size + 1)
    this.#text(text, size)
  }

  compactNullableString(text: string | null): void {
    if (text === null) this.uvarint(0)
    else this.compactString(text)
  }

  #text(text: string, size: number): void {
    const at = this.#claim(size)
    if (size === text.length && size < 24) {
      const b = this.#buffer
      for (let i = 0; i < size; i++) b[at + i] = text.charCodeAt(i)
    } else {
      utf8Write(this.#buffer, text, at, size)
    }
  }

  bytes(value: Chunked): void {
    this.int32(chunkedSize(value))
    this.chunk(value)
  }

  nullableBytes(value: Chunked | null): void {
    if (value === null) this.int32(-1)
    else this.bytes(value)
  }

  compactBytes(value: Chunked): void {
    this.uvarint(chunkedSize(value) + 1)
    this.chunk(value)
  }

  compactNullableBytes(value: Chunked | null): void {
    if (value === null) this.uvarint(0)
    else this.compactBytes(value)
  }

  /** Appends bytes as they are. Small ones are copied, larger ones join the list of chunks. */
  chunk(value: Chunked): void {
    if (Buffer.isBuffer(value)) this.#chunkOne(value)
    else for (const part of value) this.#chunkOne(part)
  }

  #chunkOne(part: Buffer): void {
    if (part.length <= 512) {
      const at = this.#claim(part.length)
      part.copy(this.#buffer, at)
      return
    }
    this.#closeChunk()
    this.#chunks.push(part)
    this.#closedBytes += part.length
  }

  /** One tagged field: its number, its size, its bytes. */
  tagged(tag: number, content: Writer): void {
    const bytes = content.toBuffer()
    this.uvarint(tag)
    this.uvarint(bytes.length)
    this.chunk(bytes)
  }

  unknownTags(tags: readonly UnknownTag[]): void {
    for (const { tag, bytes } of tags) {
      this.uvarint(tag)
      this.uvarint(bytes.length)
      this.chunk(bytes)
    }
  }
}

function chunkedSize(value: Chunked): number {
  if (Buffer.isBuffer(value)) return value.length
  let size = 0
  for (const part of value) size += part.length
  return size
}
