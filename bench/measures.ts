// The table of measures: what each does, which figures it gives, and which ratio to Apache Kafka is the goal.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Batches, consume, drive, type Figures, produce } from './load.ts'
import { freePort, type Target } from './target.ts'

export interface Figure {
  readonly key: string
  readonly label: string
  readonly better: 'higher' | 'lower'
  /** The ratio to the yardstick that is the goal: at least that when higher is better, at most when lower is. */
  readonly goal?: number | undefined
  /** A goal that needs no yardstick: at most this. */
  readonly ceiling?: number | undefined
}

export interface Measure<T extends Target = Target> {
  readonly name: string
  readonly title: string
  readonly figures: readonly Figure[]
  /** False: the measure is of something cold, or its first run is no slower than the next. */
  readonly warmUp?: boolean
  /**
   * About what a broker writes to files. As much memory is touched right before: the host takes back what a virtual machine
   * does not use, and who is measured while it comes again measures the host (a plain copy to a file: 0.5 or 4 GB/s).
   */
  readonly writesGbPerSecond?: number
  /** For what takes long: not more rounds than that. */
  readonly mostRounds?: number
  /** Makes the topic that all rounds share, outside the measure; it is handed to `run` and `clean`. */
  prepare?(target: T, seconds: number): Promise<string>
  run(target: T, seconds: number, topic: string): Promise<Figures>
  clean?(target: T, topic: string): Promise<void>
}

const lower = (key: string, label: string, goal?: number): Figure => ({
  key,
  label,
  better: 'lower',
  goal,
})
const rate = (goal?: number): Figure => ({
  key: 'mbPerSecond',
  label: 'MB/s',
  better: 'higher',
  goal,
})
const recordRate = (goal?: number): Figure => ({
  key: 'perSecond',
  label: 'records/s',
  better: 'higher',
  goal,
})
const cpuPerGb = (goal?: number): Figure => lower('cpuPerGb', 'broker CPU s/GB', goal)
const cpuPerMillion = (goal?: number): Figure =>
  lower('cpuPerMillion', 'broker CPU s/M records', goal)

let topics = 0
const newTopic = (): string => `bench-${process.pid}-${++topics}`

async function withTopic(
  target: Target,
  partitions: number,
  work: (topic: string) => Promise<Figures>,
): Promise<Figures> {
  const topic = newTopic()
  await drive('create-topic', target, { topic, partitions })
  try {
    return await work(topic)
  } finally {
    await drive('delete-topic', target, { topic })
  }
}

/** How many records keep a measure busy for about `seconds` on two 2020s cores; the count is what bounds the run. */
function recordsFor(batches: Batches, seconds: number): number {
  const bytesPerSecond = batches.codec === 'lz4' ? 600e6 : 350e6
  const perSecond = Math.min(bytesPerSecond / batches.recordBytes, 1_200_000)
  const share = batches.recordsPerBatch ? 0.4 : 1
  return Math.max(10_000, Math.round(perSecond * seconds * share))
}

function produceMeasure(
  name: string,
  title: string,
  partitions: number,
  batches: Batches,
  figures: readonly Figure[],
): Measure {
  return {
    name,
    title,
    figures,
    writesGbPerSecond: batches.codec === 'lz4' || batches.recordsPerBatch ? 0 : 0.5,
    run: (target, seconds) =>
      withTopic(target, partitions, (topic) =>
        produce(target, topic, recordsFor(batches, seconds), batches),
      ),
  }
}

interface ConsumeOptions {
  readonly partitions: number
  readonly batches: Batches
  /** Drop the topic's files from the page cache before each run. */
  readonly cold?: boolean
}

function consumeMeasure(
  name: string,
  title: string,
  { partitions, batches, cold }: ConsumeOptions,
  figures: readonly Figure[],
): Measure {
  return {
    name,
    title,
    figures,
    prepare: async (target, seconds) => {
      const topic = newTopic()
      await drive('create-topic', target, { topic, partitions })
      await produce(target, topic, recordsFor(batches, seconds), batches)
      return topic
    },
    run: async (target, seconds, topic) => {
      if (cold) await drive('evict', target, { topic })
      const records = recordsFor(batches, seconds)
      return consume(target, topic, partitions, records, batches.recordBytes)
    },
    clean: async (target, topic) => {
      await drive('delete-topic', target, { topic })
    },
  }
}

/** Produces and consumes at the same time: the consumer reads what was appended a moment ago. */
async function tail(target: Target, seconds: number, batches: Batches): Promise<Figures> {
  const records = recordsFor(batches, seconds)
  return withTopic(target, 1, async (topic) => {
    const consumed = consume(target, topic, 1, records, batches.recordBytes)
    const produced = produce(target, topic, records, batches)
    const [figures] = await Promise.all([consumed, produced])
    return figures
  })
}

