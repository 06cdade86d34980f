import { VERSION } from '../base/version.ts'
import type { Controller } from '../cluster/controller.ts'
import type { ReplicationCounts } from '../cluster/replication.ts'
import type { MetricSources } from '../metrics/broker-metrics.ts'
import type { ApiTable } from './api-table.ts'
import type { Services } from './handler.ts'
import type { Listener } from './listener.ts'

export type MeasuredParts = {
  readonly services: Services
  readonly listeners: readonly Listener[]
  readonly table: ApiTable
  readonly controller: Controller
}

/** A broker that is alone. */
const noReplication: ReplicationCounts = {
  isrShrinks: 0,
  isrExpands: 0,
  failedIsrUpdates: 0,
  maxLag: 0,
  failedPartitions: 0,
  fetchers: 0,
}

/** What `metrics/broker-metrics.ts` asks of a broker: read when somebody looks. */
export function metricSources(parts: MeasuredParts): MetricSources {
  const { services, listeners, table, controller } = parts
  const { image, partitions, groups, logDirs, fetchSessions } = services
  const { requestMemory, answerMemory } = services
  return {
    clusterId: services.broker.clusterId,
    brokerId: services.broker.brokerId,
    version: VERSION,
    topics: services.topicMetrics,
    *apis() {
      for (const { metrics } of table.all()) yield metrics
    },
    listeners: () => listeners,
    partitions: () => partitions.count(),
    replication: () => services.cluster?.replication?.count() ?? noReplication,
    controller() {
      let fencedBrokers = 0
      for (const broker of image.brokers.values()) if (broker.fenced) fencedBrokers++
      let offlinePartitions = 0
      for (const topic of image.topics.values()) {
        for (const { leader } of topic.partitions) if (leader < 0) offlinePartitions++
      }
      return {
        active: controller.isActive ? 1 : 0,
        topics: image.topics.size,
        partitions: image.partitionCount,
        offlinePartitions,
        brokers: image.brokers.size - fencedBrokers,
        fencedBrokers,
      }
    },
    groups: () => ({ byState: groups.countGroups(), offsets: groups.countOffsets() }),
    fetchSessions: () => ({
      sessions: fetchSessions.size,
      partitions: fetchSessions.partitionCount,
      evictions: fetchSessions.evictions,
    }),
    memory: () => ({
      requestBytes: requestMemory.usedBytes,
      answerBytes: answerMemory.usedBytes,
      limitBytes: requestMemory.limitBytes,
    }),
    logDirs() {
      let offline = 0
      for (const { isOffline } of logDirs.directories) if (isOffline) offline++
      let sizeBytes = 0
      for (const log of logDirs.all()) if (log.state === 'open') sizeBytes += log.sizeBytes
      return { online: logDirs.directories.length - offline, offline, sizeBytes }
    },
  }
}
