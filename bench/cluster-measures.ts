// The measures of a cluster of three brokers: replicated produce, latency, followers' lag, failover, the controller with
// thousands of partitions, and what a cluster costs while nobody asks for anything.
import type { ClusterProcesses } from '../test/cluster/cluster-processes.ts'
import type { Failover } from '../test/cluster/failover.ts'
import { type Batches, drive, type Figures, type Loaded, produce } from './load.ts'
import type { Figure, Measure } from './measures.ts'
import { cpuSecondsOf, type Pids } from './process-stat.ts'
import type { Target } from './target.ts'
import { MissingTool } from './toolbox.ts'

/** Three brokers that can be killed, stopped and started again; CPU time is that of all of them. */
export interface ClusterTarget extends Target {
  readonly cluster: ClusterProcesses
  /** Processes that a cluster needs beside its brokers. */
  readonly beside: Pids
}

type ClusterMeasure = Measure<ClusterTarget>

const lower = (key: string, label: string, ceiling?: number): Figure => ({
  key,
  label,
  better: 'lower',
  ceiling,
})
const higher = (key: string, label: string): Figure => ({ key, label, better: 'higher' })

const oneKb: Batches = { recordBytes: 1024, codec: 'none' }
/** Replicated records a second that keep a run near its time. */
const recordsPerSecond = 80_000
/** Of the end-to-end measure: three brokers must have time to spare on two cores. */
const endToEndRate = 500

/** Partitions that a controller has to do with. */
export const controllerTopics = { topics: 100, partitions: 100 }
const idleTopics = { topics: 10, partitions: 100 }
const idleSettleMs = 6_000

let topics = 0
const newTopic = (): string => `bench-${process.pid}-${++topics}`

async function withTopic(
  target: Loaded,
  partitions: number,
  replication: number,
  work: (topic: string) => Promise<Figures>,
): Promise<Figures> {
  const topic = newTopic()
  await drive('create-topic', target, { topic, partitions, replication })
  try {
    await drive('await-replicas', target, { topic, partitions })
    return await work(topic)
  } finally {
    await drive('delete-topic', target, { topic })
  }
}

function produceMeasure(name: string, producers: number, replication: number): ClusterMeasure {
  const who = producers === 1 ? '1 producer' : `${producers} producers`
  return {
    name,
    title: `produce 1 KB, acks=all, 3 partitions, RF ${replication}, ${who}`,
    figures: [higher('mbPerSecond', 'MB/s'), lower('cpuPerGb', 'CPU s/GB, all brokers')],
    run: (target, seconds) =>
      withTopic(target, 3, replication, (topic) =>
        produce(target, topic, Math.round(recordsPerSecond * seconds), oneKb, producers),
      ),
  }
}

function latencyMeasure(replication: number): ClusterMeasure {
  return {
    name: `one-at-a-time-rf${replication}`,
    title: `one record at a time, idempotent, acks=all, RF ${replication}`,
    warmUp: false,
    figures: [
      higher('perSecond', 'records/s'),
      lower('p50Ms', 'p50 ms'),
      lower('p99Ms', 'p99 ms'),
      lower('cpuPerMillion', 'CPU s/M records, all brokers'),
    ],
    run: (target, seconds) =>
      withTopic(target, 1, replication, (topic) =>
        drive('one-at-a-time', target, { topic, seconds, size: 1024 }),
      ),
  }
}

/** How far followers are behind while one producer sends all it can. */
async function followerLag(target: ClusterTarget, seconds: number): Promise<Figures> {
  return withTopic(target, 3, 3, async (topic) => {
    // The producer begins before the look at the logs and ends after it.
    const records = Math.round(recordsPerSecond * (seconds + 1))
    const produced = produce(target, topic, records, oneKb)
    const [lag] = await Promise.all([
      drive('follower-lag', target, { topic, seconds: seconds * 0.7 }),
      produced,
    ])
    return lag
  })
}

async function idle(target: ClusterTarget, seconds: number): Promise<Figures> {
  const topic = newTopic()
  await drive('create-many', target, { topic, ...idleTopics, replication: 3 })
  try {
    for (let index = 0; index < idleTopics.topics; index++) {
      await produce(target, `${topic}-${index}`, 5 * idleTopics.partitions, {
        ...oneKb,
        recordsPerBatch: 1,
      })
    }
    await drive('await-replicas', target, { topic, ...idleTopics })
    await pause(idleSettleMs)
    const [began, before, besideBefore] = [
      performance.now(),
      cpuOf(target.pid),
      cpuOf(target.beside),
    ]
    await pause(Math.max(5, 2 * seconds) * 1_000)
    const brokerSeconds = ((performance.now() - began) / 1_000) * target.cluster.brokerIds.length
    const percent = (from: number, to: number): number => ((to - from) / brokerSeconds) * 100
    return {
      percent: percent(before, cpuOf(target.pid)),
      withBeside: percent(before + besideBefore, cpuOf(target.pid) + cpuOf(target.beside)),
    }
  } finally {
    await drive('delete-many', target, { topic, ...idleTopics })
  }
}

