/**
 * What of a stopped Kafka's log folders can be taken, what cannot and why, and the records that make this cluster know
 * it. Pure: whoever calls it has read the folders already.
 */
import type { ForeignFolder, ForeignPartition } from '../log/foreign-folder.ts'
import type { ForeignLog } from '../log/foreign-log.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import type { ConfigRules } from './config-rules.ts'
import type { KafkaTopics } from './kafka-metadata-log.ts'
import { type MetadataImage, ResourceType } from './metadata-image.ts'
import type { MetadataRecord } from './metadata-records.ts'
import {
  collisionForm,
  hasCollisionCharacters,
  InternalTopic,
  refusalOfTopicName,
} from './topic-name.ts'

export type ReadPartition = {
  readonly found: ForeignPartition
  readonly log: ForeignLog
  /** The folder around it was closed in order. */
  readonly wasClean: boolean
}

export type PlannedPartition = ReadPartition & {
  /** Cut off by recovery, as Kafka would have; undefined: nothing. */
  readonly lost: { readonly bytes: number; readonly reason: string } | undefined
}

export type PlannedTopic = {
  readonly name: string
  readonly topicId: string
  /** By index, without holes. */
  readonly partitions: readonly PlannedPartition[]
  readonly configs: ReadonlyMap<string, string>
}

export type ImportPlan = {
  readonly topics: readonly PlannedTopic[]
  /** What somebody may have wanted and does not get. */
  readonly refused: readonly { readonly topic: string; readonly reason: string }[]
  /** What is never taken. */
  readonly leftOut: readonly { readonly folder: string; readonly reason: string }[]
  readonly notes: readonly string[]
}

export type PlanInput = {
  readonly folders: readonly ForeignFolder[]
  readonly partitions: readonly ReadPartition[]
  /** undefined: the settings of the topics are not known. */
  readonly metadata: KafkaTopics | undefined
  /** Of the cluster that takes the topics. */
  readonly image: MetadataImage
  readonly rules: ConfigRules
  /** For a topic that has no id. */
  newTopicId(): string
}

const notTaken: Readonly<Record<string, string>> = {
  [InternalTopic.transactionState]:
    'the states of transactional producers: each begins anew with its first transaction',
  [InternalTopic.shareGroupState]: 'the states of share groups, which are not served',
}

/** Compacted by its coordinator; what Kafka gives it when it makes the topic. */
const offsetsConfigs = new Map([
  ['cleanup.policy', 'compact'],
  ['compression.type', 'producer'],
  ['segment.bytes', '104857600'],
])

export function planImport(input: PlanInput): ImportPlan {
  const planning = new Planning(input)
  const byTopic = new Map<string, ReadPartition[]>()
  for (const partition of input.partitions) {
    const { topic } = partition.found
    const list = byTopic.get(topic)
    if (list) list.push(partition)
    else byTopic.set(topic, [partition])
  }
  for (const name of [...byTopic.keys()].sort()) {
    planning.topic(name, byTopic.get(name) as ReadPartition[])
  }
  planning.topicsElsewhere(byTopic)
  planning.notesOnAll()
  return planning
}

class Planning implements ImportPlan {
  readonly topics: PlannedTopic[] = []
  readonly refused: { topic: string; reason: string }[] = []
  readonly leftOut: { folder: string; reason: string }[] = []
  readonly notes: string[] = []
  readonly #input: PlanInput
  readonly #takenForms = new Map<string, string>()

  constructor(input: PlanInput) {
    this.#input = input
    for (const { leftOut } of input.folders) this.leftOut.push(...leftOut)
    for (const name of input.image.topics.keys()) this.#takenForms.set(collisionForm(name), name)
  }

  topic(name: string, partitions: readonly ReadPartition[]): void {
    const why = notTaken[name]
    if (why !== undefined) {
      for (const { found } of partitions) this.leftOut.push({ folder: found.folder, reason: why })
      return
    }
    const reason = this.#refusalOf(name, partitions)
    if (reason !== undefined) {
      this.refused.push({ topic: name, reason })
      return
    }
    if (hasCollisionCharacters(name)) this.#takenForms.set(collisionForm(name), name)
    const [first] = partitions
    this.topics.push({
      name,
      topicId: first?.found.topicId ?? this.#input.newTopicId(),
      partitions: partitions
        .map(planned)
        .sort((a, b) => a.found.partitionIndex - b.found.partitionIndex),
      configs: this.#configsOf(name),
    })
  }

