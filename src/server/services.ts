import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { AutoTopicCreation } from '../cluster/auto-topic-creation.ts'
import type { Controller } from '../cluster/controller.ts'
import { DeletedTopics } from '../cluster/deleted-topics.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import type { Partitions } from '../cluster/partitions.ts'
import type { LoadedSettings } from '../config/load-settings.ts'
import { GroupCoordinator } from '../coordinator/group-coordinator.ts'
import type { Io } from '../io/io.ts'
import type { LogDirs } from '../log/log-dirs.ts'
import { TopicMetricsTable } from '../metrics/topic-metrics.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { ClusterMembership } from './cluster-membership.ts'
import { coordinatorLog, offsetsTopicPort, topicsPort } from './coordinator-ports.ts'
import { FetchSessionCache } from './fetch-session-cache.ts'
import type { Services } from './handler.ts'
import { MemoryBudget } from './memory-budget.ts'
import { MetadataCache } from './metadata-cache.ts'
import { ProduceTimeouts } from './produce-timeouts.ts'
import { ProducerIds } from './producer-ids.ts'
import { Telemetry } from './telemetry.ts'

/** Brokers of one cluster that somebody starts register within this time. */
const SETTLING_MS = 10_000

/**
 * Bound of requests, and the same of answers; together they are `lmq.memory.budget.bytes`. A single request or answer
 * that is larger passes when it is alone.
 */
const halfBudget = ({ config }: LoadedSettings): number =>
  Math.floor(config['lmq.memory.budget.bytes'] / 2)

const requestBytes = (loaded: LoadedSettings): number => {
  const limit = loaded.config['queued.max.request.bytes']
  return limit > 0 ? limit : halfBudget(loaded)
}

export type ServicesOptions = {
  readonly io: Io
  readonly loaded: LoadedSettings
  readonly logger: Logger
  /** The cluster that this broker is one of; see `BrokerOptions`. */
  readonly cluster?: { readonly isComplete?: boolean } | undefined
}

export type ServicesParts = {
  readonly brokerId: number
  readonly clusterId: string
  readonly image: MetadataImage
  readonly controller: Controller
  readonly partitions: Partitions
  readonly logDirs: LogDirs
  /** The other brokers; undefined when there are none. */
  readonly membership: ClusterMembership | undefined
  /** The broker's own, of this run. */
  epoch(): number
}

/** Makes what handlers work with out of what a broker has opened. */
export function makeServices(
  { io, loaded, logger, cluster }: ServicesOptions,
  parts: ServicesParts,
): Services {
  const { config, settings } = loaded
  const { brokerId, clusterId, image, controller, partitions, logDirs, membership } = parts
  // Several brokers of one process start together; others come one after the other.
  const isSettling = membership !== undefined && cluster?.isComplete !== true
  const settlesMs = isSettling ? io.monotonic.nowMs() + SETTLING_MS : 0
  const creator = new AutoTopicCreation({
    controller: membership ?? controller,
    inCluster: membership !== undefined,
    brokersMayJoin: () => io.monotonic.nowMs() < settlesMs,
    image,
    config,
    logger,
  })
  const groups = new GroupCoordinator({
    io,
    logger,
    settings: config,
    log: coordinatorLog(partitions),
    topics: topicsPort(image),
    offsetsTopic: offsetsTopicPort(image, creator),
  })
  const slots = config['max.incremental.fetch.session.cache.slots']
  return {
    io,
    config,
    settings,
    image,
    partitions,
    controller,
    groups,
    logDirs,
    fetchSessions: new FetchSessionCache(slots, io.monotonic, io.random),
    producerIds: new ProducerIds(async () => {
      if (membership) return membership.allocateProducerIds()
      const block = await controller.allocateProducerIds({ brokerId, brokerEpoch: parts.epoch() })
      if (block.errorCode === ErrorCode.NONE) return block
      throw new LmqError('LMQ_NOT_CONTROLLER', { errorCode: block.errorCode })
    }),
    requestMemory: new MemoryBudget(requestBytes(loaded)),
    answerMemory: new MemoryBudget(halfBudget(loaded)),
    topicMetrics: new TopicMetricsTable(),
    metadataCache: new MetadataCache(),
    produceTimeouts: new ProduceTimeouts(io),
    telemetry: new Telemetry(io, image, () => config['telemetry.max.bytes']),
    deletedTopics: new DeletedTopics(io.monotonic),
    autoCreateTopics: (topics) => creator.create(topics),
    logger,
    broker: { brokerId, clusterId, rack: config['broker.rack'] },
    cluster: membership,
  }
}
