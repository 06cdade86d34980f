import { ErrorCode } from '../protocol/error-code.ts'
import type { ConfigRules } from './config-rules.ts'
import { type ControllerEffect, type Decision, type Outcome, refuse } from './decision.ts'
import type { MetadataImage } from './metadata-image.ts'
import { isReassigning } from './partition-change.ts'
import { PartitionChanges } from './partition-changes.ts'
import type { PartitionImage, TopicImage } from './topic-image.ts'

export type ReassignmentsCommand = {
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly partitionIndex: number
      /** The replicas to end with, the one to lead first; null cancels what is under way. */
      readonly replicas: readonly number[] | null
    }[]
  }[]
  readonly allowReplicationFactorChange: boolean
}

export type ReassignmentsAnswer = {
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly (Outcome & { readonly partitionIndex: number })[]
  }[]
}

/**
 * Gives partitions other replicas while they are in use (KIP-455): those that are new are added at once, and as soon as
 * all that are to stay are in sync, those that are to go are removed. Each partition succeeds or fails alone.
 */
export function decideAlterReassignments(
  image: MetadataImage,
  rules: ConfigRules,
  { topics, allowReplicationFactorChange }: ReassignmentsCommand,
): Decision<ReassignmentsAnswer> {
  const changes = new PartitionChanges(image, rules)
  const answer = topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex, replicas }) => ({
      partitionIndex,
      ...decideOne(image, changes, name, partitionIndex, replicas, allowReplicationFactorChange),
    })),
  }))
  const effects: ControllerEffect[] = []
  if (changes.count > 0) {
    const facts = { partitions: changes.count }
    effects.push({ kind: 'log', facts, message: 'partition reassignments changed' })
  }
  return { answer: { topics: answer }, records: changes.records(), effects }
}

function decideOne(
  image: MetadataImage,
  changes: PartitionChanges,
  name: string,
  partitionIndex: number,
  replicas: readonly number[] | null,
  mayChangeFactor: boolean,
): Outcome {
  const topic = image.topic(name)
  const unknown = (what: string) => refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, what)
  if (!topic) return unknown(`Unable to find a topic named ${name}.`)
  const partition = changes.get(topic, partitionIndex)
  if (!partition) return unknown(`Unable to find partition ${name}:${partitionIndex}.`)
  return replicas === null
    ? cancel(changes, topic, partition)
    : begin(image, changes, topic, partition, replicas, mayChangeFactor)
}

function begin(
  image: MetadataImage,
  changes: PartitionChanges,
  topic: TopicImage,
  partition: PartitionImage,
  replicas: readonly number[],
  mayChangeFactor: boolean,
): Outcome {
  const wrong = refusalOfReplicas(image, replicas)
  if (wrong) return wrong
  const { addingReplicas, removingReplicas } = partition
  const count = partition.replicas.filter((replica) => !removingReplicas.includes(replica)).length
  if (!mayChangeFactor && count !== replicas.length) {
    const message = `The replication factor is changed from ${count} to ${replicas.length}`
    return refuse(ErrorCode.INVALID_REPLICATION_FACTOR, message)
  }
  const byId = (a: number, b: number) => a - b
  // Where one reassignment replaces another, cancelling still leads back to what there was before the first.
  const original = partition.replicas.filter((replica) => !addingReplicas.includes(replica))
  const removing = partition.replicas.filter((replica) => !replicas.includes(replica)).sort(byId)
  const all = [...replicas, ...removing]
  changes.change(topic, partition.partitionIndex, {
    replicas: all,
    addingReplicas: all.filter((replica) => !original.includes(replica)).sort(byId),
    removingReplicas: removing,
  })
  return refuse(ErrorCode.NONE, null)
}

function refusalOfReplicas(image: MetadataImage, replicas: readonly number[]): Outcome | undefined {
  const wrong = (message: string) =>
    refuse(
      ErrorCode.INVALID_REPLICA_ASSIGNMENT,
      `The manual partition assignment includes ${message}`,
    )
  if (replicas.length === 0) return wrong('an empty replica list.')
  const sorted = [...replicas].sort((a, b) => a - b)
  for (const [at, brokerId] of sorted.entries()) {
    if (!image.brokers.has(brokerId)) {
      return wrong(`broker ${brokerId}, but no such broker is registered.`)
    }
    if (brokerId === sorted[at - 1]) return wrong(`the broker ${brokerId} more than once.`)
  }
  return undefined
}

function cancel(changes: PartitionChanges, topic: TopicImage, partition: PartitionImage): Outcome {
  if (!isReassigning(partition)) {
    return refuse(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, null)
  }
  const { partitionIndex, addingReplicas } = partition
  const stays = (replica: number) => !addingReplicas.includes(replica)
  const replicas = partition.replicas.filter(stays)
  const isr = partition.isr.filter(stays)
  if (isr.length === 0) {
    // Only those that were being added are in sync: to go back means to lose what the others do not have.
    if (!changes.topicRules(topic.name).uncleanAllowed) {
      return refuse(
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        `Unable to revert partition assignment for ${topic.name}:${partitionIndex} because it ` +
          'would require an unclean leader election.',
      )
    }
  }
  const target = { replicas, isr, addingReplicas: [], removingReplicas: [] }
  changes.change(topic, partitionIndex, target)
  return refuse(ErrorCode.NONE, null)
}

export type ReassignmentsUnderWay = readonly {
  readonly name: string
  readonly partitions: readonly PartitionImage[]
}[]

/** @param topics the partitions asked about; null: all */
export function listReassignments(
  image: MetadataImage,
  topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null,
): ReassignmentsUnderWay {
  const found: { name: string; partitions: PartitionImage[] }[] = []
  if (topics === null) {
    for (const { name, partitions } of image.topics.values()) {
      const moving = partitions.filter(isReassigning)
      if (moving.length > 0) found.push({ name, partitions: moving })
    }
    return found
  }
  for (const { name, partitionIndexes } of topics) {
    const partitions = image.topic(name)?.partitions ?? []
    const moving: PartitionImage[] = []
    for (const index of partitionIndexes) {
      const partition = partitions[index]
      if (partition && isReassigning(partition)) moving.push(partition)
    }
    if (moving.length > 0) found.push({ name, partitions: moving })
  }
  return found
}
