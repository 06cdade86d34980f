// Runs the load generators and reads what they found: rdkafka_performance for produce and consume rates, the Go driver
// for everything else. Every run is bounded in count, and in time by a kill.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { cpuSecondsOf, type Pids } from './process-stat.ts'
import { goDriver, outputOf, rdkafkaPerformance } from './toolbox.ts'

/** Figure name to value, the unit in the name. */
export type Figures = Record<string, number>

/** Where load goes, and whose CPU time counts. */
export interface Loaded {
  /** One or more addresses, commas between. */
  readonly bootstrap: string
  readonly pid: Pids
}

const killAfterMs = 180_000

export interface Batches {
  readonly recordBytes: number
  readonly codec: 'none' | 'lz4'
  /** Most records in one batch; undefined: as many as fit librdkafka's default of 1 MB. */
  readonly recordsPerBatch?: number
}

/** Has the Go driver take one measure. */
export async function drive(
  measure: string,
  target: Loaded,
  flags: Record<string, string | number>,
): Promise<Figures> {
  const args = [measure, '-bootstrap', target.bootstrap, '-pid', [target.pid ?? 0].flat().join(',')]
  for (const [name, value] of Object.entries(flags)) args.push(`-${name}`, String(value))
  const program = await goDriver()
  try {
    const { stdout } = await promisify(execFile)(program, args, { timeout: killAfterMs })
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string }
    throw new Error(stderr?.trim().split('\n').at(-1) || message)
  }
}

/**
 * Produces `records` records with acks=all into all partitions of a topic.
 *
 * @param producers processes that share them; the slowest one's time counts
 */
export async function produce(
  target: Loaded,
  topic: string,
  records: number,
  batches: Batches,
  producers = 1,
): Promise<Figures> {
  const args = ['-P', '-q', '-t', topic, '-b', target.bootstrap, '-a', '-1']
  const share = Math.ceil(records / producers)
  args.push('-s', String(batches.recordBytes), '-c', String(share), '-z', batches.codec)
  if (batches.recordsPerBatch) args.push('-X', `batch.num.messages=${batches.recordsPerBatch}`)
  const before = cpuSecondsOf(target.pid)
  const program = await rdkafkaPerformance()
  const runs = Array.from({ length: producers }, () => outputOf(program, args, killAfterMs))
  const elapsed = (await Promise.all(runs)).map((output) => {
    const line = /(\d+) delivered \(.*?(\d+) failed\) in (\d+)ms/.exec(output)
    if (!line || Number(line[1]) !== share || Number(line[2]) !== 0) {
      throw new Error(`rdkafka_performance did not deliver ${share} records:\n${output}`)
    }
    return Number(line[3])
  })
  const after = cpuSecondsOf(target.pid)
  return rates(share * producers, batches.recordBytes, Math.max(...elapsed), before, after)
}

/** Consumes `records` records from the beginning of all given partitions, without a group. */
export async function consume(
  target: Loaded,
  topic: string,
  partitions: number,
  records: number,
  recordBytes: number,
): Promise<Figures> {
  const args = ['-C', '-q', '-t', topic, '-b', target.bootstrap, '-o', 'beginning']
  args.push('-c', String(records))
  for (let partition = 0; partition < partitions; partition++) args.push('-p', String(partition))
  const before = cpuSecondsOf(target.pid)
  const output = await outputOf(await rdkafkaPerformance(), args, killAfterMs)
  const after = cpuSecondsOf(target.pid)
  const line = /(\d+) messages \(\d+ bytes\) consumed in (\d+)ms/.exec(output)
  if (!line || Number(line[1]) < records) {
    throw new Error(`rdkafka_performance did not consume ${records} records:\n${output}`)
  }
  return rates(records, recordBytes, Number(line[2]), before, after)
}

function rates(
  records: number,
  recordBytes: number,
  elapsedMs: number,
  cpuBefore: number | undefined,
  cpuAfter: number | undefined,
): Figures {
  const bytes = records * recordBytes
  const figures: Figures = {
    mbPerSecond: bytes / 1e6 / (elapsedMs / 1000),
    perSecond: records / (elapsedMs / 1000),
  }
  if (cpuBefore !== undefined && cpuAfter !== undefined) {
    figures['cpuPerGb'] = (cpuAfter - cpuBefore) / (bytes / 1e9)
    figures['cpuPerMillion'] = ((cpuAfter - cpuBefore) / records) * 1e6
  }
  return figures
}
