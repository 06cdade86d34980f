import { LmqError } from '../base/errors.ts'

/**
 * The records of the metadata log: every change to the cluster's shape is a batch of these. One record is one line of
 * JSON, so that an operator can read the log in an editor or in a store's own UI.
 *
 * How it may grow: a new optional field is written by new brokers and skipped by old ones; a new kind of record must
 * not be written before every broker knows it (`feature` records finalize levels for that), because an unknown kind
 * stops the reader: skipping it could lose a topic.
 */

type Field<Value> = {
  readonly check: (value: unknown) => value is Value
  /** Taken when the line has no such field; a field without it is required. */
  readonly absent?: Value
}

const field = <Value>(check: (value: unknown) => value is Value): Field<Value> => ({ check })
const orAbsent = <Value>(of: Field<Value>, absent: Value): Field<Value> & { absent: Value } => ({
  check: of.check,
  absent,
})

const text = field((value): value is string => typeof value === 'string')
const textOrNull = field(
  (value): value is string | null => value === null || typeof value === 'string',
)
const flag = field((value): value is boolean => typeof value === 'boolean')
const int = field((value): value is number => Number.isSafeInteger(value))
const ints = field(
  (value): value is readonly number[] => Array.isArray(value) && value.every(Number.isSafeInteger),
)
const listeners = field(
  (value): value is readonly BrokerListener[] =>
    Array.isArray(value) &&
    value.every(
      (each) =>
        typeof each?.name === 'string' &&
        typeof each.host === 'string' &&
        Number.isSafeInteger(each.port) &&
        typeof each.securityProtocol === 'string',
    ),
)

const quota = field(
  (value): value is number | null => value === null || (typeof value === 'number' && value > 0),
)
const quotaEntity = field(
  (value): value is readonly QuotaEntityPart[] =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every(
      (each) => typeof each?.entityType === 'string' && textOrNull.check(each.entityName),
    ),
)

/** One type of whom a client quota is for; a null name is the default of that type. */
export type QuotaEntityPart = { readonly entityType: string; readonly entityName: string | null }

/** Where clients of one listener reach a broker. */
export type BrokerListener = {
  readonly name: string
  readonly host: string
  readonly port: number
  /** PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. */
  readonly securityProtocol: string
}

const kinds = {
  /** The first record of every log: whose log it is. */
  cluster: { clusterId: text },
  /** What only brokers of this cluster know: they prove by it to one another who they are. 32 random bytes, base64. */
  clusterSecret: { secret: text },
  /** A level that all brokers may rely on (metadata.version, group.version ...); 0 takes it back. */
  feature: { name: text, level: int },
  /** A broker process came up. Its epoch is greater than every one before; it starts fenced until it is caught up. */
  registerBroker: {
    brokerId: int,
    brokerEpoch: int,
    incarnationId: text,
    directoryIds: orAbsent(
      field((value): value is readonly string[] => Array.isArray(value) && value.every(text.check)),
      [],
    ),
    bootId: orAbsent(textOrNull, null),
    rack: orAbsent(textOrNull, null),
    hostId: orAbsent(textOrNull, null),
    listeners,
    fenced: flag,
  },
  /** A broker's liveness changed. */
  brokerChange: {
    brokerId: int,
    brokerEpoch: int,
    fenced: flag,
    inControlledShutdown: orAbsent(flag, false),
  },
  unregisterBroker: { brokerId: int, brokerEpoch: int },
  /**
   * A broker goes on leading all partitions of which it is the only in-sync replica, each under its next leader epoch
   * and partition epoch. One record for what would be thousands after each restart.
   */
  renewLeadership: { brokerId: int },
  topic: { name: text, topicId: text },
  /** A partition with its whole state; also every change of it but those that `partitionChange` carries. */
  partition: {
    topicId: text,
    partitionIndex: int,
    replicas: ints,
    isr: ints,
    elr: orAbsent(ints, []),
    lastKnownElr: orAbsent(ints, []),
    emptied: orAbsent(ints, []),
    addingReplicas: orAbsent(ints, []),
    removingReplicas: orAbsent(ints, []),
    leader: int,
    leaderRecoveryState: orAbsent(int, 0),
    leaderEpoch: int,
    partitionEpoch: int,
  },
  /** Leader, ISR and eligible leaders of a partition move; the replica set stays. */
  partitionChange: {
    topicId: text,
    partitionIndex: int,
    isr: ints,
    elr: orAbsent(ints, []),
    lastKnownElr: orAbsent(ints, []),
    emptied: orAbsent(ints, []),
    leader: int,
    leaderRecoveryState: orAbsent(int, 0),
    leaderEpoch: int,
    partitionEpoch: int,
  },
  /** A disk of a broker failed, and these replicas were on it: they cannot lead until the broker registers anew. */
  failedReplicas: { brokerId: int, topicId: text, partitions: ints },
  removeTopic: { topicId: text },
  /** One setting of one resource; null takes it away. Types are Kafka's: 2 topic, 4 broker, 16 client metrics, 32 group. */
  config: { resourceType: int, resourceName: text, name: text, value: textOrNull },
  /** One quota of one user, client id or address; null takes it away. */
  clientQuota: { entity: quotaEntity, key: text, value: quota },
  /** A block of producer ids went to a broker: ids below `nextProducerId` are never given out again. */
  producerIds: { brokerId: int, brokerEpoch: int, nextProducerId: int },
} as const

