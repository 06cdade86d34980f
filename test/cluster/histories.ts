// Clients under faults: unmodified client libraries that note what they do and see (test/compat/python/history.py,
// test/compat/go/franz-go/history.go), and their notes as one history for test/checker.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import {
  checkHistory,
  type HistoryEvent,
  type Place,
  type Verdict,
} from '../checker/history-checker.ts'
import { startDriver } from '../compat/harness/client-drivers.ts'
import type { ClientName, Driver } from '../compat/harness/driver.ts'
import { until } from '../compat/harness/waiting.ts'

export type Role = 'produce' | 'assign' | 'group'

export type ClientWork = {
  readonly role: Role
  readonly topic: string
  readonly partitions: readonly number[]
  /** A producer's time between two bursts. */
  readonly pauseMs?: number
  /** Records that a producer gives at a time. */
  readonly burst?: number
  /** A producer's; -1 (all) and idempotent when left out. Without idempotence one request is under way at a time. */
  readonly acks?: -1 | 0 | 1
  readonly idempotent?: boolean
  /** A producer's of librdkafka: record n has the key n modulo this, and the client chooses the partition. */
  readonly keys?: number
  /** A producer's of librdkafka: values are filled up to this size; notes have them without. */
  readonly valueBytes?: number
  readonly group?: string
  /** A member of librdkafka commits before it gives partitions back, so that nothing is read twice. */
  readonly commitsOnRevoke?: boolean
  /** Static membership. */
  readonly instance?: string
  readonly sessionTimeoutMs?: number
  readonly settings?: Readonly<Record<string, unknown>>
}

export type Noted = {
  readonly process: string
  readonly type: HistoryEvent['type']
  /** `member`: a group's member has a new id, or a new generation where its client tells of it. */
  readonly f: 'send' | 'poll' | 'assign' | 'revoke' | 'member' | 'commit'
  readonly value: unknown
  readonly t: number
}

type Running = { readonly driver: Driver; readonly work: ClientWork; readonly name: string }

const readPatienceMs = 120_000

/** Runs clients and collects what they noted. */
export class Histories {
  readonly folder = mkdtempSync(join(tmpdir(), 'lmq-history-'))
  readonly #bootstrap: string
  readonly #running = new Map<string, Running>()
  readonly #works = new Map<string, ClientWork>()
  readonly errors: string[] = []
  #count = 0

  constructor(bootstrap: string) {
    this.#bootstrap = bootstrap
  }

