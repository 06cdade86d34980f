import { ErrorCode } from '../protocol/error-code.ts'
import type { ConfigRules } from './config-rules.ts'
import { type Decision, type Outcome, refuse } from './decision.ts'
import {
  type BrokerImage,
  isSoleLeader,
  type MetadataImage,
  ResourceType,
} from './metadata-image.ts'
import type { BrokerListener, MetadataRecord } from './metadata-records.ts'
import { NO_LEADER, type PartitionTarget } from './partition-change.ts'
import { isActive, PartitionChanges } from './partition-changes.ts'

/** A broker process that came up. */
export type BrokerRegistration = {
  readonly brokerId: number
  /** Unique per process run. */
  readonly incarnationId: string
  /** Ids of its log directories; they tell a restarted broker from another one with the same number. */
  readonly directoryIds: readonly string[]
  /** Of the machine; the page cache survives as long as it does. */
  readonly bootId: string | null
  readonly rack: string | null
  readonly hostId: string | null
  readonly listeners: readonly BrokerListener[]
  /** Starts unfenced: a broker that has nobody to catch up with. */
  readonly unfenced: boolean
  /** The broker epoch under which its logs were closed in order; -1 when they were not. */
  readonly previousBrokerEpoch?: number
  /** Recovery found every log whole and cut nothing off. False unless said. */
  readonly logsWhole?: boolean
}

export type RegistrationAnswer = Outcome & {
  /** Greater than every one before; -1 when refused. */
  readonly brokerEpoch: number
}

/**
 * Gives a broker its epoch. In the same append it loses what it led, and what it goes on leading gets a new leader
 * epoch: readers and followers must notice that its process is another one (KIP-101, KIP-320). Unless it can show that
 * its logs are what they were, it is neither in sync nor eligible any more.
 *
 * A process that registers again (it never got the answer) is told the epoch that it has.
 */
export function decideRegisterBroker(
  image: MetadataImage,
  rules: ConfigRules,
  registration: BrokerRegistration,
): Decision<RegistrationAnswer> {
  const { unfenced, previousBrokerEpoch: _previous, logsWhole: _whole, ...broker } = registration
  const { brokerId } = broker
  const known = image.brokers.get(brokerId)
  if (known && known.incarnationId === broker.incarnationId) {
    const { brokerEpoch } = known
    const answer = { errorCode: ErrorCode.NONE, errorMessage: null, brokerEpoch }
    return { answer, records: [], effects: [] }
  }
  if (known && !known.fenced && !sharesDirectory(known, registration)) {
    const message = `Another broker is registered with id ${brokerId} and is not fenced.`
    const outcome = refuse(ErrorCode.DUPLICATE_BROKER_REGISTRATION, message)
    return { answer: { ...outcome, brokerEpoch: -1 }, records: [], effects: [] }
  }
  const brokerEpoch = image.lastBrokerEpoch + 1
  const nothingLost = known !== undefined && keptEverything(known, registration)
  const facts = { brokerId, brokerEpoch, rack: broker.rack, nothingLost }
  return {
    answer: { errorCode: ErrorCode.NONE, errorMessage: null, brokerEpoch },
    records: [
      { kind: 'registerBroker', ...broker, brokerEpoch, fenced: !unfenced },
      ...(unfenced ? [] : commonSettings(image, rules)),
      ...afterRegistration(image, rules, brokerId, unfenced, {
        ...(nothingLost ? {} : { lost: brokerId }),
        ...(known && !hasDirectories(known, registration) ? { emptied: brokerId } : {}),
      }),
    ],
    effects: [{ kind: 'log', facts, message: 'broker registered' }],
  }
}

/**
 * What all brokers of a cluster must see alike, whatever their files say: how many members may commit decides who is
 * eligible to lead (KIP-966). Kafka writes it when it formats its metadata.
 */
function commonSettings(image: MetadataImage, rules: ConfigRules): MetadataRecord[] {
  const name = 'min.insync.replicas'
  if (image.configs(ResourceType.BROKER, '').has(name)) return []
  const resource = { resourceType: ResourceType.BROKER, resourceName: '' }
  return [{ kind: 'config', ...resource, name, value: rules.textInForce(name) }]
}

const sharesDirectory = (known: BrokerImage, { directoryIds }: BrokerRegistration): boolean =>
  known.directoryIds.some((id) => directoryIds.includes(id))

/** All of them: nobody knows which partitions lay on one that is missing. */
const hasDirectories = (known: BrokerImage, { directoryIds }: BrokerRegistration): boolean =>
  known.directoryIds.every((id) => directoryIds.includes(id))

/**
 * Whether a broker's logs hold all that its former self had written: the same directories, all of them, whole; and
 * either closed in order by that former self, or on a machine that never went down meanwhile, so that its page cache
 * has what was not flushed.
 */
