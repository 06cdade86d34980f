import { LmqError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Io, Timer } from '../../io/io.ts'
import { type HeldLock, LockHold, type LockState, type Locks } from '../lock.ts'
import type { Candidate } from '../metadata-store.ts'
import { type ConsulKeys, decodeValue, encodeValue, type LockValue } from './consul-keys.ts'
import {
  ConsulFailure,
  type ConsulOperation,
  type ConsulPair,
  type ConsulPort,
} from './consul-port.ts'
import { Pauses } from './pauses.ts'
import { retrying, storeCall, storeError } from './store-call.ts'

export type ConsulLocksOptions = {
  readonly io: Io
  readonly port: ConsulPort
  readonly keys: ConsulKeys
  /** Consul ends the session of a holder that is gone after twice this time: a backstop, not the way to fail over. */
  readonly sessionTtlMs: number
  readonly logger: Logger
}

const RELEASE_WAIT_MS = 2_000
/** Of each call before the one that wins. */
const WIN_ATTEMPTS = 3
const RENEW_AGAIN_MS = 100

/** What is written in the same transaction as the winning of a lock. */
export type Alongside = (epoch: number) => readonly ConsulOperation[]

/**
 * Locks on keys of Consul. Each winning has a session of its own, bound to no agent's check: it outlives the death of
 * any Consul server, and ends by release, by who deposes it, or, if its broker is gone for good, by time.
 *
 * A session is never used for a second winning: after an old backup of Consul came back, an old session may seem to hold
 * its lock again.
 */
export class ConsulLocks implements Locks {
  readonly #io: Io
  readonly #port: ConsulPort
  readonly #keys: ConsulKeys
  readonly #sessionTtlMs: number
  readonly #logger: Logger
  readonly #pauses: Pauses
  readonly #holds = new Set<ConsulHold>()
  /** Sessions that must not live on, though nobody could be told so far. */
  readonly #unwanted = new Set<string>()
  #destroying: Promise<void> | undefined

  constructor({ io, port, keys, sessionTtlMs, logger }: ConsulLocksOptions) {
    this.#io = io
    this.#port = port
    this.#keys = keys
    this.#sessionTtlMs = sessionTtlMs
    this.#logger = logger
    this.#pauses = new Pauses(io)
  }

  acquire(name: string, candidate: Candidate): Promise<HeldLock | undefined> {
    return this.win(name, candidate)
  }

