// A second, deliberately plain reading of the message layouts: walks the field list for every value, knows no
// compiled code, uses bigint for 64 bits, checks only what the encoding rules say. What it and the compiled codecs
// disagree on is a bug in one of them.
import type { Field, Fields, Message } from '../../src/protocol/schema.ts'

/** The bytes do not follow the layout, or the value has no place in it. */
export class OracleError extends Error {
  override readonly name = 'OracleError'
}

export type AnyMessage = Message<Fields>
type Values = Record<string, unknown>
type Tag = { tag: number; bytes: Buffer }

function within(range: string, version: number): boolean {
  if (range === 'none') return false
  if (range.endsWith('+')) return version >= Number(range.slice(0, -1))
  const [first, last = first] = range.split('-').map(Number)
  return version >= (first as number) && version <= (last as number)
}

export function isFlexible(message: AnyMessage, version: number): boolean {
  return version >= message.flexible.min && version <= message.flexible.max
}

function isThere(field: Field, version: number): boolean {
  return within(field.versions, version)
}

function mayBeNull(field: Field, version: number): boolean {
  return field.options.nullable !== undefined && within(field.options.nullable, version)
}

function tagOf(field: Field, version: number, flexible: boolean): number | undefined {
  const { tag, tagged } = field.options
  if (tag === undefined || !flexible || !isThere(field, version)) return undefined
  return tagged === undefined || within(tagged, version) ? tag : undefined
}

export function oracleDefault(field: Field): unknown {
  if (Object.hasOwn(field.options, 'default')) return field.options.default
  if (field.isArray) return []
  if (field.kind === 'struct') {
    const made: Values = {}
    for (const [name, inner] of Object.entries(field.fields as Fields)) {
      made[name] = oracleDefault(inner)
    }
    return made
  }
  if (field.kind === 'bool') return false
  if (field.kind === 'string') return ''
  if (field.kind === 'uuid') return 'A'.repeat(22)
  if (field.kind === 'bytes') return Buffer.alloc(0)
  if (field.kind === 'records') return null
  return 0
}

export function sameValue(a: unknown, b: unknown): boolean {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return a.equals(b)
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((one, i) => sameValue(one, b[i]))
  }
  if (a !== null && b !== null && typeof a === 'object' && typeof b === 'object') {
    const names = new Set([...Object.keys(a), ...Object.keys(b)])
    return [...names].every((name) => sameValue((a as Values)[name], (b as Values)[name]))
  }
  return a === b
}

// ---- decoding

class Source {
  readonly buffer: Buffer
  at = 0
  constructor(buffer: Buffer) {
    this.buffer = buffer
  }
  next(size: number): Buffer {
    if (size < 0 || this.at + size > this.buffer.length) throw new OracleError('too short')
    this.at += size
    return this.buffer.subarray(this.at - size, this.at)
  }
  uvarint(): number {
    let value = 0n
    for (let i = 0; i < 5; i++) {
      const byte = this.next(1).readUInt8()
      value |= BigInt(byte & 0x7f) << BigInt(7 * i)
      if ((byte & 0x80) === 0) {
        if (value > 0xffffffffn) throw new OracleError('varint too large')
        return Number(value)
      }
    }
    throw new OracleError('varint too long')
  }
}

const HIGHEST = BigInt(Number.MAX_SAFE_INTEGER)

function saturated(value: bigint): number {
  if (value > HIGHEST) return Number.MAX_SAFE_INTEGER
  if (value < -HIGHEST) return -Number.MAX_SAFE_INTEGER
  return Number(value)
}

/** @returns the length, or undefined for null */
function readLength(source: Source, compact: boolean, plain: 2 | 4): number | undefined {
  let length: number
  if (compact) length = source.uvarint() - 1
  else if (plain === 2) length = source.next(2).readInt16BE()
  else length = source.next(4).readInt32BE()
  if (length < 0) return undefined
  return length
}

function readScalar(source: Source, kind: string, compact: boolean): unknown {
  switch (kind) {
    case 'bool':
      return source.next(1).readUInt8() !== 0
    case 'int8':
      return source.next(1).readInt8()
    case 'int16':
      return source.next(2).readInt16BE()
    case 'uint16':
      return source.next(2).readUInt16BE()
    case 'int32':
      return source.next(4).readInt32BE()
    case 'uint32':
      return source.next(4).readUInt32BE()
    case 'int64':
      return saturated(source.next(8).readBigInt64BE())
    case 'float64':
      return source.next(8).readDoubleBE()
    case 'uuid':
      return source.next(16).toString('base64url')
    case 'string': {
      const length = readLength(source, compact, 2)
      if (length === undefined) return null
      if (length > 32767) throw new OracleError('string too long')
      return source.next(length).toString('utf8')
    }
    default: {
      const length = readLength(source, compact, 4)
      return length === undefined ? null : source.next(length)
    }
  }
}

function readField(source: Source, field: Field, version: number, flexible: boolean): unknown {
  const compact = flexible && field.options.flexible !== 'none'
  const nullable = mayBeNull(field, version)
  if (field.isArray) {
    const count = readLength(source, compact, 4)
    if (count === undefined) {
      if (!nullable) throw new OracleError('null array')
      return null
    }
    const elements: unknown[] = []
    for (let i = 0; i < count; i++) {
      if (i > source.buffer.length) throw new OracleError('more elements than bytes')
      elements.push(readOne(source, field, version, flexible, compact, false))
    }
    return elements
  }
  return readOne(source, field, version, flexible, compact, nullable)
}

function readOne(
  source: Source,
  field: Field,
  version: number,
  flexible: boolean,
  compact: boolean,
  nullable: boolean,
): unknown {
  if (field.kind === 'struct') {
    if (nullable && source.next(1).readInt8() < 0) return null
    return readStruct(source, field.fields as Fields, version, flexible)
  }
  const value = readScalar(source, field.kind, compact)
  if (value === null && !nullable) throw new OracleError('null')
  return value
}

