import { LmqError } from '../../base/errors.ts'
import type { Membership, StoreMember } from '../metadata-store.ts'
import { type ConsulKeys, decodeValue, encodeValue } from './consul-keys.ts'
import { ConsulFailure, type ConsulPort } from './consul-port.ts'
import type { Pauses } from './pauses.ts'
import { retrying, storeCall } from './store-call.ts'

/** Attempts to write a membership before it is told that Consul does not answer. */
const ATTEMPTS = 4

/**
 * Which brokers run, and where: one key for each broker id. A broker that dies leaves its key behind, which tells where
 * it was; nothing but an address is concluded from it.
 */
export class ConsulMembers {
  readonly #port: ConsulPort
  readonly #keys: ConsulKeys
  readonly #pauses: Pauses
  readonly #joined = new Set<StoreMember>()

  constructor({ port, keys, pauses }: { port: ConsulPort; keys: ConsulKeys; pauses: Pauses }) {
    this.#port = port
    this.#keys = keys
    this.#pauses = pauses
  }

  async join(member: StoreMember): Promise<Membership> {
    await this.#write(member)
    this.#joined.add(member)
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
    await Promise.allSettled([...this.#joined].map((member) => this.#leave(member)))
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
