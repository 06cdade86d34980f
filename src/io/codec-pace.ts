/** What codecs that work on the event loop do in one turn, all of them together: less than a millisecond's worth. */
export const TURN_BYTES = 256 * 1024

/**
 * Spreads the work of codecs over the turns of the event loop. It counts plain bytes over all batches: a hundred small ones
 * that follow one another hold up others as much as a large one does. A piece that has begun is not cut off.
 */
export class CodecPace {
  #spentBytes = 0
  #ending = false

  /** To be awaited before a piece of work; undefined: go on at once. */
  turn(): Promise<void> | undefined {
    return this.#spentBytes < TURN_BYTES ? undefined : this.#wait()
  }

  /** A piece of so many plain bytes was worked on. */
  spend(sizeBytes: number): void {
    this.#spentBytes += sizeBytes
    if (this.#ending) return
    this.#ending = true
    setImmediate(() => {
      this.#ending = false
      this.#spentBytes = 0
    })
  }

  async #wait(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve))
    while (this.#spentBytes >= TURN_BYTES)
  }
}

/**
 * Buffer.concat in turns: the system clears fresh memory page by page, and 64 MiB of it hold up others for long.
 *
 * @param sizeBytes of all parts
 */
export async function joined(
  parts: readonly Buffer[],
  sizeBytes: number,
  pace: CodecPace,
): Promise<Buffer> {
  if (parts.length === 1) return parts[0] as Buffer
  if (sizeBytes <= TURN_BYTES) return Buffer.concat(parts, sizeBytes)
  const whole = Buffer.allocUnsafeSlow(sizeBytes)
  let at = 0
  for (const part of parts) {
    const turn = pace.turn()
    if (turn) await turn
    pace.spend(part.length)
    at += part.copy(whole, at)
  }
  return whole
}
