import {
  attributesOf,
  isTransactional,
  lastOffsetOf,
  producerIdOf,
} from '../protocol/record-batch.ts'
import { markerOf } from './control-record.ts'
import type { AbortedTransaction } from './transaction-index.ts'

/**
 * Follows transactions while compaction reads a log from the front: records of aborted ones go at once, a marker may go
 * when nothing of its transaction is left. Like Kafka's CleanedTransactionMetadata.
 */
export class CleanedTransactions {
  /** Ascending by first offset. */
  readonly #coming: AbortedTransaction[]
  readonly #aborted = new Map<number, { entry: AbortedTransaction; hasData: boolean }>()
  readonly #committed = new Set<number>()
  readonly #keepAborted: (entry: AbortedTransaction) => void

  /** @param keepAborted told of each aborted transaction whose marker must stay in the transaction index */
  constructor(
    aborted: readonly AbortedTransaction[],
    keepAborted: (entry: AbortedTransaction) => void = () => {},
  ) {
    this.#coming = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
    this.#keepAborted = keepAborted
  }

  /** @returns true when the batch's records belong to an aborted transaction */
  readData(b: Buffer, at: number): boolean {
    this.#advance(lastOffsetOf(b, at))
    if (!isTransactional(attributesOf(b, at))) return false
    const producerId = producerIdOf(b, at)
    const aborted = this.#aborted.get(producerId)
    if (aborted) {
      aborted.hasData = true
      return true
    }
    this.#committed.add(producerId)
    return false
  }

  /** @returns true when nothing is left of what the marker ended */
  readControl(b: Buffer, at: number): boolean {
    this.#advance(lastOffsetOf(b, at))
    const marker = markerOf(b, at)
    if (!marker) return false
    const producerId = producerIdOf(b, at)
    if (!marker.isAbort) return !this.#committed.delete(producerId)
    const aborted = this.#aborted.get(producerId)
    this.#aborted.delete(producerId)
    if (!aborted?.hasData) return true
    this.#keepAborted(aborted.entry)
    return false
  }

  #advance(offset: number): void {
    while (this.#coming[0] && this.#coming[0].firstOffset <= offset) {
      const entry = this.#coming.shift() as AbortedTransaction
      if (!this.#aborted.has(entry.producerId)) {
        this.#aborted.set(entry.producerId, { entry, hasData: false })
      }
    }
  }
}
