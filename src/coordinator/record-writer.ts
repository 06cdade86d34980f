/**
 * Writes a coordinator's records to its partition: what one turn of the event loop brings leaves in one batch. Records
 * are applied and their writers told in the order in which they were given, when the log says that they are committed.
 */
import { assert } from '../base/assert.ts'
import type { Codecs, Io, Timer } from '../io/io.ts'
import { buildRecordBlock, type RecordInput, wrapBlock } from '../protocol/batch-builder.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { BATCH_HEADER_BYTES } from '../protocol/record-batch.ts'
import type { CoordinatorLog } from './ports.ts'

type CodecNumber = Parameters<Codecs['compress']>[0]

/** No record takes more than this beside key and value: length, attributes, deltas, sizes, header count. */
const RECORD_OVERHEAD_BYTES = 23
/** A batch is closed at this size even where the topic takes larger ones. */
const BATCH_TARGET_BYTES = 1024 * 1024

export type WriteDone = (errorCode: ErrorCode) => void

type Encoded = { readonly key: Buffer; readonly value: Buffer | null }

type Write<R> = {
  readonly records: readonly R[]
  readonly done: WriteDone
  /** Batches that carry its records and are not committed yet. */
  batches: number
  errorCode: ErrorCode
  isAnswered: boolean
}

type Batch<R> = { readonly items: Item<R>[]; sizeBytes: number }
type Item<R> = { readonly write: Write<R>; readonly record: R; readonly encoded: Encoded }

export type RecordWriterOptions<R> = {
  readonly io: Io
  readonly log: CoordinatorLog
  readonly partitionIndex: number
  /** Kafka's codec number; 0: none. */
  readonly codec: number
  /** How long records wait for others; <= 0: for the end of this turn. */
  readonly lingerMs: number
  /** After this a writer is told REQUEST_TIMED_OUT, though its records may still be committed and are then applied. */
  readonly timeoutMs: number
  readonly encode: (record: R) => Encoded
  /** @param offset where the record stands in the log */
  readonly apply: (record: R, offset: number) => void
}

export class RecordWriter<R> {
  readonly #options: RecordWriterOptions<R>
  /** Given and not yet done, in order. */
  readonly #writes = new Set<Write<R>>()
  #open: Batch<R> = { items: [], sizeBytes: 0 }
  #isFlushPlanned = false
  #isClosed = false
  /** Keeps the order while batches are compressed. */
  #compressed: Promise<void> = Promise.resolve()
  #barriers: { readonly before: Set<Write<R>>; readonly passed: () => void }[] = []

  constructor(options: RecordWriterOptions<R>) {
    this.#options = options
  }

