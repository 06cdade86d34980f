import { LmqError } from '../base/errors.ts'

/** How a field's value is laid out: the low three bits of its tag. */
export const WireType = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const

const unreadable = (reason: string) => new LmqError('LMQ_PROTOCOL', { reason })

/**
 * Reads Protocol Buffers messages that strangers sent: every length is checked against what is there, nothing is copied
 * and nothing recurses. Field by field: `while (reader.next()) switch (reader.field) { ... default: reader.skip() }`.
 *
 * All methods throw LMQ_PROTOCOL for bytes that are no such message.
 */
export class ProtobufReader {
  /** Number of the field that `next` came to. */
  field = 0
  #wireType = 0
  #position: number
  readonly #end: number
  readonly #bytes: Buffer

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#position = start
    this.#end = end
  }

  /** Goes to the next field, whose value must then be read or skipped. @returns false at the end */
  next(): boolean {
    if (this.#position >= this.#end) return false
    const tag = this.#uint32()
    this.field = tag >>> 3
    this.#wireType = tag & 7
    if (this.field === 0) throw unreadable('field 0')
    return true
  }

  skip(): void {
    switch (this.#wireType) {
      case WireType.VARINT:
        this.#skipVarint()
        return
      case WireType.FIXED64:
        this.#take(8)
        return
      case WireType.BYTES:
        this.#take(this.#uint32())
        return
      case WireType.FIXED32:
        this.#take(4)
        return
      default:
        throw unreadable(`wire type ${this.#wireType}`)
    }
  }

  /** An embedded message. */
  message(): ProtobufReader {
    this.#expect(WireType.BYTES)
    const start = this.#take(this.#uint32())
    return new ProtobufReader(this.#bytes, start, this.#position)
  }

  /** @param maxBytes what is longer is cut there */
  text(maxBytes: number): string {
    this.#expect(WireType.BYTES)
    const start = this.#take(this.#uint32())
    return this.#bytes.toString('utf8', start, Math.min(this.#position, start + maxBytes))
  }

  double(): number {
    this.#expect(WireType.FIXED64)
    return this.#bytes.readDoubleLE(this.#take(8))
  }

  /** An sfixed64; beyond 2^53 the nearest number. */
  fixedInt64(): number {
    this.#expect(WireType.FIXED64)
    return Number(this.#bytes.readBigInt64LE(this.#take(8)))
  }

  /** An int64, enum or bool; beyond 2^53 the nearest number. */
  int64(): number {
    this.#expect(WireType.VARINT)
    const start = this.#position
    this.#skipVarint()
    let value = 0n
    for (let i = this.#position - 1; i >= start; i--) {
      value = (value << 7n) | BigInt((this.#bytes[i] as number) & 0x7f)
    }
    return Number(BigInt.asIntN(64, value))
  }

  #expect(wireType: number): void {
    if (this.#wireType !== wireType) {
      throw unreadable(`field ${this.field} is of wire type ${this.#wireType}, not ${wireType}`)
    }
  }

  /** @returns where the bytes begin that are now behind the position */
  #take(count: number): number {
    const start = this.#position
    if (count > this.#end - start) throw unreadable('ends early')
    this.#position = start + count
    return start
  }

  /** A tag or a length. */
  #uint32(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes[this.#take(1)] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break
        return value
      }
    }
    throw unreadable('a length or tag is too large')
  }

  #skipVarint(): void {
    for (let i = 0; i < 10; i++) if ((this.#bytes[this.#take(1)] as number) < 0x80) return
    throw unreadable('a number of more than 64 bits')
  }
}
