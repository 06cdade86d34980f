// One life of a cluster: brokers, clients, faults, and a verdict.
import { createTopic } from '../../src/client/admin-topics.ts'
import type { Partition } from '../../src/cluster/partition.ts'
import { baseOffsetOf, batchSizeOf, lastOffsetDeltaOf } from '../../src/protocol/record-batch.ts'
import { type Anomaly, checkHistory, type HistoryEvent } from '../checker/history-checker.ts'
import { SimAdmin } from './sim-admin.ts'
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
import type { SimDisk } from './sim-disk.ts'
import { Nemesis, type Profile } from './sim-nemesis.ts'
import { SimRandom } from './sim-random.ts'

export type Life = {
  readonly seed: number
  readonly failure: string | undefined
  readonly anomalies: readonly Anomaly[]
  readonly story: readonly string[]
  readonly simulatedMs: number
  readonly acknowledged: number
  readonly polled: number
  /** How often a follower gave records to a client. */
  readonly followerReads: number
  readonly events: number
  readonly faults: ReadonlyMap<string, number>
}

export type LifeOptions = {
  readonly rounds?: number
  readonly profile?: Profile
  /** Brokers have racks, and so have clients, which read from the closest replica; other lives stay as they are. */
  readonly racks?: readonly string[]
}

const RACK_AWARE = { 'replica.selector.class': 'RackAwareReplicaSelector' }
const PROFILES: readonly Profile[] = ['single', 'single', 'overlapping', 'durable']
const LOOK_EVERY_MS = 20
const LOOK_AT_IMAGES_EVERY_MS = 1_000
const READ_ALL_MS = 60_000
/** Within which a leader knows that it leads, when all is well. */
const KNOWN_MS = 10_000
/** More simulated time than any life takes. */
const TOO_LONG_MS = 3_600_000

export async function live(seed: number, options: LifeOptions = {}): Promise<Life> {
  const profile = options.profile ?? (PROFILES[seed % PROFILES.length] as Profile)
  const { racks = [] } = options
  const brokers = seed % 5 === 4 ? 5 : 3
  const cluster = new SimCluster(seed, {
    brokers,
    clocksApartMs: seed % 5 === 0 ? 3_600_000 : 0,
    disks: seed % 3 === 1 ? 2 : 1,
    settings: { ...settingsOf(profile, brokers), ...(racks.length > 0 ? RACK_AWARE : {}) },
    racks,
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
      // What they do is thrown with dice of their own: the seed's other chances stay where they are.
      await story(cluster, nemesis, history, { racks, dice: new SimRandom(-seed) })
      const verdict = checkHistory(history, { highWatermarks: cluster.observer.ends })
      anomalies = verdict.anomalies
      seen = verdict
      cluster.observer.check()
      await checkReplicas(cluster)
      await checkFolders(cluster)
    })
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const [crash] = crashes
  if (crash !== undefined) failure ??= `nobody expected: ${(crash as Error).stack ?? crash}`
  cluster.end()
  process.off('unhandledRejection', onCrash)
  const { story: told, nowMs, scheduler, observer } = cluster
  const { followerReads } = observer
  const { counts: faults } = nemesis
  return {
    ...{ seed, failure, anomalies, story: told, simulatedMs: nowMs, events: scheduler.steps },
    ...{ acknowledged: seen.acknowledged, polled: seen.polled, followerReads, faults },
  }
}

/** For who reads that it failed. */
export function told({ seed, failure, anomalies, story }: Life): string {
  const found = anomalies.slice(0, 5).map(({ kind, what }) => `${kind}: ${what}`)
  const last = story.slice(-40)
  return [`seed ${seed}: ${failure ?? ''}`, ...found, ...last].join('\n')
}

function settingsOf(profile: Profile, brokers: number): Record<string, string> {
  const factor = profile === 'single' && brokers === 3 ? '2' : '3'
  const common = {
    'replica.lag.time.max.ms': '4000',
    'log.segment.delete.delay.ms': '1000',
    'auto.create.topics.enable': 'false',
    'leader.imbalance.check.interval.seconds': '5',
    'default.replication.factor': factor,
    'offsets.topic.replication.factor': factor,
  }
  if (profile === 'single') return common
  const safe = { ...common, 'min.insync.replicas': '2' }
  return profile === 'overlapping' ? safe : { ...safe, 'log.flush.interval.messages': '1' }
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

/** Who reads from the closest replica. */
type Near = { readonly racks: readonly string[]; readonly dice: SimRandom }

const rackOf = ({ racks, dice }: Near): string | undefined =>
  racks.length > 0 && dice.chance(0.7) ? dice.pick(racks) : undefined

async function story(
  cluster: SimCluster,
  nemesis: Nemesis,
  history: HistoryEvent[],
  near: Near,
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
    replicationFactor: -1,
    configs: new Map(),
  })
  const recorder: Recorder = { cluster, random, history, topic, isOver: false }
  const producers = [
    new SimProducer(recorder, 'p1', { acks: -1, idempotent: true }, 100),
    new SimProducer(recorder, 'p2', { acks: -1, idempotent: true }, 300),
  ]
  if (random.chance(0.3)) {
    const acks = random.pick([-1, 0, 1] as const)
    producers.push(new SimProducer(recorder, 'p3', { acks, idempotent: false }, 200))
  }
  const members = ['m1', 'm2'].map((name) => new SimMember(recorder, name, 'g', rackOf(near)))
  const admin = new SimAdmin(recorder)
  const actors = [
    ...producers,
    ...(random.chance(0.5) ? members : []),
    ...(random.chance(0.5) ? [admin] : []),
  ]
  for (const actor of actors) void actor.run()
  void new SimReader(recorder, 'r1', random.int(200)).run(() => recorder.isOver)
  for (const rack of near.racks) {
    const reader = new SimReader(recorder, `near-${rack}`, near.dice.int(200), rack)
    void reader.run(() => recorder.isOver)
  }
  await nemesis.run()
  recorder.isOver = true
  const over = await cluster.until(() => actors.every(({ isDone }) => isDone), 120_000)
  if (!over) throw new Error('clients do not come to an end though all is well')
  await nemesis.recovered()
  await readAll(cluster, recorder, ['', ...near.racks])
  // A broker that was made the leader may not know yet: after an outage its watch of the store pauses.
  await cluster.until(() => admin.missing() === undefined, KNOWN_MS)
  const missing = admin.missing()
  if (missing !== undefined) throw new Error(missing)
  for (const [action, count] of admin.counts) nemesis.counts.set(`admin ${action}`, count)
}

