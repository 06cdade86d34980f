/**
 * Records as JSON, one on a line: what `lmq consume --json` writes, `lmq produce --json` reads. Bytes that are not
 * UTF-8 stand in base64 under `keyBase64`, `valueBase64`, so that every record survives the way there and back.
 */
import { isUtf8 } from 'node:buffer'
import type { ConsumedRecord } from '../client/opened-batch.ts'
import type { RecordInput } from '../protocol/batch-builder.ts'
import type { RecordHeader } from '../protocol/record.ts'
import { UsageError } from './error-sentence.ts'

type Named = Record<string, unknown>

/** Adds `name` or `nameBase64`. */
function putBytes(target: Named, name: string, bytes: Buffer | null): void {
  if (bytes === null) target[name] = null
  else if (isUtf8(bytes)) target[name] = bytes.toString('utf8')
  else target[`${name}Base64`] = bytes.toString('base64')
}

export function recordToJson(record: ConsumedRecord): string {
  const { topic, partitionIndex, offset, timestamp } = record
  const line: Named = { topic, partition: partitionIndex, offset, timestamp }
  putBytes(line, 'key', record.key)
  putBytes(line, 'value', record.value)
  if (record.headers.length > 0) {
    line['headers'] = record.headers.map(({ key, value }) => {
      const header: Named = { key }
      putBytes(header, 'value', value)
      return header
    })
  }
  return JSON.stringify(line)
}

/** Text as it is, null as null, anything else as its JSON. */
function bytesFrom(source: Named, name: string, where: string): Buffer | null {
  const packed = source[`${name}Base64`]
  if (packed !== undefined) {
    if (typeof packed !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(packed)) {
      throw new UsageError(`${where}: ${name}Base64 is not base64`)
    }
    return Buffer.from(packed, 'base64')
  }
  const value = source[name]
  if (value === undefined || value === null) return null
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}

function headersFrom(headers: unknown, where: string): RecordHeader[] {
  if (headers === undefined || headers === null) return []
  if (Array.isArray(headers)) {
    return headers.map((header: unknown) => {
      const { key } = (header ?? {}) as Named
      if (typeof key !== 'string') throw new UsageError(`${where}: a header needs a key`)
      return { key, value: bytesFrom(header as Named, 'value', where) }
    })
  }
  if (typeof headers !== 'object') throw new UsageError(`${where}: headers are an object or a list`)
  return Object.keys(headers).map((key) => ({
    key,
    value: bytesFrom({ value: (headers as Named)[key] }, 'value', where),
  }))
}

export type ParsedRecord = {
  readonly topic: string | undefined
  readonly partitionIndex: number | undefined
  readonly record: RecordInput
}

/**
 * One line of NDJSON. An object with `key`, `value`, `headers`, `partition`, `timestamp`, `topic`; offset is passed over.
 *
 * @param where names the line in errors
 * @param nowMs time of records that say none
 * @throws {UsageError}
 */
export function recordFromJson(line: string, where: string, nowMs: number): ParsedRecord {
  let read: unknown
  try {
    read = JSON.parse(line)
  } catch (error) {
    throw new UsageError(`${where} is not JSON: ${(error as Error).message}`)
  }
  if (typeof read !== 'object' || read === null || Array.isArray(read)) {
    throw new UsageError(`${where}: write an object with key and value on each line`)
  }
  const source = read as Named
  const { partition, topic } = source
  const isPartition = Number.isSafeInteger(partition) && (partition as number) >= 0
  if (partition !== undefined && !isPartition) {
    throw new UsageError(`${where}: partition is a whole number`)
  }
  if (topic !== undefined && typeof topic !== 'string') {
    throw new UsageError(`${where}: topic is a text`)
  }
  return {
    topic,
    partitionIndex: partition as number | undefined,
    record: {
      key: bytesFrom(source, 'key', where),
      value: bytesFrom(source, 'value', where),
      headers: headersFrom(source['headers'], where),
      timestamp: timestampFrom(source['timestamp'], where, nowMs),
    },
  }
}

function timestampFrom(timestamp: unknown, where: string, nowMs: number): number {
  if (timestamp === undefined || timestamp === null) return nowMs
  if (Number.isSafeInteger(timestamp)) return timestamp as number
  const parsed = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN
  if (Number.isNaN(parsed)) throw new UsageError(`${where}: timestamp is milliseconds or a date`)
  return parsed
}
