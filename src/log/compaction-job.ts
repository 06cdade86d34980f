import type { Io } from '../io/io.ts'
import { newRecordPlace, nextRecord } from '../protocol/record.ts'
import {
  attributesOf,
  baseOffsetOf,
  baseTimestampOf,
  hasDeleteHorizon,
  isControl,
  lastOffsetOf,
  maxTimestampOf,
  producerEpochOf,
  producerIdOf,
  recordCountOf,
} from '../protocol/record-batch.ts'
import { VarintCursor } from '../protocol/varint.ts'
import { filterBatch } from './batch-filter.ts'
import { openBatch } from './batch-recode.ts'
import { scanBatches } from './batch-scan.ts'
import { CleanedTransactions } from './cleaned-transactions.ts'
import { FileHandles } from './file-handles.ts'
import { IndexCache } from './index-cache.ts'
import { Suffix } from './log-files.ts'
import { OffsetMap } from './offset-map.ts'
import { Segment } from './segment.ts'
import type { AbortedTransaction } from './transaction-index.ts'

const writeBytes = 1024 * 1024

/** One round of compaction of one log, as its worker thread gets it. */
export type CompactionInput = {
  readonly folder: string
  /** Closed segments from the first one up to the last that may be compacted. */
  readonly segments: readonly SegmentPlace[]
  /** Offsets below are compacted already. */
  readonly firstDirtyOffset: number
  /** Exclusive: nothing from here on is looked at. */
  readonly endOffset: number
  readonly aborted: readonly AbortedTransaction[]
  /** Producer id, its last data offset or -1, its epoch. */
  readonly producers: readonly (readonly [number, number, number])[]
  readonly nowMs: number
  readonly deleteRetentionMs: number
  readonly segmentBytes: number
  readonly segmentIndexBytes: number
  readonly indexIntervalBytes: number
  readonly mapBytes: number
  readonly mapLoadFactor: number
  readonly maxBytesPerSecond: number
}

export type SegmentPlace = {
  readonly baseOffset: number
  /** Exclusive: the next segment's base. */
  readonly endOffset: number
  readonly sizeBytes: number
  readonly indexBytes: number
}

export type CompactionOutput = {
  /** Offsets below are compacted now. */
  readonly cleanedOffset: number
  /** Each: the segments that one `.cleaned` segment, at the first one's base offset, stands for. */
  readonly groups: readonly (readonly number[])[]
  readonly readBytes: number
  readonly writtenBytes: number
}

/** Runs in a worker thread: reads closed segments, writes `.cleaned` files beside them, and flushes those. */
export async function run(input: CompactionInput, io: Io): Promise<CompactionOutput> {
  return new Compaction(input, io).run()
}

/** Like Kafka's Cleaner: last offset of each key in the dirty part, then everything below it is written anew. */
class Compaction {
  readonly #input: CompactionInput
  readonly #io: Io
  readonly #map: OffsetMap
  readonly #producers: Map<number, { lastDataOffset: number; epoch: number }>
  readonly #shared: ConstructorParameters<typeof Segment>[0]
  readonly #startMs: number
  #readBytes = 0
  #writtenBytes = 0

