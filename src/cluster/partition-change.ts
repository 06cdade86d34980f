import { assert } from '../base/assert.ts'
import type { MetadataRecord } from './metadata-records.ts'
import { LeaderRecoveryState, type PartitionImage } from './topic-image.ts'

/**
 * What somebody wants of a partition. What is not named stays as it is; leader, eligible leaders and the end of a
 * reassignment follow from it.
 */
export type PartitionTarget = {
  readonly isr?: readonly number[]
  readonly replicas?: readonly number[]
  readonly addingReplicas?: readonly number[]
  readonly removingReplicas?: readonly number[]
  readonly leaderRecoveryState?: number
  /** A broker that lost records of its log, or is gone for good: it counts as eligible nowhere any more. */
  readonly lost?: number
  /** A broker of which a disk is another one: what it had does not matter any more, it is the last to be chosen. */
  readonly emptied?: number
  /** A broker whose process is a new one: what it leads gets a new leader epoch even if it goes on leading. */
  readonly restarted?: number
}

/**
 * - `online`: the leader stays as long as it may lead; else the first in-sync replica, else an eligible one.
 * - `preferred`: as `online`, but the first replica goes before the present leader.
 * - `unclean`: as `online`, and when that finds nobody, any living replica: records may be lost. The last leader goes
 *   before the others, those that are being added and those that came back with other disks behind them: they are known
 *   to have less. (Kafka takes the first that lives.)
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
  emptied: readonly number[]
  addingReplicas: readonly number[]
  removingReplicas: readonly number[]
  leader: number
  leaderRecoveryState: number
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
    emptied: partition.emptied,
    addingReplicas: target.addingReplicas ?? partition.addingReplicas,
    removingReplicas: target.removingReplicas ?? partition.removingReplicas,
    leader: partition.leader,
    leaderRecoveryState: target.leaderRecoveryState ?? partition.leaderRecoveryState,
  }
  completeReassignment(draft)
  chooseEligible(partition, draft, target.lost, rules.minInSyncReplicas)
  noteEmptied(draft, target.emptied)
  elect(partition, draft, rules)
  rememberLeader(partition, draft, target.emptied)
  forgetEmptied(draft)
  check(draft)

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

/**
 * A reassignment ends when everybody who was added is in sync: then who is to go goes. Who stays need not be in sync, it
 * was not before either; unless there will be fewer replicas, which are not to be fewer in sync by that (Kafka:
 * PartitionReassignmentReplicas).
 */
function completeReassignment(draft: Draft): void {
  const { addingReplicas, removingReplicas } = draft
  if (addingReplicas.length === 0 && removingReplicas.length === 0) return
  const stays = (replica: number) => !removingReplicas.includes(replica)
  const replicas = draft.replicas.filter(stays)
  const isr = draft.isr.filter(stays)
  if (isr.length === 0) return
  const inSync = (replica: number) => isr.includes(replica)
  // One that was added, and is not wanted any more since another reassignment replaced the first, stands in both lists.
  const added = addingReplicas.filter(stays)
  const removed = removingReplicas.filter((replica) => !addingReplicas.includes(replica))
  if (!added.every(inSync)) return
  if (added.length < removed.length && !replicas.every(inSync)) return
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
  if (unclean === undefined) {
    draft.leader = NO_LEADER
    return
  }
  leadAlone(draft, unclean, [])
  draft.leaderRecoveryState = LeaderRecoveryState.RECOVERING
}

function leadAlone(draft: Draft, leader: number, eligible: readonly number[]): void {
  draft.leader = leader
  draft.isr = [leader]
  draft.elr = eligible.filter((replica) => replica !== leader)
}

/** Somebody who may miss records: the last leader where nobody else can have more, or anybody where that is allowed. */
function uncleanLeader(
  partition: PartitionImage,
  { replicas, isr, elr, addingReplicas, emptied }: Draft,
  kind: ElectionKind,
  canLead: (brokerId: number) => boolean,
): number | undefined {
  const [last] = partition.lastKnownElr
  const isLast = (replica: number) => replica === last && canLead(replica)
  if (isr.length === 0 && elr.length === 0) {
    const found = replicas.find((replica) => isLast(replica) && !emptied.includes(replica))
    if (found !== undefined) return found
  }
  if (kind !== 'unclean') return undefined
  const alive = replicas.filter(canLead)
  const hasSome = alive.filter((replica) => !emptied.includes(replica))
  return (
    hasSome.find(isLast) ??
    hasSome.find((replica) => !addingReplicas.includes(replica)) ??
    hasSome[0] ??
    alive[0]
  )
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

/** The only replica is chosen in any case. */
function noteEmptied(draft: Draft, emptied: number | undefined): void {
  if (emptied === undefined || draft.replicas.length === 1) return
  if (draft.replicas.includes(emptied) && !draft.emptied.includes(emptied)) {
    draft.emptied = [...draft.emptied, emptied]
  }
}

/** Who is in sync again has what the others have. */
function forgetEmptied(draft: Draft): void {
  const { isr, replicas } = draft
  if (draft.emptied.length === 0) return
  draft.emptied = draft.emptied.filter(
    (replica) => replicas.includes(replica) && !isr.includes(replica),
  )
}

/** What holds of every partition after every change. */
function check({ leader, isr, elr, replicas }: Draft): void {
  assert(leader === NO_LEADER || isr.includes(leader), `leader ${leader} is not in sync: ${isr}`)
  const named = [...isr, ...elr]
  assert(new Set(named).size === named.length, `in sync ${isr} and eligible ${elr} overlap`)
  assert(
    named.every((replica) => replicas.includes(replica)),
    `${named} are no replicas: ${replicas}`,
  )
}

const isSame = (partition: PartitionImage, draft: Draft): boolean =>
  partition.leader === draft.leader &&
  partition.leaderRecoveryState === draft.leaderRecoveryState &&
  sameList(partition.isr, draft.isr) &&
  sameList(partition.elr, draft.elr) &&
  sameList(partition.lastKnownElr, draft.lastKnownElr) &&
  sameList(partition.emptied, draft.emptied) &&
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
  const { partitionIndex, isr, elr, lastKnownElr, emptied } = after
  const { leader, leaderRecoveryState, leaderEpoch, partitionEpoch } = after
  return {
    kind: 'partitionChange',
    topicId,
    partitionIndex,
    isr,
    elr,
    lastKnownElr,
    emptied,
    leader,
    leaderRecoveryState,
    leaderEpoch,
    partitionEpoch,
  }
}
