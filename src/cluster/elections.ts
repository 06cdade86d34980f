import { ErrorCode } from '../protocol/error-code.ts'
import type { ConfigRules } from './config-rules.ts'
import { type Decision, type Outcome, refuse } from './decision.ts'
import { type MetadataImage, ResourceType } from './metadata-image.ts'
import type { MetadataRecord } from './metadata-records.ts'
import { NO_LEADER } from './partition-change.ts'
import { PartitionChanges, topicSettingKey } from './partition-changes.ts'
import type { PartitionImage, TopicImage } from './topic-image.ts'

/** ElectLeaders' types (KIP-460). */
export const ElectionType = { PREFERRED: 0, UNCLEAN: 1 } as const

export type ElectLeadersCommand = {
  readonly electionType: number
  /** Null asks for all partitions. */
  readonly topicPartitions:
    | readonly { readonly topic: string; readonly partitions: readonly number[] }[]
    | null
}

export type ElectLeadersAnswer = Outcome & {
  readonly results: readonly {
    readonly topic: string
    readonly partitions: readonly (Outcome & { readonly partitionIndex: number })[]
  }[]
}

/**
 * Elects the first replica of each partition, or anybody alive for those without a leader. Asked for all partitions, it
 * tells nothing of those that have what they should.
 */
export function decideElectLeaders(
  image: MetadataImage,
  rules: ConfigRules,
  { electionType, topicPartitions }: ElectLeadersCommand,
): Decision<ElectLeadersAnswer> {
  if (electionType !== ElectionType.PREFERRED && electionType !== ElectionType.UNCLEAN) {
    const outcome = refuse(ErrorCode.INVALID_REQUEST, `Unknown election type ${electionType}`)
    return { answer: { ...outcome, results: [] }, records: [], effects: [] }
  }
  const changes = new PartitionChanges(image, rules)
  const results = topicPartitions
    ? topicPartitions.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map((partitionIndex) => ({
          ...electOne(image, changes, electionType, topic, partitionIndex),
          partitionIndex,
        })),
      }))
    : [...image.topics.values()].map((topic) => ({
        topic: topic.name,
        partitions: electAll(changes, electionType, topic),
      }))
  const facts = { electionType, partitions: changes.count }
  return {
    answer: { errorCode: ErrorCode.NONE, errorMessage: null, results },
    records: changes.records(),
    effects: changes.count > 0 ? [{ kind: 'log', facts, message: 'leaders elected' }] : [],
  }
}

function electOne(
  image: MetadataImage,
  changes: PartitionChanges,
  electionType: number,
  topicName: string,
  partitionIndex: number,
): Outcome {
  const topic = image.topic(topicName)
  const unknown = (what: string) => refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, what)
  if (!topic) return unknown(`No such topic as ${topicName}`)
  const partition = changes.get(topic, partitionIndex)
  if (!partition) return unknown(`No such partition as ${topicName}-${partitionIndex}`)
  return elect(changes, electionType, topic, partition)
}

function electAll(changes: PartitionChanges, electionType: number, topic: TopicImage) {
  const told = []
  for (const partition of topic.partitions) {
    const outcome = elect(changes, electionType, topic, partition)
    if (outcome.errorCode === ErrorCode.ELECTION_NOT_NEEDED) continue
    told.push({ ...outcome, partitionIndex: partition.partitionIndex })
  }
  return told
}

function elect(
  changes: PartitionChanges,
  electionType: number,
  topic: TopicImage,
  partition: PartitionImage,
): Outcome {
  const { partitionIndex, leader, replicas } = partition
  const isPreferred = electionType === ElectionType.PREFERRED
  if (isPreferred ? leader === replicas[0] : leader !== NO_LEADER) {
    return refuse(ErrorCode.ELECTION_NOT_NEEDED, null)
  }
  const kind = isPreferred ? 'preferred' : 'unclean'
  if (changes.change(topic, partitionIndex, {}, kind)) return refuse(ErrorCode.NONE, null)
  return refuse(
    isPreferred
      ? ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
      : ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE,
    null,
  )
}

