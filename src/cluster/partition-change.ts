import type { MetadataRecord } from './metadata-records.ts'
import type { PartitionImage } from './topic-image.ts'

/**
 * What somebody wants of a partition. What is not named stays as it is; leader, eligible leaders and the end of a
 * reassignment follow from it.
 */
export type PartitionTarget = {
  readonly isr?: readonly number[]
  readonly replicas?: readonly number[]
  readonly addingReplicas?: readonly number[]
  readonly removingReplicas?: readonly number[]
  /** A broker that lost records of its log, or is gone for good: it counts as eligible nowhere any more. */
  readonly lost?: number
  /** A broker of which a disk is another one: whether it had more than others does not matter any more. */
  readonly emptied?: number
  /** A broker whose process is a new one: what it leads gets a new leader epoch even if it goes on leading. */
  readonly restarted?: number
}

/**
 * - `online`: the leader stays as long as it may lead; else the first in-sync replica, else an eligible one.
 * - `preferred`: as `online`, but the first replica goes before the present leader.
 * - `unclean`: as `online`, and when that finds nobody, any living replica: records may be lost.
 */
export type ElectionKind = 'online' | 'preferred' | 'unclean'

export type ElectionRules = {
  readonly kind: ElectionKind
  /** Whether a broker is alive and not about to stop. */
  readonly canLead: (brokerId: number) => boolean
  /** The topic's `min.insync.replicas`. */
  readonly minInSyncReplicas: number
}

/** Everything of a partition that a change may move. */
type Draft = {
  replicas: readonly number[]
  isr: readonly number[]
  elr: readonly number[]
  lastKnownElr: readonly number[]
  addingReplicas: readonly number[]
  removingReplicas: readonly number[]
  leader: number
}

export const NO_LEADER = -1

/**
 * The next state of a partition (the rules of KIP-966 and KIP-455; Kafka: PartitionChangeBuilder).
 *
 * Who may lead without loss: a member of the ISR, or an eligible leader replica. A replica that leaves an ISR which is
 * thereby smaller than `min.insync.replicas` stays eligible, because nothing is committed without enough members; its
 * eligibility ends when the ISR is large enough again, or when it lost records. When both sets are empty, the last
 * leader is the best that there is, and leads again when it returns (`lastKnownElr`).
 *
 * The leader epoch rises when the leader changes, when a replica is taken away, and when the leader's process is a new
 * one. A smaller ISR alone does not raise it (KAFKA-15021).
 *
 * @returns undefined when nothing changes
 */
export function changePartition(
  partition: PartitionImage,
  target: PartitionTarget,
  rules: ElectionRules,
): PartitionImage | undefined {
  const draft: Draft = {
    replicas: target.replicas ?? partition.replicas,
    isr: target.isr ?? partition.isr,
    elr: partition.elr,
    lastKnownElr: partition.lastKnownElr,
    addingReplicas: target.addingReplicas ?? partition.addingReplicas,
    removingReplicas: target.removingReplicas ?? partition.removingReplicas,
    leader: partition.leader,
  }
  completeReassignment(draft)
  chooseEligible(partition, draft, target.lost, rules.minInSyncReplicas)
  elect(partition, draft, rules)
  rememberLeader(partition, draft, target.emptied)

  const replicaGone = partition.replicas.some((replica) => !draft.replicas.includes(replica))
  const renewed = target.restarted !== undefined && partition.leader === target.restarted
  const isNewTerm = draft.leader !== partition.leader || replicaGone || renewed
  if (!isNewTerm && isSame(partition, draft)) return undefined
  return {
    partitionIndex: partition.partitionIndex,
    ...draft,
    leaderEpoch: partition.leaderEpoch + (isNewTerm ? 1 : 0),
    partitionEpoch: partition.partitionEpoch + 1,
  }
}

export const isReassigning = ({ addingReplicas, removingReplicas }: PartitionImage): boolean =>
  addingReplicas.length > 0 || removingReplicas.length > 0

/** A reassignment ends when everybody who is to stay is in sync: then who is to go goes. */
function completeReassignment(draft: Draft): void {
  const { addingReplicas, removingReplicas } = draft
  if (addingReplicas.length === 0 && removingReplicas.length === 0) return
  const stays = (replica: number) => !removingReplicas.includes(replica)
  const replicas = draft.replicas.filter(stays)
  const isr = draft.isr.filter(stays)
  if (replicas.length === 0 || !replicas.every((replica) => isr.includes(replica))) return
  draft.replicas = replicas
  draft.isr = isr
  draft.addingReplicas = []
  draft.removingReplicas = []
}

