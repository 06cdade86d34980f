// What thousands of partitions and connections cost one broker: a fresh broker for each point, the same load on all, in
// one run. The load is one record a request from eight senders, so that nothing but the number of partitions and
// connections differs.
import { rmSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { drive, type Figures, type Loaded } from './load.ts'
import { openFilesLimit, openFilesOf, residentMbOf } from './process-stat.ts'
import { describeMachine } from './report.ts'
import { median } from './run.ts'
import { freePort, launch, lmqStarter, reachable, type Starter, stop } from './target.ts'

export interface PartitionPoint {
  readonly topics: number
  readonly partitions: number
  /** Creation, until all are led. */
  readonly createMs: number
  /** From SIGTERM to the exit, every partition having been written to since the start. */
  readonly stopMs: number
  /** From exec after that stop to the first acknowledged record. */
  readonly startMs: number
  readonly startCpuMs: number
  readonly residentMB: number
  readonly metadataMs: number
  readonly metadataBytes: number
  /** Records that all go to the same eight partitions. */
  readonly cpuPerMillion: number
  /** Records that go to all partitions in turn. */
  readonly cpuPerMillionSpread: number
  /** After all of that. */
  readonly openFiles: number
}

export interface ConnectionPoint {
  readonly connections: number
  readonly openMs: number
  readonly cpuPerMillion: number
  readonly residentMB: number
}

export interface ManyResults {
  readonly kind: 'many'
  readonly takenAt: string
  readonly machine: string
  readonly loadBefore: number
  readonly label: string
  /** Where the data lay. */
  readonly disk: string
  readonly partitions: readonly PartitionPoint[]
  readonly connections: readonly ConnectionPoint[]
}

/** Topics and partitions of each; the first point is what the others are compared with. */
const partitionPoints = [
  [1, 50],
  [20, 50],
  [100, 50],
  [10_000, 1],
  [1_000, 50],
] as const
const connectionPoints = [10, 100, 1_000, 5_000, 10_000] as const

const few = { topic: 'few', topics: 1, partitions: 8 }
const warmRequests = 15_000
const requests = 25_000
const runs = 3
const settleMs = 2_500
/** Files that a broker holds open besides its connections: its logs' (`lmq.open.files`) and its own. */
const filesBeside = 4_200

/**
 * @param most partitions and connections beyond which no point is taken
 * @param folder where the data goes; undefined: memory (tmpfs) where there is one, because what a disk takes for
 * hundreds of thousands of small files is none of the broker's doing
 */
export async function measureMany(
  most: number,
  folder: string | undefined,
  loadBefore: number,
): Promise<ManyResults> {
  const { starter, label } = await lmqStarter()
  const place = folder ?? ((await isFolder('/dev/shm')) ? '/dev/shm' : tmpdir())
  const partitions: PartitionPoint[] = []
  for (const [topics, each] of partitionPoints) {
    if (topics * each > most) continue
    process.stderr.write(`${topics * each} partitions in ${topics} topics ...\n`)
    partitions.push(
      await withBroker(starter, place, (broker) => partitionPoint(broker, topics, each)),
    )
  }
  const connections: ConnectionPoint[] = []
  const limit = openFilesLimit() ?? Number.POSITIVE_INFINITY
  for (const count of connectionPoints) {
    if (count > most) continue
    if (count + filesBeside > limit) {
      process.stderr.write(`no ${count} connections: ulimit -n is ${limit}\n`)
      continue
    }
    process.stderr.write(`${count} connections ...\n`)
    connections.push(await withBroker(starter, place, (broker) => connectionPoint(broker, count)))
  }
  const disk = place === '/dev/shm' ? 'data in memory (tmpfs)' : `data in ${place}`
  const machine = describeMachine()
  const takenAt = new Date().toISOString()
  return { kind: 'many', takenAt, machine, loadBefore, label, disk, partitions, connections }
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (facts) => facts.isDirectory(),
    () => false,
  )

/** A broker that can be stopped and started again on its data. */
interface Restartable {
  readonly loaded: Loaded
  readonly pid: number
  stop(): Promise<number>
  /** @returns when it was executed, in milliseconds since 1970 */
  start(): Promise<number>
}

async function withBroker<T>(
  starter: Starter,
  place: string,
  work: (broker: Restartable) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(place, 'lmq-bench-many-'))
  const port = await freePort()
  await starter.prepare(port, folder)
  let child = launch(starter.command(port, folder))
  const kill = () => child.kill('SIGKILL')
  const orphaned = () => {
    kill()
    rmSync(folder, { recursive: true, force: true })
  }
  process.once('exit', orphaned)
  try {
    await reachable(port, child)
    return await work({
      get pid() {
        return child.pid ?? 0
      },
      get loaded() {
        return { bootstrap: `127.0.0.1:${port}`, pid: child.pid }
      },
      stop: async () => {
        const began = performance.now()
        await stop(child, 120_000)
        return performance.now() - began
      },
      start: async () => {
        const since = performance.timeOrigin + performance.now()
        child = launch(starter.command(port, folder))
        return since
      },
    })
  } finally {
    kill()
    process.off('exit', orphaned)
    await rm(folder, { recursive: true, force: true })
  }
}

