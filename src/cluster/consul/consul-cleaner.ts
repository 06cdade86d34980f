import type { Io, Timer } from '../../io/io.ts'
import { type ConsulKeys, entriesPerBucket, type Head } from './consul-keys.ts'
import { type ConsulHold, fence } from './consul-locks.ts'
import type { ConsulOperation, ConsulPort } from './consul-port.ts'

/**
 * Removes from Consul what two snapshots have made superfluous: older entries, bucket by bucket, with their chunks, and
 * snapshots that the head does not name (any more). Only the leader does, under its fence, and an interval after the
 * snapshot, so that readers who are at it can finish; one that comes later finds a key missing and starts again.
 */
export class ConsulCleaner {
  readonly #io: Io
  readonly #port: ConsulPort
  readonly #keys: ConsulKeys
  readonly #delayMs: number
  #timer: Timer | undefined
  #closed = false

  constructor(io: Io, port: ConsulPort, keys: ConsulKeys, delayMs: number) {
    this.#io = io
    this.#port = port
    this.#keys = keys
    this.#delayMs = delayMs
  }

  /** @param headOf the leader's head at the time of the cleaning */
  plan(hold: ConsulHold, headOf: () => Head): void {
    if (this.#closed) return
    // What the head names when the delay began is still needed by its readers.
    const named = headOf()
    this.#timer?.cancel()
    this.#timer = this.#io.timers.schedule(this.#delayMs, () => {
      // What fails is done after the next snapshot.
      this.#clean(hold, named, headOf).catch(() => {})
    })
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  async #clean(hold: ConsulHold, named: Head, headOf: () => Head): Promise<void> {
    const trees = [...(await this.#oldBuckets(named)), ...(await this.#oldSnapshots(headOf))]
    for (const key of trees) {
      if (!hold.held || this.#closed) return
      const remove: ConsulOperation = { verb: 'delete-tree', key }
      const answer = await this.#port.transaction([fence(this.#keys, hold), remove])
      if (!answer.committed) return
    }
  }

  /** Buckets all of whose entries the older snapshot holds. */
  async #oldBuckets({ snapshots }: Head): Promise<string[]> {
    const [oldest] = snapshots
    if (!oldest || snapshots.length < 2) return []
    const firstKept = Math.floor((oldest.index + 1) / entriesPerBucket)
    const { log, chunks } = this.#keys
    const found: string[] = []
    for (const root of [log, chunks]) {
      for (const key of await this.#port.keys(root, '/')) {
        const bucket = Number(key.slice(root.length, -1))
        if (Number.isSafeInteger(bucket) && bucket < firstKept) found.push(key)
      }
    }
    return found
  }

  /** The head is read after the listing, so one that is being written is seen as what it is: newer than those named. */
  async #oldSnapshots(headOf: () => Head): Promise<string[]> {
    const root = this.#keys.snapshots
    const all = await this.#port.keys(root, '/')
    const { snapshots } = headOf()
    const newest = snapshots.at(-1)
    if (!newest) return []
    const kept = new Set(snapshots.map(({ index, id }) => this.#keys.snapshotChunks(index, id)))
    const isOlder = (key: string) => Number(key.slice(root.length).split('-')[0]) <= newest.index
    return all.filter((key) => !kept.has(key) && isOlder(key))
  }
}
