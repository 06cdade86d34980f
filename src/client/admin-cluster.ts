/** What tools ask about a cluster and its brokers. */
import { apiVersions } from '../protocol/apis/18-api-versions.ts'
import { describeLogDirs as describeLogDirsApi } from '../protocol/apis/35-describe-log-dirs.ts'
import { describeCluster as describeClusterApi } from '../protocol/apis/60-describe-cluster.ts'
import type { ResponseOf } from '../protocol/schema.ts'
import type { Client } from './client.ts'
import { checkOutcome } from './outcome-error.ts'

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
