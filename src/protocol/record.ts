/** One record inside an opened batch: its place in the block of records, and the whole record as values. */
import { protocolError } from './protocol-error.ts'
import { utf8Slice } from './utf8.ts'
import { VarintCursor, varintSize, varlongSize, writeVarint, writeVarlong } from './varint.ts'

export type RecordHeader = { readonly key: string; readonly value: Buffer | null }

/** A record as applications know it. Key and value are views when it was read. */
export type RecordFields = {
  readonly offsetDelta: number
  readonly timestampDelta: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

/** Where a record and its parts lie. One object is reused for a whole walk: copy what must stay. */
export type RecordPlace = {
  /** Position of the length field; `end` is exclusive. */
  start: number
  end: number
  offsetDelta: number
  timestampDelta: number
  keyStart: number
  /** -1 for null. */
  keySize: number
  valueStart: number
  /** -1 for null. */
  valueSize: number
  headersStart: number
}

export function newRecordPlace(): RecordPlace {
  return {
    start: 0,
    end: 0,
    offsetDelta: 0,
    timestampDelta: 0,
    keyStart: 0,
    keySize: 0,
    valueStart: 0,
    valueSize: 0,
    headersStart: 0,
  }
}

/**
 * Moves the cursor over one record, checks that its parts fit its length, and notes where they lie.
 *
 * @throws LMQ_PROTOCOL when it is not a well-formed record
 */
export function nextRecord(cursor: VarintCursor, place: RecordPlace): void {
  place.start = cursor.position
  const size = cursor.varint()
  const end = cursor.position + size
  if (size < 0 || end > cursor.end) throw protocolError('record ends early', { size })
  place.end = end
  cursor.byte() // attributes: unused
  place.timestampDelta = cursor.varlong()
  place.offsetDelta = cursor.varint()
  place.keySize = blob(cursor)
  place.keyStart = cursor.position - Math.max(0, place.keySize)
  place.valueSize = blob(cursor)
  place.valueStart = cursor.position - Math.max(0, place.valueSize)
  place.headersStart = cursor.position
  skipHeaders(cursor, end)
  if (cursor.position !== end) throw protocolError('record length differs from its parts', { size })
}

function blob(cursor: VarintCursor): number {
  const size = cursor.varint()
  if (size < -1) throw protocolError('negative size in a record', { size })
  if (size > 0) cursor.skip(size)
  return size
}

function skipHeaders(cursor: VarintCursor, end: number): void {
  const count = cursor.varint()
  if (count < 0 || count > end - cursor.position) throw protocolError('bad header count', { count })
  for (let i = 0; i < count; i++) {
    if (blob(cursor) < 0) throw protocolError('record header without a key')
    blob(cursor)
  }
}

/** The record at a place, as values. Key, value and header values are views of `block`. */
export function readRecord(block: Buffer, place: RecordPlace): RecordFields {
  return {
    offsetDelta: place.offsetDelta,
    timestampDelta: place.timestampDelta,
    key: view(block, place.keyStart, place.keySize),
    value: view(block, place.valueStart, place.valueSize),
    headers: readHeaders(block, place),
  }
}

function view(block: Buffer, start: number, size: number): Buffer | null {
  return size < 0 ? null : block.subarray(start, start + size)
}

function readHeaders(block: Buffer, place: RecordPlace): RecordHeader[] {
  const cursor = new VarintCursor(block, place.headersStart, place.end)
  const headers: RecordHeader[] = []
  const count = cursor.varint()
  for (let i = 0; i < count; i++) {
    const keySize = cursor.varint()
    const keyStart = cursor.skip(keySize)
    const valueSize = cursor.varint()
    const valueStart = valueSize > 0 ? cursor.skip(valueSize) : cursor.position
    headers.push({
      key: utf8Slice(block, keyStart, keyStart + keySize),
      value: view(block, valueStart, valueSize),
    })
  }
  return headers
}

/**
 * All records of an opened block.
 *
 * @param block the records of one batch, decompressed
 * @param count from the batch's header; fewer or more records in the block are an error
 */
export function readRecords(block: Buffer, count: number): RecordFields[] {
  const cursor = new VarintCursor(block)
  const place = newRecordPlace()
  const found: RecordFields[] = []
  for (let i = 0; i < count; i++) {
    nextRecord(cursor, place)
    found.push(readRecord(block, place))
  }
  if (cursor.position !== block.length) throw protocolError('bytes behind the last record')
  return found
}

function bodySize(record: RecordFields): number {
  const { key, value, headers } = record
  let size = 1 + varlongSize(record.timestampDelta) + varintSize(record.offsetDelta)
  size += varintSize(key?.length ?? -1) + (key?.length ?? 0)
  size += varintSize(value?.length ?? -1) + (value?.length ?? 0)
  size += varintSize(headers.length)
  for (const header of headers) {
    const keySize = Buffer.byteLength(header.key)
    size += varintSize(keySize) + keySize
    size += varintSize(header.value?.length ?? -1) + (header.value?.length ?? 0)
  }
  return size
}

/** Bytes a record takes, its length field included. */
export function recordSize(record: RecordFields): number {
  const body = bodySize(record)
  return varintSize(body) + body
}

/** @returns the position behind the record */
export function writeRecord(target: Buffer, at: number, record: RecordFields): number {
  let position = writeVarint(target, at, bodySize(record))
  target[position++] = 0
  position = writeVarlong(target, position, record.timestampDelta)
  position = writeVarint(target, position, record.offsetDelta)
  position = writeBlob(target, position, record.key)
  position = writeBlob(target, position, record.value)
  position = writeVarint(target, position, record.headers.length)
  for (const header of record.headers) {
    position = writeBlob(target, position, Buffer.from(header.key))
    position = writeBlob(target, position, header.value)
  }
  return position
}

function writeBlob(target: Buffer, at: number, value: Buffer | null): number {
  const position = writeVarint(target, at, value?.length ?? -1)
  return value === null ? position : position + value.copy(target, position)
}
