import { join } from 'node:path'
import type { Disk } from '../io/io.ts'
import {
  baseOffsetOf,
  lastOffsetOf,
  leaderEpochOf,
  magicOf,
  producerIdOf,
  recordCountOf,
} from '../protocol/record-batch.ts'
import { scanBatches } from './batch-scan.ts'
import type { ForeignPartition } from './foreign-folder.ts'
import { offsetOfFileName, Suffix } from './log-files.ts'
import { ProducerStates } from './producer-states.ts'

type Crc32c = (buffer: Buffer, start: number, end: number) => number

/** Where a segment stops making sense. */
export type ForeignDamage = {
  readonly file: string
  /** In bytes. */
  readonly position: number
  /** The log is whole below it. */
  readonly offset: number
  readonly reason: string
  /** Bytes of this and the later segments behind the damage. */
  readonly bytesBehind: number
  /** What stands there is of this older format; undefined: it is of none. */
  readonly olderMagic: number | undefined
}

/** One partition's segments, read from end to end. */
export type ForeignLog = {
  readonly startOffset: number
  /** Exclusive. */
  readonly endOffset: number
  readonly records: number
  readonly segments: number
  /** Of the segment files. */
  readonly bytes: number
  /** The latest leader epoch of a batch or of the checkpoint; -1: none. */
  readonly latestEpoch: number
  /** Compaction took records out: offsets are missing. */
  readonly hasGaps: boolean
  /** The largest id of a producer that wrote here; -1: none had one. */
  readonly largestProducerId: number
  /** A transaction begins here that no marker ends: readers of committed records stop; -1: none. */
  readonly openTransactionOffset: number
  readonly damage: ForeignDamage | undefined
}

const oldestMagic = 0
const olderMagics = [oldestMagic, 1]
/** Offset, length, checksum, then the magic: the same place in every format. */
const magicEnd = 17

/**
 * Reads all of a partition and checks every batch's checksum and that offsets ascend, across segments, too. Yields
 * after each part of a file, about a megabyte.
 *
 * @throws Node's own disk errors
 */
export function* inspectForeignLog(
  disk: Disk,
  crc32c: Crc32c,
  partition: ForeignPartition,
): Generator<void, ForeignLog> {
  const segments = partition.files
    .filter(({ name }) => name.endsWith(Suffix.log) && offsetOfFileName(name) !== undefined)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const reading = new Reading(disk, crc32c, partition)
  for (const [at, segment] of segments.entries()) {
    const next = segments[at + 1]
    const endOffset = next ? (offsetOfFileName(next.name) as number) : Number.MAX_SAFE_INTEGER
    yield* reading.read(segment, endOffset)
    if (!reading.damage) continue
    for (const later of segments.slice(at + 1)) reading.damage.bytesBehind += later.sizeBytes
    break
  }
  const first = segments[0] ? (offsetOfFileName(segments[0].name) as number) : 0
  return {
    startOffset: Math.max(partition.offsets.logStartOffset ?? 0, first),
    endOffset: Math.max(reading.nextOffset, first),
    records: reading.records,
    segments: segments.length,
    bytes: segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    latestEpoch: reading.latestEpoch,
    hasGaps: reading.hasGaps,
    largestProducerId: reading.largestProducerId,
    openTransactionOffset: reading.openTransactionOffset,
    damage: reading.damage,
  }
}

class Reading {
  records = 0
  nextOffset = 0
  latestEpoch: number
  hasGaps = false
  largestProducerId = -1
  damage: { -readonly [Name in keyof ForeignDamage]: ForeignDamage[Name] } | undefined
  readonly #disk: Disk
  readonly #crc32c: Crc32c
  readonly #folder: string
  readonly #producers = new ProducerStates()

  constructor(disk: Disk, crc32c: Crc32c, { folder, latestEpoch }: ForeignPartition) {
    this.#disk = disk
    this.#crc32c = crc32c
    this.#folder = folder
    this.latestEpoch = latestEpoch
  }

  get openTransactionOffset(): number {
    this.#producers.advance(this.nextOffset)
    return this.#producers.firstUnstableOffset
  }

  /** @param endOffset the next segment begins there */
  *read(segment: { name: string; sizeBytes: number }, endOffset: number): Generator<void, void> {
    const { name, sizeBytes } = segment
    const baseOffset = offsetOfFileName(name) as number
    if (baseOffset > this.nextOffset) {
      if (this.nextOffset > 0) this.hasGaps = true
      this.nextOffset = baseOffset
    }
    const file = this.#disk.openSync(join(this.#folder, name), 'read')
    try {
      const { position, damage } = yield* scanBatches(
        file,
        0,
        sizeBytes,
        this.#crc32c,
        (buffer, at) => this.#note(buffer, at, endOffset),
      )
      if (position >= sizeBytes) return
      const head = Buffer.alloc(magicEnd)
      const magic = file.readSync(head, position) === magicEnd ? magicOf(head, 0) : undefined
      this.damage = {
        file: name,
        position,
        offset: this.nextOffset,
        reason: damage ?? 'offsets do not follow one another',
        bytesBehind: sizeBytes - position,
        olderMagic: magic !== undefined && olderMagics.includes(magic) ? magic : undefined,
      }
    } finally {
      file.closeSync()
    }
  }

  #note(buffer: Buffer, at: number, endOffset: number): boolean {
    const baseOffset = baseOffsetOf(buffer, at)
    const lastOffset = lastOffsetOf(buffer, at)
    if (baseOffset < this.nextOffset || lastOffset < baseOffset || lastOffset >= endOffset) {
      return false
    }
    if (baseOffset > this.nextOffset) this.hasGaps = true
    this.nextOffset = lastOffset + 1
    this.records += recordCountOf(buffer, at)
    this.latestEpoch = Math.max(this.latestEpoch, leaderEpochOf(buffer, at))
    this.largestProducerId = Math.max(this.largestProducerId, producerIdOf(buffer, at))
    this.#producers.note(buffer, at)
    return true
  }
}