function keptEverything(known: BrokerImage, registration: BrokerRegistration): boolean {
  const { previousBrokerEpoch = -1, logsWhole = false, bootId } = registration
  const closedInOrder = previousBrokerEpoch === known.brokerEpoch
  const sameBoot = bootId !== null && bootId === known.bootId
  return hasDirectories(known, registration) && logsWhole && (closedInOrder || sameBoot)
}

function afterRegistration(
  image: MetadataImage,
  rules: ConfigRules,
  brokerId: number,
  unfenced: boolean,
  gone: Pick<PartitionTarget, 'lost' | 'emptied'>,
): MetadataRecord[] {
  const changes = new PartitionChanges(image, rules, { canLead: only(image, brokerId, unfenced) })
  let renews = false
  for (const topic of image.topics.values()) {
    for (const partition of topic.partitions) {
      if (!partition.replicas.includes(brokerId)) continue
      if (unfenced && isSoleLeader(partition, brokerId)) {
        renews = true
        continue
      }
      const isr = gone.lost === undefined ? partition.isr : without(partition.isr, brokerId)
      const target = { isr, restarted: brokerId, ...gone }
      changes.change(topic, partition.partitionIndex, target)
    }
  }
  const records = changes.records()
  // First, while the others are still as they were: it must not meet those that only now become sole leaders.
  return renews ? [{ kind: 'renewLeadership', brokerId }, ...records] : records
}

/** Who may lead when one broker's state is another one than the image says. */
const only =
  (image: MetadataImage, brokerId: number, mayLead: boolean) =>
  (candidate: number): boolean =>
    candidate === brokerId ? mayLead : isActive(image.brokers.get(candidate))

const without = (list: readonly number[], brokerId: number): readonly number[] =>
  list.includes(brokerId) ? list.filter((each) => each !== brokerId) : list

export type BrokerChange = {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
}

/**
 * Fences or unfences a broker, or notes that it is about to stop. A broker that no longer takes part leaves every ISR
 * and hands its partitions over; one that takes part again leads those that nobody else may lead.
 */
export function decideChangeBroker(
  image: MetadataImage,
  rules: ConfigRules,
  change: BrokerChange,
): Decision<Outcome> {
  const { brokerId, fenced, inControlledShutdown } = change
  const known = image.brokers.get(brokerId)
  const refusal = refusalOfEpoch(known, change.brokerEpoch)
  if (!known || refusal !== ErrorCode.NONE) return nothing(refusal)
  const mayLead = !fenced && !inControlledShutdown
  const changes = new PartitionChanges(image, rules, { canLead: only(image, brokerId, mayLead) })
  if (mayLead) leadAgain(image, changes, brokerId)
  else leave(image, changes, new Set([brokerId]))
  const isNews = known.fenced !== fenced || known.inControlledShutdown !== inControlledShutdown
  // A fenced broker may still be in an ISR, when it came back with everything: fencing it again takes it out.
  if (!isNews && changes.count === 0) return nothing(ErrorCode.NONE)
  const facts = { ...change, partitions: changes.count }
  return {
    answer: { errorCode: ErrorCode.NONE, errorMessage: null },
    records: [
      ...(isNews ? [{ kind: 'brokerChange', ...change } as const] : []),
      ...changes.records(),
    ],
    effects: [{ kind: 'log', facts, message: 'broker changed' }],
  }
}

/** One process of a broker. */
export type BrokerRun = { readonly brokerId: number; readonly brokerEpoch: number }

/**
 * Fences brokers that were found gone together. Where all of an ISR is among them each stays eligible: nobody of them
 * can have committed without the others. One after the other, the last alone would stay, whatever becomes of its disk.
 * Who has another epoch by now is passed over.
 */
export function decideFenceBrokers(
  image: MetadataImage,
  rules: ConfigRules,
  runs: readonly BrokerRun[],
): Decision<Outcome> {
  const present = runs.filter(
    ({ brokerId, brokerEpoch }) => image.brokers.get(brokerId)?.brokerEpoch === brokerEpoch,
  )
  const gone = new Set(present.map(({ brokerId }) => brokerId))
  const canLead = (candidate: number) =>
    !gone.has(candidate) && isActive(image.brokers.get(candidate))
  const changes = new PartitionChanges(image, rules, { canLead })
  leave(image, changes, gone)
  const news = present.flatMap(({ brokerId, brokerEpoch }) => {
    const known = image.brokers.get(brokerId)
    if (!known || known.fenced) return []
    const { inControlledShutdown } = known
    return [
      { kind: 'brokerChange', brokerId, brokerEpoch, fenced: true, inControlledShutdown } as const,
    ]
  })
  const facts = { brokerIds: [...gone], partitions: changes.count }
  return {
    answer: { errorCode: ErrorCode.NONE, errorMessage: null },
    records: [...news, ...changes.records()],
    effects: [{ kind: 'log', facts, message: 'brokers fenced' }],
  }
}

