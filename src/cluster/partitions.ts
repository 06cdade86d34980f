import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import { type TopicConfig, topicConfigOf } from '../config/topic-config.ts'
import type { Io } from '../io/io.ts'
import type { LogDirs } from '../log/log-dirs.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { MetadataDelta } from './metadata-delta.ts'
import { type MetadataImage, ResourceType } from './metadata-image.ts'
import { Partition } from './partition.ts'
import type { PartitionImage, TopicImage } from './topic-image.ts'

export type PartitionsOptions = {
  readonly io: Pick<Io, 'brokerClock'>
  readonly brokerId: number
  readonly image: MetadataImage
  readonly logDirs: LogDirs
  /** The settings in force; dynamic changes show in it. */
  readonly config: BrokerConfig
  readonly logger: Logger
}

/** Told when this broker begins to lead a partition, or to lead it under a new epoch, and when it no longer does. */
export type LeadershipListener = {
  lead(partition: Partition): void
  resign(partition: Partition): void
}

/**
 * The partitions of this broker. Reacts to what the metadata says: makes and removes logs, follows settings, and knows
 * which partitions are led here. Makes no file itself: a log's folder comes with its first append.
 */
export class Partitions {
  readonly #options: PartitionsOptions
  /** By topic name, then partition index. Holes where the partition is on other brokers. */
  readonly #byName = new Map<string, (Partition | undefined)[]>()
  readonly #byId = new Map<string, (Partition | undefined)[]>()
  readonly #listeners: LeadershipListener[] = []
  /** What a topic without settings of its own has; most topics share it. */
  #defaultConfig: TopicConfig | undefined
  /** Topics whose logs could not be made: told once. */
  #offlineTold = false

  constructor(options: PartitionsOptions) {
    this.#options = options
  }

  /**
   * Takes up all partitions of the image and removes logs whose topics were deleted while this broker was away.
   *
   * @throws LMQ_STORE_CORRUPT when there are logs and the metadata log begins only now: then it is the metadata that is
   *   lost, and nothing may be removed
   */
  start(): void {
    const { image, logDirs, logger } = this.#options
    const isNew = image.lastBrokerEpoch <= 0
    if (isNew && logDirs.strays().length > 0) {
      const logs = logDirs.strays().map((log) => log.name)
      throw new LmqError('LMQ_STORE_CORRUPT', {
        why: 'the metadata log is new, but there are logs',
        logs: logs.slice(0, 10),
      })
    }
    for (const topic of image.topics.values()) {
      for (const partition of topic.partitions) this.#take(topic, partition)
    }
    for (const log of logDirs.strays()) {
      logger.info({ log: log.name }, 'the topic of this log was deleted; the log is removed')
      logDirs.delete(log)
    }
  }

  /** Undefined when this broker does not lead the partition. */
  get(topic: string, partitionIndex: number): Partition | undefined {
    const partition = this.#byName.get(topic)?.[partitionIndex]
    return partition?.isLeader ? partition : undefined
  }

  /** As `get`. */
  getById(topicId: string, partitionIndex: number): Partition | undefined {
    const partition = this.#byId.get(topicId)?.[partitionIndex]
    return partition?.isLeader ? partition : undefined
  }

  /** Every partition with a replica here, led here or not. */
  *all(): Iterable<Partition> {
    for (const partitions of this.#byName.values()) {
      for (const partition of partitions) if (partition) yield partition
    }
  }

  /** The listener hears at once of everything that is led already. */
  onLeadership(listener: LeadershipListener): void {
    this.#listeners.push(listener)
    for (const partition of this.all()) if (partition.isLeader) listener.lead(partition)
  }

  /** Follows a change of the metadata. */
  apply(delta: MetadataDelta): void {
    for (const topic of delta.topicsDeleted.values()) this.#drop(topic)
    this.#followConfigs(delta)
    for (const changes of delta.partitions.values()) {
      for (const { topic, after } of changes.values()) this.#take(topic, after)
    }
  }

