import { type Labels, labelled, type Metric, type Sample, single } from './metric.ts'
import { type ApiMetrics, type ListenerMetrics, requestTimeBucketsMs } from './request-metrics.ts'
import type { TopicMetrics, TopicMetricsTable } from './topic-metrics.ts'

/** Where a broker's numbers are read; `broker.ts` puts the parts together. All cheap: they run at every scrape. */
export type MetricSources = {
  readonly clusterId: string
  readonly brokerId: number
  readonly version: string
  apis(): Iterable<ApiMetrics>
  listeners(): Iterable<{ metrics: ListenerMetrics; connectionCount: number }>
  readonly topics: TopicMetricsTable
  partitions(): PartitionCounts
  replication(): ReplicationCounts
  controller(): ControllerCounts
  groups(): { readonly byState: Readonly<Record<string, number>>; readonly offsets: number }
  fetchSessions(): {
    readonly sessions: number
    readonly partitions: number
    readonly evictions: number
  }
  memory(): {
    readonly requestBytes: number
    readonly answerBytes: number
    readonly limitBytes: number
  }
  logDirs(): { readonly online: number; readonly offline: number; readonly sizeBytes: number }
}

export type PartitionCounts = {
  readonly total: number
  readonly led: number
  readonly underReplicated: number
  readonly underMinIsr: number
  readonly offline: number
}

export type ReplicationCounts = {
  readonly isrShrinks: number
  readonly isrExpands: number
  readonly failedIsrUpdates: number
  /** Records that a follower here is behind its leader's high watermark, the most of all. */
  readonly maxLag: number
  readonly failedPartitions: number
}

export type ControllerCounts = {
  readonly active: number
  readonly topics: number
  readonly partitions: number
  readonly offlinePartitions: number
  readonly brokers: number
  readonly fencedBrokers: number
}

/** Kafka's BrokerState of a running broker. */
const RUNNING = 3

/** All metrics of a broker: names as Kafka's JMX exporter gives them with its usual rules, LMQ's own with `lmq_`. */
export function brokerMetrics(sources: MetricSources): Metric[] {
  return [
    ...topicMetrics(sources.topics),
    ...requestMetrics(sources),
    ...replicaMetrics(sources),
    ...controllerMetrics(sources),
    ...groupMetrics(sources),
    ...connectionMetrics(sources),
    ...ownMetrics(sources),
  ]
}

const topicCounters: readonly (readonly [keyof TopicMetrics, string, string])[] = [
  ['messagesIn', 'messagesin', 'Records appended by producers.'],
  ['bytesIn', 'bytesin', 'Bytes of batches appended by producers.'],
  ['bytesOut', 'bytesout', 'Bytes of batches given to consumers.'],
  ['bytesRejected', 'bytesrejected', 'Bytes of batches that were refused.'],
  ['produceRequests', 'totalproducerequests', 'Produce requests.'],
  ['fetchRequests', 'totalfetchrequests', 'Fetch requests.'],
  ['failedProduceRequests', 'failedproducerequests', 'Produce requests that failed.'],
  ['failedFetchRequests', 'failedfetchrequests', 'Fetch requests that failed.'],
  ['replicationBytesIn', 'replicationbytesin', 'Bytes of batches taken from leaders.'],
  ['replicationBytesOut', 'replicationbytesout', 'Bytes of batches given to followers.'],
]

function topicMetrics(topics: TopicMetricsTable): Metric[] {
  return topicCounters.map(([field, name, help]) =>
    labelled('counter', `kafka_server_brokertopicmetrics_${name}_total`, help, function* () {
      yield [{}, topics.total[field]]
      for (const [topic, metrics] of topics.topics()) yield [{ topic }, metrics[field]]
    }),
  )
}

function requestMetrics({ apis }: MetricSources): Metric[] {
  const perApi = (name: string, help: string, read: (api: ApiMetrics) => number) =>
    labelled('counter', `kafka_network_requestmetrics_${name}_total`, help, function* () {
      for (const api of apis()) {
        if (api.requests > 0) yield [{ request: api.name }, read(api)]
      }
    })
  return [
    perApi('requests', 'Requests by API.', (api) => api.requests),
    perApi('errors', 'Requests that the broker could not serve.', (api) => api.failures),
    perApi('requestbytes', 'Bytes of requests by API.', (api) => api.requestBytes),
    perApi('responsebytes', 'Bytes of responses by API.', (api) => api.responseBytes),
    {
      name: 'kafka_network_requestmetrics_totaltimems',
      help: 'Time from the last byte of a request to its answer, in milliseconds, since the start.',
      type: 'summary',
      *read() {
        for (const api of apis()) if (api.requests > 0) yield* summaryOf(api)
      },
    },
  ]
}

