// How long clients notice a fault: the longest time between two acknowledgements of an unmodified idempotent librdkafka
// producer with acks=all that sends one record each 10 ms. For the tests, which only hold it below generous ceilings, and
// for the benchmarks.
import { uniqueName } from '../compat/harness/waiting.ts'
import { type ClusterProcesses, startClusterProcesses } from './cluster-processes.ts'
import { pause } from './faults.ts'
import { Histories, longestGapMs } from './histories.ts'
import { type Network, startProxiedCluster } from './proxied-cluster.ts'

export const failovers = {
  leader: 'kill -9 of the leader',
  controller: 'kill -9 of the controller',
  both: 'kill -9 of a broker that is both',
  stop: 'graceful stop of the leader',
  'stop-both': 'graceful stop of a broker that is both',
  hang: 'SIGSTOP of the leader, client with request.timeout.ms=500',
  silent: 'network of the leader silent, client with request.timeout.ms=500',
  'consul-follower': 'kill -9 of a Consul server that follows',
  'consul-leader': 'kill -9 of the leader of Consul',
} as const

export type Failover = keyof typeof failovers

export type FailoverOutcome = {
  readonly gapMs: number
  /** The longest gap of the two seconds before the fault: what the machine does to everything. */
  readonly calmGapMs: number
  readonly acknowledged: number
  /** What reached the application. */
  readonly errors: readonly string[]
}

const settleMs = 3_000
/** librdkafka gives up a request to a broker that is silent after 60 s, and nobody else can tell it earlier. */
const impatient = { 'socket.timeout.ms': 500, 'request.timeout.ms': 500 }

/** Where a kind of fault can be made: only `silent` needs proxies, which cost the others a little time. */
export const needsProxies = (kind: Failover): boolean => kind === 'silent'

export type Place = { readonly cluster: ClusterProcesses; readonly network?: Network }

/** @returns undefined where there is no Consul */
export async function startPlace(
  kind: Failover,
): Promise<(Place & { remove(): Promise<void> }) | undefined> {
  if (needsProxies(kind)) {
    const network = await startProxiedCluster({}, true)
    return network && { cluster: network.cluster, network, remove: () => network.remove() }
  }
  const cluster = await startClusterProcesses()
  return cluster && { cluster, remove: () => cluster.remove() }
}

/**
 * Makes one fault under the eyes of one producer, and mends it.
 *
 * @param watchMs how long the producer goes on after the fault, and the longest gap that can be seen
 * @returns undefined where the client is missing
 */
export async function measureFailover(
  { cluster, network }: Place,
  kind: Failover,
  replicationFactor: number,
  watchMs = 5_000,
): Promise<FailoverOutcome | undefined> {
  const { topic, partition, victim } = await placed(cluster, kind, replicationFactor)
  const histories = new Histories(cluster.bootstrap)
  try {
    const started = await histories.start('confluent-kafka (Python)', {
      role: 'produce',
      topic,
      partitions: [partition],
      pauseMs: 10,
      ...((kind === 'hang' || kind === 'silent') && { settings: impatient }),
    })
    if (started === undefined) return undefined
    await pause(settleMs)
    const faultMs = Date.now()
    const mend = await make(cluster, kind, victim, network)
    await pause(watchMs)
    const endMs = Date.now()
    await mend()
    await histories.stop(started)
    await cluster.healed()
    const acknowledged = histories.acknowledgedMs()
    return {
      gapMs: longestGapMs(acknowledged, faultMs - 100, endMs),
      calmGapMs: longestGapMs(acknowledged, faultMs - 2_000, faultMs),
      acknowledged: acknowledged.length,
      errors: histories.errors,
    }
  } finally {
    await histories.remove()
  }
}

/** A topic that has a partition whose leader is the one that the fault is to hit. */
async function placed(cluster: ClusterProcesses, kind: Failover, replicationFactor: number) {
  const topic = uniqueName()
  const configs = new Map<string, string>()
  await cluster.createTopic({ name: topic, partitionCount: 3, replicationFactor, configs })
  const controller = await cluster.controller()
  const leadsToo = kind === 'both' || kind === 'stop-both'
  const states = await cluster.partitions(topic)
  const found = states.find(({ leader }) => (leader === controller) === leadsToo)
  if (!found) throw new Error(`no partition for ${kind}: ${JSON.stringify({ states, controller })}`)
  const victim = kind === 'controller' ? controller : found.leader
  return { topic, partition: found.partition, victim }
}

/** @returns what brings the process back */
async function make(
  cluster: ClusterProcesses,
  kind: Failover,
  victim: number,
  network: Network | undefined,
): Promise<() => Promise<void>> {
  switch (kind) {
    case 'leader':
    case 'controller':
    case 'both':
      await cluster.kill(victim)
      return () => cluster.start(victim)
    case 'stop':
    case 'stop-both': {
      const stopped = cluster.shutDown(victim)
      return async () => {
        await stopped
        await cluster.start(victim)
      }
    }
    case 'hang':
      cluster.pause(victim)
      return async () => cluster.resume(victim)
    case 'silent':
      network?.silence(victim)
      return async () => network?.heal()
    default: {
      const { consul } = cluster
      const leader = await consul.leader()
      const at = kind === 'consul-leader' ? leader : (leader + 1) % 3
      await consul.kill(at)
      return async () => {
        await consul.start(at)
        await consul.ready()
      }
    }
  }
}