function readStruct(source: Source, fields: Fields, version: number, flexible: boolean): Values {
  const values: Values = {}
  for (const [name, field] of Object.entries(fields)) {
    if (!isThere(field, version) || tagOf(field, version, flexible) !== undefined) {
      values[name] = oracleDefault(field)
    } else values[name] = readField(source, field, version, flexible)
  }
  if (!flexible) return values
  const unknown: Tag[] = []
  let previous = -1
  const count = source.uvarint()
  for (let i = 0; i < count; i++) {
    const tag = source.uvarint()
    if (tag <= previous) throw new OracleError('tags do not ascend')
    previous = tag
    const content = source.next(source.uvarint())
    const known = Object.entries(fields).find(([, f]) => tagOf(f, version, flexible) === tag)
    if (!known) {
      unknown.push({ tag, bytes: content })
      continue
    }
    const inner = new Source(content)
    values[known[0]] = readField(inner, known[1], version, flexible)
    if (inner.at !== content.length) throw new OracleError('tagged field size')
  }
  if (unknown.length > 0) values['unknownTags'] = unknown
  return values
}

/** @returns the message and the number of bytes it took */
export function oracleDecode(
  message: AnyMessage,
  version: number,
  buffer: Buffer,
): { values: Values; size: number } {
  const source = new Source(buffer)
  const values = readStruct(source, message.fields, version, isFlexible(message, version))
  return { values, size: source.at }
}

// ---- encoding

function uvarintBytes(value: number): Buffer {
  const bytes: number[] = []
  let rest = BigInt(value)
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest === 0n ? low : low | 0x80)
  } while (rest !== 0n)
  return Buffer.from(bytes)
}

function int(size: 1 | 2 | 4, value: number): Buffer {
  const made = Buffer.alloc(size)
  made.writeIntBE(value, 0, size)
  return made
}

function lengthBytes(length: number | null, compact: boolean, plain: 2 | 4): Buffer {
  if (compact) return uvarintBytes(length === null ? 0 : length + 1)
  return int(plain, length ?? -1)
}

function scalarBytes(kind: string, value: unknown, compact: boolean): Buffer {
  const made = Buffer.alloc(8)
  switch (kind) {
    case 'bool':
      return int(1, value ? 1 : 0)
    case 'int8':
      return int(1, value as number)
    case 'int16':
      return int(2, value as number)
    case 'uint16':
      return made.subarray(0, made.writeUInt16BE(value as number))
    case 'int32':
      return int(4, value as number)
    case 'uint32':
      return made.subarray(0, made.writeUInt32BE(value as number))
    case 'int64':
      return made.subarray(0, made.writeBigInt64BE(BigInt(value as number)))
    case 'float64':
      return made.subarray(0, made.writeDoubleBE(value as number))
    case 'uuid':
      return Buffer.from(value as string, 'base64url')
    case 'string': {
      if (value === null) return lengthBytes(null, compact, 2)
      const text = Buffer.from(value as string, 'utf8')
      return Buffer.concat([lengthBytes(text.length, compact, 2), text])
    }
    default: {
      if (value === null) return lengthBytes(null, compact, 4)
      const content = Array.isArray(value) ? Buffer.concat(value as Buffer[]) : (value as Buffer)
      return Buffer.concat([lengthBytes(content.length, compact, 4), content])
    }
  }
}

function fieldBytes(field: Field, value: unknown, version: number, flexible: boolean): Buffer {
  const compact = flexible && field.options.flexible !== 'none'
  if (value === null && !mayBeNull(field, version)) throw new OracleError('null')
  if (field.isArray) {
    if (value === null) return lengthBytes(null, compact, 4)
    const elements = (value as unknown[]).map((one) =>
      field.kind === 'struct'
        ? structBytes(field.fields as Fields, one as Values, version, flexible)
        : scalarBytes(field.kind, one, compact),
    )
    return Buffer.concat([lengthBytes(elements.length, compact, 4), ...elements])
  }
  if (field.kind !== 'struct') return scalarBytes(field.kind, value, compact)
  const nullable = mayBeNull(field, version)
  if (value === null) return int(1, -1)
  const body = structBytes(field.fields as Fields, value as Values, version, flexible)
  return nullable ? Buffer.concat([int(1, 1), body]) : body
}

function structBytes(fields: Fields, values: Values, version: number, flexible: boolean): Buffer {
  const parts: Buffer[] = []
  const tags: Tag[] = [...((values['unknownTags'] as Tag[] | undefined) ?? [])]
  for (const [name, field] of Object.entries(fields)) {
    const given = values[name]
    const value = given === undefined ? oracleDefault(field) : given
    const isDefault = sameValue(value, oracleDefault(field))
    if (!isThere(field, version)) {
      if (!field.options.ignorable && !isDefault) throw new OracleError(`no ${name} here`)
      continue
    }
    const tag = tagOf(field, version, flexible)
    if (tag === undefined) parts.push(fieldBytes(field, value, version, flexible))
    else if (!isDefault) tags.push({ tag, bytes: fieldBytes(field, value, version, flexible) })
  }
  if (flexible) {
    tags.sort((a, b) => a.tag - b.tag)
    parts.push(uvarintBytes(tags.length))
    for (const { tag, bytes } of tags) {
      parts.push(uvarintBytes(tag), uvarintBytes(bytes.length), bytes)
    }
  }
  return Buffer.concat(parts)
}

export function oracleEncode(message: AnyMessage, version: number, values: Values): Buffer {
  return structBytes(message.fields, values, version, isFlexible(message, version))
}
