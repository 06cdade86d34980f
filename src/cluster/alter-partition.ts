import { ErrorCode } from '../protocol/error-code.ts'
import { refusalOfEpoch } from './broker-commands.ts'
import type { ConfigRules } from './config-rules.ts'
import type { Decision } from './decision.ts'
import type { MetadataImage } from './metadata-image.ts'
import { PartitionChanges } from './partition-changes.ts'
import { LeaderRecoveryState, type PartitionImage } from './topic-image.ts'

/** A member of the ISR that a leader asks for; an epoch of -1 is not checked. */
export type IsrMember = { readonly brokerId: number; readonly brokerEpoch: number }

export type IsrChange = {
  readonly topicId: string
  readonly partitionIndex: number
  /** As the leader knows them. */
  readonly leaderEpoch: number
  readonly partitionEpoch: number
  readonly isr: readonly IsrMember[]
  /** RECOVERED as a rule: a leader that asks has taken over. */
  readonly leaderRecoveryState?: number
}

/** A leader asks for other in-sync replicas (KIP-497). */
export type AlterPartitionCommand = {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly changes: readonly IsrChange[]
}

export type IsrOutcome = {
  readonly topicId: string
  readonly partitionIndex: number
  readonly errorCode: ErrorCode
  /** What the partition is after the change; with an error: -1 and empty. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly isr: readonly number[]
  readonly leaderRecoveryState: number
  readonly partitionEpoch: number
}

export type AlterPartitionAnswer = {
  /** Of the command as a whole: nothing was done then. */
  readonly errorCode: ErrorCode
  /** One for each change, in order. */
  readonly partitions: readonly IsrOutcome[]
}

/**
 * Changes in-sync replicas as leaders ask for it. NOT_CONTROLLER: the leader knows more than this controller, which
 * must be a former one; NEW_LEADER_ELECTED: the change ended a reassignment, and another broker leads now.
 */
export function decideAlterPartition(
  image: MetadataImage,
  rules: ConfigRules,
  { brokerId, brokerEpoch, changes }: AlterPartitionCommand,
): Decision<AlterPartitionAnswer> {
  const refusal = refusalOfEpoch(image.brokers.get(brokerId), brokerEpoch)
  if (refusal !== ErrorCode.NONE) {
    // Kafka has one answer for both: whoever asks must register first.
    const answer = { errorCode: ErrorCode.STALE_BROKER_EPOCH, partitions: [] }
    return { answer, records: [], effects: [] }
  }
  const drafts = new PartitionChanges(image, rules)
  const partitions = changes.map((change) => decideOne(image, drafts, brokerId, change))
  const answer = { errorCode: ErrorCode.NONE, partitions }
  return { answer, records: drafts.records(), effects: [] }
}

function decideOne(
  image: MetadataImage,
  drafts: PartitionChanges,
  brokerId: number,
  change: IsrChange,
): IsrOutcome {
  const { topicId, partitionIndex, leaderRecoveryState = LeaderRecoveryState.RECOVERED } = change
  const refused = (errorCode: ErrorCode): IsrOutcome => ({
    topicId,
    partitionIndex,
    errorCode,
    leader: -1,
    leaderEpoch: -1,
    isr: [],
    leaderRecoveryState: LeaderRecoveryState.RECOVERED,
    partitionEpoch: -1,
  })
  const topic = image.topicById(topicId)
  if (!topic) return refused(ErrorCode.UNKNOWN_TOPIC_ID)
  const partition = drafts.get(topic, partitionIndex)
  if (!partition) return refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  const refusal = refusalOf(image, partition, brokerId, change)
  if (refusal !== ErrorCode.NONE) return refused(refusal)
  const isr = change.isr.map((member) => member.brokerId)
  const after = drafts.change(topic, partitionIndex, { isr, leaderRecoveryState }) ?? partition
  if (after.leader !== brokerId) return refused(ErrorCode.NEW_LEADER_ELECTED)
  return {
    topicId,
    partitionIndex,
    errorCode: ErrorCode.NONE,
    leader: after.leader,
    leaderEpoch: after.leaderEpoch,
    isr: after.isr,
    leaderRecoveryState: after.leaderRecoveryState,
    partitionEpoch: after.partitionEpoch,
  }
}

/** In Kafka's order (ReplicationControlManager): clients of this answer tell the reasons apart by it. */
function refusalOf(
  image: MetadataImage,
  partition: PartitionImage,
  brokerId: number,
  { topicId, leaderEpoch, partitionEpoch, isr, leaderRecoveryState }: IsrChange,
): ErrorCode {
  if (leaderEpoch > partition.leaderEpoch || partitionEpoch > partition.partitionEpoch) {
    return ErrorCode.NOT_CONTROLLER
  }
  if (leaderEpoch < partition.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH
  if (brokerId !== partition.leader) return ErrorCode.INVALID_REQUEST
  if (partitionEpoch < partition.partitionEpoch) return ErrorCode.INVALID_UPDATE_VERSION
  const members = new Set(isr.map((member) => member.brokerId))
  const isSound =
    members.size === isr.length &&
    members.has(brokerId) &&
    isr.every((member) => partition.replicas.includes(member.brokerId))
  if (!isSound) return ErrorCode.INVALID_REQUEST
  if (leaderRecoveryState === LeaderRecoveryState.RECOVERING) {
    // Nobody is in sync with a leader that has not taken over, and none goes back to that (KIP-704).
    const isGoingOn = partition.leaderRecoveryState === LeaderRecoveryState.RECOVERING
    if (!isGoingOn || isr.length > 1) return ErrorCode.INVALID_REQUEST
  }
  return isr.every((member) => isEligible(image, topicId, partition, member))
    ? ErrorCode.NONE
    : ErrorCode.INELIGIBLE_REPLICA
}

/**
 * Whether a broker may be in an ISR (KIP-903): alive, not about to stop, with the disk under the replica, and the process that the leader means. One that
 * came back with everything is in the ISR before it is unfenced, and may stay.
 */
function isEligible(
  image: MetadataImage,
  topicId: string,
  { partitionIndex, isr }: PartitionImage,
  { brokerId, brokerEpoch }: IsrMember,
): boolean {
  const broker = image.brokers.get(brokerId)
  if (!broker || broker.inControlledShutdown) return false
  if (image.failedReplicas.has(brokerId, topicId, partitionIndex)) return false
  if (brokerEpoch !== -1 && brokerEpoch !== broker.brokerEpoch) return false
  return !broker.fenced || isr.includes(brokerId)
}
