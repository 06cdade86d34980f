/**
 * Groups whose offsets a new leader read from records that are not committed yet. If it died now another broker might
 * lead without them, and what it had told would have moved back: nobody is told of these groups before. Nor are they told
 * what is below the high watermark: the former leader may have shown more, and this one does not know how much.
 * (Kafka answers with what it knows to be committed, which may be older than what the former leader told.)
 */
import type { Io } from '../../io/io.ts'
import type { CoordinatorLog } from '../ports.ts'

export class UnsettledGroups {
  readonly #log: CoordinatorLog
  readonly #partitionIndex: number
  readonly #committedEnd: number
  /** By group: the end of its last record that may be lost. */
  readonly #ends = new Map<string, number>()

  /** Before the load begins: all that is committed by then needs no watching. */
  constructor(log: CoordinatorLog, partitionIndex: number) {
    this.#log = log
    this.#partitionIndex = partitionIndex
    this.#committedEnd = log.highWatermark(partitionIndex)
  }

  /** @param offset of a record that changes offsets of the group */
  note(groupId: string, offset: number): void {
    if (offset >= this.#committedEnd) this.#ends.set(groupId, offset + 1)
  }

  has(groupId: string): boolean {
    if (this.#ends.size === 0) return false
    const end = this.#ends.get(groupId)
    if (end === undefined) return false
    if (this.#log.highWatermark(this.#partitionIndex) < end) return true
    this.#ends.delete(groupId)
    return false
  }

  /** Resolves when the group's records are committed, this broker leads no more, or `timeoutMs` are over. */
  async wait(groupId: string, timers: Io['timers'], timeoutMs: number): Promise<void> {
    const end = this.#ends.get(groupId)
    if (end === undefined) return
    await new Promise<void>((resolve) => {
      let stop = () => {}
      const timer = timers.schedule(timeoutMs, () => {
        stop()
        resolve()
      })
      stop = this.#log.whenCommitted(this.#partitionIndex, end, () => {
        timer.cancel()
        resolve()
      })
    })
  }
}
