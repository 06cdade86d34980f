/** Record batches, good and bad, and how they are shown in an answer. */
import { gzipSync } from 'node:zlib'
import { crc32c } from '../../../../src/io/crc32c.ts'
import {
  type BatchOptions,
  buildBatch,
  buildRecordBlock,
  type RecordInput,
  wrapBlock,
} from '../../../../src/protocol/batch-builder.ts'
import { readRecords } from '../../../../src/protocol/record.ts'

/** When the records of the stories were made: 2023-11-14. */
export const T = 1_700_000_000_000

export const record = (
  value: string | null = 'v',
  key: string | null = 'k',
  timestamp = T,
): RecordInput => ({
  key: key === null ? null : Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
  timestamp,
})

export const batch = (
  records: readonly RecordInput[] = [record()],
  options: BatchOptions = {},
): Buffer => buildBatch(records, options, crc32c)

export const gzipBatch = (records: readonly RecordInput[], options: BatchOptions = {}): Buffer =>
  wrapBlock(gzipSync(buildRecordBlock(records)), 1, records, options, crc32c)

/** A batch that says it is of this codec and holds `block`. */
export const packed = (codec: number, block: Buffer, records = [record()]): Buffer =>
  wrapBlock(block, codec, records, {}, crc32c)

/** Changes a batch and makes its checksum right again. */
export function changed(bytes: Buffer, change: (bytes: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes)
  change(copy)
  copy.writeUInt32BE(crc32c(copy, 21, copy.length), 17)
  return copy
}

/** Headers of all whole batches, and the records of those that are not compressed. */
export function describeRecords(bytes: Buffer): unknown {
  const batches: string[] = []
  let at = 0
  while (at + 61 <= bytes.length) {
    const size = bytes.readInt32BE(at + 8) + 12
    if (at + size > bytes.length) break
    const one = bytes.subarray(at, at + size)
    at += size
    const attributes = one.readInt16BE(21)
    const crc = crc32c(one, 21, one.length) === one.readUInt32BE(17) ? '' : ' BAD CRC'
    const plain = (attributes & 7) === 0
    const values = plain
      ? readRecords(one.subarray(61), one.readInt32BE(57)).map(
          ({ key, value, timestampDelta }) =>
            `${key}=${value?.toString().slice(0, 20)}+${timestampDelta}`,
        )
      : [`${one.length - 61} bytes`]
    const times = [one.readBigInt64BE(27), one.readBigInt64BE(35)].map((time) =>
      time > 1_750_000_000_000n && time < 2_500_000_000_000n ? '<now>' : `${time}`,
    )
    batches.push(
      `@${one.readBigInt64BE(0)} epoch ${one.readInt32BE(12)} attributes ${attributes} delta ${one.readInt32BE(23)} time ${times[0]}-${times[1]} producer ${one.readBigInt64BE(43)}/${one.readInt16BE(51)}/${one.readInt32BE(53)} count ${one.readInt32BE(57)}: ${values.join(' ')}${crc}`,
    )
  }
  if (at < bytes.length) batches.push(`and ${bytes.length - at} bytes`)
  return batches
}
