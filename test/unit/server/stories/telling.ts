/**
 * What clients ask of a broker, as stories that can be told to any broker: to Apache Kafka once, to write down its
 * answers (test/tools/record-answers.ts), and to LMQ in every test run. What is random or depends on the time or
 * the machine is shown by a name in angle brackets, random ids by the order in which they appear.
 */
import type { Api } from '../../../../src/protocol/schema.ts'
import { ZERO_UUID } from '../../../../src/protocol/uuid.ts'
import { RawClient } from '../raw-client.ts'
import { describeRecords } from './batches.ts'

/** Settings that both brokers run with. */
export const storySettings = {
  'node.id': '1',
  'broker.rack': 'RACK1',
  'offsets.topic.replication.factor': '1',
  'group.initial.rebalance.delay.ms': '0',
  'auto.create.topics.enable': 'true',
  // Kafka's own default, where LMQ's is made for a developer's machine.
  'num.partitions': '1',
} as const

/** What stories look into stands here by name. */
export type Answer = {
  readonly [field: string]: unknown
  readonly errorCode?: unknown
  readonly sessionId?: unknown
  readonly topics?: unknown
}
export type Question = { api: Api; version: number; request: Record<string, unknown> }
export type AskOptions = {
  /** The order of the arrays in the answer is promised. */
  readonly ordered?: boolean
  /** Names the connection, and is its client id. */
  readonly who?: string
  /** How the line begins, when the API's name says too little. */
  readonly label?: string
  /** Fields that are not compared. */
  readonly without?: readonly string[]
}

export type Story = (telling: Telling) => Promise<void>

/** How long silence is waited for. */
const SILENCE_MS = 400
/** An answer that has not come by then does not come. */
const ANSWER_MS = 5_000
/** Longer answers to raw bytes differ with what a broker serves and has. */
const SHOWN_BYTES = 220
/** Times of records in stories are fixed and before this; whatever is later was read from a clock. */
const CLOCK_FROM_MS = 1_750_000_000_000

export class Telling {
  readonly lines: string[] = []
  readonly #port: number
  readonly #unique: string
  readonly #isPatient: boolean
  readonly #clients = new Map<string, RawClient>()
  readonly #names = new Map<string, string>()
  readonly #counts = new Map<string, number>()
  readonly #topicIds = new Map<string, string>()

  /** @param isPatient waits where a broker needs time to put in force what it answered */
  constructor(port: number, unique: string, isPatient = false) {
    this.#port = port
    this.#isPatient = isPatient
    this.#unique = unique
  }

  /** A name that no other telling uses; shown without what makes it so. */
  name(text: string): string {
    return `${text}${this.#unique}`
  }

  note(text: string): void {
    this.lines.push(`# ${text}`)
  }

