/**
 * Writes Kafka's primitive types into a list of chunks. Growing adds a chunk and copies nothing; record data joins
 * the list as it is, so it goes from the log's memory to the socket without a copy. A writer is used once, within
 * one turn of the event loop. A value that its type cannot hold is LMQ_PROTOCOL, never a wrong byte.
 */
import { assert } from '../base/assert.ts'
import { protocolError } from './protocol-error.ts'
import type { UnknownTag } from './reader.ts'
import { utf8Write } from './utf8.ts'
import { type Uuid, uuidWrite } from './uuid.ts'

const TWO_32 = 4294967296
const SLAB_BYTES = 64 * 1024
/** Below this much free room a slab is given up: most answers then fit one chunk. */
const SLAB_ROOM_BYTES = 512
/** In bytes of UTF-8; also in the compact form, whose length field could say more. */
const MAX_STRING_BYTES = 0x7fff
/** Characters. */
const SHORT_TEXT = 40

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

  /** @param nested for a part of another message: leaves the shared memory alone */
  constructor(nested = false) {
    if (nested || slabClaimed) {
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

  /**
   * Claims the next `size` bytes for a caller that fills them itself, in `buffer` from the position returned.
   * `buffer` may change with every claim.
   */
  claim(size: number): number {
    if (this.#buffer.length - this.#position < size) this.#grow(size)
    const at = this.#position
    this.#position = at + size
    return at
  }

  /** Where the bytes claimed last lie. */
  get buffer(): Buffer {
    return this.#buffer
  }

  bool(value: boolean): void {
    if (typeof value !== 'boolean') throw badValue('bool', value)
    const at = this.claim(1)
    this.#buffer[at] = value ? 1 : 0
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) throw badValue('int8', value)
    const at = this.claim(1)
    this.#buffer[at] = value
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) throw badValue('int16', value)
    this.#put16(value)
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) throw badValue('uint16', value)
    this.#put16(value)
  }

  #put16(value: number): void {
    const at = this.claim(2)
    const b = this.#buffer
    b[at] = value >>> 8
    b[at + 1] = value
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw badValue('int32', value)
    const at = this.claim(4)
    putInt32(this.#buffer, at, value)
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) throw badValue('uint32', value)
    const at = this.claim(4)
    putInt32(this.#buffer, at, value | 0)
  }

  /** @param value a whole number within +-(2^53 - 1) */
  int64(value: number): void {
    if (!Number.isSafeInteger(value)) throw badValue('int64', value)
    const at = this.claim(8)
    putInt64(this.#buffer, at, value)
  }

  float64(value: number): void {
    if (typeof value !== 'number') throw badValue('float64', value)
    const at = this.claim(8)
    this.#buffer.writeDoubleBE(value, at)
  }

  uuid(value: Uuid): void {
    const at = this.claim(16)
    if (!uuidWrite(this.#buffer, value, at)) throw badValue('uuid', value)
  }

  /** @param value a length, a count or a tag: 0 to 2^32 - 1 */
  uvarint(value: number): void {
    let rest = value >>> 0
    if (rest !== value) throw badValue('uvarint', value)
    while (rest > 0x7f) {
      const at = this.claim(1)
      this.#buffer[at] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    const at = this.claim(1)
    this.#buffer[at] = rest
  }

  string(text: string): void {
    if (this.#shortText(text, 2)) return
    const size = textSize(text)
    this.#put16(size)
    this.#text(text, size)
  }

  nullableString(text: string | null): void {
    if (text === null) this.int16(-1)
    else this.string(text)
  }

  compactString(text: string): void {
    if (this.#shortText(text, 1)) return
    const size = textSize(text)
    this.uvarint(size + 1)
    this.#text(text, size)
  }

  compactNullableString(text: string | null): void {
    if (text === null) this.uvarint(0)
    else this.compactString(text)
  }

  /**
   * Topic names and ids are short and plain most times: those are written character by character, which is faster
   * than asking for their size and calling out.
   *
   * @param lengthBytes 2 for the plain form, 1 for the compact one
   * @returns false, with nothing written, when the text is long or not ASCII
   */
  #shortText(text: string, lengthBytes: 1 | 2): boolean {
    if (typeof text !== 'string' || text.length > SHORT_TEXT) return false
    const at = this.claim(lengthBytes + text.length)
    const b = this.#buffer
    if (lengthBytes === 1) b[at] = text.length + 1
    else {
      b[at] = 0
      b[at + 1] = text.length
    }
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) {
        this.#position = at
        return false
      }
      b[at + lengthBytes + i] = code
    }
    return true
  }

  #text(text: string, size: number): void {
    const at = this.claim(size)
    utf8Write(this.#buffer, text, at, size)
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
      const at = this.claim(part.length)
      part.copy(this.#buffer, at)
      return
    }
    this.#closeChunk()
    this.#chunks.push(part)
    this.#closedBytes += part.length
  }

  /** One tagged field: its number, its size, its bytes. */
  tagged(tag: number, content: Writer): void {
    const chunks = content.finish()
    let size = 0
    for (const chunk of chunks) size += chunk.length
    this.uvarint(tag)
    this.uvarint(size)
    this.chunk(chunks)
  }

  /**
   * Tagged fields that the layout does not know, up to a number, so that known and unknown ones ascend together.
   *
   * @param from index in `tags` to start at
   * @param before number of the known field that comes next
   * @returns the index to go on from
   */
  unknownTags(tags: readonly UnknownTag[], from: number, before: number): number {
    let next = from
    for (; next < tags.length; next++) {
      const { tag, bytes } = tags[next] as UnknownTag
      if (tag >= before) break
      this.uvarint(tag)
      this.uvarint(bytes.length)
      this.chunk(bytes)
    }
    return next
  }
}

/** Stores 32 bits, most significant byte first. The caller has checked range and room. */
export function putInt32(b: Buffer, at: number, value: number): void {
  b[at] = value >>> 24
  b[at + 1] = value >>> 16
  b[at + 2] = value >>> 8
  b[at + 3] = value
}

/** As `putInt32`. @param value a whole number within +-(2^53 - 1) */
export function putInt64(b: Buffer, at: number, value: number): void {
  const high = Math.floor(value / TWO_32)
  putInt32(b, at, high)
  putInt32(b, at + 4, (value - high * TWO_32) | 0)
}

function textSize(text: string): number {
  if (typeof text !== 'string') throw badValue('string', text)
  const size = Buffer.byteLength(text)
  if (size > MAX_STRING_BYTES) throw protocolError('string too long', { size })
  return size
}

function chunkedSize(value: Chunked): number {
  if (Buffer.isBuffer(value)) return value.length
  if (!Array.isArray(value)) throw badValue('bytes', value)
  let size = 0
  for (const part of value) {
    if (!Buffer.isBuffer(part)) throw badValue('bytes', part)
    size += part.length
  }
  return size
}

/** A value that its type on the wire cannot hold. */
export function badValue(kind: string, value: unknown, field?: string) {
  const facts = { kind, value: String(value), ...(field === undefined ? {} : { field }) }
  return protocolError('value does not fit its type', facts)
}