const quantiles = [0.5, 0.75, 0.95, 0.98, 0.99, 0.999] as const

function* summaryOf(api: ApiMetrics): Iterable<Sample> {
  const request = api.name
  let count = 0
  for (const inBucket of api.timeBuckets) count += inBucket
  for (const quantile of quantiles) {
    yield { labels: { request, quantile }, value: quantileOf(api.timeBuckets, count, quantile) }
  }
  yield { labels: { request }, value: count, suffix: '_count' }
  yield { labels: { request }, value: api.totalTimeMs, suffix: '_sum' }
}

/** The upper bound of the bucket that holds the quantile: never below the truth but in the last bucket. */
function quantileOf(buckets: Float64Array, count: number, quantile: number): number {
  let seen = 0
  for (let i = 0; i < buckets.length; i++) {
    seen += buckets[i] as number
    if (count > 0 && seen >= count * quantile) {
      return requestTimeBucketsMs[Math.min(i, requestTimeBucketsMs.length - 1)] as number
    }
  }
  return 0
}

function replicaMetrics({ partitions, replication, logDirs }: MetricSources): Metric[] {
  const gauge = (name: string, help: string, read: (counts: PartitionCounts) => number) =>
    single('gauge', `kafka_server_replicamanager_${name}`, help, () => read(partitions()))
  return [
    gauge('partitioncount', 'Partitions that this broker holds.', ({ total }) => total),
    gauge('leadercount', 'Partitions that this broker leads.', ({ led }) => led),
    gauge(
      'underreplicatedpartitions',
      'Partitions led here whose ISR is smaller than their replica set. Alert above 0.',
      ({ underReplicated }) => underReplicated,
    ),
    gauge(
      'underminisrpartitioncount',
      'Partitions led here whose ISR is below min.insync.replicas. Alert above 0.',
      ({ underMinIsr }) => underMinIsr,
    ),
    single(
      'counter',
      'kafka_server_replicamanager_isrshrinks_total',
      'Replicas that left the ISRs of partitions led here.',
      () => replication().isrShrinks,
    ),
    single(
      'counter',
      'kafka_server_replicamanager_isrexpands_total',
      'Replicas that joined the ISRs of partitions led here.',
      () => replication().isrExpands,
    ),
    single(
      'counter',
      'kafka_server_replicamanager_failedisrupdates_total',
      'Changes of ISRs that the controller did not take.',
      () => replication().failedIsrUpdates,
    ),
    single(
      'gauge',
      'kafka_server_replicafetchermanager_maxlag',
      'Records that the replica furthest behind here lacks of what its leader has committed.',
      () => replication().maxLag,
    ),
    single(
      'gauge',
      'kafka_server_replicafetchermanager_failedpartitionscount',
      'Partitions whose last fetch from their leader failed.',
      () => replication().failedPartitions,
    ),
    gauge('offlinereplicacount', 'Replicas here that cannot be used.', ({ offline }) => offline),
    single(
      'gauge',
      'kafka_log_logmanager_offlinelogdirectorycount',
      'Log directories that were closed after a disk error. Alert above 0.',
      () => logDirs().offline,
    ),
    single('gauge', 'kafka_server_kafkaserver_brokerstate', '3 = running.', () => RUNNING),
  ]
}

function controllerMetrics({ controller }: MetricSources): Metric[] {
  const gauge = (name: string, help: string, read: (counts: ControllerCounts) => number) =>
    single('gauge', `kafka_controller_kafkacontroller_${name}`, help, () => read(controller()))
  return [
    gauge(
      'activecontrollercount',
      '1 on the controller. The sum over all brokers must be 1.',
      ({ active }) => active,
    ),
    gauge('globaltopiccount', 'Topics of the cluster.', ({ topics }) => topics),
    gauge('globalpartitioncount', 'Partitions of the cluster.', (counts) => counts.partitions),
    gauge(
      'offlinepartitionscount',
      'Partitions that nobody leads. Alert above 0.',
      ({ offlinePartitions }) => offlinePartitions,
    ),
    gauge('activebrokercount', 'Brokers that take part.', ({ brokers }) => brokers),
    gauge('fencedbrokercount', 'Brokers that are fenced.', ({ fencedBrokers }) => fencedBrokers),
  ]
}

