// Goal: a fetch session tells its client everything that changed and nothing twice, whatever the client asks in whatever
// order, and while topics are deleted and made anew.
// Method: random requests of several sessions against a running broker with room for few of them, and a model (KIP-227).
// LMQ_SEED repeats a run, LMQ_FUZZ_PORT plays it against another broker.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { crc32c } from '../../src/io/crc32c.ts'
import { produce } from '../../src/protocol/apis/00-produce.ts'
import { fetch as fetchApi } from '../../src/protocol/apis/01-fetch.ts'
import { deleteTopics } from '../../src/protocol/apis/20-delete-topics.ts'
import { deleteRecords } from '../../src/protocol/apis/21-delete-records.ts'
import { buildBatch } from '../../src/protocol/batch-builder.ts'
import { ErrorCode } from '../../src/protocol/error-code.ts'
import { batchSizeOf, lastOffsetOf } from '../../src/protocol/record-batch.ts'
import type { ResponseOf } from '../../src/protocol/schema.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import type { RawClient } from '../unit/server/raw-client.ts'
import {
  ask,
  Connections,
  createTopic,
  expect,
  fetchLimits,
  fetchWish,
  isForeign,
  openPort,
  playStories,
  seed,
  untilAnswered,
} from './state-run.ts'

const timeout = 900_000
const TOPICS = 3
const PARTITIONS = 2
const SESSIONS = 3
t.setTimeout(timeout)
t.comment(`seed ${seed}: repeat with LMQ_SEED=${seed}`)

type Log = { start: number; end: number }
type Topic = { name: string; id: string; isThere: boolean; partitions: Log[] }
/** What a session knows of a partition. `told`: what its client was told last; undefined: an error, or nothing. */
type Wish = {
  topic: number
  id: string
  partition: number
  offset: number
  told: Log | undefined
  isNew: boolean
}
type Session = { id: number; epoch: number; byId: boolean; wishes: Map<string, Wish> }

type Part = { topic: number; partition: number; offset: number }
type Step =
  | { kind: 'create'; slot: number; byId: boolean; parts: Part[] }
  | { kind: 'fetch'; slot: number; parts: Part[]; forget: Part[]; follow: boolean }
  | { kind: 'wrong'; slot: number; what: 'epoch' | 'id' | 'version' }
  | { kind: 'close'; slot: number; parts: Part[] }
  | { kind: 'append'; topic: number; partition: number; count: number }
  | { kind: 'trim' | 'delete' | 'make'; topic: number; partition: number }

class World {
  readonly #client: RawClient
  readonly #unique: string
  readonly topics: Topic[] = []
  readonly sessions: (Session | undefined)[] = []

  constructor(client: RawClient, unique: string) {
    this.#client = client
    this.#unique = unique
  }

  async begin(): Promise<void> {
    for (let i = 0; i < TOPICS; i++) {
      const name = `session-${this.#unique}-${i}`
      this.topics.push({ name, id: '', isThere: false, partitions: [] })
      await this.make(i)
    }
  }

  async make(topic: number): Promise<void> {
    const it = this.topics[topic] as Topic
    if (it.isThere) return
    it.id = await createTopic(this.#client, it.name, PARTITIONS)
    it.isThere = true
    it.partitions = Array.from({ length: PARTITIONS }, () => ({ start: 0, end: 0 }))
  }

  async delete(topic: number): Promise<void> {
    const it = this.topics[topic] as Topic
    if (!it.isThere) return
    const answer = await ask(this.#client, deleteTopics, 5, {
      topics: [],
      topicNames: [it.name],
      timeoutMs: 30_000,
    })
    expect(answer.responses[0]?.errorCode, ErrorCode.NONE, 'delete')
    it.isThere = false
    const code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    await untilAnswered(this.#client, it.name, PARTITIONS, code)
  }

  async append(topic: number, index: number, count: number): Promise<void> {
    const it = this.topics[topic] as Topic
    const log = it.partitions[index]
    if (!it.isThere || !log) return
    const record = { key: null, value: Buffer.from('v'), timestamp: 1_700_000_000_000 }
    const records = buildBatch(
      Array.from({ length: count }, () => record),
      {},
      crc32c,
    )
    const answer = await ask(this.#client, produce, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 30_000,
      topicData: [{ name: it.name, topicId: ZERO_UUID, partitionData: [{ index, records }] }],
    })
    const told = answer.responses[0]?.partitionResponses[0]
    expect([told?.errorCode, told?.baseOffset], [0, log.end], 'append')
    log.end += count
  }

