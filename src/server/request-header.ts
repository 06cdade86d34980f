import { protocolError } from '../protocol/protocol-error.ts'
import { Reader } from '../protocol/reader.ts'

/** What stands before every request body; `bodyStart` is where the body begins in the frame's buffer. */
export type RequestHeader = {
  correlationId: number
  /** A null client id counts as "" (RequestHeader.java). */
  clientId: string
  bodyStart: number
}

/** The smallest header: key, version, correlation id, client id length. */
export const MIN_HEADER_BYTES = 10

/**
 * Reads headers of one connection. Clients send the same client id with every request: it is compared as bytes and
 * turned into text only when it changes.
 */
export class RequestHeaderReader {
  #idBuffer = Buffer.alloc(0)
  #clientId = ''

  /**
   * @param buffer holds the frame at [start, end), which begins with the API key
   * @param flexible header v2 (tagged fields behind the client id) instead of v1
   * @throws LMQ_PROTOCOL
   */
  read(buffer: Buffer, start: number, end: number, flexible: boolean): RequestHeader {
    if (end - start < MIN_HEADER_BYTES) throw protocolError('header ends early')
    const correlationId = buffer.readInt32BE(start + 4)
    const idBytes = buffer.readInt16BE(start + 8)
    let bodyStart = start + MIN_HEADER_BYTES
    let clientId = ''
    if (idBytes > end - bodyStart) throw protocolError('client id ends early')
    if (idBytes > 0) {
      clientId = this.#textOf(buffer, bodyStart, idBytes)
      bodyStart += idBytes
    }
    if (flexible) bodyStart = skipTags(buffer, bodyStart, end)
    return { correlationId, clientId, bodyStart }
  }

  #textOf(buffer: Buffer, at: number, size: number): string {
    const known = this.#idBuffer
    if (known.length === size) {
      let i = 0
      while (i < size && known[i] === buffer[at + i]) i++
      if (i === size) return this.#clientId
    }
    this.#idBuffer = Buffer.from(buffer.subarray(at, at + size))
    this.#clientId = buffer.toString('utf8', at, at + size)
    return this.#clientId
  }
}

/** Unknown tagged fields of a header carry nothing for this broker; they are checked and skipped. */
function skipTags(buffer: Buffer, at: number, end: number): number {
  if (at < end && buffer[at] === 0) return at + 1
  const reader = new Reader(buffer, at, end)
  const count = reader.uvarint()
  let previous = -1
  for (let i = 0; i < count; i++) {
    const tag = reader.uvarint()
    if (tag <= previous) throw protocolError('tagged fields do not ascend')
    previous = tag
    reader.take(reader.uvarint())
  }
  return reader.position
}
