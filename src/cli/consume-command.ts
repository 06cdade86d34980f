import { Command, Option } from 'commander'
import { listTopics } from '../client/admin-topics.ts'
import { Client } from '../client/client.ts'
import type { CommittedOffset, TopicPartition } from '../client/committed-offsets.ts'
import { Fetcher } from '../client/fetcher.ts'
import { GroupMember } from '../client/group-member.ts'
import { listOffsets, OffsetSpec } from '../client/offsets.ts'
import type { ConsumedRecord } from '../client/opened-batch.ts'
import { UsageError } from './error-sentence.ts'
import { parsePlace, resolvePlaces } from './place.ts'
import { Progress } from './progress.ts'
import { recordToJson } from './record-json.ts'
import { integerOf, withTool, withToolFlags } from './tool.ts'

/** A broker may be restarted while records flow: as long as this reading waits. */
const patienceMs = 600_000
const commitEveryMs = 1_000
const newline = Buffer.from('\n')

type ConsumeFlags = {
  group?: string
  from?: string
  fromBeginning?: boolean
  partition?: string
  max?: string
  exit?: boolean
  json?: boolean
  keySeparator?: string
  isolation: 'read_uncommitted' | 'read_committed'
}

export function consumeCommand(): Command {
  const command = new Command('consume').description(
    'write records, one value a line; with --json one object a line',
  )
  return withToolFlags(command)
    .argument('<topics...>')
    .option('-g, --group <group>', 'read as a member of this group and commit')
    .option(
      '--from <place>',
      'beginning, end, an offset, -N (N before the end), a time ago (10m) or a date; in a group only where nothing is committed',
    )
    .option('--from-beginning', 'the same as --from beginning')
    .option('-p, --partition <numbers>', 'only these partitions, separated by commas')
    .option('-n, --max <records>', 'stop after so many records')
    .option('-e, --exit', 'stop at the end of what is there now')
    .option('-K, --key-separator <text>', 'write the key and this before each value')
    .addOption(
      new Option('--isolation <level>', 'whether records of open transactions are read')
        .choices(['read_uncommitted', 'read_committed'])
        .default('read_committed'),
    )
    .action(consume)
}

/** Writes records to the output, no faster than it takes them. */
class RecordWriter {
  readonly #flags: ConsumeFlags
  readonly #separator: Buffer | undefined
  #isClosed = false
  #goOn = (): void => {}