  /**
   * As `acquire`, with more in the same transaction.
   *
   * @param afterEpoch the new epoch is above this one, too
   * @returns undefined also when `alongside` could not be written
   */
  async win(
    name: string,
    candidate: Candidate,
    afterEpoch = 0,
    alongside: Alongside = () => [],
  ): Promise<ConsulHold | undefined> {
    const key = this.#keys.lock(name)
    const found = await this.#patiently(() => this.#port.get(key, { consistent: true }))
    if (found.pair?.sessionId) return undefined
    const former = found.pair && decodeValue<LockValue>(key, found.pair.value)
    const epoch = Math.max(former?.json.epoch ?? 0, afterEpoch) + 1
    const { brokerId, incarnationId } = candidate
    const session = { name: `lmq-${name}-${brokerId}`, ttlMs: this.#sessionTtlMs }
    // One that was made and not told of ends by time, and holds nothing.
    const sessionId = await this.#patiently(() => this.#port.createSession(session))
    const json: LockValue = {
      epoch,
      brokerId,
      incarnationId,
      sessionId,
      writeId: former?.json.writeId,
    }
    const value = encodeValue(json, former?.bytes)
    const modifyIndex = found.pair?.modifyIndex ?? 0
    try {
      const answer = await this.#port.transaction([
        { verb: 'cas', key, value, modifyIndex },
        { verb: 'lock', key, value, sessionId },
        ...alongside(epoch),
      ])
      if (answer.committed && !this.#pauses.stopped) {
        return this.#hold(name, epoch, candidate, sessionId, answer.modifyIndexes)
      }
    } catch (error) {
      // It may have happened and may still happen; but never with a session that is gone.
      this.#destroy(sessionId)
      throw storeError(error)
    }
    this.#destroy(sessionId)
    return undefined
  }

  /** Winning takes several calls: when one of them fails the ones before need not be in vain. */
  #patiently<Answer>(call: () => Promise<Answer>): Promise<Answer> {
    return retrying(this.#pauses, WIN_ATTEMPTS, call)
  }

  async write(lock: HeldLock, value: Buffer): Promise<void> {
    const key = this.#keys.lock(lock.name)
    const { epoch, brokerId, incarnationId } = lock
    if (!(lock instanceof ConsulHold) || !lock.held) throw this.#lost(lock)
    const { sessionId } = lock
    const writeId = this.#io.random.uuid()
    const json: LockValue = { epoch, brokerId, incarnationId, sessionId, writeId }
    const written = encodeValue(json, value)
    for (let failures = 0; ; ) {
      try {
        const answer = await this.#port.transaction([
          fence(this.#keys, lock),
          { verb: 'set', key, value: written },
        ])
        if (answer.committed) return
      } catch (error) {
        if (!(error instanceof ConsulFailure) || error.kind === 'invalid') throw storeError(error)
        if (this.#pauses.stopped) throw storeError(error)
        await this.#pauses.afterFailure(++failures)
        continue
      }
      // An attempt whose answer was lost may have written before the lock was taken away.
      const stored = failures > 0 ? await this.#stored(key) : undefined
      lock.lose()
      if (stored?.writeId === writeId) return
      throw this.#lost(lock)
    }
  }

  async state(name: string): Promise<LockState> {
    const { epoch, holder, value } = await this.look(name)
    return { epoch, holder, value }
  }

  /** As `state`, and notes when a lock of this broker turns out to be lost. */
  async look(name: string): Promise<LockState> {
    const key = this.#keys.lock(name)
    const { pair } = await storeCall(this.#port.get(key, { consistent: true }))
    this.notice(name, pair)
    if (!pair) return { epoch: 0, holder: undefined, value: undefined }
    const { json, bytes } = decodeValue<LockValue>(key, pair.value)
    const { epoch, brokerId, incarnationId, writeId } = json
    const holder = pair.sessionId ? { brokerId, incarnationId } : undefined
    return { epoch, holder, value: writeId === undefined ? undefined : bytes }
  }

  /** What was read of a lock's key: a lock of this broker that is in other hands is lost. */
  notice(name: string, pair: ConsulPair | undefined): void {
    for (const hold of [...this.#holds]) {
      // What was read before this lock was won is no news.
      if (!pair || pair.modifyIndex < hold.modifyIndex) continue
      if (hold.name !== name || pair.sessionId === hold.sessionId) continue
      this.#logger.debug({ lock: name, epoch: hold.epoch }, 'the lock is in other hands')
      hold.lose()
    }
  }

  async depose(name: string, epoch: number): Promise<void> {
    const key = this.#keys.lock(name)
    const { pair } = await storeCall(this.#port.get(key, { consistent: true }))
    if (!pair?.sessionId) return
    const { json } = decodeValue<LockValue>(key, pair.value)
    if (json.epoch !== epoch) return
    await storeCall(this.#port.destroySession(json.sessionId))
    for (const hold of [...this.#holds]) if (hold.sessionId === json.sessionId) hold.lose()
  }

  /** Renews every session now: the first thing to do when Consul is back. */
  renew(): void {
    for (const hold of this.#holds) this.#renewSoon(hold, 0)
  }

  /** Gives back what is held, as far as Consul answers; what it does not hear ends by time. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#holds].map((hold) => hold.release()))
    this.#pauses.stop()
    await this.#destroying
  }

  #hold(
    name: string,
    epoch: number,
    candidate: Candidate,
    sessionId: string,
    modifyIndexes: ReadonlyMap<string, number>,
  ): ConsulHold {
    const hold: ConsulHold = new ConsulHold(name, epoch, candidate, {
      sessionId,
      modifyIndexes,
      modifyIndex: modifyIndexes.get(this.#keys.lock(name)) ?? 0,
      release: () => this.#release(hold),
    })
    this.#holds.add(hold)
    hold.onLost(() => {
      this.#holds.delete(hold)
      hold.renewal?.cancel()
      this.#destroy(sessionId)
    })
    this.#renewSoon(hold, this.#sessionTtlMs / 3)
    return hold
  }

  /**
   * The end of the session frees the key at once, since there is no lock delay. A Consul that does not answer is told
   * later, or finds out by time.
   */
  async #release(hold: ConsulHold): Promise<void> {
    await Promise.race([this.#destroying, this.#pauses.wait(RELEASE_WAIT_MS)])
    this.#logger.debug({ lock: hold.name, epoch: hold.epoch }, 'the lock was given back')
  }

  #renewSoon(hold: ConsulHold, delayMs: number): void {
    hold.renewal?.cancel()
    const runIn = delayMs === 0 ? 0 : this.#pauses.jitter(delayMs)
    hold.renewal = this.#io.timers.schedule(runIn, () => void this.#renew(hold))
  }

  /**
   * Failing to renew proves nothing, and neither does a word that there is no such session: a Consul server that has just
   * won its election says so until it has read its own log. The lock's key, read consistently, is what counts.
   */
  async #renew(hold: ConsulHold): Promise<void> {
    if (hold.renewing || !hold.held) return
    hold.renewing = true
    let nextMs = this.#sessionTtlMs / 3
    try {
      if (!(await this.#port.renewSession(hold.sessionId))) {
        nextMs = RENEW_AGAIN_MS
        await this.#findOut(hold)
      }
      hold.failures = 0
    } catch (error) {
      hold.failures++
      nextMs = Math.min(nextMs, RENEW_AGAIN_MS * 2 ** Math.min(hold.failures, 10))
      const facts = { lock: hold.name, error: String(error) }
      if (hold.failures === 3) this.#logger.warn(facts, 'a session cannot be renewed; trying again')
    }
    hold.renewing = false
    if (hold.held) this.#renewSoon(hold, nextMs)
  }

  /** Whether a session that could not be found is gone: then it holds nothing any more. */
  async #findOut(hold: ConsulHold): Promise<void> {
    const { pair } = await this.#port.get(this.#keys.lock(hold.name), { consistent: true })
    if (!hold.held || pair?.sessionId === hold.sessionId) return
    this.#logger.warn({ lock: hold.name, epoch: hold.epoch }, 'the session of a lock is gone')
    hold.lose()
  }

  /** Until Consul says that it is done: a session that lives on may still win. */
  #destroy(sessionId: string): void {
    this.#unwanted.add(sessionId)
    this.#destroying ??= this.#destroyAll().finally(() => {
      this.#destroying = undefined
    })
  }

  async #destroyAll(): Promise<void> {
    for (let failures = 0; ; ) {
      const [sessionId] = this.#unwanted
      if (sessionId === undefined) return
      try {
        await this.#port.destroySession(sessionId)
        this.#unwanted.delete(sessionId)
        failures = 0
      } catch {
        if (this.#pauses.stopped) return
        await this.#pauses.afterFailure(++failures)
      }
    }
  }

  async #stored(key: string): Promise<LockValue | undefined> {
    const { pair } = await storeCall(this.#port.get(key, { consistent: true }))
    return pair && decodeValue<LockValue>(key, pair.value).json
  }

  #lost(lock: HeldLock): LmqError {
    return new LmqError('LMQ_LOCK_LOST', { lock: lock.name, epoch: lock.epoch })
  }
}

type Session = {
  readonly sessionId: string
  readonly modifyIndexes: ReadonlyMap<string, number>
  readonly modifyIndex: number
  release(): Promise<void>
}

export class ConsulHold extends LockHold {
  readonly sessionId: string
  /** Of the lock's key when it was won. */
  readonly modifyIndex: number
  /** Of all keys that the winning transaction wrote. */
  readonly modifyIndexes: ReadonlyMap<string, number>
  renewal: Timer | undefined
  renewing = false
  failures = 0

  constructor(name: string, epoch: number, candidate: Candidate, session: Session) {
    super(name, epoch, candidate, session.release)
    this.sessionId = session.sessionId
    this.modifyIndex = session.modifyIndex
    this.modifyIndexes = session.modifyIndexes
  }
}

/** To stand first in a transaction: nothing of it happens when the lock is lost. */
export function fence(keys: ConsulKeys, hold: ConsulHold): ConsulOperation {
  return { verb: 'check-session', key: keys.lock(hold.name), sessionId: hold.sessionId }
}
