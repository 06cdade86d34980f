import { LmqError } from '../base/errors.ts'
import { readInt64, writeInt64 } from '../protocol/int64.ts'
import { ProducerState } from './producer-state.ts'

/**
 * `<offset>.snapshot`: the producers of a partition as they were before that offset. int16 version 1, uint32 CRC-32C of
 * what follows it, int32 count, then the entries. Of each producer only the last batch is kept. Like Kafka's
 * ProducerStateManager.
 */
const version = 1
const crcAt = 2
const entriesAt = 6
const headerBytes = 10
const entryBytes = 46

type Crc32c = (buffer: Buffer, start: number, end: number) => number

export function encodeProducers(
  producers: ReadonlyMap<number, ProducerState>,
  crc32c: Crc32c,
): Buffer {
  const buffer = Buffer.alloc(headerBytes + producers.size * entryBytes)
  buffer.writeInt16BE(version, 0)
  buffer.writeInt32BE(producers.size, entriesAt)
  let at = headerBytes
  for (const producer of producers.values()) {
    const last = producer.lastBatch
    writeInt64(buffer, at, producer.producerId)
    buffer.writeInt16BE(producer.epoch, at + 8)
    buffer.writeInt32BE(producer.lastSequence, at + 10)
    writeInt64(buffer, at + 14, producer.lastDataOffset)
    buffer.writeInt32BE(last?.offsetDelta ?? 0, at + 22)
    writeInt64(buffer, at + 26, producer.lastTimestamp)
    buffer.writeInt32BE(producer.coordinatorEpoch, at + 34)
    writeInt64(buffer, at + 38, producer.transactionFirstOffset)
    at += entryBytes
  }
  buffer.writeUInt32BE(crc32c(buffer, entriesAt, buffer.length), crcAt)
  return buffer
}

/** @throws LMQ_LOG_CORRUPT when version, size or checksum are wrong */
export function decodeProducers(buffer: Buffer, path: string, crc32c: Crc32c): ProducerState[] {
  if (buffer.length < headerBytes || buffer.readInt16BE(0) !== version)
    throw damaged(path, 'version')
  const count = buffer.readInt32BE(entriesAt)
  if (count < 0 || buffer.length !== headerBytes + count * entryBytes) throw damaged(path, 'size')
  if (buffer.readUInt32BE(crcAt) !== crc32c(buffer, entriesAt, buffer.length)) {
    throw damaged(path, 'checksum')
  }
  const found: ProducerState[] = []
  for (let at = headerBytes; at < buffer.length; at += entryBytes) found.push(entryAt(buffer, at))
  return found
}

function entryAt(buffer: Buffer, at: number): ProducerState {
  const producer = new ProducerState(readInt64(buffer, at))
  producer.epoch = buffer.readInt16BE(at + 8)
  const lastOffset = readInt64(buffer, at + 14)
  const timestamp = readInt64(buffer, at + 26)
  if (lastOffset >= 0) {
    producer.noteBatch(
      buffer.readInt32BE(at + 10),
      lastOffset,
      buffer.readInt32BE(at + 22),
      timestamp,
    )
  }
  producer.lastTimestamp = timestamp
  producer.coordinatorEpoch = buffer.readInt32BE(at + 34)
  producer.transactionFirstOffset = readInt64(buffer, at + 38)
  return producer
}

function damaged(path: string, what: string): LmqError {
  return new LmqError('LMQ_LOG_CORRUPT', { path, what })
}
