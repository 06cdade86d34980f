import { assert } from '../base/assert.ts'
import { ClientQuotas } from './client-quotas.ts'
import { FailedReplicas } from './failed-replicas.ts'
import type { MetadataDelta, ResourceName } from './metadata-delta.ts'
import type { BrokerListener, MetadataRecord, RecordOf } from './metadata-records.ts'
import type { PartitionImage, TopicImage } from './topic-image.ts'

export type BrokerImage = {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly incarnationId: string
  readonly directoryIds: readonly string[]
  readonly bootId: string | null
  readonly rack: string | null
  readonly hostId: string | null
  readonly listeners: readonly BrokerListener[]
  /** Takes part in nothing until it is unfenced: leads no partition and is not told to clients. */
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
}

/** Kafka's resource types, as on the wire. */
export const ResourceType = {
  UNKNOWN: 0,
  TOPIC: 2,
  BROKER: 4,
  BROKER_LOGGER: 8,
  CLIENT_METRICS: 16,
  GROUP: 32,
} as const

/** The key of a resource in `MetadataImage.configs`. */
export const configKey = (resourceType: number, resourceName: string): string =>
  `${resourceType}:${resourceName}`

/** Whether a broker leads a partition and nobody else is in sync: what `renewLeadership` is about. */
export const isSoleLeader = ({ leader, isr }: PartitionImage, brokerId: number): boolean =>
  leader === brokerId && isr.length === 1

function refill<Key, Value>(map: Map<Key, Value>, from: ReadonlyMap<Key, Value>): void {
  map.clear()
  for (const [key, value] of from) map.set(key, value)
}

const noConfigs: ReadonlyMap<string, string> = new Map()

/**
 * What the cluster is, as of one index of the metadata log: topics, partitions, settings, brokers, features. It changes
 * in place when records are applied, so nothing taken out of it may be held across an `await` without looking again.
 * Only `apply` changes it, for live records, for replay and for a snapshot alike.
 */
export class MetadataImage {
  /** Index of the last entry of the metadata log that is in here; -1 before the first. Caches may use it as version. */
  index = -1
  clusterId = ''
  /** What brokers prove by to one another that they belong here; base64, '' in a log that has none yet. */
  clusterSecret = ''
  /** Partitions of all topics. */
  partitionCount = 0
  /** The first producer id that was never given out. */
  nextProducerId = 0
  /** The highest broker epoch ever given out. */
  lastBrokerEpoch = -1
  /** Index of the entry that last changed a feature; what clients see as the finalized features' epoch. */
  featuresEpoch = -1
  readonly topics = new Map<string, TopicImage>()
  readonly topicsById = new Map<string, TopicImage>()
  readonly brokers = new Map<number, BrokerImage>()
  /** Finalized feature levels by name; a level of 0 is absent. */
  readonly features = new Map<string, number>()
  readonly clientQuotas = new ClientQuotas()
  readonly failedReplicas = new FailedReplicas()
  readonly #configs = new Map<string, { resource: ResourceName; values: Map<string, string> }>()

  topic(name: string): TopicImage | undefined {
    return this.topics.get(name)
  }

  topicById(topicId: string): TopicImage | undefined {
    return this.topicsById.get(topicId)
  }

  partition(topicName: string, partitionIndex: number): PartitionImage | undefined {
    return this.topics.get(topicName)?.partitions[partitionIndex]
  }

  /** The dynamic settings of a resource; empty when it has none. */
  configs(resourceType: number, resourceName: string): ReadonlyMap<string, string> {
    return this.#configs.get(configKey(resourceType, resourceName))?.values ?? noConfigs
  }