async function partitionPoint(
  broker: Restartable,
  topics: number,
  each: number,
): Promise<PartitionPoint> {
  const many = { topic: 'many', topics, partitions: each }
  await drive('create-many', broker.loaded, few)
  const created = await drive('create-many', broker.loaded, many)
  // A partition that was never written to has no files.
  await drive('spread', broker.loaded, { ...many, connections: 8, count: topics * each })
  const stopMs = await broker.stop()
  const since = await broker.start()
  const started = await drive('first-record', broker.loaded, { topic: many.topic, since })
  await drive('await-leaders', broker.loaded, many)
  await pause(settleMs)
  const residentMB = residentMbOf(broker.pid) ?? 0
  const fewCost = await cost(broker, { ...few, connections: 8 })
  const spreadCost = await cost(broker, { ...many, connections: 8 })
  const metadata = await drive('metadata', broker.loaded, { count: 9 })
  return {
    topics,
    partitions: topics * each,
    createMs: of(created, 'ms'),
    stopMs,
    startMs: of(started, 'ms'),
    startCpuMs: of(started, 'cpuMs'),
    residentMB,
    metadataMs: of(metadata, 'ms'),
    metadataBytes: of(metadata, 'bytes'),
    cpuPerMillion: of(fewCost, 'cpuPerMillion'),
    cpuPerMillionSpread: of(spreadCost, 'cpuPerMillion'),
    openFiles: openFilesOf(broker.pid) ?? 0,
  }
}

async function connectionPoint(broker: Restartable, connections: number): Promise<ConnectionPoint> {
  await drive('create-many', broker.loaded, few)
  // The senders of all points are warm alike before the memory is looked at.
  await drive('spread', broker.loaded, { ...few, connections: 8, count: warmRequests })
  const load = { ...few, connections, warm: warmRequests, count: requests }
  const open = await drive('spread', broker.loaded, { ...load, seconds: settleMs / 1_000 })
  const costs = await cost(broker, { ...few, connections })
  return {
    connections,
    openMs: of(open, 'openMs'),
    cpuPerMillion: of(costs, 'cpuPerMillion'),
    residentMB: of(open, 'residentMB'),
  }
}

/** Every connection and every partition has had its first request before the measure: that one costs more. */
type Load = { topic: string; topics: number; partitions: number; connections: number }

/** The median over a few runs. */
async function cost(broker: Restartable, load: Load): Promise<Figures> {
  const taken: number[] = []
  const first = Math.max(load.connections, load.topics * load.partitions)
  for (let run = 0; run < runs; run++) {
    const warm = first + (run === 0 ? warmRequests : 1_000)
    const found = await drive('spread', broker.loaded, { ...load, warm, count: requests })
    taken.push(of(found, 'cpuPerMillion'))
  }
  return { cpuPerMillion: median(taken) }
}

const of = (figures: Figures, key: string): number => figures[key] ?? 0

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
