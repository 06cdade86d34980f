/** A producer may have this many requests in flight, so as many batches are known again when they come twice. */
export const rememberedBatches = 5

export type BatchNote = {
  lastSequence: number
  lastOffset: number
  /** lastOffset - first offset; the sequences span as much. */
  offsetDelta: number
  timestamp: number
}

/** Sequences wrap from 2147483647 to 0. */
export const nextSequenceOf = (sequence: number): number => (sequence + 1) & 0x7fffffff
export const firstSequenceOf = ({ lastSequence, offsetDelta }: BatchNote): number =>
  (lastSequence - offsetDelta) & 0x7fffffff

/** What one partition knows of one producer. Like Kafka's ProducerStateEntry. */
export class ProducerState {
  readonly producerId: number
  /** -1: none seen. */
  epoch = -1
  coordinatorEpoch = -1
  lastTimestamp = -1
  /** Where its open transaction began in this partition; -1: none is open. */
  transactionFirstOffset = -1
  /** Oldest first. */
  readonly batches: BatchNote[] = []

  constructor(producerId: number) {
    this.producerId = producerId
  }

  get lastBatch(): BatchNote | undefined {
    return this.batches.at(-1)
  }

  /** -1: no batch of the current epoch is known. */
  get lastSequence(): number {
    return this.lastBatch?.lastSequence ?? -1
  }

  /** -1: unknown, the last thing written was a marker. */
  get lastDataOffset(): number {
    return this.lastBatch?.lastOffset ?? -1
  }

  findDuplicate(epoch: number, firstSequence: number, lastSequence: number): BatchNote | undefined {
    if (epoch !== this.epoch) return undefined
    for (const note of this.batches) {
      if (note.lastSequence === lastSequence && firstSequenceOf(note) === firstSequence) return note
    }
    return undefined
  }

  /** A new epoch forgets the batches of the old one. */
  setEpoch(epoch: number): void {
    if (epoch === this.epoch) return
    this.epoch = epoch
    this.batches.length = 0
  }

  noteBatch(
    lastSequence: number,
    lastOffset: number,
    offsetDelta: number,
    timestamp: number,
  ): void {
    this.lastTimestamp = timestamp
    const reused = this.batches.length === rememberedBatches ? this.batches.shift() : undefined
    if (!reused) {
      this.batches.push({ lastSequence, lastOffset, offsetDelta, timestamp })
      return
    }
    reused.lastSequence = lastSequence
    reused.lastOffset = lastOffset
    reused.offsetDelta = offsetDelta
    reused.timestamp = timestamp
    this.batches.push(reused)
  }
}
