/**
 * Reads a coordinator's partition from its log, batch by batch, opening what is compressed, without holding the event
 * loop: other work gets its turn every few milliseconds.
 */
import { assert } from '../base/assert.ts'
import type { Codecs, Io } from '../io/io.ts'
import { type RecordFields, readRecords } from '../protocol/record.ts'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  codecOf,
  isControl,
  isTransactional,
  producerIdOf,
  recordCountOf,
} from '../protocol/record-batch.ts'
import type { CoordinatorLog } from './ports.ts'

type CodecNumber = Parameters<Codecs['decompress']>[0]

/** Control records: what ends a transaction. */
const ABORT_MARKER = 0
const COMMIT_MARKER = 1
/** A batch of coordinator records is a megabyte at most; this leaves room for other people's. */
const MAX_OPENED_BYTES = 64 * 1024 * 1024
/** How long a load keeps the event loop before others get a turn. */
const TURN_MS = 4
const NOTHING = Buffer.alloc(0)

export type RecordVisitor = {
  /** @param producerId of the transaction it belongs to, or -1 */
  record(key: Buffer | null, value: Buffer | null, offset: number, producerId: number): void
  /** @param offset of the marker */
  endTransaction(producerId: number, isCommit: boolean, offset: number): void
}

/**
 * Visits all records of a partition in order. Keys and values are views of what was read.
 *
 * @throws LMQ_DISK_READ, LMQ_LOG_DIR_OFFLINE, LMQ_PROTOCOL, LMQ_CODEC_MISSING, LMQ_CODEC_FAILED
 */
export async function loadRecords(
  io: Io,
  log: CoordinatorLog,
  partitionIndex: number,
  bufferBytes: number,
  visitor: RecordVisitor,
): Promise<void> {
  let turnEndsMs = io.monotonic.nowMs() + TURN_MS
  let rest: Buffer = NOTHING
  await log.load(partitionIndex, bufferBytes, async (piece) => {
    const batches = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    let at = 0
    while (at + BATCH_HEADER_BYTES <= batches.length) {
      const sizeBytes = batchSizeOf(batches, at)
      assert(sizeBytes >= BATCH_HEADER_BYTES, 'the log gives whole batches')
      if (at + sizeBytes > batches.length) break
      await visitBatch(io, batches.subarray(at, at + sizeBytes), visitor)
      at += sizeBytes
      if (io.monotonic.nowMs() < turnEndsMs) continue
      await new Promise<void>((resolve) => io.timers.endOfTurn(resolve))
      turnEndsMs = io.monotonic.nowMs() + TURN_MS
    }
    rest = batches.subarray(at)
  })
  assert(rest.length === 0, 'the log ends with a whole batch')
}

async function visitBatch(io: Io, batch: Buffer, visitor: RecordVisitor): Promise<void> {
  const attributes = attributesOf(batch, 0)
  const codec = codecOf(attributes)
  const packed = batch.subarray(BATCH_HEADER_BYTES)
  const block =
    codec === 0
      ? packed
      : await io.codecs.decompress(codec as CodecNumber, packed, MAX_OPENED_BYTES)
  const records = readRecords(block, recordCountOf(batch, 0))
  const baseOffset = baseOffsetOf(batch, 0)
  const producerId = producerIdOf(batch, 0)
  if (isControl(attributes)) {
    for (const { key } of records) visitMarker(key, producerId, baseOffset, visitor)
    return
  }
  const transaction = isTransactional(attributes) ? producerId : -1
  for (const record of records) visitRecord(record, baseOffset, transaction, visitor)
}

function visitRecord(
  { key, value, offsetDelta }: RecordFields,
  baseOffset: number,
  producerId: number,
  visitor: RecordVisitor,
): void {
  visitor.record(key, value, baseOffset + offsetDelta, producerId)
}

function visitMarker(
  key: Buffer | null,
  producerId: number,
  offset: number,
  visitor: RecordVisitor,
): void {
  const type = key && key.length >= 4 ? key.readInt16BE(2) : -1
  if (type !== ABORT_MARKER && type !== COMMIT_MARKER) return
  visitor.endTransaction(producerId, type === COMMIT_MARKER, offset)
}
