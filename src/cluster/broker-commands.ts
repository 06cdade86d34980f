import { ErrorCode } from '../protocol/error-code.ts'
import { type Decision, type Outcome, refuse } from './decision.ts'
import { isSoleLeader, type MetadataImage } from './metadata-image.ts'
import type { BrokerListener, MetadataRecord } from './metadata-records.ts'
import type { PartitionImage } from './topic-image.ts'

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
}

export type RegistrationAnswer = Outcome & {
  /** Greater than every one before; -1 when refused. */
  readonly brokerEpoch: number
}

/**
 * Gives a broker its epoch. Whatever it led gets a new leader epoch in the same append, even where it goes on leading:
 * its former self may have lost the end of its log, and readers must be able to notice (KIP-101, KIP-320).
 */
export function decideRegisterBroker(
  image: MetadataImage,
  registration: BrokerRegistration,
): Decision<RegistrationAnswer> {
  const { unfenced, ...broker } = registration
  const { brokerId } = broker
  const known = image.brokers.get(brokerId)
  const isOther =
    known !== undefined &&
    !known.fenced &&
    known.incarnationId !== broker.incarnationId &&
    !known.directoryIds.some((id) => broker.directoryIds.includes(id))
  if (isOther) {
    const message = `Another broker is registered with id ${brokerId} and is not fenced.`
    const outcome = refuse(ErrorCode.DUPLICATE_BROKER_REGISTRATION, message)
    return { answer: { ...outcome, brokerEpoch: -1 }, records: [], effects: [] }
  }
  const brokerEpoch = image.lastBrokerEpoch + 1
  const records: MetadataRecord[] = [
    { kind: 'registerBroker', ...broker, brokerEpoch, fenced: !unfenced },
    ...electionsAfter(image, brokerId, unfenced, true),
  ]
  const facts = { brokerId, brokerEpoch, rack: broker.rack }
  return {
    answer: { errorCode: ErrorCode.NONE, errorMessage: null, brokerEpoch },
    records,
    effects: [{ kind: 'log', facts, message: 'broker registered' }],
  }
}

export type BrokerChange = {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
}

/** Fences or unfences a broker, or notes that it is about to stop; its partitions get other leaders with it. */
export function decideChangeBroker(image: MetadataImage, change: BrokerChange): Decision<Outcome> {
  const known = image.brokers.get(change.brokerId)
  if (!known) return nothing(ErrorCode.BROKER_ID_NOT_REGISTERED)
  if (known.brokerEpoch !== change.brokerEpoch) return nothing(ErrorCode.STALE_BROKER_EPOCH)
  if (
    known.fenced === change.fenced &&
    known.inControlledShutdown === change.inControlledShutdown
  ) {
    return nothing(ErrorCode.NONE)
  }
  const mayLead = !change.fenced && !change.inControlledShutdown
  return {
    answer: { errorCode: ErrorCode.NONE, errorMessage: null },
    records: [
      { kind: 'brokerChange', ...change },
      ...electionsAfter(image, change.brokerId, mayLead, false),
    ],
    effects: [{ kind: 'log', facts: { ...change }, message: 'broker changed' }],
  }
}

const nothing = (errorCode: ErrorCode): Decision<Outcome> => ({
  answer: refuse(errorCode, null),
  records: [],
  effects: [],
})

/**
 * New leaders for the partitions of a broker that came, went or restarted.
 *
 * @param mayLead the broker is live from now on
 * @param restarted what it leads gets a new epoch in any case
 */
function electionsAfter(
  image: MetadataImage,
  brokerId: number,
  mayLead: boolean,
  restarted: boolean,
): MetadataRecord[] {
  const records: MetadataRecord[] = []
  let renews = false
  const canLead = (candidate: number): boolean => {
    if (candidate === brokerId) return mayLead
    const broker = image.brokers.get(candidate)
    return broker !== undefined && !broker.fenced && !broker.inControlledShutdown
  }
  for (const topic of image.topics.values()) {
    for (const partition of topic.partitions) {
      if (!partition.replicas.includes(brokerId)) continue
      if (restarted && mayLead && isSoleLeader(partition, brokerId)) {
        renews = true
        continue
      }
      const after = elect(partition, brokerId, mayLead, restarted, canLead)
      if (!after) continue
      records.push({
        kind: 'partitionChange',
        topicId: topic.topicId,
        partitionIndex: partition.partitionIndex,
        elr: partition.elr,
        lastKnownElr: partition.lastKnownElr,
        ...after,
        partitionEpoch: partition.partitionEpoch + 1,
      })
    }
  }
  // First, while the others are still as they were: it must not meet those that only now become sole leaders.
  return renews ? [{ kind: 'renewLeadership', brokerId }, ...records] : records
}

type Election = Pick<PartitionImage, 'isr' | 'leader' | 'leaderEpoch'>

/** @returns undefined when the partition stays as it is. A last ISR member stays one: only it has all records. */
function elect(
  partition: PartitionImage,
  brokerId: number,
  mayLead: boolean,
  restarted: boolean,
  canLead: (brokerId: number) => boolean,
): Election | undefined {
  const { isr, leader, leaderEpoch, replicas } = partition
  const others = isr.filter((member) => member !== brokerId)
  const leaves = isr.includes(brokerId) && others.length > 0 && (!mayLead || restarted)
  const nextIsr = leaves ? others : isr
  const candidate = replicas.find((replica) => nextIsr.includes(replica) && canLead(replica)) ?? -1
  const nextLeader = nextIsr.includes(leader) && canLead(leader) ? leader : candidate
  const mustBump = nextLeader !== leader || (restarted && leader === brokerId)
  if (!mustBump && !leaves) return undefined
  // A smaller ISR bumps the epoch, too (KAFKA-15021): stale fetches of the one that left must not count.
  return { isr: nextIsr, leader: nextLeader, leaderEpoch: leaderEpoch + 1 }
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
  const known = image.brokers.get(brokerId)
  const refused = (errorCode: ErrorCode) => ({
    answer: { ...refuse(errorCode, null), firstProducerId: -1, count: 0 },
    records: [],
    effects: [],
  })
  if (!known) return refused(ErrorCode.BROKER_ID_NOT_REGISTERED)
  if (known.brokerEpoch !== brokerEpoch) return refused(ErrorCode.STALE_BROKER_EPOCH)
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
