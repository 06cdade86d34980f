import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import { type TopicConfig, topicConfigOf } from '../config/topic-config.ts'
import type { Io } from '../io/io.ts'
import type { LogDirs } from '../log/log-dirs.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { IsrProposal, ReplicaPeers } from './leadership.ts'
import type { MetadataDelta } from './metadata-delta.ts'
import { type MetadataImage, ResourceType } from './metadata-image.ts'
import { Partition } from './partition.ts'
import { ReplicationThrottle } from './replication-throttle.ts'
import type { PartitionImage, TopicImage } from './topic-image.ts'

export type PartitionsOptions = {
  readonly io: Pick<Io, 'brokerClock' | 'monotonic'>
  readonly brokerId: number
  /**
   * Of this process, as it registers: what the metadata says of an earlier process of this broker is not about this
   * one, so nothing is led before the metadata has the registration. Undefined: nobody else can have been this broker.
   */
  readonly incarnationId?: string
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

/** Told when this broker has to follow another leader or epoch of a partition, and when it no longer follows. */
export type FollowingListener = {
  follow(partition: Partition): void
  leave(partition: Partition): void
}

/** A replica of this broker that cannot be served. */
export type FailedReplica = { readonly topicId: string; readonly partitionIndex: number }

export type PartitionCounts = {
  readonly total: number
  readonly led: number
  readonly underReplicated: number
  readonly underMinIsr: number
  readonly offline: number
}

/**
 * The partitions of this broker. Reacts to what the metadata says: makes and removes logs, follows settings, and knows
 * which partitions are led here. Makes no file itself: a log's folder comes with its first append.
 */
export class Partitions implements ReplicaPeers {
  readonly #options: PartitionsOptions
  /** By topic name, then partition index. Holes where the partition is on other brokers. */
  readonly #byName = new Map<string, (Partition | undefined)[]>()
  readonly #byId = new Map<string, (Partition | undefined)[]>()
  readonly #listeners: LeadershipListener[] = []
  #following: FollowingListener | undefined
  readonly #lastFetches = new Map<number, number>()
  /** Followers are not called late for what came before: this broker was the one that was not there. */
  #graceFromMs = Number.NEGATIVE_INFINITY
  /** Where proposals for ISRs go; without it nothing is proposed. */
  #proposals: ((proposal: IsrProposal) => void) | undefined
  /** Changes of the ISRs of what is led here, since the start. */
  readonly counts = { isrShrinks: 0, isrExpands: 0 }
  /** For what this broker gives to followers that are not in sync. */
  readonly leaderThrottle: ReplicationThrottle
  /** For what this broker fetches while it is not in sync. */
  readonly followerThrottle: ReplicationThrottle
  /** What a topic without settings of its own has; most topics share it. */
  #defaultConfig: TopicConfig | undefined
  /** Topics whose logs could not be made: told once. */
  #offlineTold = false
  /** Replicas that have no log here because a directory is offline, as `failed` gives them. */
  readonly #unmade = new Map<string, FailedReplica>()
  #isStarting = false

  constructor(options: PartitionsOptions) {
    this.#options = options
    const { io, config } = options
    const throttle = (bytesPerSecond: () => number) =>
      new ReplicationThrottle(io.monotonic, bytesPerSecond)
    this.leaderThrottle = throttle(() => config['leader.replication.throttled.rate'])
    this.followerThrottle = throttle(() => config['follower.replication.throttled.rate'])
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
    this.#isStarting = true
    for (const topic of image.topics.values()) {
      for (const partition of topic.partitions) this.#take(topic, partition)
    }
    this.#isStarting = false
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

  /** As `get`, also where this broker only follows. */
  replica(topic: string, partitionIndex: number): Partition | undefined {
    return this.#byName.get(topic)?.[partitionIndex]
  }

  /** As `replica`. */
  replicaById(topicId: string, partitionIndex: number): Partition | undefined {
    return this.#byId.get(topicId)?.[partitionIndex]
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

  /** The listener hears at once of everything that is followed already. There is one at most. */
  onFollowing(listener: FollowingListener): void {
    this.#following = listener
    for (const partition of this.all()) if (follows(partition)) listener.follow(partition)
  }

  /** The replicas here of which the disk failed. */
  *failed(): Iterable<FailedReplica> {
    yield* this.#unmade.values()
    for (const partition of this.all()) if (partition.log.state === 'offline') yield partition
  }

  /** A directory was closed after a disk error: nothing is fetched for it any more. */
  dropFailed(): void {
    for (const partition of this.all()) {
      if (partition.isFollower && !follows(partition)) this.#following?.leave(partition)
    }
  }

  /** Follows a change of the metadata. */
  apply(delta: MetadataDelta): void {
    for (const topic of delta.topicsDeleted.values()) this.#drop(topic)
    this.#followConfigs(delta)
    for (const changes of delta.partitions.values()) {
      for (const { topic, after } of changes.values()) this.#take(topic, after)
    }
    if (delta.brokers.size === 0) return
    const { image, brokerId } = this.#options
    if (delta.brokers.has(brokerId)) {
      for (const topic of image.topics.values()) {
        for (const partition of topic.partitions) this.#take(topic, partition)
      }
    }
    this.checkIsrs()
  }

  // ------------------------------------------------------------------------------------------------ other brokers

  /** The epoch of this process' registration; -1 while the metadata does not have it: until then nothing is led. */
  get ownBrokerEpoch(): number {
    const { image, brokerId, incarnationId } = this.#options
    const broker = image.brokers.get(brokerId)
    const isOwn = incarnationId === undefined || broker?.incarnationId === incarnationId
    return isOwn ? (broker?.brokerEpoch ?? 0) : -1
  }

  eligibleEpoch(brokerId: number, topicId: string, partitionIndex: number): number {
    const { image } = this.#options
    const broker = image.brokers.get(brokerId)
    if (!broker || broker.fenced || broker.inControlledShutdown) return -1
    return image.failedReplicas.has(brokerId, topicId, partitionIndex) ? -1 : broker.brokerEpoch
  }

  brokerEpoch(brokerId: number): number {
    return this.#options.image.brokers.get(brokerId)?.brokerEpoch ?? -1
  }

  lastFetchMs(brokerId: number): number {
    return Math.max(this.#graceFromMs, this.#lastFetches.get(brokerId) ?? Number.NEGATIVE_INFINITY)
  }

  /** A follower's request came, of whatever partitions. */
  noteFetch(brokerId: number, atMs: number): void {
    this.#lastFetches.set(brokerId, atMs)
  }

  lagTimeMaxMs(): number {
    return this.#options.config['replica.lag.time.max.ms']
  }

  nowMs(): number {
    return this.#options.io.monotonic.nowMs()
  }

  /** Where changes of ISRs are asked for. */
  onProposal(take: (proposal: IsrProposal) => void): void {
    this.#proposals = take
  }

  propose(proposal: IsrProposal): void {
    if (this.#proposals) this.#proposals(proposal)
    else proposal.settle({ kind: 'dropped' })
  }

  /**
   * Looks for members of ISRs that are late, and for followers that may join.
   *
   * @param isLate this look itself came much too late: nobody else is called late for that time
   */
  checkIsrs(isLate = false): void {
    if (isLate) this.#forgive()
    for (const partition of this.all()) partition.checkIsr()
  }

  #forgive(): void {
    const nowMs = this.nowMs()
    this.#graceFromMs = nowMs
    for (const partition of this.all()) {
      for (const follower of partition.followers) {
        if (partition.isr.includes(follower.brokerId)) follower.caughtUpAt(nowMs)
      }
    }
  }

  /** For the metrics. */
  count(): PartitionCounts {
    const counts = { total: 0, led: 0, underReplicated: 0, underMinIsr: 0, offline: 0 }
    for (const partition of this.all()) {
      counts.total++
      if (partition.log.state === 'offline') counts.offline++
      if (!partition.isLeader) continue
      counts.led++
      if (partition.isr.length < partition.replicas.length) counts.underReplicated++
      if (partition.isr.length < partition.minInSyncReplicas) counts.underMinIsr++
    }
    return counts
  }

  // ------------------------------------------------------------------------------------------------ settings

  /** Broker settings changed: topics that do not say otherwise follow them. */
  refreshConfigs(): void {
    this.#defaultConfig = undefined
    for (const topic of this.#byName.keys()) this.#setConfig(topic)
  }

  /** Nobody is left waiting; the logs are closed by their owner. */
  close(): void {
    this.#following = undefined
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
      const { mustFlush } = partition
      partition.config = config
      if (follows(partition) && partition.mustFlush !== mustFlush)
        this.#following?.follow(partition)
      this.#options.logDirs.setConfig(partition.log, config)
    }
  }

  /** Makes or updates this broker's part in a partition; nothing when it has none. */
  #take(topic: TopicImage, image: PartitionImage): void {
    const known = this.#byId.get(topic.topicId)?.[image.partitionIndex]
    if (!image.replicas.includes(this.#options.brokerId)) {
      if (known) this.#remove(known)
      else this.#unmade.delete(`${topic.topicId}/${image.partitionIndex}`)
      return
    }
    const partition = known ?? this.#make(topic, image)
    if (!partition) return
    const { isLeader, leaderEpoch, leaderId } = partition
    const isFollower = follows(partition)
    partition.update(image, this.ownBrokerEpoch >= 0)
    const isNew = leaderEpoch !== partition.leaderEpoch
    if (partition.isLeader && (!isLeader || isNew)) {
      if (isFollower) this.#following?.leave(partition)
      for (const listener of this.#listeners) listener.lead(partition)
    } else if (isLeader && !partition.isLeader) {
      for (const listener of this.#listeners) listener.resign(partition)
    }
    if (follows(partition)) {
      if (!isFollower || isNew || leaderId !== partition.leaderId)
        this.#following?.follow(partition)
    } else if (isFollower && !partition.isLeader) this.#following?.leave(partition)
  }

  #make(topic: TopicImage, image: PartitionImage): Partition | undefined {
    const { logDirs, brokerId, io, logger } = this.#options
    const { name, topicId } = topic
    const { partitionIndex } = image
    const key = `${topicId}/${partitionIndex}`
    if (this.#unmade.has(key)) return undefined
    if (this.#mayBeOffline(name, image)) {
      this.#unmade.set(key, { topicId, partitionIndex })
      return undefined
    }
    const config = this.#configOf(name)
    try {
      const log = logDirs.create(name, partitionIndex, topicId, config)
      const identity = { topic: name, topicId, partitionIndex }
      const partition = new Partition(brokerId, io.brokerClock, identity, log, config, this)
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

  /**
   * Whether a log that is not found may lie in a directory that cannot be read, and nobody else has what was committed:
   * a new one in its place would be an empty one. Where others have it, it is copied from them.
   */
  #mayBeOffline(topic: string, { partitionIndex, isr, elr }: PartitionImage): boolean {
    const { logDirs, brokerId } = this.#options
    if (!this.#isStarting || logDirs.has(topic, partitionIndex)) return false
    if (!logDirs.directories.some(({ isOffline }) => isOffline)) return false
    return ![...isr, ...elr].some((replica) => replica !== brokerId)
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
    for (const { topicId, partitionIndex } of this.#unmade.values()) {
      if (topicId === topic.topicId) this.#unmade.delete(`${topicId}/${partitionIndex}`)
    }
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
    if (follows(partition)) this.#following?.leave(partition)
    partition.retire(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if (wasLeader) for (const listener of this.#listeners) listener.resign(partition)
    this.#options.logDirs.delete(partition.log)
  }
}

/** Another broker leads, and there is a disk for what it has. */
const follows = ({ isFollower, log }: Partition): boolean => isFollower && log.state !== 'offline'
