import type { RecordOf } from './metadata-records.ts'

/** Kafka's kinds of entities that quotas are for. */
export const QuotaEntityType = { USER: 'user', CLIENT_ID: 'client-id', IP: 'ip' } as const

export const quotaEntityTypes: readonly string[] = Object.values(QuotaEntityType)

/** Whom a quota is for: a name by type; null is the default of all that have no quota of their own. */
export type QuotaEntity = ReadonlyMap<string, string | null>

export type EntityQuotas = {
  readonly entity: QuotaEntity
  /** By key, such as producer_byte_rate. */
  readonly values: ReadonlyMap<string, number>
}

/** What a description asks for: types with the name that is wanted (null: the default), and types of any name. */
export type QuotaFilter = {
  readonly exact: ReadonlyMap<string, string | null>
  readonly any: ReadonlySet<string>
  /** Entities of exactly the types that are named. */
  readonly strict: boolean
}

/** The same for the same entity, in whatever order its types came. */
export const quotaKey = (entity: QuotaEntity): string =>
  JSON.stringify([...entity].sort(([a], [b]) => (a < b ? -1 : 1)))

/** All client quotas of the cluster (KIP-546). Changes only by `apply`. */
export class ClientQuotas {
  readonly #entities = new Map<string, { entity: QuotaEntity; values: Map<string, number> }>()

  get isEmpty(): boolean {
    return this.#entities.size === 0
  }

  all(): Iterable<EntityQuotas> {
    return this.#entities.values()
  }

  /** The quotas of exactly this entity. */
  valuesOf(entity: QuotaEntity): ReadonlyMap<string, number> | undefined {
    return this.#entities.get(quotaKey(entity))?.values
  }

  /** Looks at every entity. */
  *find({ exact, any, strict }: QuotaFilter): Iterable<EntityQuotas> {
    for (const quotas of this.#entities.values()) {
      const { entity } = quotas
      if (strict && entity.size !== exact.size + any.size) continue
      if ([...exact].some(([type, name]) => entity.get(type) !== name)) continue
      if ([...any].some((type) => !entity.has(type))) continue
      yield quotas
    }
  }

  apply({ entity: parts, key, value }: RecordOf<'clientQuota'>): void {
    const entity = new Map(parts.map(({ entityType, entityName }) => [entityType, entityName]))
    const id = quotaKey(entity)
    let known = this.#entities.get(id)
    if (value !== null) {
      if (!known) {
        known = { entity, values: new Map() }
        this.#entities.set(id, known)
      }
      known.values.set(key, value)
    } else if (known) {
      known.values.delete(key)
      if (known.values.size === 0) this.#entities.delete(id)
    }
  }

  *toRecords(): Iterable<RecordOf<'clientQuota'>> {
    for (const { entity, values } of this.#entities.values()) {
      const parts = [...entity].map(([entityType, entityName]) => ({ entityType, entityName }))
      for (const [key, value] of values) yield { kind: 'clientQuota', entity: parts, key, value }
    }
  }

  /** Takes over all of another one, which goes on by itself. */
  replaceWith(other: ClientQuotas): void {
    this.#entities.clear()
    for (const [id, { entity, values }] of other.#entities) {
      this.#entities.set(id, { entity, values: new Map(values) })
    }
  }
}
