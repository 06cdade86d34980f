/**
 * Bounds the memory of batches that are open, or of logs that are searched, at the same time, over all logs of a broker.
 * Who comes first is let in first; what is larger than all of the room is let in alone.
 */
export class OpeningRoom {
  readonly #sizeBytes: number
  #usedBytes = 0
  readonly #waiting: { readonly sizeBytes: number; readonly enter: () => void }[] = []

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** @param sizeBytes the most that `work` will hold */
  async run<Outcome>(sizeBytes: number, work: () => Promise<Outcome>): Promise<Outcome> {
    if (this.#waiting.length > 0 || !this.#hasRoomFor(sizeBytes)) {
      await new Promise<void>((enter) => this.#waiting.push({ sizeBytes, enter }))
    } else this.#usedBytes += sizeBytes
    try {
      return await work()
    } finally {
      this.#usedBytes -= sizeBytes
      this.#letIn()
    }
  }

  #hasRoomFor(sizeBytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + sizeBytes <= this.#sizeBytes
  }

  #letIn(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (!this.#hasRoomFor(next.sizeBytes)) return
      this.#waiting.shift()
      this.#usedBytes += next.sizeBytes
      next.enter()
    }
  }
}
