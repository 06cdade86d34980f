/** What tools ask about a cluster and its brokers. */
import { apiVersions } from '../protocol/apis/18-api-versions.ts'
import { describeLogDirs as describeLogDirsApi } from '../protocol/apis/35-describe-log-dirs.ts'
import { alterPartitionReassignments } from '../protocol/apis/45-alter-partition-reassignments.ts'
import { listPartitionReassignments } from '../protocol/apis/46-list-partition-reassignments.ts'
import { describeCluster as describeClusterApi } from '../protocol/apis/60-describe-cluster.ts'
import { unregisterBroker as unregisterBrokerApi } from '../protocol/apis/64-unregister-broker.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { ResponseOf } from '../protocol/schema.ts'
import type { Client } from './client.ts'
import { checkOutcome } from './outcome-error.ts'

/** From here on DescribeCluster tells of brokers that are away (KIP-1073). */
const FIRST_VERSION_WITH_FENCED = 2
const REASSIGNMENTS_MS = 10_000

export type DescribedCluster = {
  readonly clusterId: string
  readonly controllerId: number
  readonly brokers: readonly {
    brokerId: number
    host: string
    port: number
    rack: string | null
  }[]
}

/** Brokers before Kafka 2.8 do not know the API: what Metadata tells is the same. */
export async function describeCluster(client: Client): Promise<DescribedCluster> {
  const connection = await client.connectionTo('any')
  if (!connection.servedVersions(describeClusterApi.key)) {
    const answer = await client.metadata([])
    const brokers = answer.brokers.map(({ nodeId, ...rest }) => ({ brokerId: nodeId, ...rest }))
    return { clusterId: answer.clusterId ?? '', controllerId: answer.controllerId, brokers }
  }
  const answer = await client.request('any', describeClusterApi, {
    includeClusterAuthorizedOperations: false,
    includeFencedBrokers: false,
  })
  checkOutcome(answer.errorCode, 'the cluster', answer.errorMessage)
  return answer
}

export type BrokerState = {
  readonly brokerId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
  /** Known to the cluster, and not taking part now. Brokers before Kafka 4.0 do not tell. */
  readonly fenced: boolean
}

/** As `describeCluster`, with the brokers that are away. */
export async function describeBrokers(
  client: Client,
): Promise<Omit<DescribedCluster, 'brokers'> & { readonly brokers: readonly BrokerState[] }> {
  const connection = await client.connectionTo('any')
  const served = connection.servedVersions(describeClusterApi.key)
  if (!served || served.max < FIRST_VERSION_WITH_FENCED) {
    const { brokers, ...rest } = await describeCluster(client)
    return { ...rest, brokers: brokers.map((broker) => ({ ...broker, fenced: false })) }
  }
  const answer = await client.request('any', describeClusterApi, {
    includeClusterAuthorizedOperations: false,
    includeFencedBrokers: true,
  })
  checkOutcome(answer.errorCode, 'the cluster', answer.errorMessage)
  const brokers = answer.brokers
    .map(({ isFenced, ...broker }) => ({ ...broker, fenced: isFenced }))
    .sort((a, b) => a.brokerId - b.brokerId)
  return { clusterId: answer.clusterId, controllerId: answer.controllerId, brokers }
}

export type Reassignment = {
  readonly topic: string
  readonly partitionIndex: number
  readonly adding: readonly number[]
  readonly removing: readonly number[]
}

/** Partitions whose replicas are being moved; none from brokers that cannot tell. */
export async function listReassignments(client: Client): Promise<Reassignment[]> {
  const connection = await client.connectionTo('controller')
  if (!connection.servedVersions(listPartitionReassignments.key)) return []
  const request = { timeoutMs: REASSIGNMENTS_MS, topics: null }
  const answer = await client.request('controller', listPartitionReassignments, request)
  checkOutcome(answer.errorCode, 'the reassignments', answer.errorMessage)
  return answer.topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex, addingReplicas, removingReplicas }) => ({
      topic: name,
      partitionIndex,
      adding: addingReplicas,
      removing: removingReplicas,
    })),
  )
}

/** Moves replicas, or takes back a move that is under way (`replicas` null). @throws {OutcomeError} for the first that is refused */
export async function alterReassignments(
  client: Client,
  moves: readonly {
    readonly topic: string
    readonly partitionIndex: number
    readonly replicas: readonly number[] | null
  }[],
): Promise<void> {
  const topics = new Map<string, { partitionIndex: number; replicas: number[] | null }[]>()
  for (const { topic, partitionIndex, replicas } of moves) {
    const partitions = topics.get(topic) ?? []
    partitions.push({ partitionIndex, replicas: replicas && [...replicas] })
    topics.set(topic, partitions)
  }
  const answer = await client.request('controller', alterPartitionReassignments, {
    timeoutMs: REASSIGNMENTS_MS,
    allowReplicationFactorChange: false,
    topics: Array.from(topics, ([name, partitions]) => ({ name, partitions })),
  })
  checkOutcome(answer.errorCode, 'the reassignments', answer.errorMessage)
  for (const { name, partitions } of answer.responses) {
    for (const { partitionIndex, errorCode, errorMessage } of partitions) {
      // What was to be taken back has come to its end.
      if (errorCode === ErrorCode.NO_REASSIGNMENT_IN_PROGRESS) continue
      checkOutcome(errorCode, `partition ${name}-${partitionIndex}`, errorMessage)
    }
  }
}

/** Has the cluster forget a broker that is stopped. */
export async function unregisterBroker(client: Client, brokerId: number): Promise<void> {
  const answer = await client.request('controller', unregisterBrokerApi, { brokerId })
  checkOutcome(answer.errorCode, `broker ${brokerId}`, answer.errorMessage)
}

export type LogDir = ResponseOf<typeof describeLogDirsApi>['results'][number]

/** Log directories of one broker, with the size of every partition in them. */
export async function describeLogDirs(client: Client, brokerId: number): Promise<LogDir[]> {
  const answer = await client.request({ brokerId }, describeLogDirsApi, { topics: null })
  checkOutcome(answer.errorCode, `log directories of broker ${brokerId}`)
  return answer.results
}

export type ServedFeatures = ResponseOf<typeof apiVersions>

/** What a broker serves: APIs with their versions, and features. */
export async function describeApis(client: Client, brokerId: number): Promise<ServedFeatures> {
  const answer = await client.request({ brokerId }, apiVersions, {
    clientSoftwareName: 'lmq',
    clientSoftwareVersion: '0.1.0',
  })
  checkOutcome(answer.errorCode, `broker ${brokerId}`)
  return answer
}