function groupMetrics({ groups, fetchSessions }: MetricSources): Metric[] {
  const prefix = 'kafka_coordinator_group_groupmetadatamanager'
  const states: readonly (readonly [string, string])[] = [
    ['numgroupsempty', 'Empty'],
    ['numgroupspreparingrebalance', 'PreparingRebalance'],
    ['numgroupscompletingrebalance', 'CompletingRebalance'],
    ['numgroupsstable', 'Stable'],
    ['numgroupsdead', 'Dead'],
  ]
  return [
    single('gauge', `${prefix}_numgroups`, 'Consumer groups coordinated here.', () =>
      Object.values(groups().byState).reduce((sum, count) => sum + count, 0),
    ),
    ...states.map(([name, state]) =>
      single(
        'gauge',
        `${prefix}_${name}`,
        `Consumer groups in state ${state}.`,
        () => groups().byState[state] ?? 0,
      ),
    ),
    single('gauge', `${prefix}_numoffsets`, 'Committed offsets kept here.', () => groups().offsets),
    single(
      'gauge',
      'kafka_server_fetchsessioncache_numincrementalfetchsessions',
      'Fetch sessions.',
      () => fetchSessions().sessions,
    ),
    single(
      'gauge',
      'kafka_server_fetchsessioncache_numincrementalfetchpartitionscached',
      'Partitions of all fetch sessions.',
      () => fetchSessions().partitions,
    ),
    single(
      'counter',
      'kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total',
      'Fetch sessions that made room for others.',
      () => fetchSessions().evictions,
    ),
  ]
}

function connectionMetrics({ listeners }: MetricSources): Metric[] {
  const perListener = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    read: (metrics: ListenerMetrics, connectionCount: number) => number,
  ) =>
    labelled(type, `kafka_server_socket_server_metrics_${name}`, help, function* () {
      for (const { metrics, connectionCount } of listeners()) {
        yield [{ listener: metrics.name } as Labels, read(metrics, connectionCount)]
      }
    })
  return [
    perListener('gauge', 'connection_count', 'Open connections.', (_metrics, count) => count),
    perListener(
      'counter',
      'connection_creation_total',
      'Connections opened.',
      (m) => m.connectionsOpened,
    ),
    perListener(
      'counter',
      'connection_close_total',
      'Connections closed.',
      (m) => m.connectionsClosed,
    ),
    perListener('counter', 'incoming_byte_total', 'Bytes received.', (m) => m.bytesReceived),
    perListener('counter', 'outgoing_byte_total', 'Bytes sent.', (m) => m.bytesSent),
    perListener(
      'counter',
      'connections_refused_total',
      'Connections turned away by a limit.',
      (m) => m.connectionsRefused,
    ),
    perListener(
      'counter',
      'protocol_errors_total',
      'Connections closed because they did not speak the protocol as served here.',
      (m) => m.protocolErrors,
    ),
  ]
}

function ownMetrics(sources: MetricSources): Metric[] {
  const { clusterId, brokerId, version, memory, logDirs, apis } = sources
  return [
    labelled('gauge', 'lmq_info', 'Always 1; its labels say what runs.', () => [
      [{ cluster_id: clusterId, broker_id: brokerId, version }, 1],
    ]),
    single(
      'gauge',
      'lmq_request_memory_bytes',
      'Bytes of requests that are being received or worked on.',
      () => memory().requestBytes,
    ),
    single(
      'gauge',
      'lmq_answer_memory_bytes',
      'Bytes of answers that clients have not taken yet.',
      () => memory().answerBytes,
    ),
    single(
      'gauge',
      'lmq_memory_budget_bytes',
      'Bound of each of the two.',
      () => memory().limitBytes,
    ),
    single('gauge', 'lmq_log_size_bytes', 'Bytes of all logs.', () => logDirs().sizeBytes),
    {
      name: 'lmq_request_duration_seconds',
      help: 'Time from the last byte of a request to its answer.',
      type: 'histogram',
      *read() {
        for (const api of apis()) if (api.requests > 0) yield* histogramOf(api)
      },
    },
  ]
}

function* histogramOf(api: ApiMetrics): Iterable<Sample> {
  let count = 0
  for (let i = 0; i < api.timeBuckets.length; i++) {
    count += api.timeBuckets[i] as number
    const boundMs = requestTimeBucketsMs[i]
    const le = boundMs === undefined ? '+Inf' : String(boundMs / 1000)
    yield { labels: { api: api.name, le }, value: count, suffix: '_bucket' }
  }
  yield { labels: { api: api.name }, value: api.totalTimeMs / 1000, suffix: '_sum' }
  yield { labels: { api: api.name }, value: count, suffix: '_count' }
}
