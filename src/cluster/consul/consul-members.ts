import { LmqError } from '../../base/errors.ts'
import type { Io, Timer } from '../../io/io.ts'
import type { Membership, StoreMember } from '../metadata-store.ts'
import { type ConsulKeys, decodeValue, encodeValue } from './consul-keys.ts'
import { type ConsulHold, fence } from './consul-locks.ts'
import { ConsulFailure, type ConsulPort } from './consul-port.ts'
import type { Pauses } from './pauses.ts'
import { retrying, storeCall } from './store-call.ts'

/** Attempts to write a membership before it is told that Consul does not answer. */
const ATTEMPTS = 4
/** How often a broker writes its key again. */
export const REFRESH_MS = 600_000
/** A key that nobody wrote for so long is of a broker that does not run: as long as it stands in the catalogue. */
export const FORGET_MS = 3_600_000

export type ConsulMembersOptions = {
  readonly io: Pick<Io, 'timers' | 'monotonic'>
  readonly port: ConsulPort
  readonly keys: ConsulKeys
  readonly pauses: Pauses
  /** Of the controller's lock, while this broker has it. */
  readonly hold: () => ConsulHold | undefined
}

/**
 * Which brokers run, and where: one key for each broker id. A broker that dies leaves its key behind, which tells where
 * it was; nothing but an address is concluded from it. Those that run write theirs again from time to time, and the
 * leader removes, under its fence, the ones that do not change any more: it compares Consul's indexes, no clocks.
 */
export class ConsulMembers {
  readonly #io: Pick<Io, 'timers' | 'monotonic'>
  readonly #port: ConsulPort
  readonly #keys: ConsulKeys
  readonly #pauses: Pauses
  readonly #hold: () => ConsulHold | undefined
  readonly #joined = new Set<StoreMember>()
  /** By key, while this broker leads: the index at which it was seen, and when first. */
  #seen = new Map<string, { readonly modifyIndex: number; readonly sinceMs: number }>()
  #timer: Timer | undefined
  #closed = false

  constructor({ io, port, keys, pauses, hold }: ConsulMembersOptions) {
    this.#io = io
    this.#port = port
    this.#keys = keys
    this.#pauses = pauses
    this.#hold = hold
  }

  async join(member: StoreMember): Promise<Membership> {
    await this.#write(member)
    this.#joined.add(member)
    if (!this.#timer) this.#plan()
    return { leave: () => this.#leave(member) }
  }

  async all(): Promise<readonly StoreMember[]> {
    const pairs = await storeCall(this.#port.list(this.#keys.members))
    return pairs.map(({ key, value }) => decodeValue<StoreMember>(key, value).json)
  }

  /** Consul was away and may have lost what was in it. */
  refresh(): void {
    for (const member of this.#joined) void this.#rewrite(member)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await Promise.allSettled([...this.#joined].map((member) => this.#leave(member)))
  }

  #plan(): void {
    if (this.#closed) return
    this.#timer = this.#io.timers.schedule(this.#pauses.jitter(REFRESH_MS), () => {
      void this.#upkeep().then(() => this.#plan())
    })
  }

  /** Never rejects: what fails is done the next time. */
  async #upkeep(): Promise<void> {
    try {
      for (const member of [...this.#joined]) await this.#writeAgain(member)
      await this.#forgetGone()
    } catch (error) {
      // The others could not write either: nobody is counted as gone for that.
      this.#seen = new Map()
      if (!(error instanceof LmqError || error instanceof ConsulFailure)) throw error
    }
  }

  /** As `#write`, unless a later run of the same broker has the key by now. */
  async #writeAgain(member: StoreMember): Promise<void> {
    const { brokerId, incarnationId, address } = member
    const key = this.#keys.member(brokerId)
    const { pair } = await this.#port.get(key, { consistent: true })
    if (!this.#joined.has(member)) return
    const found = pair && decodeValue<StoreMember>(key, pair.value).json
    if (found && found.incarnationId !== incarnationId) return
    const value = encodeValue({ brokerId, incarnationId, address })
    const modifyIndex = pair?.modifyIndex ?? 0
    await this.#port.transaction([{ verb: 'cas', key, value, modifyIndex }])
  }

  async #forgetGone(): Promise<void> {
    const hold = this.#hold()
    const before = this.#seen
    this.#seen = new Map()
    if (!hold) return
    const nowMs = this.#io.monotonic.nowMs()
    for (const { key, modifyIndex } of await this.#port.list(this.#keys.members)) {
      const known = before.get(key)
      const sinceMs = known?.modifyIndex === modifyIndex ? known.sinceMs : nowMs
      this.#seen.set(key, { modifyIndex, sinceMs })
      if (nowMs - sinceMs < FORGET_MS) continue
      await this.#port.transaction([
        fence(this.#keys, hold),
        { verb: 'delete-cas', key, modifyIndex },
      ])
    }
  }

  async #write(member: StoreMember): Promise<void> {
    const { brokerId, incarnationId, address } = member
    const key = this.#keys.member(brokerId)
    const value = encodeValue({ brokerId, incarnationId, address })
    const set = { verb: 'set', key, value } as const
    await retrying(this.#pauses, ATTEMPTS, () => this.#port.transaction([set]))
  }

  /** Never rejects: a Consul that went away again is asked once more when it is back. */
  async #rewrite(member: StoreMember): Promise<void> {
    try {
      if (await this.#isThere(member)) return
      if (this.#joined.has(member)) await this.#write(member)
    } catch (error) {
      if (!(error instanceof LmqError || error instanceof ConsulFailure)) throw error
    }
  }

  async #isThere(member: StoreMember): Promise<boolean> {
    const { pair } = await this.#port.get(this.#keys.member(member.brokerId), { consistent: true })
    return pair !== undefined
  }

  /** A later run of the same broker may have taken the key: that one stays. */
  async #leave(member: StoreMember): Promise<void> {
    if (!this.#joined.delete(member)) return
    const key = this.#keys.member(member.brokerId)
    const { pair } = await storeCall(this.#port.get(key, { consistent: true }))
    if (!pair) return
    const { json } = decodeValue<StoreMember>(key, pair.value)
    if (json.incarnationId !== member.incarnationId) return
    const { modifyIndex } = pair
    await storeCall(this.#port.transaction([{ verb: 'delete-cas', key, modifyIndex }]))
  }
}
