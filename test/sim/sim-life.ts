// One life of a cluster: brokers, clients, faults, and a verdict.
import { createTopic } from '../../src/client/admin-topics.ts'
import { type Anomaly, checkHistory, type HistoryEvent } from '../checker/history-checker.ts'
import {
  adminOf,
  endsOf,
  type Recorder,
  SimMember,
  SimProducer,
  SimReader,
  type Topic,
} from './sim-clients.ts'
import { SimCluster } from './sim-cluster.ts'
import { Nemesis, type Profile } from './sim-nemesis.ts'

export type Life = {
  readonly seed: number
  readonly failure: string | undefined
  readonly anomalies: readonly Anomaly[]
  readonly story: readonly string[]
  readonly simulatedMs: number
  readonly acknowledged: number
  readonly polled: number
  readonly events: number
  readonly faults: ReadonlyMap<string, number>
}

export type LifeOptions = { readonly rounds?: number; readonly profile?: Profile }

const PROFILES: readonly Profile[] = ['single', 'single', 'overlapping', 'durable']
const LOOK_EVERY_MS = 20
const LOOK_AT_IMAGES_EVERY_MS = 1_000
const READ_ALL_MS = 60_000
/** More simulated time than any life takes. */
const TOO_LONG_MS = 3_600_000

export async function live(seed: number, options: LifeOptions = {}): Promise<Life> {
  const profile = options.profile ?? (PROFILES[seed % PROFILES.length] as Profile)
  const cluster = new SimCluster(seed, {
    brokers: 3,
    clocksApartMs: seed % 5 === 0 ? 3_600_000 : 0,
    settings: settingsOf(profile),
  })
  const history: HistoryEvent[] = []
  const { random } = cluster
  const nemesis = new Nemesis(cluster, random, {
    profile,
    rounds: options.rounds ?? 2,
    withConsul: seed % 3 !== 0,
  })
  let failure: string | undefined
  let anomalies: readonly Anomaly[] = []
  let seen = { acknowledged: 0, polled: 0 }
  const crashes: unknown[] = []
  const onCrash = (error: unknown) => crashes.push(error)
  process.on('unhandledRejection', onCrash)
  try {
    await cluster.scheduler.run(async () => {
      look(cluster)
      await story(cluster, nemesis, history, profile)
      const verdict = checkHistory(history, { highWatermarks: cluster.observer.ends })
      anomalies = verdict.anomalies
      seen = verdict
      cluster.observer.check()
      checkReplicas(cluster)
    })
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const [crash] = crashes
  if (crash !== undefined) failure ??= `nobody expected: ${(crash as Error).stack ?? crash}`
  cluster.end()
  process.off('unhandledRejection', onCrash)
  const { story: told, nowMs, scheduler } = cluster
  const { counts: faults } = nemesis
  return {
    ...{ seed, failure, anomalies, story: told, simulatedMs: nowMs, events: scheduler.steps },
    ...{ acknowledged: seen.acknowledged, polled: seen.polled, faults },
  }
}

function settingsOf(profile: Profile): Record<string, string> {
  const safe = { 'default.replication.factor': '3', 'min.insync.replicas': '2' }
  const common = {
    'replica.lag.time.max.ms': '4000',
    'offsets.topic.replication.factor': profile === 'single' ? '2' : '3',
  }
  if (profile === 'single') return { ...common, 'default.replication.factor': '2' }
  if (profile === 'overlapping') return { ...common, ...safe }
  return { ...common, ...safe, 'log.flush.interval.messages': '1' }
}

/** Looks at all brokers again and again; the first thing that must not be ends the simulation. */
function look(cluster: SimCluster): void {
  const { scheduler, observer } = cluster
  let nextImagesMs = 0
  const again = () => {
    observer.look()
    if (cluster.nowMs >= nextImagesMs) {
      observer.lookAtImages()
      nextImagesMs = cluster.nowMs + LOOK_AT_IMAGES_EVERY_MS
    }
    observer.check()
    if (cluster.nowMs > TOO_LONG_MS) throw new Error('it takes too long')
    scheduler.schedule(LOOK_EVERY_MS, again)
  }
  again()
}

async function story(
  cluster: SimCluster,
  nemesis: Nemesis,
  history: HistoryEvent[],
  profile: Profile,
): Promise<void> {
  const { random } = cluster
  const topic: Topic = { name: 'orders', partitions: 2 }
  for (const id of cluster.brokerIds) cluster.start(id)
  const started = await cluster.until(
    () => cluster.running.length === cluster.brokerIds.length,
    60_000,
  )
  if (!started) throw new Error(`only brokers ${cluster.running} started`)
  await createTopic(adminOf(cluster), {
    name: topic.name,
    partitionCount: topic.partitions,
    replicationFactor: profile === 'single' ? 2 : 3,
    configs: new Map(),
  })
  const recorder: Recorder = { cluster, random, history, topic, isOver: false }
  const producers = [
    new SimProducer(recorder, 'p1', { acks: -1, idempotent: true }, 60),
    new SimProducer(recorder, 'p2', { acks: -1, idempotent: true }, 200),
  ]
  if (random.chance(0.3)) {
    const acks = random.pick([-1, 0, 1] as const)
    producers.push(new SimProducer(recorder, 'p3', { acks, idempotent: false }, 200))
  }
  const members = [new SimMember(recorder, 'm1', 'g'), new SimMember(recorder, 'm2', 'g')]
  const actors = [...producers, ...(random.chance(0.5) ? members : [])]
  for (const actor of actors) void actor.run()
  void new SimReader(recorder, 'r1').run(() => recorder.isOver)
  await nemesis.run()
  recorder.isOver = true
  const over = await cluster.until(() => actors.every(({ isDone }) => isDone), 120_000)
  if (!over) throw new Error('clients do not come to an end though all is well')
  await nemesis.recovered()
  await readAll(cluster, recorder)
}

/** Somebody who was not there reads everything. */
async function readAll(cluster: SimCluster, recorder: Recorder): Promise<void> {
  const ends = await endsOf(cluster, recorder.topic)
  const reader = new SimReader(recorder, 'last')
  const hasAll = ({ positions }: SimReader) =>
    ends.every((end, partition) => (positions.get(partition) ?? 0) >= end)
  void reader.run(hasAll)
  if (await cluster.until(() => reader.isDone, READ_ALL_MS)) return
  throw new Error(`read up to ${[...reader.positions.values()]}, not to ${ends}`)
}

/** All replicas hold the same, epoch by epoch. */
function checkReplicas(cluster: SimCluster): void {
  const known = new Map<string, { readonly id: number; readonly content: string }>()
  for (const id of cluster.brokerIds) {
    for (const { topic, partitionIndex, log } of cluster.observer.partitionsOf(id)) {
      const bytes: Buffer[] = []
      for (const path of cluster.host(id).disk.paths()) {
        const isSegment = path.startsWith(`/data/${topic}-${partitionIndex}/`)
        if (isSegment && path.endsWith('.log')) bytes.push(cluster.host(id).disk.readFileSync(path))
      }
      const content = Buffer.concat(bytes).toString('base64')
      const name = `${topic}-${partitionIndex}`
      const other = known.get(name)
      if (!other) known.set(name, { id, content })
      else if (other.content !== content && log.writtenEndOffset === log.logEndOffset) {
        throw new Error(`${name} differs on brokers ${other.id} and ${id}`)
      }
    }
  }
}
