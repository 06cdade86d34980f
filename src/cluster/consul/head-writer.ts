import { LmqError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { type ConsulKeys, encodeHead, type Head, type HeadValue } from './consul-keys.ts'
import { type ConsulHold, fence } from './consul-locks.ts'
import type { ConsulLog } from './consul-log.ts'
import { ConsulFailure, type ConsulOperation, type ConsulPort } from './consul-port.ts'
import type { Pauses } from './pauses.ts'
import { retrying, storeError } from './store-call.ts'

/** Clients wait for an append: a Consul that is back is not to be kept waiting. */
const LONGEST_PAUSE_MS = 500
/** So often Consul may call a writing invalid of which it may have taken an earlier copy. */
const MAX_REFUSALS = 5

export type HeadWriting = {
  readonly hold: ConsulHold
  /** The head that is replaced, exactly. */
  readonly from: Head
  readonly next: HeadValue
  readonly inline: Buffer | undefined
  /** In the same transaction. */
  readonly also: readonly ConsulOperation[]
  /** Whether this writing is part of what is in Consul now, though its head was replaced already. */
  readonly landed: (head: Head) => Promise<boolean>
  /** Asked before each further attempt; always, unless said. */
  readonly isWanted?: () => boolean
}

/**
 * Replaces the head, under the fence of the controller's lock, and finds out what became of it. A call without an answer
 * may have happened, or may happen later, when nobody waits for it any more; so the very same transaction is sent again
 * and again until Consul's answer leaves no doubt: written; or refused, because another holds the lock or another head
 * stands there, after which no earlier copy of it can be carried out either. A writing that Consul will not take, or that
 * has outlived its reason, is given up, and the lead with it: the end of the session voids what may be under way.
 */
export class HeadWriter {
  readonly #port: ConsulPort
  readonly #keys: ConsulKeys
  readonly #log: ConsulLog
  readonly #pauses: Pauses
  readonly #logger: Logger

  constructor(port: ConsulPort, keys: ConsulKeys, log: ConsulLog, pauses: Pauses, logger: Logger) {
    this.#port = port
    this.#keys = keys
    this.#log = log
    this.#pauses = pauses
    this.#logger = logger
  }

  /**
   * @returns the new head; undefined when it was written but is replaced already: the lock is lost
   * @throws LMQ_NOT_CONTROLLER, LMQ_STORE_REFUSED: not written; LMQ_STORE_UNREACHABLE: the broker stops before it could
   *   be known
   */
  async write(writing: HeadWriting): Promise<Head | undefined> {
    const { hold, from, next, inline, also, landed } = writing
    const value = encodeHead(next, inline)
    const { modifyIndex } = from
    const operations: readonly ConsulOperation[] = [
      fence(this.#keys, hold),
      { verb: 'cas', key: this.#keys.head, value, modifyIndex },
      ...also,
    ]
    let isSettled = true
    let refusals = 0
    for (let failures = 0; ; ) {
      try {
        const answer = await this.#port.transaction(operations)
        if (answer.committed) {
          const written = answer.modifyIndexes.get(this.#keys.head) ?? 0
          return { ...next, inline, modifyIndex: written }
        }
        break
      } catch (error) {
        if (!(error instanceof ConsulFailure)) throw error
        if (error.kind === 'unknown') isSettled = false
        if (error.kind === 'invalid') {
          if (isSettled) throw storeError(error)
          if (++refusals === MAX_REFUSALS) {
            const facts = { index: next.index, error: error.message }
            const message = 'Consul refuses a metadata entry: see its reason and its limits'
            this.#logger.error(facts, message)
            return this.#giveUp(writing, storeError(error))
          }
        }
        failures++
        this.#tell(error, failures, next.index)
        if (this.#pauses.stopped) throw storeError(error)
        await this.#pauses.afterFailure(failures, LONGEST_PAUSE_MS)
        if (writing.isWanted?.() === false) {
          const facts = { index: next.index, controllerEpoch: hold.epoch }
          const message = 'a metadata entry waited for Consul longer than its reason lasted'
          this.#logger.warn(facts, message)
          return this.#giveUp(writing, new LmqError('LMQ_NOT_CONTROLLER', facts))
        }
      }
    }
    const now = await this.#insist(() => this.#log.readHead())
    if (now.writeId === next.writeId) return now
    hold.lose()
    if (!isSettled && (await this.#insist(() => landed(now)))) return undefined
    throw new LmqError('LMQ_NOT_CONTROLLER', { controllerEpoch: hold.epoch, index: next.index })
  }

  /**
   * @returns undefined: an earlier copy was taken
   * @throws `error`: none was, and none can be
   */
  async #giveUp({ hold, next, landed }: HeadWriting, error: unknown): Promise<undefined> {
    hold.lose()
    await this.#insist(() => this.#port.destroySession(hold.sessionId))
    const now = await this.#insist(() => this.#log.readHead())
    if (now.writeId === next.writeId || (await this.#insist(() => landed(now)))) return undefined
    throw error
  }

  #insist<Answer>(read: () => Promise<Answer>): Promise<Answer> {
    return retrying(this.#pauses, Number.POSITIVE_INFINITY, read, LONGEST_PAUSE_MS)
  }

  #tell(error: ConsulFailure, failures: number, index: number): void {
    if (failures !== 1 && failures % 20 !== 0) return
    const facts = { index, failures, error: error.message }
    this.#logger.warn(facts, 'Consul did not take or acknowledge a metadata entry; trying again')
  }
}
