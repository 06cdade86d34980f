import { newRecordPlace, nextRecord } from '../protocol/record.ts'
import { BATCH_HEADER_BYTES, batchSizeOf, recordCountOf } from '../protocol/record-batch.ts'
import { VarintCursor } from '../protocol/varint.ts'

const abortType = 0
const commitType = 1

export type TransactionMarker = { isAbort: boolean; coordinatorEpoch: number }

/** The marker that a control batch holds; undefined for other control records (leader change ...) and empty batches. */
export function markerOf(b: Buffer, at: number): TransactionMarker | undefined {
  if (recordCountOf(b, at) === 0) return undefined
  const place = newRecordPlace()
  nextRecord(new VarintCursor(b, at + BATCH_HEADER_BYTES, at + batchSizeOf(b, at)), place)
  if (place.keySize < 4 || place.valueSize < 6) return undefined
  const type = b.readInt16BE(place.keyStart + 2)
  if (type !== abortType && type !== commitType) return undefined
  return { isAbort: type === abortType, coordinatorEpoch: b.readInt32BE(place.valueStart + 2) }
}
