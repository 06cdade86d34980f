import type { PartitionImage, TopicImage } from './topic-image.ts'

/** One partition that came or moved. `before` is undefined for a new one. */
export type PartitionDelta = {
  readonly topic: TopicImage
  readonly partitionIndex: number
  readonly before: PartitionImage | undefined
  readonly after: PartitionImage
}

/** A resource whose settings changed; types are Kafka's resource types. */
export type ResourceName = { readonly resourceType: number; readonly resourceName: string }

/**
 * What a run of records changed in a `MetadataImage`: filled by `MetadataImage.apply`, read by whoever reacts
 * (partitions, coordinators, caches). Topics that came and went inside one delta do not appear. React to
 * `topicsDeleted` first: a deleted topic's name may already belong to a new topic of `topicsCreated`.
 */
export class MetadataDelta {
  readonly topicsCreated = new Map<string, TopicImage>()
  /** By topic id; the images keep the partitions that they had. */
  readonly topicsDeleted = new Map<string, TopicImage>()
  /** By topic id, then partition index; partitions of created topics are here, too. */
  readonly partitions = new Map<string, Map<number, PartitionDelta>>()
  /** By `configKey`. */
  readonly configs = new Map<string, ResourceName>()
  /** Ids of brokers that registered, changed or went. */
  readonly brokers = new Set<number>()
  features = false
  clientQuotas = false
  producerIds = false

  get isEmpty(): boolean {
    return (
      this.topicsCreated.size === 0 &&
      this.topicsDeleted.size === 0 &&
      this.partitions.size === 0 &&
      this.configs.size === 0 &&
      this.brokers.size === 0 &&
      !this.features &&
      !this.clientQuotas &&
      !this.producerIds
    )
  }

  notePartition(
    topic: TopicImage,
    before: PartitionImage | undefined,
    after: PartitionImage,
    partitionIndex: number,
  ): void {
    let changed = this.partitions.get(topic.topicId)
    if (!changed) {
      changed = new Map()
      this.partitions.set(topic.topicId, changed)
    }
    const earlier = changed.get(partitionIndex)
    changed.set(partitionIndex, {
      topic,
      partitionIndex,
      before: earlier ? earlier.before : before,
      after,
    })
  }

  noteTopicDeleted(topic: TopicImage): void {
    this.partitions.delete(topic.topicId)
    if (!this.topicsCreated.delete(topic.topicId)) this.topicsDeleted.set(topic.topicId, topic)
  }
}