  /** Writes records together, in one batch if the topic allows. `done` runs later, never within this call. */
  write(records: readonly R[], done: WriteDone): void {
    assert(records.length > 0, 'a write has records')
    const write: Write<R> = {
      records,
      done,
      batches: 0,
      errorCode: ErrorCode.NONE,
      isAnswered: false,
    }
    this.#writes.add(write)
    const { partitionIndex, log } = this.#options
    const limit = Math.min(log.maxBatchBytes(partitionIndex), BATCH_TARGET_BYTES)
    const items = records.map((record) => ({
      write,
      record,
      encoded: this.#options.encode(record),
    }))
    const sizeBytes = items.reduce((sum, item) => sum + sizeOf(item.encoded), 0)
    if (this.#open.sizeBytes + sizeBytes > limit - BATCH_HEADER_BYTES) this.#closeBatch()
    for (const item of items) {
      const size = sizeOf(item.encoded)
      if (this.#open.sizeBytes + size > limit - BATCH_HEADER_BYTES) this.#closeBatch()
      if (this.#open.items.at(-1)?.write !== write) write.batches++
      this.#open.items.push(item)
      this.#open.sizeBytes += size
    }
    this.#planFlush()
  }

  /** Records that are given and not yet committed. */
  *inFlight(): Generator<R> {
    for (const write of this.#writes) yield* write.records
  }

  /** Runs `passed` when all that was written so far is done; at once when nothing is. */
  afterEarlierWrites(passed: () => void): void {
    if (this.#writes.size === 0) passed()
    else this.#barriers.push({ before: new Set(this.#writes), passed })
  }

  /** Tells all writers `errorCode`. What the log still commits is not applied any more. */
  close(errorCode: ErrorCode): void {
    this.#isClosed = true
    this.#open = { items: [], sizeBytes: 0 }
    for (const write of [...this.#writes]) this.#finish(write, errorCode)
  }

  #planFlush(): void {
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    const { timers } = this.#options.io
    const flush = (): void => {
      this.#isFlushPlanned = false
      this.#closeBatch()
    }
    if (this.#options.lingerMs > 0) timers.schedule(this.#options.lingerMs, flush)
    else timers.endOfTurn(flush)
  }

  #closeBatch(): void {
    const { items } = this.#open
    if (items.length === 0 || this.#isClosed) return
    this.#open = { items: [], sizeBytes: 0 }
    const { io, codec, timeoutMs } = this.#options
    const timestamp = Math.floor(io.brokerClock.nowMs())
    const inputs = items.map(({ encoded }) => ({ ...encoded, timestamp }))
    const timer = io.timers.schedule(timeoutMs, () => this.#timedOut(items))
    if (codec === 0) {
      this.#append(items, wrapBlock(buildRecordBlock(inputs), 0, inputs, {}, io.crc32c), timer)
    } else {
      this.#compressed = this.#compressed.then(() => this.#appendPacked(items, inputs, timer))
    }
  }

  async #appendPacked(items: Item<R>[], inputs: RecordInput[], timer: Timer): Promise<void> {
    const { io, codec } = this.#options
    let batch: Buffer
    try {
      const packed = await io.codecs.compress(codec as CodecNumber, buildRecordBlock(inputs))
      batch = wrapBlock(packed, codec, inputs, {}, io.crc32c)
    } catch {
      // The codec is not installed: the setting's own check says so at start; records are worth more than their size.
      batch = wrapBlock(buildRecordBlock(inputs), 0, inputs, {}, io.crc32c)
    }
    this.#append(items, batch, timer)
  }

  #append(items: Item<R>[], batch: Buffer, timer: Timer): void {
    if (this.#isClosed) {
      timer.cancel()
      return
    }
    const { log, partitionIndex } = this.#options
    log.append(partitionIndex, batch, (errorCode, baseOffset) => {
      timer.cancel()
      this.#committed(items, errorCode, baseOffset)
    })
  }

  #committed(items: Item<R>[], errorCode: ErrorCode, baseOffset: number): void {
    if (this.#isClosed) return
    if (errorCode === ErrorCode.NONE) {
      items.forEach(({ record }, index) => {
        this.#options.apply(record, baseOffset + index)
      })
    }
    for (const write of new Set(items.map((item) => item.write))) {
      write.batches--
      if (errorCode !== ErrorCode.NONE) write.errorCode = errorCode
      if (write.batches === 0) this.#finish(write, write.errorCode)
    }
  }

  /** The records stay in flight: the log decides about them, but nobody waits any more. */
  #timedOut(items: Item<R>[]): void {
    for (const write of new Set(items.map((item) => item.write))) {
      this.#answer(write, ErrorCode.REQUEST_TIMED_OUT)
    }
  }

  #finish(write: Write<R>, errorCode: ErrorCode): void {
    this.#writes.delete(write)
    this.#answer(write, errorCode)
    for (const barrier of [...this.#barriers]) {
      barrier.before.delete(write)
      if (barrier.before.size > 0) continue
      this.#barriers = this.#barriers.filter((each) => each !== barrier)
      barrier.passed()
    }
  }

  #answer(write: Write<R>, errorCode: ErrorCode): void {
    if (write.isAnswered) return
    write.isAnswered = true
    write.done(errorCode)
  }
}

function sizeOf({ key, value }: Encoded): number {
  return key.length + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES
}
