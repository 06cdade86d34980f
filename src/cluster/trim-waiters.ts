import { ErrorCode } from '../protocol/error-code.ts'

type TrimWaiter = { readonly offset: number; readonly done: (errorCode: ErrorCode) => void }

/** Who waits for records to be gone from all live replicas (DeleteRecords). */
export class TrimWaiters {
  readonly #waiters = new Set<TrimWaiter>()

  /** @returns stops waiting */
  add(offset: number, done: (errorCode: ErrorCode) => void): () => void {
    const waiter = { offset, done }
    this.#waiters.add(waiter)
    return () => this.#waiters.delete(waiter)
  }

  /** Tells those whose offset all live replicas have reached. @param partition is asked only if somebody waits */
  tell(partition: { readonly lowWatermark: number }): void {
    if (this.#waiters.size === 0) return
    const { lowWatermark } = partition
    for (const waiter of [...this.#waiters]) {
      if (waiter.offset <= lowWatermark) this.#end(waiter, ErrorCode.NONE)
    }
  }

  failAll(errorCode: ErrorCode): void {
    for (const waiter of [...this.#waiters]) this.#end(waiter, errorCode)
  }

  #end(waiter: TrimWaiter, errorCode: ErrorCode): void {
    this.#waiters.delete(waiter)
    waiter.done(errorCode)
  }
}
