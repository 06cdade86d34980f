/** How many of a block are left when the next one is asked for. */
const REFILL_BELOW = 100

/** A block of producer ids that belongs to this broker: `firstProducerId` and the ones behind it. */
export type ProducerIdBlock = { readonly firstProducerId: number; readonly count: number }

/**
 * Hands out producer ids. The controller gives them to brokers in blocks, so that no id is ever given twice in a
 * cluster; the next block is fetched before the current one is used up.
 */
export class ProducerIds {
  readonly #allocate: () => Promise<ProducerIdBlock>
  #next = 0
  #end = 0
  #spare: ProducerIdBlock | undefined
  #fetching: Promise<void> | undefined

  /** @param allocate asks the controller for a block */
  constructor(allocate: () => Promise<ProducerIdBlock>) {
    this.#allocate = allocate
  }

  /** Has ids before somebody wants one: the controller, or its store, may be away then. */
  prepare(): void {
    // A failure shows when an id is wanted.
    if (this.#next === this.#end && this.#spare === undefined) this.#fetch().catch(() => {})
  }

  /** @throws what the controller throws when no id is left and no block is to be had */
  async next(): Promise<number> {
    while (this.#next === this.#end) {
      if (this.#spare === undefined) await this.#fetch()
      this.#takeSpare()
    }
    const producerId = this.#next++
    if (this.#end - this.#next < REFILL_BELOW && this.#spare === undefined) {
      // A failure shows when the ids are used up; until then there is nothing to tell anybody.
      this.#fetch().catch(() => {})
    }
    return producerId
  }

  #takeSpare(): void {
    if (this.#next !== this.#end || this.#spare === undefined) return
    this.#next = this.#spare.firstProducerId
    this.#end = this.#next + this.#spare.count
    this.#spare = undefined
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#allocate()
      .then((block) => {
        this.#spare = block
      })
      .finally(() => {
        this.#fetching = undefined
      })
    return this.#fetching
  }
}