  #refusalOf(name: string, partitions: readonly ReadPartition[]): string | undefined {
    const { image, metadata } = this.#input
    const badName = refusalOfTopicName(name)
    if (badName !== undefined) return badName
    if (image.topics.has(name)) {
      return name === InternalTopic.groupMetadata
        ? 'there are committed offsets of groups already, and two sets cannot be joined'
        : 'there is a topic of this name already'
    }
    const other = hasCollisionCharacters(name) && this.#takenForms.get(collisionForm(name))
    if (other) return `its name collides with the topic ${other}: dot and underscore count as one`
    const ids = new Set(partitions.map(({ found }) => found.topicId))
    if (ids.size > 1) return 'its partitions have different topic ids: they are of several topics'
    const [topicId] = ids
    if (topicId === ZERO_UUID) return 'its topic id is zero'
    const known = topicId === undefined ? undefined : image.topicById(topicId)
    if (known) return `its topic id is that of the topic ${known.name}`
    const current = metadata?.topicIds.get(name)
    if (metadata && current === undefined) return 'Kafka has no such topic any more: it was deleted'
    if (current !== undefined && topicId !== undefined && current !== topicId) {
      return 'Kafka has another topic of this name by now'
    }
    const count = metadata?.partitionCounts.get(current ?? '') ?? 0
    return holesIn(partitions, count) ?? damageIn(partitions) ?? this.#refusalOfConfigs(name)
  }

  /** What Kafka has and these folders do not hold at all: a log folder was left out, or another broker has it. */
  topicsElsewhere(found: ReadonlyMap<string, unknown>): void {
    const { metadata, image } = this.#input
    for (const [name, topicId] of metadata?.topicIds ?? []) {
      const isTaken = notTaken[name] === undefined && image.topicById(topicId) === undefined
      if (found.has(name) || !isTaken) continue
      this.refused.push({
        topic: name,
        reason: 'no partition of it is in these folders: name all log.dirs of the broker',
      })
    }
  }

  #refusalOfConfigs(name: string): string | undefined {
    if (this.#input.metadata?.configs.get(name)?.get('remote.storage.enable') !== 'true') return
    return 'part of it lies in tiered storage (remote.storage.enable), which these folders do not hold'
  }

  /** A setting that is not taken here is told, not passed over: it may have been there for a reason. */
  #configsOf(name: string): ReadonlyMap<string, string> {
    const { metadata, rules } = this.#input
    const found = metadata?.configs.get(name)
    if (!found) return name === InternalTopic.groupMetadata ? offsetsConfigs : new Map()
    const taken = new Map<string, string>()
    for (const [key, value] of found) {
      const refusal = rules.refusalOf(ResourceType.TOPIC, name, new Map([[key, value]]))
      if (refusal) this.notes.push(`${name}: ${key}=${value} is not taken: ${refusal.reason}`)
      else taken.set(key, value)
    }
    const refusal = rules.refusalOf(ResourceType.TOPIC, name, taken)
    if (!refusal) return taken
    this.notes.push(`${name}: its settings are not taken: ${refusal.reason}`)
    return new Map()
  }

  notesOnAll(): void {
    const { folders, metadata } = this.#input
    if (!metadata) {
      this.notes.push(
        'the settings of the topics are not known, because __cluster_metadata-0 is not in these folders: every topic gets the defaults (cleanup.policy=delete, retention.ms as the broker has it). Set what they had with `lmq configs set` right after the start, or old records are deleted and nothing is compacted',
        'whether a topic or its last partitions lie in other folders cannot be told either: name all log.dirs of the broker',
      )
    }
    for (const broker of metadata?.brokersWithConfigs ?? []) {
      const whose = broker === '' ? 'all brokers' : `broker ${broker}`
      this.notes.push(`settings of ${whose} that were changed at run time are not taken`)
    }
    for (const { dir, wasClean } of folders) {
      if (!wasClean) this.notes.push(`${dir} was not closed in order: its logs are recovered`)
    }
    for (const { name, partitions } of this.topics) {
      for (const { found, log, lost } of partitions) {
        const place = `${name}-${found.partitionIndex}`
        if (lost) this.notes.push(`${place} loses ${lost.bytes} bytes at its end: ${lost.reason}`)
        const { openTransactionOffset } = log
        if (openTransactionOffset < 0 || name === InternalTopic.groupMetadata) continue
        this.notes.push(
          `${place} has an unfinished transaction at offset ${openTransactionOffset}: readers with isolation.level=read_committed stop there`,
        )
      }
    }
  }
}

