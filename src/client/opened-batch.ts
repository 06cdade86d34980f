/** From the bytes of a fetch to records: whole batches, opened, without control records and what was aborted. */
import { Codec, type CodecId, type Io } from '../io/io.ts'
import { protocolError } from '../protocol/protocol-error.ts'
import { type RecordHeader, readRecords } from '../protocol/record.ts'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  batchSizeOf,
  CRC_START,
  codecOf,
  crcOf,
  hasLogAppendTime,
  isControl,
  isTransactional,
  lastOffsetOf,
  leaderEpochOf,
  MAGIC,
  magicOf,
  maxTimestampOf,
  producerIdOf,
  recordCountOf,
} from '../protocol/record-batch.ts'

export type ConsumedRecord = {
  readonly topic: string
  readonly partitionIndex: number
  readonly offset: number
  /** Milliseconds since 1970; -1: none. */
  readonly timestamp: number
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

export type AbortedTransaction = { readonly producerId: number; readonly firstOffset: number }

/** One batch may inflate to this. */
const maxOpenedBytes = 256 * 1024 * 1024

type Partition = { readonly topic: string; readonly partitionIndex: number }

export type OpenedBatches = {
  readonly records: ConsumedRecord[]
  /** The offset to go on from. */
  readonly nextOffset: number
  /** Of the last batch; -1: none was there, or it says none. */
  readonly leaderEpoch: number
}

/**
 * The records at and above `fromOffset`, and where to go on. A batch that is cut off at the end is left for
 * the next fetch.
 *
 * @param aborted of a read_committed fetch; null: nothing is left out
 * @throws LMQ_PROTOCOL when a batch is damaged, LMQ_CODEC_MISSING and the like when it cannot be opened
 */
export async function openBatches(
  io: Io,
  partition: Partition,
  bytes: Buffer,
  fromOffset: number,
  aborted: readonly AbortedTransaction[] | null,
): Promise<OpenedBatches> {
  const records: ConsumedRecord[] = []
  const pending = [...(aborted ?? [])].sort((a, b) => a.firstOffset - b.firstOffset)
  const inAborted = new Set<number>()
  let nextOffset = fromOffset
  let leaderEpoch = -1
  for (let at = 0; at + BATCH_HEADER_BYTES <= bytes.length; ) {
    const size = batchSizeOf(bytes, at)
    if (size < BATCH_HEADER_BYTES) throw damaged(partition, 'batch too short')
    if (at + size > bytes.length) break
    checkBatch(io, partition, bytes, at, size)
    const lastOffset = lastOffsetOf(bytes, at)
    const producerId = producerIdOf(bytes, at)
    while (pending[0] && pending[0].firstOffset <= lastOffset) {
      inAborted.add(pending[0].producerId)
      pending.shift()
    }
    const attributes = attributesOf(bytes, at)
    if (isControl(attributes)) inAborted.delete(producerId)
    else if (!(isTransactional(attributes) && inAborted.has(producerId))) {
      await openInto(records, io, partition, bytes.subarray(at, at + size), fromOffset)
    }
    nextOffset = Math.max(nextOffset, lastOffset + 1)
    leaderEpoch = leaderEpochOf(bytes, at)
    at += size
  }
  return { records, nextOffset, leaderEpoch }
}

function damaged({ topic, partitionIndex }: Partition, reason: string) {
  return protocolError(reason, { topic, partitionIndex })
}

function checkBatch(io: Io, partition: Partition, bytes: Buffer, at: number, size: number): void {
  if (magicOf(bytes, at) !== MAGIC) throw damaged(partition, 'message format is not 2')
  if (io.crc32c(bytes, at + CRC_START, at + size) !== crcOf(bytes, at)) {
    throw damaged(partition, 'checksum of a batch is wrong')
  }
}

async function openInto(
  found: ConsumedRecord[],
  io: Io,
  { topic, partitionIndex }: Partition,
  batch: Buffer,
  fromOffset: number,
): Promise<void> {
  const attributes = attributesOf(batch, 0)
  const codec = codecOf(attributes) as CodecId
  const packed = batch.subarray(BATCH_HEADER_BYTES)
  const block =
    codec === Codec.none ? packed : await io.codecs.decompress(codec, packed, maxOpenedBytes)
  const baseOffset = baseOffsetOf(batch, 0)
  const baseTimestamp = baseTimestampOf(batch, 0)
  const isLogAppendTime = hasLogAppendTime(attributes)
  for (const record of readRecords(block, recordCountOf(batch, 0))) {
    const offset = baseOffset + record.offsetDelta
    if (offset < fromOffset) continue
    found.push({
      topic,
      partitionIndex,
      offset,
      timestamp: isLogAppendTime ? maxTimestampOf(batch, 0) : baseTimestamp + record.timestampDelta,
      timestampType: isLogAppendTime ? 'LogAppendTime' : 'CreateTime',
      key: record.key,
      value: record.value,
      headers: record.headers,
    })
  }
}
