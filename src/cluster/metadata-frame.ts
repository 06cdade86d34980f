import type { Io } from '../io/io.ts'

/**
 * The frame around one entry or snapshot on disk, big-endian:
 *
 *     0 magic "LMQ1" · 4 payload bytes · 8 CRC-32C of all that follows · 12 digest of the frame before
 *     16 index (int64) · 24 controller epoch (int32) · 28 kind: 0 entry, 1 snapshot · 32 payload
 *
 * The digest of a frame is its CRC; carrying it in the next one chains the log, so that an entry that was swapped,
 * lost or taken from another log is noticed. In a snapshot it is the digest of the entry at the snapshot's index.
 */
export type MetadataFrame = {
  readonly kind: FrameKind
  readonly index: number
  readonly controllerEpoch: number
  readonly previousDigest: number
  /** Of this frame. */
  readonly digest: number
  readonly payload: Buffer
  /** Position behind this frame. */
  readonly end: number
}

export const FrameKind = { entry: 0, snapshot: 1 } as const
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind]

export const frameHeaderBytes = 32
/** No entry or snapshot is larger: a length above this is damage. */
export const maxFrameBytes = 256 * 1024 * 1024

const magic = 0x4c4d5131

type FrameFields = Pick<MetadataFrame, 'kind' | 'index' | 'controllerEpoch' | 'previousDigest'>

/** @returns the whole frame in one buffer, and its digest */
export function encodeFrame(
  io: Pick<Io, 'crc32c'>,
  fields: FrameFields,
  payload: Buffer,
): { frame: Buffer; digest: number } {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + payload.length)
  frame.writeUInt32BE(magic, 0)
  frame.writeUInt32BE(payload.length, 4)
  frame.writeUInt32BE(fields.previousDigest, 12)
  frame.writeBigInt64BE(BigInt(fields.index), 16)
  frame.writeInt32BE(fields.controllerEpoch, 24)
  frame.writeUInt32BE(fields.kind, 28)
  payload.copy(frame, frameHeaderBytes)
  const digest = io.crc32c(frame, 12, frame.length)
  frame.writeUInt32BE(digest, 8)
  return { frame, digest }
}

/** @returns undefined when no whole and undamaged frame starts at `position` */
export function decodeFrame(
  io: Pick<Io, 'crc32c'>,
  file: Buffer,
  position: number,
): MetadataFrame | undefined {
  if (position + frameHeaderBytes > file.length) return undefined
  if (file.readUInt32BE(position) !== magic) return undefined
  const payloadBytes = file.readUInt32BE(position + 4)
  const end = position + frameHeaderBytes + payloadBytes
  if (payloadBytes > maxFrameBytes || end > file.length) return undefined
  const digest = file.readUInt32BE(position + 8)
  if (io.crc32c(file, position + 12, end) !== digest) return undefined
  const kind = file.readUInt32BE(position + 28)
  if (kind !== FrameKind.entry && kind !== FrameKind.snapshot) return undefined
  return {
    kind,
    index: Number(file.readBigInt64BE(position + 16)),
    controllerEpoch: file.readInt32BE(position + 24),
    previousDigest: file.readUInt32BE(position + 12),
    digest,
    payload: file.subarray(position + frameHeaderBytes, end),
    end,
  }
}

/** The first whole frame at or behind `from`, if there is one: proof that what lies before it is not a torn tail. */
export function findFrame(
  io: Pick<Io, 'crc32c'>,
  file: Buffer,
  from: number,
): MetadataFrame | undefined {
  const mark = Buffer.allocUnsafe(4)
  mark.writeUInt32BE(magic, 0)
  for (let at = file.indexOf(mark, from); at >= 0; at = file.indexOf(mark, at + 1)) {
    const frame = decodeFrame(io, file, at)
    if (frame) return frame
  }
  return undefined
}