  constructor(flags: ConsumeFlags) {
    this.#flags = flags
    const { keySeparator } = flags
    this.#separator = keySeparator === undefined ? undefined : Buffer.from(keySeparator)
    process.stdout.on('drain', () => this.#goOn())
    process.stdout.on('error', () => {
      this.#isClosed = true
      this.#goOn()
    })
  }

  /** @returns false when nobody reads the output any more: what was given is not written */
  async write(records: readonly ConsumedRecord[]): Promise<boolean> {
    const chunks = records.flatMap((record) => this.#chunksOf(record))
    if (this.#isClosed) return false
    if (chunks.length > 0 && !process.stdout.write(Buffer.concat(chunks))) {
      await new Promise<void>((resolve) => {
        this.#goOn = resolve
      })
    }
    return !this.#isClosed
  }

  #chunksOf(record: ConsumedRecord): Buffer[] {
    if (this.#flags.json) return [Buffer.from(`${recordToJson(record)}\n`)]
    const value = record.value ?? Buffer.alloc(0)
    if (!this.#separator) return [value, newline]
    return [record.key ?? Buffer.alloc(0), this.#separator, value, newline]
  }
}

async function partitionsOf(
  client: Client,
  topics: readonly string[],
  only: string | undefined,
): Promise<TopicPartition[]> {
  const wanted = only?.split(',').map((text) => integerOf('--partition', text.trim()))
  const described = await client.retrying(() => listTopics(client, topics), { forMs: 2_000 })
  return described.flatMap(({ name, partitions }) => {
    const there = partitions.map(({ partitionIndex }) => partitionIndex).sort((a, b) => a - b)
    const missing = wanted?.find((index) => !there.includes(index))
    if (missing !== undefined) {
      throw new UsageError(`${name} has no partition ${missing}, only 0 to ${there.length - 1}`)
    }
    return (wanted ?? there).map((partitionIndex) => ({ topic: name ?? '', partitionIndex }))
  })
}

/** What stops a run besides an error. */
class Limits {
  #recordsLeft: number
  #stopped = false
  /** The offsets at which `--exit` stops, by partition. */
  readonly #ends = new Map<string, number>()
  readonly #isolation: ConsumeFlags['isolation']

  constructor({ max, isolation }: ConsumeFlags) {
    this.#isolation = isolation
    this.#recordsLeft = max === undefined ? Number.POSITIVE_INFINITY : integerOf('--max', max, 1)
  }

  stop(): void {
    this.#stopped = true
  }

  /** Who reads committed records only is at the end where the first open transaction begins. */
  async stopAtEndOf(client: Client, partitions: readonly TopicPartition[]): Promise<void> {
    const questions = partitions.map((each) => ({ ...each, timestamp: OffsetSpec.latest }))
    const ends = await listOffsets(client, questions, this.#isolation)
    for (const { topic, partitionIndex, offset } of ends) {
      this.#ends.set(`${topic}-${partitionIndex}`, offset)
    }
  }

  get isStopped(): boolean {
    return this.#stopped || this.#recordsLeft <= 0
  }

  /** As many of the records as may still be written. */
  take(records: readonly ConsumedRecord[]): readonly ConsumedRecord[] {
    const within = records.filter(({ topic, partitionIndex, offset }) => {
      const end = this.#ends.get(`${topic}-${partitionIndex}`)
      return end === undefined || offset < end
    })
    const taken = within.length > this.#recordsLeft ? within.slice(0, this.#recordsLeft) : within
    this.#recordsLeft -= taken.length
    return taken
  }

  /** Whether `--exit` was asked for and all these positions are at their ends. */
  atEnd(positions: readonly CommittedOffset[]): boolean {
    if (this.#ends.size === 0) return false
    return positions.every(
      ({ topic, partitionIndex, offset }) =>
        offset >= (this.#ends.get(`${topic}-${partitionIndex}`) ?? 0),
    )
  }
}

type Run = {
  readonly client: Client
  readonly fetcher: Fetcher
  readonly writer: RecordWriter
  readonly limits: Limits
  readonly progress: Progress
}

/** Reads once and writes. @returns what was written */
async function round(run: Run): Promise<readonly ConsumedRecord[]> {
  const { fetcher, writer, limits, progress } = run
  const taken = limits.take(await fetcher.poll())
  if (!(await writer.write(taken))) {
    // A reader such as `head` that closes its end has had enough.
    limits.stop()
    return []
  }
  progress.advance(taken.length)
  return taken
}

async function readAlone(run: Run, topics: readonly string[], flags: ConsumeFlags): Promise<void> {
  const { client, fetcher, limits } = run
  const partitions = await partitionsOf(client, topics, flags.partition)
  const positions = await resolvePlaces(client, partitions, parsePlace(flags.from ?? 'end'))
  if (flags.exit) await limits.stopAtEndOf(client, partitions)
  fetcher.assign(positions)
  while (!limits.isStopped && !limits.atEnd(fetcher.positions)) await round(run)
}

async function readAsMember(
  run: Run,
  topics: readonly string[],
  group: string,
  flags: ConsumeFlags,
): Promise<void> {
  const { client, fetcher, limits } = run
  const member = new GroupMember(client, { groupId: group, topics })
  const done = new Map<string, CommittedOffset>()
  const commit = async (): Promise<void> => {
    const offsets = [...done.values()]
    done.clear()
    await member.commit(offsets)
  }
  const partitions = await partitionsOf(client, topics, undefined)
  if (flags.exit) await limits.stopAtEndOf(client, partitions)
  let committedMs = client.io.monotonic.nowMs()
  try {
    while (!limits.isStopped) {
      if (member.mustRejoin) {
        await commit()
        fetcher.assign(await startingPlaces(client, member, flags.from))
      }
      if (limits.atEnd(fetcher.positions)) break
      for (const { topic, partitionIndex, offset } of await round(run)) {
        const next = { topic, partitionIndex, offset: offset + 1 }
        done.set(`${topic}-${partitionIndex}`, next)
      }
      if (client.io.monotonic.nowMs() - committedMs >= commitEveryMs) {
        await commit()
        committedMs = client.io.monotonic.nowMs()
      }
    }
    await commit()
  } finally {
    await member.leave()
  }
}

async function startingPlaces(
  client: Client,
  member: GroupMember,
  from: string | undefined,
): Promise<CommittedOffset[]> {
  const partitions = await member.join()
  const committed = await member.committed(partitions)
  const fresh = committed.filter(({ offset }) => offset < 0)
  const places = await resolvePlaces(client, fresh, parsePlace(from ?? 'end'))
  return [...committed.filter(({ offset }) => offset >= 0), ...places]
}

const consume = (topics: string[], given: ConsumeFlags, command: Command): Promise<void> =>
  withTool(command, async ({ client: probe, patienceMs: wished }) => {
    const flags = { ...given, ...(given.fromBeginning ? { from: 'beginning' } : {}) }
    if (flags.group !== undefined && flags.partition !== undefined) {
      throw new UsageError('--partition does not go with --group: the group shares them out')
    }
    if (flags.from !== undefined) parsePlace(flags.from)
    await probe.metadata([])
    const limits = new Limits(flags)
    const stop = (): void => limits.stop()
    process.once('SIGINT', stop)
    process.once('SIGTERM', stop)
    const progress = new Progress('read')
    const onRetry = (error: Error): void => progress.note(`waiting: ${error.message}`)
    const client = new Client(probe.io, {
      ...probe.options,
      retryForMs: wished ?? patienceMs,
      onRetry,
    })
    const fetcher = new Fetcher(client, { isolation: flags.isolation, reset: 'earliest', onRetry })
    const run: Run = { client, fetcher, writer: new RecordWriter(flags), limits, progress }
    try {
      if (flags.group === undefined) await readAlone(run, topics, flags)
      else await readAsMember(run, topics, flags.group, flags)
    } finally {
      progress.end()
      client.close()
    }
  })
