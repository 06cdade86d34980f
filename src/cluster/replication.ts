import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import type { Io, Timer } from '../io/io.ts'
import type { TopicMetricsTable } from '../metrics/topic-metrics.ts'
import {
  type AlterPartitionRequest,
  type AlterPartitionResponse,
  IsrChanges,
} from './isr-changes.ts'
import type { Partition } from './partition.ts'
import type { Partitions } from './partitions.ts'
import { type ReplicaConnection, ReplicaFetcher } from './replica-fetcher.ts'

export type ReplicationOptions = {
  readonly io: Pick<Io, 'timers' | 'random' | 'monotonic' | 'memory'>
  readonly brokerId: number
  readonly partitions: Partitions
  /** The settings in force. */
  readonly config: BrokerConfig
  readonly topicMetrics: TopicMetricsTable
  /** A connection of its own to another broker, which knows this one by it. */
  open(brokerId: number): Promise<ReplicaConnection>
  /** To the active controller; rejects with an LmqError when there was no answer. */
  alterPartition(request: AlterPartitionRequest): Promise<AlterPartitionResponse>
  readonly logger: Logger
}

export type ReplicationCounts = {
  readonly isrShrinks: number
  readonly isrExpands: number
  readonly failedIsrUpdates: number
  /** Records that a follower here is behind its leader's high watermark, the most of all. */
  readonly maxLag: number
  readonly failedPartitions: number
  readonly fetchers: number
}

/** Members of ISRs are looked at this often, or twice within `replica.lag.time.max.ms`. */
const CHECK_MS = 1_000
/** A look that comes later than this was held up by this process or its machine. */
const LATE_MS = 500

/**
 * Replication of one broker: fetches what it follows, one fetcher for each leader, and keeps the ISRs of what it leads.
 * Partitions whose records must be durable before they count have fetchers of their own, so that no other waits for
 * the disk with them.
 */
export class Replication {
  readonly #options: ReplicationOptions
  readonly #changes: IsrChanges
  readonly #fetchers = new Map<string, ReplicaFetcher>()
  readonly #fetcherOf = new Map<Partition, string>()
  #timer: Timer | undefined
  #closed = false

  constructor(options: ReplicationOptions) {
    this.#options = options
    const { partitions } = options
    this.#changes = new IsrChanges({ ...options, brokerEpoch: () => partitions.ownBrokerEpoch })
  }

  /** When the partitions are there. What is followed is fetched from now on. */
  start(): void {
    const { partitions } = this.#options
    partitions.onProposal(this.#changes.submit)
    partitions.onFollowing({
      follow: (partition) => this.#follow(partition),
      leave: (partition) => this.#leave(partition),
    })
    this.#checkLater()
  }

  count(): ReplicationCounts {
    let maxLag = 0
    let failedPartitions = 0
    for (const fetcher of this.#fetchers.values()) {
      maxLag = Math.max(maxLag, fetcher.maxLag)
      failedPartitions += fetcher.failing
    }
    const { isrShrinks, isrExpands } = this.#options.partitions.counts
    const failedIsrUpdates = this.#changes.failures
    const fetchers = this.#fetchers.size
    return { isrShrinks, isrExpands, failedIsrUpdates, maxLag, failedPartitions, fetchers }
  }

  /** Nothing is fetched or asked for any more; close before the partitions. */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#changes.close()
    for (const fetcher of this.#fetchers.values()) fetcher.close()
    this.#fetchers.clear()
    this.#fetcherOf.clear()
  }

  #follow(partition: Partition): void {
    if (this.#closed) return
    const { leaderId, mustFlush } = partition
    const key = `${leaderId}/${mustFlush ? 'durable' : 'written'}`
    const before = this.#fetcherOf.get(partition)
    if (before !== undefined && before !== key) this.#leave(partition)
    let fetcher = this.#fetchers.get(key)
    if (!fetcher) {
      fetcher = this.#makeFetcher(leaderId)
      this.#fetchers.set(key, fetcher)
    }
    this.#fetcherOf.set(partition, key)
    fetcher.add(partition)
  }

  #leave(partition: Partition): void {
    const key = this.#fetcherOf.get(partition)
    if (key === undefined) return
    this.#fetcherOf.delete(partition)
    const fetcher = this.#fetchers.get(key)
    if (!fetcher) return
    fetcher.remove(partition)
    if (fetcher.size > 0) return
    fetcher.close()
    this.#fetchers.delete(key)
  }

  #makeFetcher(leaderId: number): ReplicaFetcher {
    const { io, brokerId, partitions, config, topicMetrics, open, logger } = this.#options
    return new ReplicaFetcher({
      io,
      brokerId,
      leaderId,
      brokerEpoch: () => partitions.ownBrokerEpoch,
      open: () => open(leaderId),
      config,
      throttle: partitions.followerThrottle,
      onBytes: (topic, sizeBytes) => {
        topicMetrics.of(topic).replicationBytesIn += sizeBytes
        topicMetrics.total.replicationBytesIn += sizeBytes
      },
      logger,
    })
  }

  #checkLater(): void {
    const { io, partitions } = this.#options
    const waitMs = Math.min(CHECK_MS, partitions.lagTimeMaxMs() / 2)
    const dueMs = io.monotonic.nowMs() + waitMs
    this.#timer = io.timers.schedule(waitMs, () => {
      partitions.checkIsrs(io.monotonic.nowMs() - dueMs > LATE_MS)
      this.#checkLater()
    })
  }
}
