/**
 * Locks of the cluster: for what one broker at a time may do. A lock alone protects nothing, since its holder may learn
 * late that it lost it; so each winning has an epoch above all before, and what is written under a lock is checked
 * against it by the store itself (`write`, the controller's `append`). Time decides nothing but when to try.
 */
import { LmqError } from '../base/errors.ts'
import type { Candidate, Leadership } from './metadata-store.ts'

export type Locks = {
  /**
   * Tries once to get a lock.
   *
   * @param name letters, digits, `-` and `_`
   * @returns undefined while somebody holds it
   * @throws LMQ_STORE_UNREACHABLE
   */
  acquire(name: string, candidate: Candidate): Promise<HeldLock | undefined>

  /**
   * Stores a value under a lock, in place of the one before, if it is still held: a holder that was deposed changes
   * nothing, however late it comes.
   *
   * @throws LMQ_LOCK_LOST nothing was written; LMQ_STORE_UNREACHABLE when it cannot be known: the lock is given up with it
   */
  write(lock: HeldLock, value: Buffer): Promise<void>

  state(name: string): Promise<LockState>

  /** Takes the lock away from the holder of exactly this epoch; no effect on any other. */
  depose(name: string, epoch: number): Promise<void>
}

export type LockState = {
  /** Of the last winning, 0 before the first. */
  readonly epoch: number
  readonly holder: Candidate | undefined
  /** What was last written under the lock, by whomever. */
  readonly value: Buffer | undefined
}

export type HeldLock = Candidate & {
  readonly name: string
  readonly epoch: number
  /** False as soon as this process knows of the loss; true proves nothing, only a fenced write does. */
  readonly held: boolean
  /** Called once when the lock is lost, also by `release`. */
  onLost(listener: () => void): void
  release(): Promise<void>
}

/** What a holder has in hand: lost once, told once. */
export class LockHold implements HeldLock {
  readonly name: string
  readonly epoch: number
  readonly brokerId: number
  readonly incarnationId: string
  readonly #listeners: (() => void)[] = []
  readonly #giveBack: () => Promise<void>
  #held = true

  /** @param giveBack called once by `release` of a lock that is still held, after its listeners */
  constructor(name: string, epoch: number, candidate: Candidate, giveBack: () => Promise<void>) {
    this.name = name
    this.epoch = epoch
    this.brokerId = candidate.brokerId
    this.incarnationId = candidate.incarnationId
    this.#giveBack = giveBack
  }

  get held(): boolean {
    return this.#held
  }

  onLost(listener: () => void): void {
    if (this.#held) this.#listeners.push(listener)
    else listener()
  }

  lose(): void {
    if (!this.#held) return
    this.#held = false
    for (const listener of this.#listeners.splice(0)) listener()
  }

  async release(): Promise<void> {
    if (!this.#held) return
    this.lose()
    await this.#giveBack()
  }
}

/** The controllership, which is a lock whose writes are the metadata log's entries. */
export class LockLeadership implements Leadership {
  readonly lock: HeldLock

  constructor(lock: HeldLock) {
    this.lock = lock
  }

  get brokerId(): number {
    return this.lock.brokerId
  }
  get incarnationId(): string {
    return this.lock.incarnationId
  }
  get controllerEpoch(): number {
    return this.lock.epoch
  }
  get held(): boolean {
    return this.lock.held
  }
  onLost(listener: () => void): void {
    this.lock.onLost(listener)
  }
  release(): Promise<void> {
    return this.lock.release()
  }
}

type Held = { epoch: number; hold: LockHold | undefined; value: Buffer | undefined }

/** Locks among the brokers of one process. They end with it, so nothing of them is stored. */
export class EmbeddedLocks implements Locks {
  readonly #locks = new Map<string, Held>()

  async acquire(name: string, candidate: Candidate): Promise<HeldLock | undefined> {
    return this.tryAcquire(name, candidate)
  }

  /** As `acquire`, within this turn. @param afterEpoch the new epoch is above this one, too */
  tryAcquire(name: string, candidate: Candidate, afterEpoch = 0): LockHold | undefined {
    const lock = this.#lock(name)
    if (lock.hold) return undefined
    lock.epoch = Math.max(lock.epoch, afterEpoch) + 1
    const hold = new LockHold(name, lock.epoch, candidate, async () => {})
    lock.hold = hold
    hold.onLost(() => {
      if (lock.hold === hold) lock.hold = undefined
    })
    return hold
  }

  async write(lock: HeldLock, value: Buffer): Promise<void> {
    const held = this.#lock(lock.name)
    if (held.hold !== lock) throw new LmqError('LMQ_LOCK_LOST', { lock: lock.name })
    held.value = value
  }

  async state(name: string): Promise<LockState> {
    const { epoch, hold, value } = this.#lock(name)
    const holder = hold && { brokerId: hold.brokerId, incarnationId: hold.incarnationId }
    return { epoch, holder, value }
  }

  async depose(name: string, epoch: number): Promise<void> {
    const { hold } = this.#lock(name)
    if (hold?.epoch === epoch) hold.lose()
  }

  /** Takes every lock from its holder: the process they live in ends. */
  close(): void {
    for (const { hold } of this.#locks.values()) hold?.lose()
  }

  #lock(name: string): Held {
    let lock = this.#locks.get(name)
    if (!lock) {
      lock = { epoch: 0, hold: undefined, value: undefined }
      this.#locks.set(name, lock)
    }
    return lock
  }
}
