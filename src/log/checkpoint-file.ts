import { LmqError } from '../base/errors.ts'
import { crc32c } from '../io/crc32c.ts'
import type { Disk } from '../io/io.ts'

/**
 * Kafka's small text files: a line with version 0, a line with the number of entries, then one entry a line.
 * Written whole and renamed into place.
 *
 * Kafka's format has no checksum, and a single wrong digit in a log start hides records or has them deleted. So the last
 * entry ends in white space that is one: the CRC-32C of all before it, highest bit first, a blank for 0, a tab for 1.
 * Kafka splits lines at white space and does not see it; files without it, which Kafka wrote, are taken as they are.
 */
const version = '0'
const checksumBits = 32

export type PartitionOffset = { topic: string; partitionIndex: number; offset: number }
export type EpochStart = { epoch: number; startOffset: number }

/** `recovery-point-offset-checkpoint` and its two siblings in a log directory. */
export function encodeOffsets(offsets: Iterable<PartitionOffset>): Buffer {
  const lines: string[] = []
  for (const { topic, partitionIndex, offset } of offsets) {
    lines.push(`${topic} ${partitionIndex} ${offset}`)
  }
  return encodeLines(lines)
}

/** @throws LMQ_LOG_CORRUPT */
export function decodeOffsets(content: Buffer, path: string): PartitionOffset[] {
  return decodeLines(content, path).map((line) => {
    const [topic, partition, offset, ...more] = line.split(' ')
    const found = {
      topic: topic ?? '',
      partitionIndex: Number(partition),
      offset: Number(offset),
    }
    if (
      more.length > 0 ||
      !found.topic ||
      !isWhole(found.partitionIndex) ||
      !isWhole(found.offset)
    ) {
      throw damaged(path, line)
    }
    return found
  })
}

/** `leader-epoch-checkpoint` in a partition's folder. */
export function encodeEpochs(epochs: readonly EpochStart[]): Buffer {
  return encodeLines(epochs.map(({ epoch, startOffset }) => `${epoch} ${startOffset}`))
}

/** @throws LMQ_LOG_CORRUPT */
export function decodeEpochs(content: Buffer, path: string): EpochStart[] {
  return decodeLines(content, path).map((line) => {
    const [epoch, startOffset, ...more] = line.split(' ').map(Number)
    if (more.length > 0 || !isWhole(epoch) || !isWhole(startOffset)) throw damaged(path, line)
    return { epoch, startOffset }
  })
}

/** A checkpoint that is missing or damaged counts as empty: what it says is found again from the logs. */
export function readCheckpoint<Entry>(
  disk: Disk,
  path: string,
  decode: (content: Buffer, path: string) => Entry[],
): { entries: Entry[]; damage?: LmqError } {
  if (!disk.existsSync(path)) return { entries: [] }
  try {
    return { entries: decode(disk.readFileSync(path), path) }
  } catch (error) {
    if (error instanceof LmqError) return { entries: [], damage: error }
    throw error
  }
}

function encodeLines(lines: readonly string[]): Buffer {
  const text = [version, lines.length, ...lines].join('\n')
  return Buffer.from(`${text}${lines.length > 0 ? checksumOf(text) : ''}\n`)
}

function checksumOf(text: string): string {
  const content = Buffer.from(text)
  const bits = crc32c(content, 0, content.length).toString(2).padStart(checksumBits, '0')
  return bits.replaceAll('0', ' ').replaceAll('1', '\t')
}

function decodeLines(content: Buffer, path: string): string[] {
  const text = content.toString('utf8')
  // The last number may be cut off otherwise.
  if (!text.endsWith('\n')) throw damaged(path, 'the last line does not end')
  const sound = text.trimEnd()
  const checksum = text.slice(sound.length, -1)
  if (checksum.length > 0 && checksum !== checksumOf(sound)) throw damaged(path, 'checksum')
  const [fileVersion, count, ...entries] = sound.split('\n')
  if (fileVersion !== version) throw damaged(path, fileVersion ?? '')
  if (Number(count) !== entries.length) throw damaged(path, `${count} entries`)
  return entries
}

function isWhole(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0
}

function damaged(path: string, line: string): LmqError {
  return new LmqError('LMQ_LOG_CORRUPT', { path, line })
}
