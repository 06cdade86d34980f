/** What the cache needs of an index. */
type Held = { readonly heldBytes: number; unload(): void }

/** Closed segments' indexes in memory, over all logs: the ones not used for longest go when they are too many. */
export class IndexCache {
  readonly #maxBytes: number
  readonly #held = new Map<Held, number>()
  #bytes = 0

  constructor(maxBytes = 64 * 1024 * 1024) {
    this.#maxBytes = maxBytes
  }

  get heldBytes(): number {
    return this.#bytes
  }

  touch(index: Held): void {
    this.forget(index)
    const bytes = index.heldBytes
    this.#held.set(index, bytes)
    this.#bytes += bytes
    if (this.#bytes <= this.#maxBytes) return
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.#maxBytes || oldest === index) return
      oldest.unload()
      this.forget(oldest)
    }
  }

  forget(index: Held): void {
    this.#bytes -= this.#held.get(index) ?? 0
    this.#held.delete(index)
  }
}
