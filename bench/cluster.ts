// Three LMQ brokers on three Consul servers, and three Apache Kafka brokers, each as one target of the bench.
import { cpus } from 'node:os'
import { startClusterProcesses } from '../test/cluster/cluster-processes.ts'
import type { ClusterTarget } from './cluster-measures.ts'
import { startKafkaCluster } from './kafka-cluster.ts'
import { lmqLabel, lmqProgram } from './target.ts'
import { MissingTool } from './toolbox.ts'

/** @param name `lmq` or `kafka` */
export async function openCluster(name: string): Promise<ClusterTarget> {
  if (name === 'lmq') return lmqCluster()
  if (name === 'kafka') return kafkaCluster()
  throw new Error(`not a cluster that the bench can start: ${name} (lmq, kafka)`)
}

async function lmqCluster(): Promise<ClusterTarget> {
  process.env['LMQ_PROGRAM'] = lmqProgram()
  const cluster = await startClusterProcesses()
  if (!cluster) throw new MissingTool('consul is missing: no cluster of LMQ')
  const around = { name: 'lmq', label: `3 x ${await lmqLabel()}` }
  return targetOf(around, cluster, () => cluster.consul.pids)
}

async function kafkaCluster(): Promise<ClusterTarget> {
  const { cluster, label } = await startKafkaCluster()
  return targetOf({ name: 'kafka', label: `3 x ${label}` }, cluster, () => [])
}

function targetOf(
  { name, label }: { readonly name: string; readonly label: string },
  cluster: ClusterTarget['cluster'],
  beside: () => readonly number[],
): ClusterTarget {
  return {
    name,
    label,
    cluster,
    starter: undefined,
    bootstrap: cluster.bootstrap,
    get pid() {
      return cluster.brokerIds.map((id) => cluster.broker(id).pid)
    },
    get beside() {
      return beside()
    },
    close: () => cluster.remove(),
  }
}

export const clusterFlushMode = `no fsync per batch on either side: an acknowledged record is in the page caches of the in-sync replicas (acks=all); brokers, Consul and load share ${cpus().length} cores`