/** Most elections of one round of balancing, as in Kafka; the next round begins at once when there are more. */
export const MAX_ELECTIONS = 1_000

/**
 * Hands partitions back to their first replica where that is alive and in sync (`auto.leader.rebalance.enable`).
 *
 * @returns whether there may be more to do at once
 */
export function decideBalanceLeaders(
  image: MetadataImage,
  rules: ConfigRules,
  maxElections = MAX_ELECTIONS,
): Decision<boolean> {
  const changes = new PartitionChanges(image, rules)
  for (const topic of image.topics.values()) {
    for (const { partitionIndex, leader, replicas, isr } of topic.partitions) {
      const [preferred] = replicas
      if (preferred === undefined || leader === preferred || leader === NO_LEADER) continue
      if (!isr.includes(preferred) || !changes.canLead(preferred)) continue
      if (changes.count >= maxElections) return balanced(changes, true)
      changes.change(topic, partitionIndex, {}, 'preferred')
    }
  }
  return balanced(changes, false)
}

/**
 * Gives partitions without a leader one, where unclean elections are allowed: what allows them may stand in the file of
 * the broker that is the controller now, and nothing else would tell of it. (Kafka looks from time to time, too.)
 *
 * @returns whether there may be more to do at once
 */
export function decideElectLeaderless(
  image: MetadataImage,
  rules: ConfigRules,
  maxElections = MAX_ELECTIONS,
): Decision<boolean> {
  const changes = new PartitionChanges(image, rules)
  for (const topic of image.topics.values()) {
    for (const { partitionIndex, leader } of topic.partitions) {
      if (leader !== NO_LEADER || !changes.topicRules(topic.name).uncleanAllowed) continue
      if (changes.count >= maxElections) return leaderless(changes, true)
      changes.change(topic, partitionIndex, {})
    }
  }
  return leaderless(changes, false)
}

const leaderless = (changes: PartitionChanges, isMore: boolean): Decision<boolean> =>
  round(changes, isMore, 'partitions without a leader got one: records may be lost')

const balanced = (changes: PartitionChanges, isMore: boolean): Decision<boolean> =>
  round(changes, isMore, 'leadership went back to preferred replicas')

function round(changes: PartitionChanges, isMore: boolean, message: string): Decision<boolean> {
  const facts = { partitions: changes.count }
  return {
    answer: isMore,
    records: changes.records(),
    effects: changes.count > 0 ? [{ kind: 'log', facts, message }] : [],
  }
}

/**
 * What follows when settings change that elections rest on. A smaller `min.insync.replicas` lets fewer members commit:
 * who was eligible may lack what they commit from now on, and is no longer. Where unclean elections become allowed,
 * partitions without a leader get one.
 *
 * @param configs the settings' changes, decided and not applied yet
 */
export function electionsAfterConfigs(
  image: MetadataImage,
  rules: ConfigRules,
  configs: readonly MetadataRecord[],
): MetadataRecord[] {
  const settings = new Map<string, string | null>()
  const topics = new Set<TopicImage>()
  for (const record of configs) {
    if (record.kind !== 'config' || !electionSettings.has(record.name)) continue
    const { resourceType, resourceName, name, value } = record
    if (resourceType === ResourceType.TOPIC) {
      const topic = image.topic(resourceName)
      if (topic) topics.add(topic)
      settings.set(topicSettingKey(resourceName, name), value)
    } else if (resourceType === ResourceType.BROKER && resourceName === '') {
      for (const topic of image.topics.values()) topics.add(topic)
      settings.set(topicSettingKey(undefined, name), value)
    }
  }
  const changes = new PartitionChanges(image, rules, { settings })
  for (const topic of topics) {
    for (const { partitionIndex, leader, elr } of topic.partitions) {
      if (leader === NO_LEADER || elr.length > 0) changes.change(topic, partitionIndex, {})
    }
  }
  return changes.records()
}

const electionSettings: ReadonlySet<string> = new Set([
  'min.insync.replicas',
  'unclean.leader.election.enable',
])
