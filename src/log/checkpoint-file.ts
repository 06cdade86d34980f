import { LmqError } from '../base/errors.ts'
import type { Disk } from '../io/io.ts'

/**
 * Kafka's small text files: a line with version 0, a line with the number of entries, then one entry a line.
 * Written whole and renamed into place.
 */
const version = '0'

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
    const [topic, partition, offset] = line.split(/\s+/)
    const found = {
      topic: topic ?? '',
      partitionIndex: Number(partition),
      offset: Number(offset),
    }
    if (!found.topic || !isWhole(found.partitionIndex) || !isWhole(found.offset)) {
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
    const [epoch, startOffset] = line.split(/\s+/).map(Number)
    if (!isWhole(epoch) || !isWhole(startOffset)) throw damaged(path, line)
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
  return Buffer.from(`${[version, lines.length, ...lines].join('\n')}\n`)
}

function decodeLines(content: Buffer, path: string): string[] {
  const lines = content.toString('utf8').split('\n')
  if (lines.at(-1) === '') lines.pop()
  const [fileVersion, count, ...entries] = lines
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
