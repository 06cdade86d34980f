// What runs beside the hostile clients, in processes of their own: the broker, which watches itself, and a client that
// behaves and measures how it is served. Started by `startBrokerProcess` and `startWitness`.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { startBroker } from '../../src/index.ts'
import { crc32c } from '../../src/io/crc32c.ts'
import { produce } from '../../src/protocol/apis/00-produce.ts'
import { buildBatch } from '../../src/protocol/batch-builder.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import { loopCpuMs } from '../tools/loop-cpu.ts'
import { RawClient } from '../unit/server/raw-client.ts'

export type BrokerFigures = {
  readonly rssBytes: number
  /** Largest since it was last asked for. */
  readonly peakBytes: number
  /** Longest time on a processor between two looks at the event loop, since it was last asked for; 0 where it is not told. */
  readonly stallCpuMs: number
  /** The same on the clock: on a busy machine most of it is waiting for a processor. */
  readonly stallMs: number
  readonly errors: readonly string[]
}

export type WitnessFigures = {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** All times, ascending. */
  readonly samplesMs: readonly number[]
  readonly failures: readonly string[]
}

const LOOK_MS = 5

async function beBroker(settings: Record<string, string>): Promise<void> {
  const errors: string[] = []
  const quiet = () => {}
  const logger = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (facts: object, message: string) =>
      void errors.push(`${message} ${String((facts as { error?: Error }).error?.stack ?? '')}`),
    child: () => logger,
  }
  const broker = await startBroker({ port: 0, httpPort: -1, ephemeral: true, logger, settings })
  let peakBytes = 0
  let stallMs = 0
  let stallCpuMs = 0
  let seenMs = performance.now()
  let seenCpuMs = loopCpuMs() ?? 0
  const look = setInterval(() => {
    const [nowMs, cpuMs] = [performance.now(), loopCpuMs() ?? 0]
    stallMs = Math.max(stallMs, nowMs - seenMs - LOOK_MS)
    stallCpuMs = Math.max(stallCpuMs, cpuMs - seenCpuMs)
    seenMs = nowMs
    seenCpuMs = cpuMs
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
  }, LOOK_MS)
  process.on('message', async (message) => {
    if (message === 'stop') {
      clearInterval(look)
      await broker.stop()
      process.disconnect()
      return
    }
    const rssBytes = process.memoryUsage.rss()
    process.send?.({ rssBytes, peakBytes, stallMs, stallCpuMs, errors })
    peakBytes = rssBytes
    stallMs = 0
    stallCpuMs = 0
  })
  process.send?.(Number(broker.bootstrap.split(':')[1]))
}

/** Produces one record after the other with a pause, on one connection, and counts what went wrong. */
async function beWitness(port: number, topic: string): Promise<void> {
  const client = await RawClient.connect(port)
  let taken: number[] = []
  const failures: string[] = []
  let next = -1
  let isOver = false
  const round = async () => {
    const record = { key: null, value: Buffer.alloc(100), timestamp: Date.now() }
    const records = buildBatch([record], {}, crc32c)
    const beganMs = performance.now()
    const answer = await client.ask(produce, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 60_000,
      topicData: [{ name: topic, topicId: ZERO_UUID, partitionData: [{ index: 0, records }] }],
    })
    taken.push(performance.now() - beganMs)
    const [partition] = answer.responses[0]?.partitionResponses ?? []
    if (next < 0) next = partition?.baseOffset ?? 0
    if (partition?.errorCode !== 0 || partition.baseOffset !== next) {
      failures.push(`error ${partition?.errorCode}, offset ${partition?.baseOffset} for ${next}`)
    }
    next++
  }
  process.on('message', (message) => {
    if (message === 'stop') {
      isOver = true
      return
    }
    const sorted = taken.sort((a, b) => a - b)
    taken = []
    const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0
    process.send?.({
      count: sorted.length,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      samplesMs: sorted,
      failures,
    })
  })
  process.send?.(0)
  while (!isOver) {
    try {
      await round()
    } catch (error) {
      failures.push(String(error))
      break
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  client.close()
  process.disconnect()
}

/** A process of this file in one of its roles. */
export class Role<Figures> {
  readonly #child: ChildProcess
  readonly pid: number
  /** What it said first: the broker's port. */
  readonly first: number

  private constructor(child: ChildProcess, first: number) {
    this.#child = child
    this.pid = child.pid ?? -1
    this.first = first
  }

  static async start<Figures>(...args: string[]): Promise<Role<Figures>> {
    const child = fork(fileURLToPath(import.meta.url), args)
    return new Role(child, (await messageOf(child)) as number)
  }

  async figures(): Promise<Figures> {
    const answer = messageOf(this.#child)
    this.#child.send('figures')
    return (await answer) as Figures
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    if (child.connected) child.send('stop')
    const kill = setTimeout(() => child.kill('SIGKILL'), 30_000)
    await gone
    clearTimeout(kill)
  }
}

function messageOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const gone = (code: number | null) => reject(new Error(`the process ended with ${code}`))
    child.once('exit', gone)
    child.once('message', (message) => {
      child.off('exit', gone)
      resolve(message)
    })
  })
}

export const startBrokerProcess = (settings: Record<string, string>) =>
  Role.start<BrokerFigures>('broker', JSON.stringify(settings))

export const startWitness = (port: number, topic: string) =>
  Role.start<WitnessFigures>('witness', String(port), topic)

const [role, first = '', second = ''] = process.argv.slice(2)
if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  process.on('disconnect', () => setTimeout(() => process.exit(1), 10_000).unref())
  if (role === 'broker') await beBroker(JSON.parse(first))
  else if (role === 'witness') await beWitness(Number(first), second)
}
