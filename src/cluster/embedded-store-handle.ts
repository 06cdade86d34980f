import { LmqError } from '../base/errors.ts'
import type { HeldLock, Locks } from './lock.ts'
import type {
  BrokerFacts,
  Candidate,
  Leadership,
  Membership,
  MetadataStore,
  StoreHead,
  StoreMember,
  StoreRead,
  StoreSnapshot,
  Watch,
} from './metadata-store.ts'

/**
 * One broker's part in a store that several brokers of a process share. Closing it gives up what this broker has of the
 * store (leadership, membership, watches) and nothing of the others'.
 */
export class EmbeddedStoreHandle implements MetadataStore {
  readonly locks: Locks
  readonly #store: MetadataStore
  readonly #onClose: () => Promise<void>
  readonly #held = new Set<HeldLock>()
  readonly #leaderships = new Set<Leadership>()
  readonly #memberships = new Set<Membership>()
  readonly #watches = new Set<Watch>()
  #closing: Promise<void> | undefined

  constructor(store: MetadataStore, onClose: () => Promise<void>) {
    this.#store = store
    this.locks = this.#locksOf(store.locks)
    this.#onClose = onClose
  }

  async head(): Promise<StoreHead> {
    this.#checkOpen()
    return this.#store.head()
  }

  async lead(candidate: Candidate): Promise<Leadership | undefined> {
    this.#checkOpen()
    const leadership = await this.#store.lead(candidate)
    if (!leadership) return undefined
    this.#leaderships.add(leadership)
    leadership.onLost(() => this.#leaderships.delete(leadership))
    if (this.#closing) await leadership.release()
    return leadership.held ? leadership : undefined
  }

  async depose(controllerEpoch: number): Promise<void> {
    this.#checkOpen()
    return this.#store.depose(controllerEpoch)
  }

  async append(leadership: Leadership, afterIndex: number, payload: Buffer): Promise<number> {
    this.#checkOpen()
    return this.#store.append(leadership, afterIndex, payload)
  }

  async read(fromIndex: number, maxBytes: number): Promise<StoreRead> {
    this.#checkOpen()
    return this.#store.read(fromIndex, maxBytes)
  }

  watch(listener: () => void): Watch {
    this.#checkOpen()
    const inner = this.#store.watch(listener)
    const watch = {
      stop: () => {
        this.#watches.delete(watch)
        inner.stop()
      },
    }
    this.#watches.add(watch)
    return watch
  }

  async bytesSinceSnapshot(): Promise<number> {
    this.#checkOpen()
    return this.#store.bytesSinceSnapshot()
  }

  async writeSnapshot(leadership: Leadership, snapshot: StoreSnapshot): Promise<void> {
    this.#checkOpen()
    return this.#store.writeSnapshot(leadership, snapshot)
  }

  async join(member: StoreMember): Promise<Membership> {
    this.#checkOpen()
    const inner = await this.#store.join(member)
    const membership = {
      leave: async () => {
        this.#memberships.delete(membership)
        await inner.leave()
      },
    }
    this.#memberships.add(membership)
    if (this.#closing) await membership.leave()
    return membership
  }

  async members(): Promise<readonly StoreMember[]> {
    this.#checkOpen()
    return this.#store.members()
  }

  announce(facts: BrokerFacts): void {
    this.#store.announce(facts)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    for (const watch of [...this.#watches]) watch.stop()
    for (const leadership of [...this.#leaderships]) await leadership.release()
    for (const lock of [...this.#held]) await lock.release()
    for (const membership of [...this.#memberships]) await membership.leave()
    await this.#onClose()
  }

  #locksOf(locks: Locks): Locks {
    return {
      acquire: async (name, candidate) => {
        this.#checkOpen()
        const lock = await locks.acquire(name, candidate)
        if (!lock) return undefined
        this.#held.add(lock)
        lock.onLost(() => this.#held.delete(lock))
        if (this.#closing) await lock.release()
        return lock.held ? lock : undefined
      },
      write: (lock, value) => locks.write(lock, value),
      state: (name) => locks.state(name),
      depose: (name, epoch) => locks.depose(name, epoch),
    }
  }

  #checkOpen(): void {
    if (this.#closing) throw new LmqError('LMQ_SHUTTING_DOWN', { store: 'metadata' })
  }
}
