import { ErrorCode } from '../protocol/error-code.ts'
import { type QuotaEntity, QuotaEntityType, quotaEntityTypes, quotaKey } from './client-quotas.ts'
import { type Decision, type Outcome, refuse } from './decision.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { MetadataRecord } from './metadata-records.ts'

export type QuotaAlteration = {
  /** A type that stands there twice counts by its last name, as in Kafka. */
  readonly entity: QuotaEntity
  readonly ops: readonly QuotaOperation[]
}

export type QuotaOperation = {
  readonly key: string
  readonly value: number
  readonly remove: boolean
}

export type AlterClientQuotasCommand = {
  readonly alterations: readonly QuotaAlteration[]
  readonly validateOnly: boolean
}

export type QuotaOutcome = Outcome & { readonly entity: QuotaEntity }

type QuotaType = 'double' | 'int' | 'long'

const userAndClientKeys: Readonly<Record<string, QuotaType>> = {
  producer_byte_rate: 'long',
  consumer_byte_rate: 'long',
  request_percentage: 'double',
  controller_mutation_rate: 'double',
}
const addressKeys: Readonly<Record<string, QuotaType>> = { connection_creation_rate: 'int' }

/** Kafka's greatest value of each type, as the double that it is compared with. */
const largest: Readonly<Record<QuotaType, number>> = {
  double: Number.MAX_VALUE,
  int: 2 ** 31 - 1,
  long: 2 ** 63,
}

/** So that the log can be read back: one record holds one name. */
const MAX_NAME_LENGTH = 32_767

/**
 * Sets and removes quotas (KIP-546). An entity is changed as one or not at all; one that is named twice is not changed
 * (Kafka says the same, and makes the first of the changes).
 */
export function decideAlterClientQuotas(
  image: MetadataImage,
  { alterations, validateOnly }: AlterClientQuotasCommand,
): Decision<QuotaOutcome[]> {
  const times = new Map<string, number>()
  for (const { entity } of alterations) {
    const key = quotaKey(entity)
    times.set(key, (times.get(key) ?? 0) + 1)
  }
  const answers = new Map<string, QuotaOutcome>()
  const records: MetadataRecord[] = []
  const effects: Decision<unknown>['effects'][number][] = []
  for (const { entity, ops } of alterations) {
    const key = quotaKey(entity)
    const isTwice = times.get(key) !== 1 || new Set(ops.map((op) => op.key)).size < ops.length
    const decided = isTwice ? refuseDuplicate(entity) : decideOne(image, entity, ops)
    if (!Array.isArray(decided)) {
      answers.set(key, { ...decided, entity })
      continue
    }
    answers.set(key, { ...refuse(ErrorCode.NONE, null), entity })
    if (validateOnly || decided.length === 0) continue
    records.push(...decided)
    const facts = { entity: Object.fromEntries(entity), keys: ops.map((op) => op.key) }
    effects.push({ kind: 'log', facts, message: 'client quotas changed' })
  }
  return { answer: [...answers.values()], records, effects }
}

const invalid = (errorMessage: string): Outcome => refuse(ErrorCode.INVALID_REQUEST, errorMessage)

const refuseDuplicate = (entity: QuotaEntity): Outcome => {
  const entries = [...entity].map(([type, name]) => `${type}=${name}`).join(', ')
  return invalid(`Ignoring duplicate entity ClientQuotaEntity(entries={${entries}})`)
}

function decideOne(
  image: MetadataImage,
  entity: QuotaEntity,
  ops: readonly QuotaOperation[],
): Outcome | MetadataRecord[] {
  const refusal = refusalOfEntity(entity)
  if (refusal !== undefined) return invalid(refusal)
  const types = entity.has(QuotaEntityType.IP) ? addressKeys : userAndClientKeys
  const before = image.clientQuotas.valuesOf(entity)
  const parts = [...entity].map(([entityType, entityName]) => ({ entityType, entityName }))
  const records: MetadataRecord[] = []
  for (const { key, value, remove } of ops) {
    const record = { kind: 'clientQuota', entity: parts, key } as const
    if (remove) {
      if (before?.has(key)) records.push({ ...record, value: null })
      continue
    }
    const wrong = refusalOfValue(Object.hasOwn(types, key) ? types[key] : undefined, key, value)
    if (wrong !== undefined) return invalid(wrong)
    if (before?.get(key) !== value) records.push({ ...record, value })
  }
  return records
}

/** In Kafka's words and order (ClientQuotaControlManager). */
function refusalOfEntity(entity: QuotaEntity): string | undefined {
  if (entity.size === 0) return 'Invalid empty client quota entity'
  for (const [type, name] of entity) {
    if (!quotaEntityTypes.includes(type)) return `Unhandled client quota entity type: ${type}`
    if (name === '') return `Empty ${type} not supported`
    if (name !== null && name.length > MAX_NAME_LENGTH) return `The name of the ${type} is too long`
  }
  const address = entity.get(QuotaEntityType.IP)
  if (address === undefined) return undefined
  if (entity.size > 1) {
    return 'Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId'
  }
  if (address === null || isAddress(address)) return undefined
  return `${address} is not a valid IP or resolvable host.`
}

/** IPv4 or IPv6 as text. Names of hosts are not looked up: what decides here must not wait for anybody. */
function isAddress(text: string): boolean {
  if (isAddressV4(text)) return true
  if (!/^[0-9a-f:.]{2,45}$/i.test(text)) return false
  const [head = '', tail, ...more] = text.split('::')
  if (more.length > 0) return false
  const groups = groupsOf(head)
  const rest = tail === undefined ? 0 : groupsOf(tail)
  return tail === undefined ? groups === 8 : groups + rest < 8
}

const isAddressV4 = (text: string): boolean =>
  /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every((part) => Number(part) <= 255)

/** The groups of 16 bits of a part of an IPv6 address; far too many when it is none. */
function groupsOf(part: string): number {
  if (part === '') return 0
  const groups = part.split(':')
  const last = groups.at(-1) ?? ''
  const wide = isAddressV4(last) ? 2 : 1
  const isGroup = (group: string) => /^[0-9a-f]{1,4}$/i.test(group)
  const plain = wide === 2 ? groups.slice(0, -1) : groups
  return plain.every(isGroup) ? plain.length + (wide === 2 ? 2 : 0) : 99
}

function refusalOfValue(
  type: QuotaType | undefined,
  key: string,
  value: number,
): string | undefined {
  if (type === undefined) return `Invalid configuration key ${key}`
  if (Number.isNaN(value)) return `Quota ${key} must be a number`
  if (value <= 0) return `Quota ${key} must be greater than 0`
  if (value > largest[type]) {
    return type === 'double'
      ? `Quota ${key} must be finite`
      : `Proposed value for ${key} is too large for ${type === 'int' ? 'an INT' : 'a LONG'}.`
  }
  if (type !== 'double' && value % 1 > 1e-6) return `${key} cannot be a fractional value.`
  return undefined
}
