import type { ConfigRules, InheritedSetting } from './config-rules.ts'
import type { FailedReplicas } from './failed-replicas.ts'
import { type BrokerImage, type MetadataImage, ResourceType } from './metadata-image.ts'
import type { MetadataRecord } from './metadata-records.ts'
import {
  changePartition,
  type ElectionKind,
  type PartitionTarget,
  partitionRecord,
} from './partition-change.ts'
import type { PartitionImage, TopicImage } from './topic-image.ts'

/** Takes part: alive and not about to stop. */
export const isActive = (broker: BrokerImage | undefined): boolean =>
  broker !== undefined && !broker.fenced && !broker.inControlledShutdown

export type ChangeOptions = {
  /** Who may lead, where that differs from the image: a command that fences a broker already knows so. */
  readonly canLead?: (brokerId: number) => boolean
  /** Settings as they will be, by `topicSettingKey`; null: taken away. */
  readonly settings?: ReadonlyMap<string, string | null>
  /** Replicas of failed disks, where they are more than the image says. */
  readonly failed?: Pick<FailedReplicas, 'isEmpty' | 'has'>
}

/** The key of a pending topic setting; without a topic, of the cluster's default. */
export const topicSettingKey = (topic: string | undefined, name: string): string =>
  topic === undefined ? `*${name}` : `${topic} ${name}`

type TopicRules = { readonly minInSyncReplicas: number; readonly uncleanAllowed: boolean }

type Change = {
  readonly topicId: string
  readonly before: PartitionImage
  after: PartitionImage
}

/**
 * The changes of partitions that one command decides. Each sees what the ones before it decided, also for the same
 * partition; each partition that moved becomes one record.
 */
export class PartitionChanges {
  readonly #image: MetadataImage
  readonly #rules: ConfigRules
  readonly #options: ChangeOptions
  readonly #canLead: (brokerId: number) => boolean
  readonly #changes = new Map<PartitionImage, Change>()
  readonly #topicRules = new Map<string, TopicRules>()

  constructor(image: MetadataImage, rules: ConfigRules, options: ChangeOptions = {}) {
    this.#image = image
    this.#rules = rules
    this.#options = options
    this.#canLead = options.canLead ?? ((brokerId) => isActive(image.brokers.get(brokerId)))
  }

  get count(): number {
    return this.#changes.size
  }

  canLead(brokerId: number): boolean {
    return this.#canLead(brokerId)
  }

  /** The partition as it will be; undefined when there is none. */
  get(topic: TopicImage, partitionIndex: number): PartitionImage | undefined {
    const partition = topic.partitions[partitionIndex]
    return partition && (this.#changes.get(partition)?.after ?? partition)
  }

  /**
   * @param kind by default what the topic's settings allow: `online` or `unclean`
   * @returns the new state; undefined when nothing changes
   */
  change(
    topic: TopicImage,
    partitionIndex: number,
    target: PartitionTarget,
    kind?: ElectionKind,
  ): PartitionImage | undefined {
    const original = topic.partitions[partitionIndex]
    if (!original) return undefined
    const known = this.#changes.get(original)
    const { minInSyncReplicas, uncleanAllowed } = this.topicRules(topic.name)
    const after = changePartition(known?.after ?? original, target, {
      kind: kind ?? (uncleanAllowed ? 'unclean' : 'online'),
      canLead: this.#canLeadPartition(topic.topicId, partitionIndex),
      minInSyncReplicas,
    })
    if (!after) return undefined
    if (known) known.after = after
    else this.#changes.set(original, { topicId: topic.topicId, before: original, after })
    return after
  }

  /** No broker leads what lay on a failed disk of it. */
  #canLeadPartition(topicId: string, partitionIndex: number): (brokerId: number) => boolean {
    const failed = this.#options.failed ?? this.#image.failedReplicas
    if (failed.isEmpty) return this.#canLead
    return (brokerId) => this.#canLead(brokerId) && !failed.has(brokerId, topicId, partitionIndex)
  }

  records(): MetadataRecord[] {
    return Array.from(this.#changes.values(), ({ topicId, before, after }) =>
      partitionRecord(topicId, before, after),
    )
  }

  topicRules(topic: string): TopicRules {
    let found = this.#topicRules.get(topic)
    if (!found) {
      found = {
        minInSyncReplicas: Number(this.#setting(topic, 'min.insync.replicas')),
        uncleanAllowed:
          this.#setting(topic, 'unclean.leader.election.enable').toLowerCase() === 'true',
      }
      this.#topicRules.set(topic, found)
    }
    return found
  }

  #setting(topic: string, name: InheritedSetting): string {
    const { settings } = this.#options
    const own = settings?.get(topicSettingKey(topic, name))
    const cluster = settings?.get(topicSettingKey(undefined, name))
    return (
      (own === undefined ? this.#image.configs(ResourceType.TOPIC, topic).get(name) : own) ??
      (cluster === undefined ? this.#image.configs(ResourceType.BROKER, '').get(name) : cluster) ??
      this.#rules.textInForce(name)
    )
  }
}