async function start(target: Target, seconds: number): Promise<Figures> {
  if (!target.starter) return {}
  const folder = await mkdtemp(join(tmpdir(), 'lmq-bench-start-'))
  try {
    const port = await freePort()
    await target.starter.prepare(port, folder)
    const command = JSON.stringify(target.starter.command(port, folder))
    const other: Target = { ...target, bootstrap: `127.0.0.1:${port}` }
    return await drive('start', other, { command, topic: newTopic(), seconds: 2 * seconds })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const oneKb = (codec: 'none' | 'lz4' = 'none'): Batches => ({ recordBytes: 1024, codec })
const smallRecords = (codec: 'none' | 'lz4' = 'none'): Batches => ({ recordBytes: 100, codec })
const tenPerBatch = (recordBytes: number): Batches => ({
  recordBytes,
  codec: 'none',
  recordsPerBatch: 10,
})

export const measures: readonly Measure[] = [
  {
    name: 'start',
    title: 'start, then idle',
    warmUp: false,
    figures: [
      lower('firstRecordMs', 'ms from exec to first acknowledged record', 1 / 12),
      lower('startCpuMs', 'CPU ms until then'),
      lower('idleMB', 'MB resident when idle', 1 / 5),
      { key: 'idleCpuPercent', label: '% CPU when idle', better: 'lower', ceiling: 0.5 },
      lower('firstGroupMs', 'ms, first group of a broker: join to first record', 0.02),
      lower('stopMs', 'ms from SIGTERM to exit'),
    ],
    run: (target, seconds) => start(target, seconds),
  },
  produceMeasure('produce-1k', 'produce 1 KB, 1 partition', 1, oneKb(), [rate(1.3), cpuPerGb(0.6)]),
  produceMeasure('produce-1k-4p', 'produce 1 KB, 4 partitions', 4, oneKb(), [
    rate(1.3),
    cpuPerGb(0.6),
  ]),
  produceMeasure('produce-1k-small', 'produce 1 KB, 10 a batch', 1, tenPerBatch(1024), [
    recordRate(),
    cpuPerMillion(),
  ]),
  produceMeasure('produce-100b', 'produce 100 B', 1, smallRecords(), [recordRate(), cpuPerGb()]),
  produceMeasure('produce-100b-small', 'produce 100 B, 10 a batch', 1, tenPerBatch(100), [
    recordRate(),
    cpuPerMillion(),
  ]),
  produceMeasure('produce-1k-lz4', 'produce 1 KB lz4', 1, oneKb('lz4'), [rate(1), cpuPerGb()]),
  produceMeasure('produce-100b-lz4', 'produce 100 B lz4', 1, smallRecords('lz4'), [
    recordRate(1),
    cpuPerGb(),
  ]),
  consumeMeasure('consume-1k', 'consume 1 KB, 1 partition', { partitions: 1, batches: oneKb() }, [
    rate(1),
    cpuPerGb(1.3),
  ]),
  consumeMeasure(
    'consume-1k-4p',
    'consume 1 KB, 4 partitions',
    { partitions: 4, batches: oneKb() },
    [rate(1), cpuPerGb(1.3)],
  ),
  consumeMeasure('consume-100b', 'consume 100 B', { partitions: 1, batches: smallRecords() }, [
    recordRate(),
    cpuPerGb(),
  ]),
  consumeMeasure(
    'consume-1k-small',
    'consume 1 KB, 10 a batch',
    { partitions: 1, batches: tenPerBatch(1024) },
    [rate(), cpuPerGb()],
  ),
  consumeMeasure('consume-1k-lz4', 'consume 1 KB lz4', { partitions: 1, batches: oneKb('lz4') }, [
    rate(),
    cpuPerGb(),
  ]),
  consumeMeasure(
    'consume-cold',
    'consume 1 KB, files not in the page cache',
    { partitions: 1, batches: oneKb(), cold: true },
    [rate(), cpuPerGb()],
  ),
  {
    name: 'tail',
    title: 'consume 1 KB while it is produced',
    writesGbPerSecond: 0.5,
    figures: [rate(), cpuPerGb()],
    run: (target, seconds) => tail(target, seconds, oneKb()),
  },
  {
    name: 'round-trips',
    title: 'one record at a time, raw socket',
    figures: [
      recordRate(1.6),
      lower('p50Ms', 'p50 ms'),
      lower('p99Ms', 'p99 ms'),
      cpuPerMillion(0.6),
    ],
    run: (target, seconds) =>
      withTopic(target, 1, (topic) => drive('round-trips', target, { topic, seconds })),
  },
  {
    name: 'producers-50',
    title: '50 producers, one record each in flight',
    figures: [
      recordRate(1.4),
      lower('p50Ms', 'p50 ms'),
      lower('p99Ms', 'p99 ms'),
      cpuPerMillion(0.6),
    ],
    run: (target, seconds) =>
      withTopic(target, 4, (topic) =>
        drive('round-trips', target, { topic, seconds, connections: 50, partitions: 4 }),
      ),
  },
  {
    name: 'end-to-end',
    title: 'end to end at 2,000 records/s',
    figures: [
      lower('p50Ms', 'p50 ms', 0.7),
      lower('p99Ms', 'p99 ms', 0.25),
      lower('p999Ms', 'p99.9 ms', 0.5),
      lower('lateP50Ms', 'p50 ms of it before the generator sent'),
      lower('lateP99Ms', 'p99 ms of it before the generator sent'),
      cpuPerMillion(0.5),
    ],
    run: (target, seconds) =>
      withTopic(target, 1, (topic) =>
        drive('end-to-end', target, { topic, seconds: 2 * seconds, rate: 2000 }),
      ),
  },
  {
    name: 'group-join',
    title: 'a new group: join to first record',
    figures: [lower('p50Ms', 'p50 ms', 0.35), lower('cpuMsEach', 'broker CPU ms each')],
    run: (target) =>
      withTopic(target, 1, (topic) => drive('group-join', target, { topic, count: 30 })),
  },
  {
    name: 'partitions',
    title: '1,000 partitions created and led',
    figures: [lower('ms', 'ms', 1), lower('cpuSeconds', 'broker CPU s')],
    run: (target) => drive('partitions', target, { topic: newTopic(), count: 1000 }),
  },
  {
    name: 'connections',
    title: '1,000 connections opened',
    figures: [
      lower('ms', 'ms', 0.8),
      lower('cpuSeconds', 'broker CPU s'),
      lower('kbPerConnection', 'KB each'),
    ],
    run: (target) => drive('connections', target, { connections: 1000 }),
  },
]