  constructor(input: CompactionInput, io: Io) {
    this.#input = input
    this.#io = io
    this.#startMs = io.monotonic.nowMs()
    const maxKeys = input.endOffset - input.firstDirtyOffset
    this.#map = new OffsetMap(input.mapBytes, input.mapLoadFactor, maxKeys)
    this.#producers = new Map(
      input.producers.map(([id, lastDataOffset, epoch]) => [id, { lastDataOffset, epoch }]),
    )
    const { disk, crc32c } = io
    this.#shared = { disk, crc32c, handles: new FileHandles(disk), indexCache: new IndexCache() }
  }

  async run(): Promise<CompactionOutput> {
    await this.#buildMap()
    const cleanedOffset = this.#map.latestOffset + 1
    // Without progress the next round would be the same one.
    if (cleanedOffset <= this.#input.firstDirtyOffset) {
      throw new Error('log.cleaner.dedupe.buffer.size has no room for the keys of one batch')
    }
    const groups = this.#groups(cleanedOffset)
    for (const group of groups) await this.#cleanGroup(group)
    return {
      cleanedOffset,
      groups: groups.map((group) => group.map(({ baseOffset }) => baseOffset)),
      readBytes: this.#readBytes,
      writtenBytes: this.#writtenBytes,
    }
  }

  // -------------------------------------------------------------------------------------------------- the map

  async #buildMap(): Promise<void> {
    const { segments, firstDirtyOffset, endOffset, aborted } = this.#input
    const transactions = new CleanedTransactions(aborted)
    for (const place of segments) {
      if (place.endOffset <= firstDirtyOffset) continue
      let isFull = false
      await this.#eachBatch(place, async (batch) => {
        if (lastOffsetOf(batch, 0) >= endOffset) return false
        isFull = !(await this.#mapBatch(batch, transactions))
        return !isFull
      })
      if (isFull) return
      const reached = Math.min(place.endOffset, endOffset) - 1
      this.#map.latestOffset = Math.max(this.#map.latestOffset, reached)
    }
  }

  /** @returns false when the map is full */
  async #mapBatch(batch: Buffer, transactions: CleanedTransactions): Promise<boolean> {
    const { firstDirtyOffset } = this.#input
    if (isControl(attributesOf(batch, 0))) {
      transactions.readControl(batch, 0)
    } else if (!transactions.readData(batch, 0) && lastOffsetOf(batch, 0) >= firstDirtyOffset) {
      const block = await openBatch(this.#io, batch)
      const cursor = new VarintCursor(block)
      const place = newRecordPlace()
      for (let index = 0; index < recordCountOf(batch, 0); index++) {
        nextRecord(cursor, place)
        const offset = baseOffsetOf(batch, 0) + place.offsetDelta
        if (place.keySize < 0 || offset < firstDirtyOffset) continue
        const { keyStart, keySize } = place
        if (!this.#map.put(block, keyStart, keyStart + keySize, offset)) return false
      }
    }
    if (lastOffsetOf(batch, 0) >= firstDirtyOffset) {
      this.#map.latestOffset = lastOffsetOf(batch, 0)
    }
    return true
  }

  // -------------------------------------------------------------------------------------------------- cleaning

  /** Neighbours whose sum fits one segment become one, so that compaction does not leave ever smaller files. */
  #groups(cleanedOffset: number): SegmentPlace[][] {
    const { segmentBytes, segmentIndexBytes } = this.#input
    const groups: SegmentPlace[][] = []
    let group: SegmentPlace[] = []
    let bytes = 0
    let indexBytes = 0
    for (const place of this.#input.segments) {
      if (place.baseOffset >= cleanedOffset) break
      const first = group[0]
      const fits =
        first !== undefined &&
        bytes + place.sizeBytes <= segmentBytes &&
        indexBytes + place.indexBytes <= segmentIndexBytes &&
        place.endOffset - 1 - first.baseOffset < 2 ** 31
      if (!fits) {
        group = []
        groups.push(group)
        bytes = 0
        indexBytes = 0
      }
      group.push(place)
      bytes += place.sizeBytes
      indexBytes += place.indexBytes
    }
    return groups
  }

  async #cleanGroup(group: readonly SegmentPlace[]): Promise<void> {
    const { folder, nowMs, indexIntervalBytes } = this.#input
    const first = group[0] as SegmentPlace
    const cleaned = new Segment(this.#shared, folder, first.baseOffset, nowMs)
    for (const file of [
      cleaned.file,
      cleaned.offsetIndex,
      cleaned.timeIndex,
      cleaned.transactionIndex,
    ]) {
      file.path += Suffix.cleaned
    }
    cleaned.create()
    cleaned.file.use().truncateSync(0)
    const writer = new CleanedWriter(cleaned, indexIntervalBytes)
    const transactions = new CleanedTransactions(this.#abortedIn(group), (entry) =>
      cleaned.transactionIndex.append(entry),
    )
    for (const place of group) {
      await this.#eachBatch(place, async (batch) => {
        const left = await this.#filter(batch, transactions)
        if (left) writer.add(left)
        return true
      })
    }
    this.#writtenBytes += writer.finish()
    await cleaned.flush(true)
    cleaned.close()
  }

  /** Aborted transactions that began before the group's end and ended in or behind it. */
  #abortedIn(group: readonly SegmentPlace[]): AbortedTransaction[] {
    const from = (group[0] as SegmentPlace).baseOffset
    const to = (group.at(-1) as SegmentPlace).endOffset
    return this.#input.aborted.filter(
      ({ firstOffset, lastOffset }) => lastOffset >= from && firstOffset < to,
    )
  }

  #filter(batch: Buffer, transactions: CleanedTransactions): Promise<Buffer | undefined> {
    const { nowMs, deleteRetentionMs, endOffset } = this.#input
    const attributes = attributesOf(batch, 0)
    const isMarker = isControl(attributes)
    const isDone = isMarker ? transactions.readControl(batch, 0) : transactions.readData(batch, 0)
    const hasHorizon = hasDeleteHorizon(attributes)
    const isPastHorizon = hasHorizon && baseTimestampOf(batch, 0) <= nowMs
    const dropsAll = isMarker ? isDone && isPastHorizon : isDone
    const map = this.#map
    return filterBatch(this.#io, batch, {
      keeps(block, place, offset) {
        if (dropsAll) return false
        if (isMarker || offset > map.latestOffset) return true
        if (place.keySize < 0) return false
        if (offset < map.get(block, place.keyStart, place.keyStart + place.keySize)) return false
        return place.valueSize >= 0 || !isPastHorizon
      },
      keepsEmpty: this.#isLastOfProducer(batch) || lastOffsetOf(batch, 0) + 1 === endOffset,
      isEmptyMarker: isMarker && isDone,
      deleteHorizonMs: nowMs + deleteRetentionMs,
    })
  }

  /** Without it the producer's next sequence or epoch would be forgotten. */
  #isLastOfProducer(batch: Buffer): boolean {
    const producer = this.#producers.get(producerIdOf(batch, 0))
    if (!producer) return false
    if (producer.lastDataOffset >= 0) return lastOffsetOf(batch, 0) === producer.lastDataOffset
    return isControl(attributesOf(batch, 0)) && producerEpochOf(batch, 0) === producer.epoch
  }

  // -------------------------------------------------------------------------------------------------- reading

  /** @param visit gets one whole batch, good until it returns; false: stop */
  async #eachBatch(place: SegmentPlace, visit: (batch: Buffer) => Promise<boolean>): Promise<void> {
    const segment = new Segment(this.#shared, this.#input.folder, place.baseOffset, 0)
    const batches: Buffer[] = []
    const steps = scanBatches(
      segment.file,
      0,
      place.sizeBytes,
      undefined,
      (buffer, at, _position, sizeBytes) => {
        batches.push(buffer.subarray(at, at + sizeBytes))
        return true
      },
    )
    try {
      for (;;) {
        const step = steps.next()
        for (const batch of batches) {
          this.#readBytes += batch.length
          if (!(await visit(batch))) return
        }
        batches.length = 0
        if (step.done) {
          if (step.value.damage) throw new Error(`${segment.file.path}: ${step.value.damage}`)
          return
        }
        await this.#throttle()
      }
    } finally {
      segment.close()
    }
  }

  async #throttle(): Promise<void> {
    const { maxBytesPerSecond } = this.#input
    const dueMs = ((this.#readBytes + this.#writtenBytes) / maxBytesPerSecond) * 1_000
    const aheadMs = dueMs - (this.#io.monotonic.nowMs() - this.#startMs)
    if (aheadMs > 1) await new Promise<void>((done) => this.#io.timers.schedule(aheadMs, done))
  }
}

/** Gathers what is left and writes it in large pieces. */
class CleanedWriter {
  readonly #segment: Segment
  readonly #indexIntervalBytes: number
  #chunks: Buffer[] = []
  #chunkBytes = 0
  #position = 0

  constructor(segment: Segment, indexIntervalBytes: number) {
    this.#segment = segment
    this.#indexIntervalBytes = indexIntervalBytes
  }

  add(batch: Buffer): void {
    // The reader's buffer is used again after this batch, so what is kept must be copied.
    this.#chunks.push(Buffer.from(batch))
    this.#chunkBytes += batch.length
    this.#segment.append(
      batch.length,
      lastOffsetOf(batch, 0),
      maxTimestampOf(batch, 0),
      this.#indexIntervalBytes,
    )
    if (this.#chunkBytes >= writeBytes) this.#write()
  }

  /** @returns bytes written in all */
  finish(): number {
    this.#write()
    return this.#position
  }

  #write(): void {
    if (this.#chunkBytes === 0) return
    this.#segment.file.use().writeSync(this.#chunks, this.#position)
    this.#position += this.#chunkBytes
    this.#segment.writtenBytes = this.#position
    this.#chunks = []
    this.#chunkBytes = 0
  }
}