  /** Every resource that has dynamic settings. */
  *configuredResources(): Iterable<ResourceName> {
    for (const { resource } of this.#configs.values()) yield resource
  }

  /** Whether a replica cannot be served now: its broker takes no part, or the disk under it failed. */
  isOffline(brokerId: number, topicId: string, partitionIndex: number): boolean {
    if (this.brokers.get(brokerId)?.fenced ?? true) return true
    return this.failedReplicas.has(brokerId, topicId, partitionIndex)
  }

  /** Brokers that clients may be sent to. */
  *liveBrokers(): Iterable<BrokerImage> {
    for (const broker of this.brokers.values()) if (!broker.fenced) yield broker
  }

  /** Where `brokerId` is reached on a listener; undefined when it is not known, fenced or has no such listener. */
  endpoint(brokerId: number, listenerName: string): BrokerListener | undefined {
    const broker = this.brokers.get(brokerId)
    if (!broker || broker.fenced) return undefined
    return broker.listeners.find((listener) => listener.name === listenerName)
  }

  /** Applies one entry of the metadata log. */
  applyEntry(index: number, records: readonly MetadataRecord[], delta: MetadataDelta): void {
    assert(index > this.index, `metadata entry ${index} applied after ${this.index}`)
    this.index = index
    for (const record of records) this.apply(record, delta)
  }

  /** An image of the same state that can change by itself. Costs no decoding; partitions are shared, as they never change. */
  copy(): MetadataImage {
    const copy = new MetadataImage()
    copy.replaceWith(this)
    copy.topicsById.clear()
    for (const topic of copy.topics.values()) {
      const own = { ...topic, partitions: [...topic.partitions] }
      copy.topics.set(own.name, own)
      copy.topicsById.set(own.topicId, own)
    }
    for (const [key, { resource, values }] of this.#configs) {
      copy.#configs.set(key, { resource, values: new Map(values) })
    }
    return copy
  }

  /** Takes over all of another image, which must not be used any more. */
  replaceWith(other: MetadataImage): void {
    this.index = other.index
    this.clusterId = other.clusterId
    this.clusterSecret = other.clusterSecret
    this.partitionCount = other.partitionCount
    this.nextProducerId = other.nextProducerId
    this.lastBrokerEpoch = other.lastBrokerEpoch
    this.featuresEpoch = other.featuresEpoch
    refill(this.topics, other.topics)
    refill(this.topicsById, other.topicsById)
    refill(this.brokers, other.brokers)
    refill(this.features, other.features)
    refill(this.#configs, other.#configs)
    this.clientQuotas.replaceWith(other.clientQuotas)
    this.failedReplicas.replaceWith(other.failedReplicas)
  }

  /** Applies one record. References to what does not exist are bugs of the controller, hence asserts. */
  apply(record: MetadataRecord, delta: MetadataDelta): void {
    switch (record.kind) {
      case 'cluster':
        this.clusterId = record.clusterId
        return
      case 'clusterSecret':
        this.clusterSecret = record.secret
        return
      case 'feature':
        this.#applyFeature(record)
        delta.features = true
        return
      case 'topic':
        this.#applyTopic(record, delta)
        return
      case 'partition':
        this.#applyPartition(record, delta)
        return
      case 'partitionChange':
        this.#applyPartitionChange(record, delta)
        return
      case 'renewLeadership':
        this.#applyRenewLeadership(record.brokerId, delta)
        return
      case 'failedReplicas':
        this.failedReplicas.add(record.brokerId, record.topicId, record.partitions)
        return
      case 'removeTopic':
        this.#applyRemoveTopic(record, delta)
        return
      case 'config':
        this.#applyConfig(record, delta)
        return
      case 'clientQuota':
        this.clientQuotas.apply(record)
        delta.clientQuotas = true
        return
      case 'producerIds':
        this.nextProducerId = record.nextProducerId
        delta.producerIds = true
        return
      case 'registerBroker':
      case 'brokerChange':
      case 'unregisterBroker':
        this.#applyBroker(record)
        delta.brokers.add(record.brokerId)
        return
    }
  }

  /** The shortest list of records that leads to this image. */
  *toRecords(): Iterable<MetadataRecord> {
    yield { kind: 'cluster', clusterId: this.clusterId }
    if (this.clusterSecret !== '') yield { kind: 'clusterSecret', secret: this.clusterSecret }
    for (const [name, level] of this.features) yield { kind: 'feature', name, level }
    yield* this.#brokerRecords()
    for (const topic of this.topics.values()) {
      yield { kind: 'topic', name: topic.name, topicId: topic.topicId }
      for (const partition of topic.partitions) {
        yield { kind: 'partition', topicId: topic.topicId, ...partition }
      }
    }
    yield* this.failedReplicas.toRecords()
    for (const { resource, values } of this.#configs.values()) {
      for (const [name, value] of values) yield { kind: 'config', ...resource, name, value }
    }
    yield* this.clientQuotas.toRecords()
    if (this.nextProducerId > 0) {
      yield {
        kind: 'producerIds',
        brokerId: -1,
        brokerEpoch: -1,
        nextProducerId: this.nextProducerId,
      }
    }
  }

  *#brokerRecords(): Iterable<MetadataRecord> {
    for (const { inControlledShutdown, ...broker } of this.brokers.values()) {
      yield { kind: 'registerBroker', ...broker }
      if (inControlledShutdown) {
        const { brokerId, brokerEpoch, fenced } = broker
        yield { kind: 'brokerChange', brokerId, brokerEpoch, fenced, inControlledShutdown }
      }
    }
    // The epoch of an unregistered broker must not be given out again either.
    const known = Math.max(-1, ...[...this.brokers.values()].map((broker) => broker.brokerEpoch))
    if (this.lastBrokerEpoch > known) {
      yield { kind: 'unregisterBroker', brokerId: -1, brokerEpoch: this.lastBrokerEpoch }
    }
  }

  #applyFeature(record: RecordOf<'feature'>): void {
    if (record.level === 0) this.features.delete(record.name)
    else this.features.set(record.name, record.level)
    this.featuresEpoch = this.index
  }

