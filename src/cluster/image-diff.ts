import type { MetadataDelta } from './metadata-delta.ts'
import { configKey, type MetadataImage } from './metadata-image.ts'

/**
 * What lies between two images, as a delta of `after`'s objects: for a reader that was so far behind that the entries
 * in between are gone. It may name more than what changed (features, brokers), never less.
 */
export function diffImages(
  before: MetadataImage,
  after: MetadataImage,
  delta: MetadataDelta,
): void {
  for (const topic of before.topicsById.values()) {
    if (!after.topicsById.has(topic.topicId)) delta.noteTopicDeleted(topic)
  }
  for (const topic of after.topicsById.values()) {
    const known = before.topicsById.get(topic.topicId)
    if (!known) delta.topicsCreated.set(topic.topicId, topic)
    for (const partition of topic.partitions) {
      const earlier = known?.partitions[partition.partitionIndex]
      if (earlier?.partitionEpoch === partition.partitionEpoch) continue
      delta.notePartition(topic, earlier, partition, partition.partitionIndex)
    }
  }
  for (const image of [before, after]) {
    for (const resource of image.configuredResources()) {
      delta.configs.set(configKey(resource.resourceType, resource.resourceName), resource)
    }
    for (const brokerId of image.brokers.keys()) delta.brokers.add(brokerId)
  }
  delta.features = true
  delta.clientQuotas = true
  delta.producerIds = true
}
