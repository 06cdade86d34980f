import { ErrorCode } from '../protocol/error-code.ts'

export type Waiter = (errorCode: ErrorCode) => void

/** Who waits for the log to have reached an offset. Offsets are asked for in ascending order, nearly always. */
export class LogWaiters {
  #waiting: { offset: number; waiter: Waiter }[] = []

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  add(offset: number, waiter: Waiter): void {
    const waiting = this.#waiting
    let index = waiting.length
    while (index > 0 && (waiting[index - 1] as { offset: number }).offset > offset) index--
    if (index === waiting.length) waiting.push({ offset, waiter })
    else waiting.splice(index, 0, { offset, waiter })
  }

  /** Tells everybody who waits for `offset` (exclusive end) or less. */
  reached(offset: number): void {
    const waiting = this.#waiting
    let count = 0
    while (count < waiting.length && (waiting[count] as { offset: number }).offset <= offset)
      count++
    if (count === 0) return
    const told = count === waiting.length ? waiting : waiting.slice(0, count)
    this.#waiting = count === waiting.length ? [] : waiting.slice(count)
    for (const { waiter } of told) waiter(ErrorCode.NONE)
  }

  failAll(errorCode: ErrorCode): void {
    const told = this.#waiting
    this.#waiting = []
    for (const { waiter } of told) waiter(errorCode)
  }
}
