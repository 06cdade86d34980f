import type { Io } from '../io/io.ts'
import { Codec, type CodecId } from '../io/io.ts'
import {
  newRecordPlace,
  nextRecord,
  type RecordPlace,
  readRecord,
  recordSize,
  writeRecord,
} from '../protocol/record.ts'
import {
  attributesFrom,
  attributesOf,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  baseTimestampOf,
  codecOf,
  hasDeleteHorizon,
  hasLogAppendTime,
  isControl,
  isTransactional,
  NO_TIMESTAMP,
  readBatchHeader,
  recordCountOf,
  TimestampType,
  writeBatchHeader,
} from '../protocol/record-batch.ts'
import { VarintCursor } from '../protocol/varint.ts'
import { openBatch } from './batch-recode.ts'

export type FilterRules = {
  /** Is this record still needed? `place` points into `block`. */
  keeps(block: Buffer, place: RecordPlace, offset: number): boolean
  /** A batch without records stays when its producer or the log's end would be forgotten with it. */
  readonly keepsEmpty: boolean
  /** A marker whose transaction is empty: it gets a delete horizon like a tombstone. */
  readonly isEmptyMarker: boolean
  /** The delete horizon for a batch that needs one and has none. */
  readonly deleteHorizonMs: number
}

type Kept = { starts: number[]; ends: number[]; maxTimestamp: number; hasTombstone: boolean }

/**
 * What compaction leaves of one batch: itself, a smaller one with the same offsets and sequences, an empty one, or
 * nothing. Like Kafka's MemoryRecords.filterTo.
 */
export async function filterBatch(
  io: Pick<Io, 'codecs' | 'crc32c'>,
  batch: Buffer,
  rules: FilterRules,
): Promise<Buffer | undefined> {
  const block =
    codecOf(attributesOf(batch, 0)) === Codec.none
      ? batch.subarray(BATCH_HEADER_BYTES)
      : await openBatch(io, batch)
  const kept = select(batch, block, rules)
  if (kept.starts.length === 0) return rules.keepsEmpty ? emptied(batch, io.crc32c) : undefined
  const hasHorizon = hasDeleteHorizon(attributesOf(batch, 0))
  const needsHorizon = (kept.hasTombstone || rules.isEmptyMarker) && !hasHorizon
  if (kept.starts.length === recordCountOf(batch, 0) && !needsHorizon) return batch
  return rebuilt(io, batch, block, kept, needsHorizon ? rules.deleteHorizonMs : undefined)
}

function select(batch: Buffer, block: Buffer, rules: FilterRules): Kept {
  const kept: Kept = { starts: [], ends: [], maxTimestamp: NO_TIMESTAMP, hasTombstone: false }
  const cursor = new VarintCursor(block)
  const place = newRecordPlace()
  const base = baseTimestampOf(batch, 0)
  for (let index = 0; index < recordCountOf(batch, 0); index++) {
    nextRecord(cursor, place)
    if (!rules.keeps(block, place, baseOffsetOf(batch, 0) + place.offsetDelta)) continue
    kept.starts.push(place.start)
    kept.ends.push(place.end)
    kept.maxTimestamp = Math.max(kept.maxTimestamp, base + place.timestampDelta)
    if (place.valueSize < 0) kept.hasTombstone = true
  }
  return kept
}

async function rebuilt(
  io: Pick<Io, 'codecs' | 'crc32c'>,
  batch: Buffer,
  block: Buffer,
  kept: Kept,
  deleteHorizonMs: number | undefined,
): Promise<Buffer> {
  const header = readBatchHeader(batch, 0)
  const codec = codecOf(header.attributes) as CodecId
  const plain =
    deleteHorizonMs === undefined
      ? Buffer.concat(kept.starts.map((start, index) => block.subarray(start, kept.ends[index])))
      : shifted(block, kept, header.baseTimestamp - deleteHorizonMs)
  const packed = await io.codecs.compress(codec, plain)
  const target = Buffer.allocUnsafe(BATCH_HEADER_BYTES + packed.length)
  packed.copy(target, BATCH_HEADER_BYTES)
  const isStamped = hasLogAppendTime(header.attributes)
  writeBatchHeader(
    target,
    0,
    target.length,
    {
      ...header,
      attributes: attributesWith(header.attributes, codec, deleteHorizonMs !== undefined),
      baseTimestamp: deleteHorizonMs ?? header.baseTimestamp,
      maxTimestamp: isStamped ? header.maxTimestamp : kept.maxTimestamp,
      recordCount: kept.starts.length,
    },
    io.crc32c,
  )
  return target
}

function attributesWith(attributes: number, codec: number, hasNewHorizon: boolean): number {
  return attributesFrom({
    codec,
    timestampType: hasLogAppendTime(attributes)
      ? TimestampType.logAppendTime
      : TimestampType.createTime,
    transactional: isTransactional(attributes),
    control: isControl(attributes),
    deleteHorizon: hasNewHorizon || hasDeleteHorizon(attributes),
  })
}

/** The horizon takes the place of the base timestamp, so every record's delta changes. */
function shifted(block: Buffer, kept: Kept, byMs: number): Buffer {
  const records = kept.starts.map((start, index) => {
    const place = newRecordPlace()
    nextRecord(new VarintCursor(block, start, kept.ends[index] as number), place)
    place.timestampDelta += byMs
    return readRecord(block, place)
  })
  const target = Buffer.allocUnsafe(records.reduce((sum, one) => sum + recordSize(one), 0))
  let at = 0
  for (const one of records) at = writeRecord(target, at, one)
  return target
}

/** Offsets, sequences and largest timestamp stay; the records are gone. */
function emptied(batch: Buffer, crc32c: Io['crc32c']): Buffer {
  const header = readBatchHeader(batch, 0)
  const target = Buffer.alloc(BATCH_HEADER_BYTES)
  const attributes = attributesFrom({
    codec: Codec.none,
    timestampType: hasLogAppendTime(header.attributes)
      ? TimestampType.logAppendTime
      : TimestampType.createTime,
    transactional: isTransactional(header.attributes),
    control: isControl(header.attributes),
  })
  writeBatchHeader(
    target,
    0,
    target.length,
    { ...header, attributes, baseTimestamp: NO_TIMESTAMP, recordCount: 0 },
    crc32c,
  )
  return target
}
