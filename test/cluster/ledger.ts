// What producers were told was taken, and whether it can be read: at its place, once, with nothing that nobody sent.
import type { Driver, Incoming, Outcome } from '../compat/harness/driver.ts'
import { uniqueName } from '../compat/harness/waiting.ts'

type Taken = { readonly partition: number; readonly offset: number }

export type WriteOptions = {
  /** Where to; all three partitions when left out. */
  readonly places?: readonly number[]
  readonly acks?: string
  readonly idempotent?: boolean
  readonly deliveryTimeoutMs?: number
  /** The client's own. */
  readonly settings?: Readonly<Record<string, unknown>>
}

const allPlaces = [0, 1, 2]

export class Ledger {
  readonly #driver: Driver
  /** By topic, then value: where a record is; undefined for one that was refused, or that nobody answered. */
  readonly #sent = new Map<string, Map<string, Taken | undefined>>()

  constructor(driver: Driver) {
    this.#driver = driver
  }

  get topics(): string[] {
    return [...this.#sent.keys()]
  }

  /** One record for each partition. @returns what those were told that were not taken */
  async write(topic: string, options: WriteOptions = {}): Promise<string[]> {
    const { places = allPlaces, idempotent = true, deliveryTimeoutMs = 60_000, ...more } = options
    const values = places.map(() => uniqueName())
    const records = places.map((partition, at) => {
      return { key: null, value: Buffer.from(values[at] ?? '').toString('base64'), partition }
    })
    const patienceS = deliveryTimeoutMs / 1_000 + 10
    const load = { topic, records, idempotent, deliveryTimeoutMs, patienceS, ...more }
    const { outcomes } = (await this.#driver.call('produce', load)) as {
      outcomes: (Outcome | null)[]
    }
    const sent = this.#sent.get(topic) ?? new Map<string, Taken | undefined>()
    this.#sent.set(topic, sent)
    return outcomes.flatMap((outcome, at) => {
      const isTaken = outcome !== null && 'offset' in outcome
      sent.set(values[at] ?? '', isTaken ? outcome : undefined)
      if (outcome === null) return ['not answered']
      return 'error' in outcome ? [outcome.error] : []
    })
  }

  /** Reads partitions to their ends. @returns what is not as it was acknowledged: nothing, when all is well */
  async wrong(topic: string, places = allPlaces): Promise<string[]> {
    const { records } = (await this.#driver.call('consume', { topic, partitions: places })) as {
      records: Incoming[]
    }
    const sent = this.#sent.get(topic) ?? new Map<string, Taken | undefined>()
    const found: string[] = []
    const read = new Map<string, Incoming>()
    for (const record of records) {
      const value = Buffer.from(record.value ?? '', 'base64').toString()
      if (!sent.has(value)) found.push(`${value} was sent by nobody`)
      if (read.has(value)) found.push(`${value} is there twice`)
      read.set(value, record)
    }
    for (const [value, taken] of sent) {
      if (!taken || !places.includes(taken.partition)) continue
      const there = read.get(value)
      const at = `${topic}-${taken.partition}@${taken.offset}`
      if (!there) found.push(`${value}, acknowledged at ${at}, is lost`)
      else if (there.partition !== taken.partition || there.offset !== taken.offset)
        found.push(`${value} is not at ${at}, but ${there.partition}@${there.offset}`)
    }
    return found
  }

  /** The same for everything that was ever written. */
  async wrongAnywhere(): Promise<string[]> {
    const found: string[] = []
    for (const topic of this.topics) found.push(...(await this.wrong(topic)))
    return found
  }
}
