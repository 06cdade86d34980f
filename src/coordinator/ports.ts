/**
 * What the coordinators need from the rest of the broker, declared here so that they import neither the log nor the
 * cluster. `broker.ts` passes the real ones in:
 *
 * - `CoordinatorLog.append` → the `Partition` of `__consumer_offsets`: append with origin 'coordinator', the current
 *   leader epoch and `produceVersion` of today; call `done` when the high watermark has passed the batch (on one broker
 *   that is the log's written callback), in the order of the appends. Not the leader, no such partition: call `done` with
 *   NOT_LEADER_OR_FOLLOWER; a closed log: KAFKA_STORAGE_ERROR. `done` may run before `append` returns.
 * - `CoordinatorLog.load` → reads from the log start offset to the end of the log as it is when the load begins, and
 *   awaits `visit` for each piece.
 * - `TopicsPort` → the `MetadataImage`.
 * - `OffsetsTopicPort` → the image (leader and endpoint of a listener) and the controller's `createTopics` with
 *   `offsets.topic.num.partitions`, `offsets.topic.replication.factor` (capped by the number of brokers) and the configs
 *   `cleanup.policy=compact`, `compression.type=producer`, `segment.bytes=offsets.topic.segment.bytes`.
 *
 * and tells the coordinator what changes: `groups.lead(partitionIndex, leaderEpoch)` when this broker becomes leader of
 * a partition of `__consumer_offsets` (at start: for each one it leads), `groups.resign(partitionIndex)` when it no
 * longer is, `groups.forgetTopics(names)` when topics were deleted, `groups.close()` before the logs are closed.
 */
import type { ErrorCode } from '../protocol/error-code.ts'
import type { Uuid } from '../protocol/uuid.ts'

/** The internal topic of groups and committed offsets. */
export const OFFSETS_TOPIC = '__consumer_offsets'

/**
 * @param errorCode NONE when the batch is committed
 * @param baseOffset the batch's first offset; only with NONE
 */
export type AppendDone = (errorCode: ErrorCode, baseOffset: number) => void

export type CoordinatorLog = {
  /** The largest batch that the topic takes (`max.message.bytes`). */
  maxBatchBytes(partitionIndex: number): number
  /** @param batch one magic-2 batch with base offset 0; it belongs to the log from here on */
  append(partitionIndex: number, batch: Buffer, done: AppendDone): void
  /**
   * Reads all batches of a partition in order.
   *
   * @param maxBytes size of a piece (one batch may be larger)
   * @param visit gets the batches piece by piece, whole or not; the next piece is read when it is done
   * @throws LMQ_DISK_READ, LMQ_LOG_DIR_OFFLINE
   */
  load(
    partitionIndex: number,
    maxBytes: number,
    visit: (batches: Buffer) => Promise<void> | void,
  ): Promise<void>
  /** Exclusive: what is below it can no longer be lost. */
  highWatermark(partitionIndex: number): number
  /**
   * Calls `done` once, perhaps before it returns: when the high watermark has reached `end`, or this broker leads no more.
   *
   * @returns stops waiting
   */
  whenCommitted(partitionIndex: number, end: number, done: () => void): () => void
}

export type TopicsPort = {
  idOf(topic: string): Uuid | undefined
  nameOf(topicId: Uuid): string | undefined
  /** Undefined: no such topic. */
  partitionCount(topic: string): number | undefined
}

export type Endpoint = { readonly brokerId: number; readonly host: string; readonly port: number }

export type OffsetsTopicPort = {
  /** Undefined: the topic does not exist. */
  partitionCount(): number | undefined
  /** Where clients of a listener reach the leader; undefined: no leader, or no such listener on it. */
  leaderOf(partitionIndex: number, listenerName: string): Endpoint | undefined
  /** Makes the topic; resolves when this broker's image has it or when that failed. Called again while under way. */
  create(): Promise<void>
}

/** The settings that classic groups obey, by Kafka's names; a `BrokerConfig` is one. */
export type GroupSettings = {
  readonly 'group.min.session.timeout.ms': number
  readonly 'group.max.session.timeout.ms': number
  readonly 'group.initial.rebalance.delay.ms': number
  readonly 'group.max.size': number
  readonly 'group.coordinator.append.linger.ms': number
  readonly 'offset.metadata.max.bytes': number
  readonly 'offsets.commit.timeout.ms': number
  readonly 'offsets.load.buffer.size': number
  readonly 'offsets.retention.minutes': number
  readonly 'offsets.retention.check.interval.ms': number
  readonly 'offsets.topic.num.partitions': number
  readonly 'offsets.topic.compression.codec': number
}

/** Who sent a request. */
export type Client = {
  readonly apiVersion: number
  readonly clientId: string
  /** Without port. */
  readonly remoteAddress: string
  readonly listenerName: string
}