  /** Broker settings changed: topics that do not say otherwise follow them. */
  refreshConfigs(): void {
    this.#defaultConfig = undefined
    for (const topic of this.#byName.keys()) this.#setConfig(topic)
  }

  /** Nobody is left waiting; the logs are closed by their owner. */
  close(): void {
    for (const partition of this.all()) partition.retire(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    this.#byName.clear()
    this.#byId.clear()
  }

  #configOf(topic: string): TopicConfig {
    const { image, config } = this.#options
    const overrides = image.configs(ResourceType.TOPIC, topic)
    if (overrides.size > 0) return topicConfigOf(overrides, config)
    this.#defaultConfig ??= topicConfigOf(overrides, config)
    return this.#defaultConfig
  }

  #followConfigs(delta: MetadataDelta): void {
    for (const { resourceType, resourceName } of delta.configs.values()) {
      if (resourceType === ResourceType.TOPIC) this.#setConfig(resourceName)
    }
  }

  #setConfig(topic: string): void {
    const partitions = this.#byName.get(topic)
    if (!partitions) return
    const config = this.#configOf(topic)
    for (const partition of partitions) {
      if (!partition || partition.config === config) continue
      partition.config = config
      this.#options.logDirs.setConfig(partition.log, config)
    }
  }

  /** Makes or updates this broker's part in a partition; nothing when it has none. */
  #take(topic: TopicImage, image: PartitionImage): void {
    const known = this.#byId.get(topic.topicId)?.[image.partitionIndex]
    if (!image.replicas.includes(this.#options.brokerId)) {
      if (known) this.#remove(known)
      return
    }
    const partition = known ?? this.#make(topic, image.partitionIndex)
    if (!partition) return
    const before = { isLeader: partition.isLeader, leaderEpoch: partition.leaderEpoch }
    partition.update(image)
    if (partition.isLeader && (!before.isLeader || before.leaderEpoch !== partition.leaderEpoch)) {
      for (const listener of this.#listeners) listener.lead(partition)
    } else if (before.isLeader && !partition.isLeader) {
      for (const listener of this.#listeners) listener.resign(partition)
    }
  }

  #make(topic: TopicImage, partitionIndex: number): Partition | undefined {
    const { logDirs, brokerId, io, logger } = this.#options
    const { name, topicId } = topic
    const config = this.#configOf(name)
    try {
      const log = logDirs.create(name, partitionIndex, topicId, config)
      const identity = { topic: name, topicId, partitionIndex }
      const partition = new Partition(brokerId, io.brokerClock, identity, log, config)
      this.#listOf(topic)[partitionIndex] = partition
      return partition
    } catch (error) {
      if (!(error instanceof LmqError)) throw error
      if (!this.#offlineTold) {
        logger.error({ topic: name, partitionIndex, code: error.code }, error.message)
      }
      this.#offlineTold = true
      return undefined
    }
  }

  #listOf({ name, topicId }: TopicImage): (Partition | undefined)[] {
    let list = this.#byId.get(topicId)
    if (!list) {
      list = []
      this.#byId.set(topicId, list)
      this.#byName.set(name, list)
    }
    return list
  }

  #drop(topic: TopicImage): void {
    const partitions = this.#byId.get(topic.topicId)
    if (!partitions) return
    this.#byId.delete(topic.topicId)
    if (this.#byName.get(topic.name) === partitions) this.#byName.delete(topic.name)
    for (const partition of partitions) if (partition) this.#discard(partition)
  }

  #remove(partition: Partition): void {
    const list = this.#byId.get(partition.topicId)
    if (list) list[partition.partitionIndex] = undefined
    this.#discard(partition)
  }

  #discard(partition: Partition): void {
    const wasLeader = partition.isLeader
    partition.retire(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if (wasLeader) for (const listener of this.#listeners) listener.resign(partition)
    this.#options.logDirs.delete(partition.log)
  }
}