function leadAgain(image: MetadataImage, changes: PartitionChanges, brokerId: number): void {
  for (const topic of image.topics.values()) {
    for (const { leader, replicas, isr, partitionIndex } of topic.partitions) {
      if (leader !== NO_LEADER || !replicas.includes(brokerId)) continue
      changes.change(topic, partitionIndex, { isr })
    }
  }
}

function leave(image: MetadataImage, changes: PartitionChanges, gone: ReadonlySet<number>): void {
  for (const topic of image.topics.values()) {
    for (const { leader, isr, partitionIndex } of topic.partitions) {
      const remaining = isr.filter((member) => !gone.has(member))
      if (remaining.length === isr.length && !gone.has(leader)) continue
      changes.change(topic, partitionIndex, { isr: remaining })
    }
  }
}

const nothing = (errorCode: ErrorCode): Decision<Outcome> => ({
  answer: refuse(errorCode, null),
  records: [],
  effects: [],
})

/** What is wrong with a command that a broker process gives: NONE when it is the one that is registered. */
export function refusalOfEpoch(known: BrokerImage | undefined, brokerEpoch: number): ErrorCode {
  if (!known) return ErrorCode.BROKER_ID_NOT_REGISTERED
  return known.brokerEpoch === brokerEpoch ? ErrorCode.NONE : ErrorCode.STALE_BROKER_EPOCH
}

/** Whether a broker leads anything. */
export function leadsAnything(image: MetadataImage, brokerId: number): boolean {
  for (const { partitions } of image.topics.values()) {
    for (const { leader } of partitions) if (leader === brokerId) return true
  }
  return false
}

/** The fenced brokers that are in some ISR: they came back with everything, and did not take part since. */
export function fencedInSync(image: MetadataImage): ReadonlySet<number> {
  const found = new Set<number>()
  if (![...image.brokers.values()].some(({ fenced }) => fenced)) return found
  for (const { partitions } of image.topics.values()) {
    for (const { isr } of partitions) {
      for (const member of isr) if (image.brokers.get(member)?.fenced) found.add(member)
    }
  }
  return found
}

/**
 * Takes a broker out of the cluster's memory: it is in sync and eligible nowhere any more, and will have to register
 * anew. Partitions keep it as a replica until they are reassigned. One that is alive is refused: Kafka forgets it, too,
 * and it serves nobody until it is restarted.
 */
export function decideUnregisterBroker(
  image: MetadataImage,
  rules: ConfigRules,
  brokerId: number,
): Decision<Outcome> {
  const known = image.brokers.get(brokerId)
  if (!known) {
    const message = `Broker ID ${brokerId} is not currently registered`
    const answer = refuse(ErrorCode.BROKER_ID_NOT_REGISTERED, message)
    return { answer, records: [], effects: [] }
  }
  if (isActive(known)) {
    const message = `Broker ID ${brokerId} is in use: stop it before it is unregistered`
    return { answer: refuse(ErrorCode.INVALID_REQUEST, message), records: [], effects: [] }
  }
  const { brokerEpoch } = known
  const changes = new PartitionChanges(image, rules, { canLead: only(image, brokerId, false) })
  for (const topic of image.topics.values()) {
    for (const { partitionIndex, isr, elr } of topic.partitions) {
      if (!isr.includes(brokerId) && !elr.includes(brokerId)) continue
      changes.change(topic, partitionIndex, { isr: without(isr, brokerId), lost: brokerId })
    }
  }
  const facts = { brokerId, brokerEpoch, partitions: changes.count }
  return {
    answer: { errorCode: ErrorCode.NONE, errorMessage: null },
    records: [...changes.records(), { kind: 'unregisterBroker', brokerId, brokerEpoch }],
    effects: [{ kind: 'log', facts, message: 'broker unregistered' }],
  }
}

/** Kafka's size of a block (ProducerIdsBlock). */
export const PRODUCER_ID_BLOCK_SIZE = 1_000

export type ProducerIdsAnswer = Outcome & {
  readonly firstProducerId: number
  readonly count: number
}

/** Gives a broker a block of producer ids that nobody ever had or will have. */
export function decideAllocateProducerIds(
  image: MetadataImage,
  { brokerId, brokerEpoch }: { brokerId: number; brokerEpoch: number },
): Decision<ProducerIdsAnswer> {
  const refusal = refusalOfEpoch(image.brokers.get(brokerId), brokerEpoch)
  if (refusal !== ErrorCode.NONE) {
    const answer = { ...refuse(refusal, null), firstProducerId: -1, count: 0 }
    return { answer, records: [], effects: [] }
  }
  const firstProducerId = image.nextProducerId
  const nextProducerId = firstProducerId + PRODUCER_ID_BLOCK_SIZE
  return {
    answer: {
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      firstProducerId,
      count: PRODUCER_ID_BLOCK_SIZE,
    },
    records: [{ kind: 'producerIds', brokerId, brokerEpoch, nextProducerId }],
    effects: [],
  }
}