function failoverMeasure(
  name: string,
  kind: Failover,
  title: string,
  most: number,
): ClusterMeasure {
  return {
    name,
    title,
    warmUp: false,
    mostRounds: 2,
    figures: [lower('gapMs', 'ms, longest gap between acknowledgements', most)],
    run: async (target) => {
      // Loaded only when it is wanted: it brings the tests' clients with it.
      const { measureFailover } = await import('../test/cluster/failover.ts')
      const watchMs = target.name === 'kafka' ? 18_000 : 5_000
      const outcome = await measureFailover(target, kind, 3, watchMs)
      if (!outcome) throw new MissingTool('Python is missing: no failover figures')
      return { gapMs: outcome.gapMs, errors: outcome.errors.length }
    },
  }
}

/** Thousands of partitions: made, led by others when a broker dies, and in sync when it is back. */
async function controller(target: ClusterTarget): Promise<Figures> {
  const { cluster } = target
  const many = { topic: newTopic(), ...controllerTopics }
  const created = await drive('create-many', target, { ...many, replication: 2 })
  await drive('await-replicas', target, many)
  const controllerId = await cluster.controller()
  const victim = cluster.brokerIds.find((id) => id !== controllerId) ?? 1
  const others = cluster.brokerIds.filter((id) => id !== victim)
  const left: Loaded = {
    bootstrap: others.map((id) => cluster.broker(id).bootstrap).join(','),
    pid: others.map((id) => cluster.broker(id).pid),
  }
  const killedAt = now()
  await cluster.kill(victim)
  const led = await drive('await-leaders', left, { ...many, without: victim, since: killedAt })
  const startedAt = now()
  await cluster.start(victim)
  const whole = await drive('await-replicas', target, { ...many, since: startedAt })
  await drive('delete-many', target, many)
  return {
    createMs: created['ms'] ?? 0,
    createCpu: created['cpuSeconds'] ?? 0,
    deathMs: led['ms'] ?? 0,
    restartMs: whole['ms'] ?? 0,
  }
}

export const clusterMeasures: readonly ClusterMeasure[] = [
  produceMeasure('produce-rf2', 1, 2),
  produceMeasure('produce-rf3', 1, 3),
  produceMeasure('produce-rf3-3', 3, 3),
  latencyMeasure(2),
  latencyMeasure(3),
  {
    name: 'end-to-end-rf3',
    title: `end to end at ${endToEndRate} records/s, RF 3`,
    warmUp: false,
    figures: [
      lower('p50Ms', 'p50 ms'),
      lower('p99Ms', 'p99 ms'),
      lower('cpuPerMillion', 'CPU s/M records, all brokers'),
    ],
    run: (target, seconds) =>
      withTopic(target, 1, 3, (topic) =>
        drive('end-to-end', target, { topic, seconds, rate: endToEndRate }),
      ),
  },
  {
    name: 'follower-lag',
    title: 'followers while one producer sends all it can, RF 3',
    warmUp: false,
    figures: [
      lower('lagP50Ms', 'ms behind, p50'),
      lower('lagMaxMs', 'ms behind, most'),
      lower('lagMaxRecords', 'records behind, most'),
    ],
    run: followerLag,
  },
  {
    name: 'idle',
    title: `idle, ${idleTopics.topics * idleTopics.partitions} partitions on each broker`,
    warmUp: false,
    mostRounds: 1,
    figures: [
      lower('percent', '% of a core for each broker', 2),
      lower('withBeside', 'the same, Consul included'),
    ],
    run: idle,
  },
  failoverMeasure('kill-leader', 'leader', 'kill -9 of a leader', 500),
  failoverMeasure(
    'stop-controller',
    'stop-both',
    'SIGTERM of a leader that is the controller',
    100,
  ),
  {
    name: 'controller',
    title: `${(controllerTopics.topics * controllerTopics.partitions).toLocaleString('en-US')} partitions, RF 2`,
    warmUp: false,
    mostRounds: 1,
    figures: [
      lower('createMs', 'ms until all are created and led'),
      lower('createCpu', 'CPU s of that, all brokers'),
      lower('deathMs', 'ms from kill -9 of a broker until all are led by others'),
      lower('restartMs', 'ms from its restart until all replicas are in sync'),
    ],
    run: controller,
  },
]

const cpuOf = (pids: Pids): number => cpuSecondsOf(pids) ?? 0
const now = (): number => performance.timeOrigin + performance.now()
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