  async trim(topic: number, partitionIndex: number): Promise<void> {
    const it = this.topics[topic] as Topic
    const log = it.partitions[partitionIndex]
    if (!it.isThere || !log) return
    const answer = await ask(this.#client, deleteRecords, 2, {
      topics: [{ name: it.name, partitions: [{ partitionIndex, offset: -1 }] }],
      timeoutMs: 30_000,
    })
    expect(answer.topics[0]?.partitions[0]?.errorCode, 0, 'delete records')
    log.start = log.end
  }

  #keyOf = (byId: boolean, part: Part): string =>
    `${byId ? this.topics[part.topic]?.id : part.topic}/${part.partition}`

  #put(session: Session, part: Part): void {
    const key = this.#keyOf(session.byId, part)
    const known = session.wishes.get(key)
    if (known) known.offset = part.offset
    else {
      const id = this.topics[part.topic]?.id ?? ''
      session.wishes.set(key, { ...part, id, told: undefined, isNew: true })
    }
  }

  /** What a partition is answered with now. */
  #stateOf(session: Session, wish: Wish): { code: number; log?: Log } {
    const topic = this.topics[wish.topic] as Topic
    if (session.byId && (!topic.isThere || topic.id !== wish.id)) {
      return { code: ErrorCode.UNKNOWN_TOPIC_ID }
    }
    if (!topic.isThere) return { code: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
    const log = topic.partitions[wish.partition] as Log
    const isInside = wish.offset >= log.start && wish.offset <= log.end
    return isInside ? { code: ErrorCode.NONE, log } : { code: ErrorCode.OFFSET_OUT_OF_RANGE }
  }

  async #ask(session: Session, epoch: number, parts: readonly Part[], forget: readonly Part[]) {
    const ofTopic = (part: Part) => {
      const topic = this.topics[part.topic] as Topic
      return session.byId
        ? { topic: '', topicId: topic.id }
        : { topic: topic.name, topicId: ZERO_UUID }
    }
    return ask(this.#client, fetchApi, session.byId ? 16 : 12, {
      ...fetchLimits,
      sessionId: session.id,
      sessionEpoch: epoch,
      topics: parts.map((part) => ({
        ...ofTopic(part),
        partitions: [fetchWish(part.partition, part.offset)],
      })),
      forgottenTopicsData: forget.map((part) => ({
        ...ofTopic(part),
        partitions: [part.partition],
      })),
    })
  }

  /** Holds an answer against what the session's client must be told, and notes that it was. */
  #check(session: Session, answer: ResponseOf<typeof fetchApi>, isFull: boolean): void {
    const expected: string[] = []
    for (const wish of session.wishes.values()) {
      const { code, log } = this.#stateOf(session, wish)
      const hasNews =
        !log ||
        wish.offset < log.end ||
        wish.told?.end !== log.end ||
        wish.told?.start !== log.start
      if (isFull || hasNews) {
        expected.push(
          `${wish.topic}/${wish.partition}: ${code} ${log?.start ?? '-'} ${log?.end ?? '-'} from ${log && wish.offset < log.end ? wish.offset : '-'}`,
        )
      }
      wish.told = log && { ...log }
      wish.isNew = false
    }
    const found = answer.responses.flatMap(({ topic, topicId, partitions }) =>
      partitions.map((partition) => {
        const index = [...session.wishes.values()].find(
          (wish) =>
            wish.partition === partition.partitionIndex &&
            (session.byId ? wish.id === topicId : this.topics[wish.topic]?.name === topic),
        )
        const isFine = partition.errorCode === ErrorCode.NONE
        const log = isFine ? `${partition.logStartOffset} ${partition.highWatermark}` : '- -'
        const from = firstAndLast(partition.records, index?.offset ?? -1, partition.highWatermark)
        const code = session.byId ? ofId(partition.errorCode) : partition.errorCode
        return `${index?.topic}/${partition.partitionIndex}: ${code} ${log} from ${from}`
      }),
    )
    expect(found.sort(), expected.sort(), isFull ? 'a full fetch' : 'an incremental fetch')
  }

  async create(slot: number, byId: boolean, parts: readonly Part[]): Promise<void> {
    // Old ones are ended: the broker has room for as many as there are slots.
    const old = this.sessions[slot]
    const session: Session = { id: old?.id ?? 0, epoch: 1, byId, wishes: new Map() }
    for (const part of parts) this.#put(session, part)
    const asked = unique(parts, (part) => this.#keyOf(byId, part))
    const answer = await this.#ask(session, 0, asked, [])
    expect(answer.errorCode, 0, 'a new session')
    if (answer.sessionId === 0 && !isForeign) throw new Error('no session was given')
    this.#check(session, answer, true)
    this.sessions[slot] = answer.sessionId === 0 ? undefined : { ...session, id: answer.sessionId }
  }

  /** @param follow the client goes on behind what it was given, as consumers do */
  async fetch(
    slot: number,
    parts: readonly Part[],
    forget: readonly Part[],
    follow: boolean,
  ): Promise<void> {
    const session = this.sessions[slot]
    if (!session) return
    const asked = unique(parts, (part) => this.#keyOf(session.byId, part))
    if (follow) {
      for (const wish of session.wishes.values()) {
        const { log } = this.#stateOf(session, wish)
        const isKnown = asked.some(
          (part) => this.#keyOf(session.byId, part) === this.#keyOf(session.byId, wish),
        )
        if (log && !isKnown && this.topics[wish.topic]?.id === wish.id) {
          asked.push({ topic: wish.topic, partition: wish.partition, offset: log.end })
        }
      }
    }
    for (const part of asked) this.#put(session, part)
    for (const part of forget) session.wishes.delete(this.#keyOf(session.byId, part))
    const answer = await this.#ask(session, session.epoch, asked, forget)
    expect(answer.errorCode, 0, 'an incremental fetch')
    session.epoch++
    expect(answer.sessionId, session.wishes.size === 0 ? 0 : session.id, 'the session')
    if (session.wishes.size > 0) {
      this.#check(session, answer, false)
      return
    }
    // Everything was forgotten: what the request named is answered as without a session.
    const alone: Session = { ...session, wishes: new Map() }
    for (const part of asked) this.#put(alone, part)
    this.#check(alone, answer, true)
    this.sessions[slot] = undefined
  }

  async wrong(slot: number, what: 'epoch' | 'id' | 'version'): Promise<void> {
    const session = this.sessions[slot]
    if (!session) return
    const asked =
      what === 'id'
        ? { ...session, id: (session.id % 2_000_000_000) + 1 }
        : what === 'version'
          ? { ...session, byId: !session.byId }
          : session
    if (what === 'id' && this.sessions.some((each) => each?.id === asked.id)) return
    const epoch = session.epoch + (what === 'epoch' ? 1 : 0)
    const answer = await this.#ask(asked, epoch, [], [])
    const codes = {
      epoch: ErrorCode.INVALID_FETCH_SESSION_EPOCH,
      id: ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
      version: ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
    }
    expect([answer.errorCode, answer.responses], [codes[what], []], `a wrong ${what}`)
  }

  /** Ends the session; what is asked with it is answered without one. */
  async close(slot: number, parts: readonly Part[]): Promise<void> {
    const session = this.sessions[slot]
    if (!session) return
    const alone: Session = { ...session, wishes: new Map() }
    for (const part of parts) this.#put(alone, part)
    const asked = unique(parts, (part) => this.#keyOf(session.byId, part))
    const answer = await this.#ask(session, -1, asked, [])
    expect([answer.errorCode, answer.sessionId], [0, 0], 'the end of a session')
    this.#check(alone, answer, true)
    this.sessions[slot] = undefined
    const late = await this.#ask(session, session.epoch, [], [])
    expect(late.errorCode, ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 'after its end')
  }

  async end(): Promise<void> {
    for (let slot = 0; slot < SESSIONS; slot++) await this.close(slot, [])
    for (let topic = 0; topic < TOPICS; topic++) await this.delete(topic)
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'create':
        return this.create(step.slot, step.byId, step.parts)
      case 'fetch':
        return this.fetch(step.slot, step.parts, step.forget, step.follow)
      case 'wrong':
        return this.wrong(step.slot, step.what)
      case 'close':
        return this.close(step.slot, step.parts)
      case 'append':
        return this.append(step.topic, step.partition, step.count)
      case 'trim':
        return this.trim(step.topic, step.partition)
      case 'delete':
        return this.delete(step.topic)
      case 'make':
        return this.make(step.topic)
    }
  }
}

/** Kafka's sessions remember names: of an id that is gone they say that the name is not there, or has another id. */
const ofId = (code: number): number =>
  isForeign &&
  (code === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION || code === ErrorCode.INCONSISTENT_TOPIC_ID)
    ? ErrorCode.UNKNOWN_TOPIC_ID
    : code

/** Of two entries of one key the last one counts. */
const unique = (parts: readonly Part[], keyOf: (part: Part) => string): Part[] => [
  ...new Map(parts.map((part) => [keyOf(part), part])).values(),
]

/** Where the records begin, or what is wrong: they hold the offset asked for and end at the high watermark. */
function firstAndLast(records: Buffer | null, offset: number, end: number): string {
  if (!records || records.length === 0) return '-'
  let last = -1
  for (let at = 0; at < records.length; at += batchSizeOf(records, at)) {
    if (last < 0 && Number(records.readBigInt64BE(at)) > offset) return 'beyond the offset'
    last = lastOffsetOf(records, at)
  }
  return last === end - 1 ? `${offset}` : `${offset} to ${last}`
}

const part: fc.Arbitrary<Part> = fc.record({
  topic: fc.nat(TOPICS - 1),
  partition: fc.nat(PARTITIONS - 1),
  offset: fc.constantFrom(0, 0, 1, 2, 5),
})
const parts = fc.array(part, { maxLength: 5 })
const nothing = fc.constant<Part[]>([])
const slot = fc.nat(SESSIONS - 1)
const kind = <Kind extends string>(name: Kind) => fc.constant(name)
const place = { topic: fc.nat(TOPICS - 1), partition: fc.nat(PARTITIONS - 1) }
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: kind('create'),
      slot,
      byId: fc.boolean(),
      parts: fc.array(part, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: kind('fetch'),
      slot,
      parts: fc.oneof(nothing, parts),
      forget: fc.oneof(nothing, nothing, parts),
      follow: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind('wrong'),
      slot,
      what: fc.constantFrom('epoch' as const, 'id' as const, 'version' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('close'), slot, parts }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: kind('append'), ...place, count: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('trim'), ...place }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('delete'), ...place }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('make'), ...place }) },
)
const stories = fc.array(step, { minLength: 5, maxLength: 60, size: 'max' })

async function play(t: Test): Promise<void> {
  const settings = { 'max.incremental.fetch.session.cache.slots': String(SESSIONS) }
  const connections = new Connections(await openPort(t, settings))
  t.teardown(() => connections.close())
  const run = Date.now().toString(36)
  let count = 0
  await playStories(t, stories, async (steps) => {
    const client = await connections.take()
    const world = new World(client, `${run}-${count++}`)
    try {
      await world.begin()
      for (const step of steps) await world.step(step)
    } catch (error) {
      await world.end().catch(() => {})
      client.close()
      throw error
    }
    await world.end()
    connections.giveBack(client)
  })
}

t.test('fetch sessions in any order', { timeout }, play)
