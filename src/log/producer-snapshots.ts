import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Disk } from '../io/io.ts'
import { snapshotPathOf } from './log-files.ts'
import { decodeProducers, encodeProducers } from './producer-snapshot.ts'
import type { ProducerState } from './producer-state.ts'

type Crc32c = (buffer: Buffer, start: number, end: number) => number

/** The `.snapshot` files of one partition: written when a segment is closed and at an orderly stop. */
export class ProducerSnapshots {
  readonly #disk: Disk
  readonly #folder: string
  readonly #crc32c: Crc32c
  readonly #logger: Logger
  /** Ascending. */
  #offsets: number[] = []
  /** Written, but not durable yet. */
  #unflushed: number[] = []

  constructor(disk: Disk, folder: string, crc32c: Crc32c, logger: Logger) {
    this.#disk = disk
    this.#folder = folder
    this.#crc32c = crc32c
    this.#logger = logger
  }

  get latestOffset(): number {
    return this.#offsets.at(-1) ?? -1
  }

  load(offsets: readonly number[]): void {
    this.#offsets = [...offsets]
  }

  /** The newest readable snapshot at or below `maxOffset`; damaged ones are removed. */
  readLatest(maxOffset: number): { offset: number; producers: ProducerState[] } | undefined {
    for (const offset of this.#offsets.filter((one) => one <= maxOffset).reverse()) {
      const path = snapshotPathOf(this.#folder, offset)
      try {
        const content = this.#disk.readFileSync(path)
        return { offset, producers: decodeProducers(content, path, this.#crc32c) }
      } catch (error) {
        if (!(error instanceof LmqError)) throw error
        this.#logger.warn({ path }, 'a producer snapshot is damaged and is removed')
        this.#remove([offset])
      }
    }
    return undefined
  }

  /** Writes the state as it is before `offset`. */
  write(offset: number, producers: ReadonlyMap<number, ProducerState>): void {
    if (this.latestOffset === offset) return
    const file = this.#disk.openSync(snapshotPathOf(this.#folder, offset), 'write')
    try {
      const content = encodeProducers(producers, this.#crc32c)
      file.truncateSync(content.length)
      file.writeSync([content], 0)
    } finally {
      file.closeSync()
    }
    this.#offsets.push(offset)
    this.#unflushed.push(offset)
  }

  /** Makes them durable. One that was removed meanwhile need not be. @throws Node's own disk errors */
  async flush(): Promise<void> {
    for (const offset of this.#unflushed.splice(0)) {
      const path = snapshotPathOf(this.#folder, offset)
      if (!this.#offsets.includes(offset) || !this.#disk.existsSync(path)) continue
      const file = this.#disk.openSync(path, 'update')
      try {
        await file.flush()
      } finally {
        file.closeSync()
      }
    }
  }

  /** Those behind the log's end: they tell of batches that are gone. */
  removeAbove(offset: number): void {
    this.#remove(this.#offsets.filter((one) => one > offset))
  }

  /** Those before the log's start, but never the newest one. */
  removeBelow(offset: number): void {
    this.#remove(this.#offsets.slice(0, -1).filter((one) => one < offset))
  }

  /** Keeps those that stand at a segment's start, and the newest one. */
  keepOnly(segmentOffsets: ReadonlySet<number>): void {
    this.#remove(this.#offsets.slice(0, -1).filter((one) => !segmentOffsets.has(one)))
  }

  #remove(offsets: readonly number[]): void {
    for (const offset of offsets) this.#disk.removeFileSync(snapshotPathOf(this.#folder, offset))
    this.#offsets = this.#offsets.filter((one) => !offsets.includes(one))
  }
}
