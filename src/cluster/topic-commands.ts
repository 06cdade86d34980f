import { ErrorCode } from '../protocol/error-code.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import { configRecords } from './config-commands.ts'
import type { ConfigRules } from './config-rules.ts'
import { type ControllerEffect, type Decision, type Outcome, refuse } from './decision.ts'
import { type BrokerImage, type MetadataImage, ResourceType } from './metadata-image.ts'
import type { MetadataRecord } from './metadata-records.ts'
import { isActive } from './partition-changes.ts'
import { type PlacementLoads, placeReplicas } from './replica-placement.ts'
import type { TopicImage } from './topic-image.ts'
import {
  CLUSTER_METADATA_TOPIC,
  collisionForm,
  hasCollisionCharacters,
  refusalOfTopicName,
} from './topic-name.ts'

/** Most partitions that one request may make, all its topics together (ReplicationControlManager). */
const MAX_PARTITIONS_PER_REQUEST = 10_000
const TOO_MANY_PARTITIONS = 'Excessively large number of partitions per request.'

/** A topic as CreateTopics describes it; -1 asks for the broker's default. */
export type NewTopic = {
  readonly name: string
  readonly numPartitions: number
  readonly replicationFactor: number
  readonly assignments: readonly {
    readonly partitionIndex: number
    readonly brokerIds: readonly number[]
  }[]
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

export type CreateTopicsCommand = {
  readonly topics: readonly NewTopic[]
  readonly validateOnly: boolean
  readonly defaults: { readonly numPartitions: number; readonly replicationFactor: number }
  /** One id for each of `topics`, never used before. */
  readonly topicIds: readonly string[]
}

export type TopicCreation = Outcome & {
  readonly name: string
  /** The zero id when the topic was refused. */
  readonly topicId: string
  /** -1 when the topic was refused. */
  readonly numPartitions: number
  readonly replicationFactor: number
  /** The topic's own settings. */
  readonly configs: ReadonlyMap<string, string>
}

const noConfigs: ReadonlyMap<string, string> = new Map()
const refusedCreation = (name: string, outcome: Outcome): TopicCreation => ({
  ...outcome,
  name,
  topicId: ZERO_UUID,
  numPartitions: -1,
  replicationFactor: -1,
  configs: noConfigs,
})

/**
 * Makes topics. Each succeeds or fails alone; topics that come twice fail once, at the end, as in Kafka.
 *
 * @param collisions of the names that have `.` or `_`: one name for each `collisionForm`
 * @param loads what brokers carry
 */
export function decideCreateTopics(
  image: MetadataImage,
  rules: ConfigRules,
  collisions: ReadonlyMap<string, string>,
  loads: PlacementLoads,
  command: CreateTopicsCommand,
): Decision<TopicCreation[]> {
  const planned = loads.copy()
  const { topics, topicIds, defaults, validateOnly } = command
  let wanted = 0
  for (const topic of topics) wanted += wantedPartitions(topic, defaults.numPartitions)
  const tooMany = wanted > MAX_PARTITIONS_PER_REQUEST

  const repeated = repeatedNames(topics)
  const records: MetadataRecord[] = []
  const effects: ControllerEffect[] = []
  const answer: TopicCreation[] = []
  for (const [at, topic] of topics.entries()) {
    if (repeated.has(topic.name) || topic.name === CLUSTER_METADATA_TOPIC) continue
    if (tooMany) {
      const outcome = refuse(ErrorCode.POLICY_VIOLATION, TOO_MANY_PARTITIONS)
      answer.push(refusedCreation(topic.name, outcome))
      continue
    }
    const topicId = topicIds[at] as string
    const decided = decideOne(image, rules, collisions, planned, topic, defaults)
    if ('errorCode' in decided) {
      answer.push(refusedCreation(topic.name, decided))
      continue
    }
    const { replicas, configs } = decided
    answer.push({
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      name: topic.name,
      topicId,
      numPartitions: replicas.length,
      replicationFactor: replicas[0]?.length ?? 0,
      configs,
    })
    if (validateOnly) continue
    records.push({ kind: 'topic', name: topic.name, topicId })
    records.push(...configRecords(image, ResourceType.TOPIC, topic.name, configs))
    records.push(...partitionRecords(image, topicId, 0, replicas))
    const facts = { topic: topic.name, topicId, partitions: replicas.length }
    effects.push({ kind: 'log', facts, message: 'topic created' })
  }
  answer.push(...refusedNames(topics, repeated))
  return { answer, records, effects }
}

/** Counted before anything is checked, so that a hostile number costs nothing. */
function wantedPartitions(topic: NewTopic, defaultPartitions: number): number {
  if (topic.assignments.length > 0) return topic.assignments.length
  return topic.numPartitions === -1 ? defaultPartitions : Math.max(0, topic.numPartitions)
}

function repeatedNames(topics: readonly { readonly name: string }[]): ReadonlySet<string> {
  const once = new Set<string>()
  const repeated = new Set<string>()
  for (const { name } of topics) {
    if (once.has(name)) repeated.add(name)
    once.add(name)
  }
  return repeated
}

function refusedNames(topics: readonly NewTopic[], repeated: ReadonlySet<string>): TopicCreation[] {
  const refused: TopicCreation[] = []
  const twice = refuse(ErrorCode.INVALID_REQUEST, 'Duplicate topic name.')
  for (const name of repeated) refused.push(refusedCreation(name, twice))
  if (!repeated.has(CLUSTER_METADATA_TOPIC)) {
    if (topics.some(({ name }) => name === CLUSTER_METADATA_TOPIC)) {
      const message = `Creation of internal topic ${CLUSTER_METADATA_TOPIC} is prohibited.`
      refused.push(
        refusedCreation(CLUSTER_METADATA_TOPIC, refuse(ErrorCode.INVALID_REQUEST, message)),
      )
    }
  }
  return refused
}

type TopicPlan = {
  readonly replicas: readonly (readonly number[])[]
  readonly configs: ReadonlyMap<string, string>
}

function decideOne(
  image: MetadataImage,
  rules: ConfigRules,
  collisions: ReadonlyMap<string, string>,
  loads: PlacementLoads,
  topic: NewTopic,
  defaults: CreateTopicsCommand['defaults'],
): TopicPlan | Outcome {
  const { name } = topic
  if (image.topics.has(name)) {
    return refuse(ErrorCode.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
  }
  const badName = refusalOfTopicName(name)
  if (badName !== undefined) return refuse(ErrorCode.INVALID_TOPIC_EXCEPTION, badName)
  const other = hasCollisionCharacters(name) ? collisions.get(collisionForm(name)) : undefined
  if (other !== undefined) {
    const message = `Topic '${name}' collides with existing topic: ${other}`
    return refuse(ErrorCode.INVALID_TOPIC_EXCEPTION, message)
  }
  const configs = new Map<string, string>()
  const nulls: string[] = []
  for (const config of topic.configs) {
    if (config.value === null) nulls.push(config.name)
    else configs.set(config.name, config.value)
  }
  if (nulls.length > 0) {
    const message = `Null value not supported for topic configs: ${nulls.join(',')}`
    return refuse(ErrorCode.INVALID_CONFIG, message)
  }
  const refusal = rules.refusalOf(ResourceType.TOPIC, name, configs)
  if (refusal) return refuse(ErrorCode[refusal.errorName], refusal.reason)
  const placed =
    topic.assignments.length > 0
      ? manualReplicas(image, topic)
      : automaticReplicas(image, loads, topic, defaults)
  return 'errorCode' in placed ? placed : { replicas: placed, configs }
}

type Replicas = readonly (readonly number[])[]

function automaticReplicas(
  image: MetadataImage,
  loads: PlacementLoads,
  topic: NewTopic,
  defaults: CreateTopicsCommand['defaults'],
): Replicas | Outcome {
  const { numPartitions, replicationFactor } = topic
  if (replicationFactor < -1 || replicationFactor === 0) {
    return refuse(
      ErrorCode.INVALID_REPLICATION_FACTOR,
      'Replication factor must be larger than 0, or -1 to use the default value.',
    )
  }
  if (numPartitions < -1 || numPartitions === 0) {
    return refuse(
      ErrorCode.INVALID_PARTITIONS,
      'Number of partitions was set to an invalid non-positive value.',
    )
  }
  const partitions = numPartitions === -1 ? defaults.numPartitions : numPartitions
  const factor = replicationFactor === -1 ? defaults.replicationFactor : replicationFactor
  return placed(image, partitions, factor, loads)
}

function placed(
  image: MetadataImage,
  partitions: number,
  replicationFactor: number,
  loads: PlacementLoads,
): Replicas | Outcome {
  const placement = placeReplicas(placementBrokers(image), partitions, replicationFactor, loads)
  if (placement.refusal === undefined) return placement.replicas
  return refuse(
    ErrorCode.INVALID_REPLICATION_FACTOR,
    `Unable to replicate the partition ${replicationFactor} time(s): ${placement.refusal}`,
  )
}

/** What fails with a broker: its rack, else its host, else the broker alone. */
export const failureDomainOf = ({ rack, hostId, brokerId }: BrokerImage): string =>
  rack ?? hostId ?? `broker ${brokerId}`

function placementBrokers(image: MetadataImage) {
  return [...image.brokers.values()].map((broker) => ({
    brokerId: broker.brokerId,
    fenced: !isActive(broker),
    failureDomain: failureDomainOf(broker),
  }))
}

function manualReplicas(image: MetadataImage, topic: NewTopic): Replicas | Outcome {
  const manual = 'A manual partition assignment was specified, but'
  if (topic.replicationFactor !== -1) {
    return refuse(ErrorCode.INVALID_REQUEST, `${manual} replication factor was not set to -1.`)
  }
  if (topic.numPartitions !== -1) {
    return refuse(ErrorCode.INVALID_REQUEST, `${manual} numPartitions was not set to -1.`)
  }
  const replicas = new Map<number, readonly number[]>()
  let factor: number | undefined
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    if (replicas.has(partitionIndex)) {
      return refuse(
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        `Found multiple manual partition assignments for partition ${partitionIndex}`,
      )
    }
    const refusal = refusalOfReplicas(image, partitionIndex, brokerIds, factor)
    if (refusal) return refusal
    factor = brokerIds.length
    replicas.set(partitionIndex, brokerIds)
  }
  const inOrder: (readonly number[])[] = []
  for (let index = 0; index < replicas.size; index++) {
    const brokerIds = replicas.get(index)
    if (!brokerIds) {
      return refuse(
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        'partitions should be a consecutive 0-based integer sequence',
      )
    }
    inOrder.push(brokerIds)
  }
  return inOrder
}

/** @param factor the number of replicas that all partitions must have; undefined for the first one */
function refusalOfReplicas(
  image: MetadataImage,
  partitionIndex: number,
  brokerIds: readonly number[],
  factor: number | undefined,
): Outcome | undefined {
  const wrong = (message: string) => refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
  const assignment = 'The manual partition assignment includes'
  if (brokerIds.length === 0) return wrong(`${assignment} an empty replica list.`)
  const sorted = [...brokerIds].sort((a, b) => a - b)
  for (const [at, brokerId] of sorted.entries()) {
    if (!image.brokers.has(brokerId)) {
      return wrong(`${assignment} broker ${brokerId}, but no such broker is registered.`)
    }
    if (brokerId === sorted[at - 1]) {
      return wrong(`${assignment} the broker ${brokerId} more than once.`)
    }
  }
  if (factor !== undefined && brokerIds.length !== factor) {
    return wrong(
      `${assignment} a partition with ${brokerIds.length} replica(s), but this is not consistent ` +
        `with previous partitions, which have ${factor} replica(s).`,
    )
  }
  if (!brokerIds.some((brokerId) => isActive(image.brokers.get(brokerId)))) {
    return wrong(
      `All brokers specified in the manual partition assignment for partition ${partitionIndex} ` +
        'are fenced or in controlled shutdown.',
    )
  }
  return undefined
}

/** New partitions start with every active replica in sync; the first of them leads. */
function partitionRecords(
  image: MetadataImage,
  topicId: string,
  firstIndex: number,
  replicas: Replicas,
): MetadataRecord[] {
  return replicas.map((brokerIds, at) => {
    const isr = brokerIds.filter((brokerId) => isActive(image.brokers.get(brokerId)))
    return {
      kind: 'partition',
      topicId,
      partitionIndex: firstIndex + at,
      replicas: brokerIds,
      isr,
      elr: [],
      lastKnownElr: [],
      emptied: [],
      addingReplicas: [],
      removingReplicas: [],
      leader: isr[0] as number,
      leaderRecoveryState: 0,
      leaderEpoch: 0,
      partitionEpoch: 0,
    }
  })
}

export type MorePartitions = {
  readonly name: string
  /** The new total. */
  readonly count: number
  /** Replicas of each new partition; null lets the controller choose. */
  readonly assignments: readonly { readonly brokerIds: readonly number[] }[] | null
}

export type CreatePartitionsCommand = {
  readonly topics: readonly MorePartitions[]
  readonly validateOnly: boolean
}

export type PartitionsCreation = Outcome & { readonly name: string }

/** Adds partitions to topics. */
export function decideCreatePartitions(
  image: MetadataImage,
  loads: PlacementLoads,
  command: CreatePartitionsCommand,
): Decision<PartitionsCreation[]> {
  const planned = loads.copy()
  const repeated = repeatedNames(command.topics)
  const records: MetadataRecord[] = []
  const effects: ControllerEffect[] = []
  const answer: PartitionsCreation[] = []
  for (const name of repeated) {
    answer.push({ ...refuse(ErrorCode.INVALID_REQUEST, 'Duplicate topic name.'), name })
  }
  let wanted = 0
  for (const { name, count } of command.topics) {
    wanted += Math.max(0, count - (image.topics.get(name)?.partitions.length ?? 0))
  }
  const tooMany = wanted > MAX_PARTITIONS_PER_REQUEST
  for (const more of command.topics) {
    const { name, count } = more
    if (repeated.has(name)) continue
    const topic = image.topics.get(name)
    const decided = tooMany
      ? refuse(ErrorCode.POLICY_VIOLATION, TOO_MANY_PARTITIONS)
      : decideMore(image, planned, topic, more)
    if ('errorCode' in decided) {
      answer.push({ ...decided, name })
      continue
    }
    answer.push({ errorCode: ErrorCode.NONE, errorMessage: null, name })
    if (command.validateOnly || !topic) continue
    records.push(...partitionRecords(image, topic.topicId, topic.partitions.length, decided))
    const facts = { topic: name, partitions: count, before: topic.partitions.length }
    effects.push({ kind: 'log', facts, message: 'partitions added' })
  }
  return { answer, records, effects }
}

function decideMore(
  image: MetadataImage,
  loads: PlacementLoads,
  topic: TopicImage | undefined,
  { name, count, assignments }: MorePartitions,
): Replicas | Outcome {
  if (!topic) return refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, null)
  const before = topic.partitions.length
  if (count === before) {
    return refuse(ErrorCode.INVALID_PARTITIONS, `Topic already has ${before} partition(s).`)
  }
  if (count < before) {
    const message = `The topic ${name} currently has ${before} partition(s); ${count} would not be an increase.`
    return refuse(ErrorCode.INVALID_PARTITIONS, message)
  }
  const more = count - before
  const replicationFactor = topic.partitions[0]?.replicas.length ?? 1
  if (assignments === null) return placed(image, more, replicationFactor, loads)
  if (assignments.length !== more) {
    const message = `Attempted to add ${more} additional partition(s), but only ${assignments.length} assignment(s) were specified.`
    return refuse(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
  }
  for (const [at, { brokerIds }] of assignments.entries()) {
    const refusal = refusalOfReplicas(image, before + at, brokerIds, replicationFactor)
    if (refusal) return refusal
  }
  return assignments.map(({ brokerIds }) => brokerIds)
}