function chooseEligible(
  partition: PartitionImage,
  draft: Draft,
  lost: number | undefined,
  minInSyncReplicas: number,
): void {
  const { isr, replicas } = draft
  if (isr.length >= Math.min(minInSyncReplicas, replicas.length)) {
    draft.elr = []
    return
  }
  const candidates = new Set([...partition.elr, ...partition.isr])
  draft.elr = [...candidates].filter(
    (replica) => !isr.includes(replica) && replica !== lost && replicas.includes(replica),
  )
}

function elect(partition: PartitionImage, draft: Draft, rules: ElectionRules): void {
  const { kind, canLead, minInSyncReplicas } = rules
  const { replicas, isr, elr } = draft
  const inSync = (replica: number) => isr.includes(replica) && canLead(replica)
  const [preferred] = replicas
  if (kind === 'preferred' && preferred !== undefined && inSync(preferred)) {
    draft.leader = preferred
    return
  }
  if (inSync(partition.leader)) return
  const next = replicas.find(inSync)
  if (next !== undefined) {
    draft.leader = next
    return
  }
  // The members of an ISR of which nobody may lead have no less than the new leader: they stay eligible with the others.
  const eligible = replicas.find((replica) => elr.includes(replica) && canLead(replica))
  if (eligible !== undefined) {
    // Where one is enough it commits alone from now on, and what others have will soon be too little.
    leadAlone(draft, eligible, minInSyncReplicas > 1 ? [...elr, ...isr] : [])
    return
  }
  const unclean = uncleanLeader(partition, draft, kind, canLead)
  if (unclean === undefined) draft.leader = NO_LEADER
  else leadAlone(draft, unclean, [])
}

function leadAlone(draft: Draft, leader: number, eligible: readonly number[]): void {
  draft.leader = leader
  draft.isr = [leader]
  draft.elr = eligible.filter((replica) => replica !== leader)
}

/** Somebody who may miss records: the last leader where nobody else can have more, or anybody where that is allowed. */
function uncleanLeader(
  partition: PartitionImage,
  { replicas, isr, elr }: Draft,
  kind: ElectionKind,
  canLead: (brokerId: number) => boolean,
): number | undefined {
  const [last] = partition.lastKnownElr
  if (isr.length === 0 && elr.length === 0 && last !== undefined) {
    if (replicas.includes(last) && canLead(last)) return last
  }
  return kind === 'unclean' ? replicas.find(canLead) : undefined
}

/**
 * Keeps who led last, from the moment at which nobody is in sync until there is a leader again. One that came back with
 * an empty disk must not lead over replicas that still have something: somebody has to choose which (ElectLeaders).
 */
function rememberLeader(
  partition: PartitionImage,
  draft: Draft,
  emptied: number | undefined,
): void {
  if (draft.leader !== NO_LEADER) {
    draft.lastKnownElr = []
  } else if (draft.isr.length === 0 && partition.isr.length > 0) {
    const last = partition.leader === NO_LEADER ? partition.isr[0] : partition.leader
    draft.lastKnownElr = last === undefined ? [] : [last]
  }
  if (emptied !== undefined && draft.replicas.length > 1) {
    draft.lastKnownElr = draft.lastKnownElr.filter((replica) => replica !== emptied)
  }
}

const isSame = (partition: PartitionImage, draft: Draft): boolean =>
  partition.leader === draft.leader &&
  sameList(partition.isr, draft.isr) &&
  sameList(partition.elr, draft.elr) &&
  sameList(partition.lastKnownElr, draft.lastKnownElr) &&
  sameList(partition.replicas, draft.replicas) &&
  sameList(partition.addingReplicas, draft.addingReplicas) &&
  sameList(partition.removingReplicas, draft.removingReplicas)

const sameList = (a: readonly number[], b: readonly number[]): boolean =>
  a === b || (a.length === b.length && a.every((each, at) => each === b[at]))

/** The record that makes a partition what it is to be: the short one where the replica set stays. */
export function partitionRecord(
  topicId: string,
  before: PartitionImage,
  after: PartitionImage,
): MetadataRecord {
  if (
    !sameList(before.replicas, after.replicas) ||
    !sameList(before.addingReplicas, after.addingReplicas) ||
    !sameList(before.removingReplicas, after.removingReplicas)
  ) {
    return { kind: 'partition', topicId, ...after }
  }
  const { partitionIndex, isr, elr, lastKnownElr, leader, leaderEpoch, partitionEpoch } = after
  return {
    kind: 'partitionChange',
    topicId,
    partitionIndex,
    isr,
    elr,
    lastKnownElr,
    leader,
    leaderEpoch,
    partitionEpoch,
  }
}