  #applyTopic(record: RecordOf<'topic'>, delta: MetadataDelta): void {
    assert(!this.topics.has(record.name), `topic ${record.name} exists already`)
    const topic: TopicImage = { name: record.name, topicId: record.topicId, partitions: [] }
    this.topics.set(topic.name, topic)
    this.topicsById.set(topic.topicId, topic)
    delta.topicsCreated.set(topic.topicId, topic)
  }

  #topicOf(topicId: string): TopicImage {
    const topic = this.topicsById.get(topicId)
    assert(topic, `topic id ${topicId} is not in the image`)
    return topic
  }

  #applyPartition(record: RecordOf<'partition'>, delta: MetadataDelta): void {
    const topic = this.#topicOf(record.topicId)
    const { kind: _kind, topicId: _topicId, ...partition } = record
    const { partitionIndex } = partition
    const before = topic.partitions[partitionIndex]
    assert(
      partitionIndex <= topic.partitions.length,
      `partition ${partitionIndex} of ${topic.name} leaves a gap`,
    )
    if (!before) this.partitionCount++
    else if (!this.failedReplicas.isEmpty) {
      for (const replica of before.replicas) {
        if (partition.replicas.includes(replica)) continue
        this.failedReplicas.remove(replica, topic.topicId, partitionIndex)
      }
    }
    topic.partitions[partitionIndex] = partition
    delta.notePartition(topic, before, partition, partitionIndex)
  }

  #applyPartitionChange(record: RecordOf<'partitionChange'>, delta: MetadataDelta): void {
    const topic = this.#topicOf(record.topicId)
    const before = topic.partitions[record.partitionIndex]
    assert(before, `partition ${record.partitionIndex} of ${topic.name} is not in the image`)
    assert(record.leaderEpoch >= before.leaderEpoch, 'a leader epoch went back')
    const { isr, elr, lastKnownElr, emptied, leader, leaderEpoch, partitionEpoch } = record
    const after: PartitionImage = {
      ...before,
      isr,
      elr,
      lastKnownElr,
      emptied,
      leader,
      leaderRecoveryState: record.leaderRecoveryState,
      leaderEpoch,
      partitionEpoch,
    }
    topic.partitions[record.partitionIndex] = after
    delta.notePartition(topic, before, after, record.partitionIndex)
  }

  #applyRenewLeadership(brokerId: number, delta: MetadataDelta): void {
    for (const topic of this.topics.values()) {
      for (const before of topic.partitions) {
        if (!isSoleLeader(before, brokerId)) continue
        const after: PartitionImage = {
          ...before,
          leaderEpoch: before.leaderEpoch + 1,
          partitionEpoch: before.partitionEpoch + 1,
        }
        topic.partitions[before.partitionIndex] = after
        delta.notePartition(topic, before, after, before.partitionIndex)
      }
    }
  }

  #applyRemoveTopic(record: RecordOf<'removeTopic'>, delta: MetadataDelta): void {
    const topic = this.#topicOf(record.topicId)
    this.topics.delete(topic.name)
    this.topicsById.delete(topic.topicId)
    this.partitionCount -= topic.partitions.length
    this.failedReplicas.forgetTopic(topic.topicId)
    this.#configs.delete(configKey(ResourceType.TOPIC, topic.name))
    delta.noteTopicDeleted(topic)
  }

  #applyConfig(record: RecordOf<'config'>, delta: MetadataDelta): void {
    const { resourceType, resourceName } = record
    const key = configKey(resourceType, resourceName)
    const resource = { resourceType, resourceName }
    let configs = this.#configs.get(key)
    if (record.value !== null) {
      if (!configs) {
        configs = { resource, values: new Map() }
        this.#configs.set(key, configs)
      }
      configs.values.set(record.name, record.value)
    } else if (configs) {
      configs.values.delete(record.name)
      if (configs.values.size === 0) this.#configs.delete(key)
    }
    delta.configs.set(key, resource)
  }

  #applyBroker(
    record: RecordOf<'registerBroker'> | RecordOf<'brokerChange'> | RecordOf<'unregisterBroker'>,
  ): void {
    this.lastBrokerEpoch = Math.max(this.lastBrokerEpoch, record.brokerEpoch)
    if (record.kind !== 'brokerChange') this.failedReplicas.forgetBroker(record.brokerId)
    if (record.kind === 'registerBroker') {
      const { kind: _kind, ...broker } = record
      this.brokers.set(record.brokerId, { ...broker, inControlledShutdown: false })
      return
    }
    if (record.kind === 'unregisterBroker') {
      this.brokers.delete(record.brokerId)
      return
    }
    const before = this.brokers.get(record.brokerId)
    assert(before, `broker ${record.brokerId} is not in the image`)
    const { fenced, inControlledShutdown } = record
    this.brokers.set(record.brokerId, { ...before, fenced, inControlledShutdown })
  }
}
