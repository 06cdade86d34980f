import { ErrorCode } from '../protocol/error-code.ts'
import {
  attributesOf,
  baseOffsetOf,
  baseSequenceOf,
  isControl,
  isTransactional,
  lastOffsetDeltaOf,
  lastSequenceOf,
  maxTimestampOf,
  NO_PRODUCER_ID,
  producerEpochOf,
  producerIdOf,
} from '../protocol/record-batch.ts'
import { markerOf } from './control-record.ts'
import { type BatchNote, nextSequenceOf, ProducerState } from './producer-state.ts'
import type { AbortedTransaction } from './transaction-index.ts'

type Transaction = { producerId: number; firstOffset: number; lastOffset: number }

/**
 * The producers of one partition: tells a batch that comes twice from one that is out of order, and knows where
 * transactions are open. Expires what is silent for long. Like Kafka's ProducerStateManager.
 */
export class ProducerStates {
  readonly #producers = new Map<number, ProducerState>()
  /** Open ones, by where they began: they begin in the log's order, so this is sorted. */
  #open: Transaction[] = []
  /** Ended ones whose marker is not below the high watermark yet. */
  #ended: Transaction[] = []

  get producers(): ReadonlyMap<number, ProducerState> {
    return this.#producers
  }

  /** The first offset of the oldest transaction that is open, or ended but not yet below the high watermark; -1: none. */
  get firstUnstableOffset(): number {
    let first = this.#open[0]?.firstOffset ?? -1
    for (const { firstOffset } of this.#ended) {
      if (first < 0 || firstOffset < first) first = firstOffset
    }
    return first
  }

  clear(): void {
    this.#producers.clear()
    this.#open = []
    this.#ended = []
  }

  load(producers: readonly ProducerState[]): void {
    this.clear()
    for (const producer of producers) {
      this.#producers.set(producer.producerId, producer)
      const firstOffset = producer.transactionFirstOffset
      if (firstOffset >= 0) {
        this.#open.push({ producerId: producer.producerId, firstOffset, lastOffset: -1 })
      }
    }
    this.#open.sort((a, b) => a.firstOffset - b.firstOffset)
  }

  /** The batch that was appended already with the same producer, epoch and sequences, if it is one of the last five. */
  findDuplicate(b: Buffer, at: number): BatchNote | undefined {
    const producer = this.#producers.get(producerIdOf(b, at))
    return producer?.findDuplicate(
      producerEpochOf(b, at),
      baseSequenceOf(b, at),
      lastSequenceOf(b, at),
    )
  }

  /**
   * May this batch of a client be appended?
   *
   * @returns NONE, INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER or INVALID_TXN_STATE
   */
  check(b: Buffer, at: number): ErrorCode {
    const producer = this.#producers.get(producerIdOf(b, at))
    if (!producer || producer.epoch < 0) return ErrorCode.NONE
    const epoch = producerEpochOf(b, at)
    if (epoch < producer.epoch) return ErrorCode.INVALID_PRODUCER_EPOCH
    const sequence = baseSequenceOf(b, at)
    const expected = epoch > producer.epoch ? 0 : expectedSequence(producer)
    if (sequence !== expected) return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    const isOpen = producer.transactionFirstOffset >= 0
    if (isOpen && !isTransactional(attributesOf(b, at))) return ErrorCode.INVALID_TXN_STATE
    return ErrorCode.NONE
  }

  /**
   * A batch with a producer id is in the log now (offsets assigned).
   *
   * @returns the transaction that it aborted, for the transaction index
   */
  note(b: Buffer, at: number): AbortedTransaction | undefined {
    const producerId = producerIdOf(b, at)
    if (producerId <= NO_PRODUCER_ID) return undefined
    const attributes = attributesOf(b, at)
    if (isControl(attributes)) return this.#noteMarker(b, at)
    const producer = this.#producerOf(producerId)
    const baseOffset = baseOffsetOf(b, at)
    const offsetDelta = lastOffsetDeltaOf(b, at)
    producer.setEpoch(producerEpochOf(b, at))
    producer.noteBatch(
      lastSequenceOf(b, at),
      baseOffset + offsetDelta,
      offsetDelta,
      maxTimestampOf(b, at),
    )
    if (isTransactional(attributes) && producer.transactionFirstOffset < 0) {
      producer.transactionFirstOffset = baseOffset
      this.#open.push({ producerId, firstOffset: baseOffset, lastOffset: -1 })
    }
    return undefined
  }

  #noteMarker(b: Buffer, at: number): AbortedTransaction | undefined {
    const marker = markerOf(b, at)
    if (!marker) return undefined
    const producer = this.#producerOf(producerIdOf(b, at))
    const offset = baseOffsetOf(b, at)
    const firstOffset = producer.transactionFirstOffset
    producer.setEpoch(producerEpochOf(b, at))
    producer.coordinatorEpoch = marker.coordinatorEpoch
    producer.transactionFirstOffset = -1
    producer.lastTimestamp = maxTimestampOf(b, at)
    if (firstOffset < 0) return undefined
    const { producerId } = producer
    const lastStableOffset =
      this.#open.find((open) => open.producerId !== producerId)?.firstOffset ?? offset + 1
    this.#open = this.#open.filter((open) => open.firstOffset !== firstOffset)
    this.#ended.push({ producerId, firstOffset, lastOffset: offset })
    return marker.isAbort
      ? { producerId, firstOffset, lastOffset: offset, lastStableOffset }
      : undefined
  }

  /** Ended transactions wholly below the high watermark hold no reader back any more. */
  advance(highWatermark: number): void {
    if (this.#ended.length === 0) return
    this.#ended = this.#ended.filter((ended) => ended.lastOffset >= highWatermark)
  }

  expire(nowMs: number, expirationMs: number): void {
    for (const producer of this.#producers.values()) {
      const isOpen = producer.transactionFirstOffset >= 0
      if (!isOpen && nowMs - producer.lastTimestamp >= expirationMs) {
        this.#producers.delete(producer.producerId)
      }
    }
  }

  #producerOf(producerId: number): ProducerState {
    let producer = this.#producers.get(producerId)
    if (!producer) {
      producer = new ProducerState(producerId)
      this.#producers.set(producerId, producer)
    }
    return producer
  }
}

/** After a marker of a newer epoch no batch is known: the producer begins at 0. */
function expectedSequence(producer: ProducerState): number {
  return producer.batches.length === 0 ? 0 : nextSequenceOf(producer.lastSequence)
}