type Kinds = typeof kinds
export type MetadataRecordKind = keyof Kinds
type ValueOf<F> = F extends Field<infer Value> ? Value : never

/** A record as it is applied: every field present. */
export type RecordOf<Kind extends MetadataRecordKind> = { readonly kind: Kind } & {
  readonly [Name in keyof Kinds[Kind]]: ValueOf<Kinds[Kind][Name]>
}
export type MetadataRecord = { [Kind in MetadataRecordKind]: RecordOf<Kind> }[MetadataRecordKind]

/** One line per record, in order. */
export function encodeRecords(records: readonly MetadataRecord[]): Buffer {
  let lines = ''
  for (const record of records) lines += `${encodeRecord(record)}\n`
  return Buffer.from(lines, 'utf8')
}

/** The death of a broker is one record for each of its partitions: they are put together without looking at fields. */
function encodeRecord(record: MetadataRecord): string {
  if (record.kind !== 'partition' && record.kind !== 'partitionChange') {
    return JSON.stringify(record)
  }
  const { kind, topicId, partitionIndex, leader, leaderEpoch, partitionEpoch } = record
  const { leaderRecoveryState } = record
  let line = `{"kind":"${kind}","topicId":${JSON.stringify(topicId)},"partitionIndex":${partitionIndex}`
  if (record.kind === 'partition') {
    line += list('replicas', record.replicas)
    line += list('addingReplicas', record.addingReplicas)
    line += list('removingReplicas', record.removingReplicas)
  }
  // Empty in nearly all partitions, which are most of a log: but the ISR, none of the lists is needed then.
  line += `,"isr":[${record.isr}]${list('elr', record.elr)}${list('lastKnownElr', record.lastKnownElr)}`
  line += list('emptied', record.emptied)
  if (leaderRecoveryState !== 0) line += `,"leaderRecoveryState":${leaderRecoveryState}`
  return `${line},"leader":${leader},"leaderEpoch":${leaderEpoch},"partitionEpoch":${partitionEpoch}}`
}

const list = (name: string, ids: readonly number[]): string =>
  ids.length === 0 ? '' : `,"${name}":[${ids}]`

/** @throws LMQ_STORE_CORRUPT for a line that is no record, LMQ_STORE_TOO_NEW for a kind that this version does not know */
export function decodeRecords(payload: Buffer): MetadataRecord[] {
  const records: MetadataRecord[] = []
  const lines = payload.toString('utf8')
  let start = 0
  while (start < lines.length) {
    const newline = lines.indexOf('\n', start)
    const end = newline < 0 ? lines.length : newline
    if (end > start) records.push(decodeLine(lines.slice(start, end)))
    start = end + 1
  }
  return records
}

function decodeLine(line: string): MetadataRecord {
  const damaged = (why: string, cause?: unknown) =>
    new LmqError('LMQ_STORE_CORRUPT', { why, record: line.slice(0, 200) }, cause)
  let found: unknown
  try {
    found = JSON.parse(line)
  } catch (cause) {
    throw damaged('not JSON', cause)
  }
  if (found === null || typeof found !== 'object' || Array.isArray(found)) {
    throw damaged('not an object')
  }
  const values = found as Record<string, unknown>
  const kind = values['kind']
  if (typeof kind !== 'string') throw damaged('no kind')
  if (!Object.hasOwn(kinds, kind)) throw new LmqError('LMQ_STORE_TOO_NEW', { kind })

  const record: Record<string, unknown> = { kind }
  const fields: Readonly<Record<string, Field<unknown>>> = kinds[kind as MetadataRecordKind]
  for (const name in fields) {
    const { check, absent } = fields[name] as Field<unknown>
    const value = values[name] === undefined ? absent : values[name]
    if (!check(value)) throw damaged(`field ${name} is missing or wrong`)
    record[name] = value
  }
  return record as MetadataRecord
}