  /**
   * Starts a client in a process of its own.
   *
   * @returns its name in the history, or undefined where the client is not on this machine
   */
  async start(client: ClientName, work: ClientWork): Promise<string | undefined> {
    const driver = startDriver(client, this.#bootstrap)
    if (!driver) return undefined
    const name = `${client.replace(/\W.*/, '')}-${work.role}-${++this.#count}`
    const path = join(this.folder, `${name}.jsonl`)
    this.#running.set(name, { driver, work, name })
    this.#works.set(name, work)
    await driver.call('startHistory', { ...work, name, path })
    return name
  }

  /** Ends a client in order: a producer waits until all that it sent is answered. */
  async stop(name: string): Promise<void> {
    const running = this.#running.get(name)
    if (!running) return
    this.#running.delete(name)
    const { driver } = running
    const { errors } = (await driver.call('stopHistory', { name })) as { errors: string[] }
    for (const error of errors) this.errors.push(`${name}: ${error}`)
    await driver.stop()
  }

  async stopAll(role: Role): Promise<void> {
    const names = [...this.#running.values()]
      .filter(({ work }) => work.role === role)
      .map(({ name }) => name)
    await Promise.all(names.map((name) => this.stop(name)))
  }

  /**
   * Waits until every reader has read something. A librdkafka member of a group that asks for its offsets at the moment at
   * which its coordinator goes never reads: told NOT_COORDINATOR, by this broker as by Kafka, it does not ask again
   * (2.16, https://github.com/confluentinc/librdkafka/issues/5586).
   */
  async begun(): Promise<void> {
    await until(
      'every reader reads',
      async () => {
        const begun = new Set(this.notes('poll').map(({ process }) => process))
        const readers = [...this.#running.values()].filter(({ work }) => work.role !== 'produce')
        return readers.map(({ name }) => name).filter((name) => !begun.has(name))
      },
      (waiting) => waiting.length === 0,
      readPatienceMs,
    )
  }

  /** The last phase: producers end, readers go on until they have read the ends that the topic has then. */
  async finish(ends: () => Promise<ReadonlyMap<number, number>>): Promise<void> {
    await this.stopAll('produce')
    const goal = await ends()
    const missing = () => this.#unread(goal)
    await until(
      'all is read',
      async () => missing(),
      (left) => left.length === 0,
      readPatienceMs,
    )
    await this.stopAll('group')
    await this.stopAll('assign')
  }

  /** Readers by assignment that have not noted the last offset of a partition; groups as a whole. */
  #unread(goal: ReadonlyMap<number, number>): string[] {
    const left: string[] = []
    const reached = new Map<string, number>()
    for (const event of this.#noted()) {
      if (event.f !== 'poll') continue
      const work = this.#works.get(event.process)
      const reader = work?.role === 'group' ? work.group : event.process
      for (const [partition, offset] of event.value as [number, number, string][]) {
        const key = `${reader} ${partition}`
        reached.set(key, Math.max(offset, reached.get(key) ?? -1))
      }
    }
    const readers = new Set(
      [...this.#running.values()]
        .filter(({ work }) => work.role !== 'produce')
        .map(({ work, name }) => (work.role === 'group' ? work.group : name)),
    )
    for (const reader of readers) {
      for (const [partition, end] of goal) {
        const at = reached.get(`${reader} ${partition}`) ?? -1
        if (at + 1 < end) left.push(`${reader}: partition ${partition} to ${at}, not ${end - 1}`)
      }
    }
    return left
  }

  /** What is noted so far, by time. A line that is still being written is left out. */
  #noted(): Noted[] {
    const events: Noted[] = []
    for (const file of readdirSync(this.folder)) {
      const text = readFileSync(join(this.folder, file), 'utf8')
      const whole = text.slice(0, text.lastIndexOf('\n') + 1)
      for (const line of whole.split('\n')) if (line !== '') events.push(JSON.parse(line) as Noted)
    }
    return events.sort((a, b) => a.t - b.t)
  }

  /** What was noted of some kinds, by time. */
  notes(...kinds: readonly Noted['f'][]): Noted[] {
    return this.#noted().filter(({ f }) => kinds.includes(f))
  }

  judge(): Verdict {
    return checkHistory(historyOf(this.#noted(), this.#works))
  }

  /** When records of a producer were acknowledged, in milliseconds since 1970. */
  acknowledgedMs(name?: string): number[] {
    return this.#noted()
      .filter(
        ({ f, type, process }) => f === 'send' && type === 'ok' && (name ?? process) === process,
      )
      .map(({ t }) => t)
  }

  async remove(): Promise<void> {
    for (const { driver } of this.#running.values()) await driver.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/**
 * Judges what the clients of histories that are finished noted.
 *
 * @param least records that must have been acknowledged
 * @param about stands before what is said
 */
export function checkJudged(
  t: Test,
  histories: Histories,
  { least, about = '' }: { readonly least: number; readonly about?: string },
): void {
  const { anomalies, ...counts } = histories.judge()
  t.comment(about + JSON.stringify(counts))
  t.ok(counts.acknowledged > least, `${about}${counts.acknowledged} records acknowledged`)
  t.same(anomalies.slice(0, 10), [], `${about}nothing lost, doubled, out of order or gone back`)
  t.same(histories.errors.slice(0, 10), [], `${about}no error reached an application`)
}

/** The clients' short notes in the checker's words. */
export function historyOf(
  noted: readonly Noted[],
  works: ReadonlyMap<string, ClientWork>,
): HistoryEvent[] {
  const events: HistoryEvent[] = []
  /** Partitions that a group's member was given and has not read from: where it begins is what was committed. */
  const begun = new Map<string, Set<number>>()
  const hasKeys = [...works.values()].some(({ keys }) => keys !== undefined)
  const chosen = hasKeys ? chosenPartitions(noted) : new Map<string, number>()
  for (const { process, type, f, value, t } of noted) {
    const work = works.get(process)
    if (!work) continue
    const { topic, group } = work
    const around = { process, type, t }
    if (f === 'send') {
      const [given, offset, text] = value as SendNote
      const partition = given ?? chosen.get(text) ?? -1
      const { acks = -1, idempotent = true } = work
      const send = { topic, partition, value: text, acks, idempotent, isOrdered: true }
      events.push({ ...around, f, value: offset === null ? send : { ...send, offset } })
    } else if (f === 'poll') {
      for (const [partition, records] of byPartition(value as [number, number, string][])) {
        const [first] = records
        if (group && first && begun.get(process)?.delete(partition)) {
          const committed = { topic, partition, group, offset: first[0] }
          events.push({ ...around, f: 'committed', value: committed })
        }
        events.push({ ...around, f, value: { topic, partition, records } })
      }
    } else if (f === 'assign') {
      const places: Place[] = (value as number[]).map((partition) => ({ topic, partition }))
      events.push({ ...around, f, value: places })
      if (!group) continue
      begun.set(process, new Set(value as number[]))
      for (const place of places) {
        const committed = { ...place, group, offset: -1 }
        events.push({ ...around, type: 'invoke', f: 'committed', value: committed })
      }
    } else if (f === 'commit' && group) {
      for (const [partition, offset] of Object.entries(value as Record<string, number>)) {
        events.push({ ...around, f, value: { topic, partition: Number(partition), group, offset } })
      }
    }
  }
  return events
}

type SendNote = [partition: number | null, offset: number | null, value: string]

/** Where records went whose partition the client chose: known when they are acknowledged, or read. */
function chosenPartitions(noted: readonly Noted[]): Map<string, number> {
  const chosen = new Map<string, number>()
  for (const { type, f, value } of noted) {
    if (f === 'poll') {
      for (const [partition, , text] of value as [number, number, string][]) {
        chosen.set(text, partition)
      }
    } else if (f === 'send' && type === 'ok') {
      const [partition, , text] = value as SendNote
      if (partition !== null) chosen.set(text, partition)
    }
  }
  return chosen
}

function byPartition(
  records: readonly [number, number, string][],
): Map<number, [offset: number, value: string][]> {
  const found = new Map<number, [number, string][]>()
  for (const [partition, offset, value] of records) {
    const own = found.get(partition)
    if (own) own.push([offset, value])
    else found.set(partition, [[offset, value]])
  }
  return found
}

/** The longest time between two acknowledgements that follow one another, within a stretch of time. */
export function longestGapMs(
  acknowledgedMs: readonly number[],
  fromMs: number,
  toMs: number,
): number {
  let longest = 0
  let last = fromMs
  for (const t of acknowledgedMs) {
    if (t < fromMs) {
      last = t
      continue
    }
    longest = Math.max(longest, Math.min(t, toMs) - last)
    if (t > toMs) return longest
    last = t
  }
  return Math.max(longest, toMs - last)
}
