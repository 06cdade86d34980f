import type { ServedApi } from './api-table.ts'

const PRODUCE = 0
/** Answers that may be outstanding on one connection before its socket is no longer read. */
const MAX_OUTSTANDING = 1000

/** One request in work. */
export type Slot = {
  readonly served: ServedApi
  readonly correlationId: number
  readonly version: number
  readonly requestBytes: number
  /** The frame's own memory, which may be used again when nobody refers to it any more. */
  readonly memory: Buffer | undefined
  readonly startedMs: number
  answered: boolean
  /** Undefined: nothing is sent. */
  chunks: Buffer[] | undefined
}

export const isProduce = ({ served }: Slot): boolean => served.api.key === PRODUCE

/**
 * The requests of one connection that are in work. Answers leave in their order, and a Produce may start behind other
 * Produces that have no answer yet; any other request starts when it is the only one.
 */
export class RequestSlots {
  /** Oldest first. */
  readonly #slots: Slot[] = []
  /** How many of them are not Produces: 0 or 1. */
  #exclusive = 0

  get count(): number {
    return this.#slots.length
  }

  /** May a request of this API start? */
  admits(key: number): boolean {
    const { length } = this.#slots
    return length === 0 || (key === PRODUCE && this.#exclusive === 0 && length < MAX_OUTSTANDING)
  }

  add(slot: Slot): void {
    this.#slots.push(slot)
    if (!isProduce(slot)) this.#exclusive++
  }

  isOldest(slot: Slot): boolean {
    return slot === this.#slots[0]
  }

  /** @returns the oldest one if it is answered: its answer may leave */
  takeAnswered(): Slot | undefined {
    const slot = this.#slots[0]
    if (!slot?.answered) return undefined
    this.#slots.shift()
    if (!isProduce(slot)) this.#exclusive--
    return slot
  }

  /** Forgets all of them. @returns bytes of Produces without an answer: their batches may be waiting for the disk */
  abandon(): number {
    let bytes = 0
    for (const slot of this.#slots) {
      if (isProduce(slot) && !slot.answered) bytes += slot.requestBytes
    }
    this.#slots.length = 0
    return bytes
  }
}
