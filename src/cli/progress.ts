const afterMs = 1_000
const everyMs = 250
const noteEveryMs = 3_000

/**
 * A line on the error stream that says how far long work is: only on a terminal, and only when the work takes longer
 * than a second.
 */
export class Progress {
  readonly #label: string
  readonly #total: number | undefined
  readonly #startMs = performance.now()
  #count = 0
  #shownMs = 0
  #isShown = false
  #notedMs = Number.NEGATIVE_INFINITY

  /** @param total undefined: not known */
  constructor(label: string, total?: number) {
    this.#label = label
    this.#total = total
  }

  get count(): number {
    return this.#count
  }

  advance(by = 1): void {
    this.#count += by
    if (!process.stderr.isTTY) return
    const nowMs = performance.now()
    if (nowMs - this.#startMs < afterMs || nowMs - this.#shownMs < everyMs) return
    this.#shownMs = nowMs
    this.#isShown = true
    process.stderr.write(`\r\u001b[K${this.text()}`)
  }

  text(): string {
    const seconds = Math.max(0.001, (performance.now() - this.#startMs) / 1000)
    const of = this.#total === undefined ? '' : ` of ${this.#total}`
    return `${this.#label} ${this.#count}${of} (${Math.round(this.#count / seconds)}/s)`
  }

  /** A line for the person, above the counter; what comes too soon after another is passed over. */
  note(text: string): void {
    const nowMs = performance.now()
    if (nowMs - this.#notedMs < noteEveryMs) return
    this.#notedMs = nowMs
    this.end()
    process.stderr.write(`${text}\n`)
  }

  /** Clears the line. */
  end(): void {
    if (this.#isShown) process.stderr.write('\r\u001b[K')
  }
}