function planned(partition: ReadPartition): PlannedPartition {
  const { damage } = partition.log
  const lost = damage && { bytes: damage.bytesBehind, reason: damage.reason }
  return { ...partition, lost }
}

/** @param knownCount as Kafka's metadata has it; 0: not known */
function holesIn(partitions: readonly ReadPartition[], knownCount: number): string | undefined {
  const seen = new Set<number>()
  for (const { found } of partitions) {
    if (seen.has(found.partitionIndex))
      return `partition ${found.partitionIndex} lies in two folders`
    seen.add(found.partitionIndex)
  }
  const count = Math.max(knownCount, Math.max(...seen) + 1)
  const missing: number[] = []
  for (let index = 0; index < count && missing.length < 10; index++) {
    if (!seen.has(index)) missing.push(index)
  }
  if (missing.length === 0) return undefined
  return `partition ${missing.join(', ')} is not in these folders: name all log.dirs of the broker`
}

/**
 * Damage behind the recovery point of a folder that was not closed in order is what a crash leaves, and cut off; all
 * else would lose what was acknowledged.
 */
function damageIn(partitions: readonly ReadPartition[]): string | undefined {
  for (const { found, log, wasClean } of partitions) {
    const { damage } = log
    if (!damage) continue
    const place = `partition ${found.partitionIndex}, ${damage.file} at byte ${damage.position} (offset ${damage.offset})`
    if (damage.olderMagic !== undefined) {
      return `${place}: records of message format v${damage.olderMagic}, older than Kafka 0.11; copy the topic with clients instead`
    }
    const isRecent = damage.offset >= (found.offsets.recoveryPoint ?? 0)
    if (wasClean || !isRecent) return `${place}: ${damage.reason}`
  }
  return undefined
}

/** Producers that wrote to what is imported keep their ids: new ones must not get the same. */
const producerIdBlock = 1_000

/**
 * The records that make the topics part of the cluster. Each partition gets the broker as its only replica, and the
 * leader epoch that its log came to.
 */
export function importRecords(
  topics: readonly ImportedTopic[],
  image: MetadataImage,
  brokerId: number,
): MetadataRecord[] {
  const records: MetadataRecord[] = []
  let largestProducerId = -1
  for (const { name, topicId, partitions, configs } of topics) {
    if (image.topicById(topicId)) continue
    records.push({ kind: 'topic', name, topicId })
    for (const [key, value] of Object.entries(configs)) {
      const { TOPIC: resourceType } = ResourceType
      records.push({ kind: 'config', resourceType, resourceName: name, name: key, value })
    }
    for (const [partitionIndex, partition] of partitions.entries()) {
      largestProducerId = Math.max(largestProducerId, partition.largestProducerId)
      records.push({
        kind: 'partition',
        topicId,
        partitionIndex,
        replicas: [brokerId],
        isr: [brokerId],
        elr: [],
        lastKnownElr: [],
        emptied: [],
        addingReplicas: [],
        removingReplicas: [],
        leader: brokerId,
        leaderRecoveryState: 0,
        leaderEpoch: Math.max(0, partition.latestEpoch),
        partitionEpoch: 0,
      })
    }
  }
  if (largestProducerId >= image.nextProducerId) {
    const nextProducerId = (Math.floor(largestProducerId / producerIdBlock) + 1) * producerIdBlock
    const brokerEpoch = image.brokers.get(brokerId)?.brokerEpoch ?? 0
    records.push({ kind: 'producerIds', brokerId, brokerEpoch, nextProducerId })
  }
  return records
}

/** A topic whose logs are at their place, as the journal of the import keeps it. */
export type ImportedTopic = {
  readonly name: string
  readonly topicId: string
  readonly configs: Readonly<Record<string, string>>
  /** By index. */
  readonly partitions: readonly {
    readonly latestEpoch: number
    readonly largestProducerId: number
  }[]
}