/** Somebody who was not there reads everything, from each of these racks. */
async function readAll(
  cluster: SimCluster,
  recorder: Recorder,
  racks: readonly string[],
): Promise<void> {
  const ends = await endsOf(cluster, recorder.topic)
  const hasAll = ({ positions }: SimReader) =>
    ends.every((end, partition) => (positions.get(partition) ?? 0) >= end)
  for (const rack of racks) {
    const reader = new SimReader(recorder, rack === '' ? 'last' : `last-${rack}`, 0, rack)
    void reader.run(hasAll)
    if (await cluster.until(() => reader.isDone, READ_ALL_MS)) continue
    throw new Error(`${reader.name} read up to ${[...reader.positions.values()]}, not to ${ends}`)
  }
}

/** All replicas hold the same, epoch by epoch, from where the last of them begins. */
async function checkReplicas(cluster: SimCluster): Promise<void> {
  // A topic may have been made a moment ago, in place of one of that name, and not everybody has heard of it.
  const isQuiet = () =>
    cluster.observer.isCurrent &&
    [...replicasOf(cluster).values()].every(
      (replicas) => new Set(replicas.map(({ replica }) => replica.logEndOffset)).size === 1,
    )
  if (!(await cluster.until(isQuiet, 30_000))) throw new Error('followers do not catch up')
  for (const [name, replicas] of replicasOf(cluster)) {
    const start = Math.max(...replicas.map(({ replica }) => replica.logStartOffset))
    const [first, ...others] = replicas.map(({ id, replica }) => ({
      id,
      content: batchesFrom(start, cluster.host(id).disk, replica.log.folder),
    }))
    for (const { id, content } of others) {
      if (!first || content.equals(first.content)) continue
      throw new Error(`${name} differs on brokers ${first.id} and ${id}`)
    }
  }
}

/** By `topic-partition`. */
function replicasOf(
  cluster: SimCluster,
): Map<string, { readonly id: number; readonly replica: Partition }[]> {
  const known = new Map<string, { readonly id: number; readonly replica: Partition }[]>()
  for (const id of cluster.brokerIds) {
    for (const replica of cluster.observer.partitionsOf(id)) {
      const name = `${replica.topic}-${replica.partitionIndex}`
      const others = known.get(name)
      if (others) others.push({ id, replica })
      else known.set(name, [{ id, replica }])
    }
  }
  return known
}

/** The bytes of all batches of a log that hold something at or above `start`. */
function batchesFrom(start: number, disk: SimDisk, folder: string): Buffer {
  const isSegment = (path: string) => path.startsWith(`${folder}/`) && path.endsWith('.log')
  const content = Buffer.concat(
    disk
      .paths()
      .filter(isSegment)
      .map((path) => disk.readFileSync(path)),
  )
  let at = 0
  while (
    at < content.length &&
    baseOffsetOf(content, at) + lastOffsetDeltaOf(content, at) < start
  ) {
    at += batchSizeOf(content, at)
  }
  return content.subarray(at)
}

/** In a while no broker has folders but of what it is to have. */
async function checkFolders(cluster: SimCluster): Promise<void> {
  const strays = () => {
    const { image } = cluster.observer
    return cluster.brokerIds.flatMap((id) => {
      const { disk } = cluster.host(id)
      const folders = cluster.dataDirs.flatMap((path) => disk.listSync(path))
      const isWanted = (name: string) => {
        const [, topic = '', index] = /^(.*)-(\d+)$/.exec(name) ?? []
        return image?.partition(topic, Number(index))?.replicas.includes(id) ?? false
      }
      return folders
        .filter(({ name, isFolder }) => isFolder && name !== 'lmq-metadata' && !isWanted(name))
        .map(({ name }) => `${id}: ${name}`)
    })
  }
  if (await cluster.until(() => strays().length === 0, 30_000)) return
  throw new Error(`folders stay behind: ${strays().join(', ')}`)
}