  async client(who: string): Promise<RawClient> {
    const known = this.#clients.get(who)
    if (known && !known.ended) return known
    const client = await RawClient.connect(this.#port)
    this.#clients.set(who, client)
    return client
  }

  /** Asks and writes the answer down. @returns undefined when the broker closed the connection instead */
  async ask(
    api: Api,
    version: number,
    request: Record<string, unknown>,
    options: AskOptions = {},
  ): Promise<Answer | undefined> {
    const label = `${options.label ?? api.name} v${version}`
    const answer = await this.#exchange(api, version, request, options)
    const shown = typeof answer === 'string' ? answer : this.#show(answer, options)
    if (answer === 'silent') this.#drop(options.who ?? 'test')
    this.lines.push(`${label}: ${shown}`)
    return typeof answer === 'string' ? undefined : answer
  }

  /** Asks and says nothing of it. */
  async quietly(
    api: Api,
    version: number,
    request: Record<string, unknown>,
    options: AskOptions = {},
  ): Promise<Answer | undefined> {
    const answer = await this.#exchange(api, version, request, options)
    return typeof answer === 'string' ? undefined : answer
  }

  pass(ms: number): Promise<void> {
    return this.#isPatient ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve()
  }

  /** Asks until the answer is as wanted, and says nothing of it. */
  async until(
    api: Api,
    version: number,
    request: Record<string, unknown>,
    isWanted: (answer: Answer) => boolean,
  ): Promise<void> {
    for (;;) {
      const answer = await this.quietly(api, version, request)
      if (answer !== undefined && isWanted(answer)) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async #exchange(
    api: Api,
    version: number,
    request: Record<string, unknown>,
    { who = 'test' }: AskOptions,
  ): Promise<Answer | 'closed' | 'silent'> {
    const client = await this.client(who)
    const answered = client.ask(api, version, request as never, who) as Promise<Answer>
    const answer = answered.catch((error: unknown) => {
      if (client.ended) return 'closed' as const
      throw error
    })
    let timer: NodeJS.Timeout | undefined
    const silence = new Promise<'silent'>((resolve) => {
      timer = setTimeout(resolve, ANSWER_MS, 'silent')
    })
    try {
      return await Promise.race([answer, silence])
    } finally {
      clearTimeout(timer)
    }
  }

  #drop(who: string): void {
    this.#clients.get(who)?.close()
    this.#clients.delete(who)
  }

  /** Sends bytes on a new connection. @param bytes a whole frame, its size included, or anything */
  async sendBytes(label: string, bytes: Buffer): Promise<void> {
    const client = await RawClient.connect(this.#port)
    client.socket.write(bytes)
    const answer = await Promise.race([
      client.next().then(
        (frame) => `answered ${frame.length > SHOWN_BYTES ? 'at length' : frame.toString('hex')}`,
        () => 'closed',
      ),
      new Promise<string>((resolve) => setTimeout(resolve, SILENCE_MS, 'silent')),
    ])
    client.close()
    this.lines.push(`${label}: ${answer}`)
  }

  /** So that a random id is shown under a name. */
  call(id: string, name: string): void {
    if (id !== ZERO_UUID) this.#names.set(id, name)
  }

  rememberTopicId(topic: string, id: string): void {
    this.#topicIds.set(topic, id)
    this.call(id, `<id of ${this.#plain(topic)}>`)
  }

  topicId(topic: string): string {
    const id = this.#topicIds.get(topic)
    if (id === undefined) throw new Error(`no topic ${topic} in this story`)
    return id
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
  }

  #plain(text: string): string {
    return text.replaceAll(this.#unique, '')
  }

  #show(answer: unknown, { ordered = false, without = [] }: AskOptions): string {
    return JSON.stringify(this.#mask(answer, '', new Set(without), ordered))
  }

  #mask(value: unknown, key: string, without: ReadonlySet<string>, ordered: boolean): unknown {
    if (Buffer.isBuffer(value)) {
      return key === 'records' ? describeRecords(value) : value.toString('latin1')
    }
    if (Array.isArray(value)) {
      const shown = value.map((each) => this.#mask(each, key, without, ordered))
      if (ordered || typeof value[0] !== 'object') return shown
      return (key === 'responses' ? joined(shown as TopicPart[]) : shown).sort(byText)
    }
    if (typeof value === 'object' && value !== null) {
      const shown: Record<string, unknown> = {}
      const isRefused = isRefusedBatch(value)
      for (const [name, each] of Object.entries(value)) {
        if (isRefused && ofRefusals.has(name)) continue
        if (!isPlain(name, each) && !without.has(name)) {
          shown[name] = this.#mask(each, name, without, ordered)
        }
      }
      return shown
    }
    if (typeof value === 'number') return this.#maskNumber(value, key)
    return typeof value === 'string' ? this.#maskText(value, key) : value
  }

  #maskNumber(value: number, key: string): unknown {
    if (key === 'port' && value > 0) return '<port>'
    if (key === 'sessionId' && value !== 0) return '<session>'
    if (key === 'totalBytes' || key === 'usableBytes' || key === 'finalizedFeaturesEpoch')
      return value < 0 ? value : '<number>'
    return value >= CLOCK_FROM_MS && value < 2_500_000_000_000 ? '<now>' : value
  }

  #maskText(value: string, key: string): string {
    if (key === 'clusterId' && value !== '') return '<cluster>'
    if (key === 'logDir') return '<folder>'
    const known = this.#names.get(value)
    if (known !== undefined) return known
    if (key === 'topicId' && value !== ZERO_UUID) return this.#random('topic id', value)
    return this.#plain(value)
      .replace(/\b1[7-9]\d{11}\b/g, (text) => (Number(text) >= CLOCK_FROM_MS ? '<now>' : text))
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) => this.#random('uuid', id))
  }

  #random(kind: string, id: string): string {
    const known = this.#names.get(id)
    if (known !== undefined) return known
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    const name = `<${kind} ${count}>`
    this.#names.set(id, name)
    return name
  }
}

/** Of a batch that is refused Kafka tells the log start and a sentence in some cases and not in others. */
const ofRefusals: ReadonlySet<string> = new Set(['logStartOffset', 'errorMessage', 'recordErrors'])

/** Not worth a word: unknown tags, no throttling, and what is not there in the request's version. */
const isPlain = (name: string, value: unknown): boolean =>
  value === undefined ||
  name === 'unknownTags' ||
  (name === 'throttleTimeMs' && value === 0) ||
  (name === 'topicId' && value === ZERO_UUID) ||
  (typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !Buffer.isBuffer(value) &&
    Object.values(value).every((each) => each === -1))

const isRefusedBatch = (value: object): boolean =>
  'baseOffset' in value && 'errorCode' in value && value.errorCode !== 0

type TopicPart = { topic?: string; topicId?: string; partitions?: unknown[] }

/** A Fetch answer may come back to a topic: brokers do not promise that its partitions stand together. */
function joined(parts: TopicPart[]): TopicPart[] {
  const topics = new Map<string, TopicPart>()
  for (const part of parts) {
    if (part.partitions === undefined || part.topic === undefined) return parts
    const known = topics.get(`${part.topic} ${part.topicId}`)
    if (known === undefined) topics.set(`${part.topic} ${part.topicId}`, part)
    else known.partitions = [...(known.partitions ?? []), ...part.partitions].sort(byText)
  }
  return [...topics.values()]
}

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
