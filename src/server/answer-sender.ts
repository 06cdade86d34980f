import type { Socket } from '../io/io.ts'
import type { ListenerMetrics } from '../metrics/request-metrics.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { Outbox } from './outbox.ts'

/** While the peer has left more than this unread, no further request of it starts. */
const MAX_UNSENT_BYTES = 1024 * 1024
/** Answers of one turn are gathered up to this size, then leave before the turn ends. */
const MAX_GATHERED_BYTES = 256 * 1024

/** The answers of one connection on their way out: gathered for one write a turn, counted until the peer took them. */
export class AnswerSender {
  readonly #socket: Socket
  readonly #outbox: Outbox
  readonly #memory: MemoryBudget
  readonly #metrics: ListenerMetrics
  readonly #onSent: () => void
  /** Leaves at the end of this turn. */
  #gathered: Buffer[] = []
  #gatheredBytes = 0
  #inOutbox = false
  /** Bytes that the socket could not take at once. */
  #unsentBytes = 0
  #untakenBytes: number | undefined
  /** What the budget was told: gathered and unsent. */
  #countedBytes = 0
  #isStopped = false

  /** @param onSent called after each gathered write, or when there was nothing left to write */
  constructor(
    socket: Socket,
    shared: { outbox: Outbox; answerMemory: MemoryBudget; metrics: ListenerMetrics },
    onSent: () => void,
  ) {
    this.#socket = socket
    this.#outbox = shared.outbox
    this.#memory = shared.answerMemory
    this.#metrics = shared.metrics
    this.#onSent = onSent
  }

  /** Nothing waits for the end of the turn. */
  get isIdle(): boolean {
    return !this.#inOutbox
  }

  /** The peer has not taken everything yet. */
  get holdsMemory(): boolean {
    return this.#unsentBytes > 0
  }

  /** The peer lags so far behind that it gets no more before it has read. */
  get isCongested(): boolean {
    return this.#unsentBytes > 0 && this.#socket.queuedBytes > MAX_UNSENT_BYTES
  }

  /** Everything that was answered has been taken: another answer would be the only one that waits. */
  get isClear(): boolean {
    return this.#gatheredBytes + this.#unsentBytes === 0
  }

  /** Whether the system took, or was given, something since this was last asked: a large write leaves piece by piece. */
  hasProgressed(): boolean {
    const { untakenBytes } = this.#socket
    const hasChanged = untakenBytes !== this.#untakenBytes
    this.#untakenBytes = untakenBytes
    return hasChanged
  }

  add(chunks: Buffer[]): void {
    for (const chunk of chunks) this.#gatheredBytes += chunk.length
    if (this.#gathered.length === 0) this.#gathered = chunks
    else for (const chunk of chunks) this.#gathered.push(chunk)
    if (this.#gatheredBytes > MAX_GATHERED_BYTES) this.#send()
    else this.#count()
    if (this.#inOutbox) return
    this.#inOutbox = true
    this.#outbox.add(this)
  }

  /** Sends what is ready. Called by the outbox at the end of a turn. */
  flush(): void {
    this.#inOutbox = false
    if (this.#isStopped) return
    if (this.#gatheredBytes > 0) this.#send()
    this.#onSent()
  }

  /** The socket took everything. */
  drained(): void {
    if (this.#isStopped) return
    this.#unsentBytes = 0
    this.#count()
  }

  /** Gives the budget back; what is not sent yet is dropped. */
  stop(): void {
    this.#isStopped = true
    this.#gathered = []
    this.#gatheredBytes = 0
    this.#unsentBytes = 0
    this.#count()
  }

  #send(): void {
    const chunks = this.#gathered
    this.#metrics.bytesSent += this.#gatheredBytes
    this.#gathered = []
    this.#gatheredBytes = 0
    if (!this.#socket.write(chunks)) this.#unsentBytes = this.#socket.queuedBytes
    this.#count()
  }

  #count(): void {
    const change = this.#gatheredBytes + this.#unsentBytes - this.#countedBytes
    this.#countedBytes += change
    if (change > 0) this.#memory.take(change)
    else if (change < 0) this.#memory.give(-change)
  }
}
