/**
 * Damaged requests, the same for every broker: told to Apache Kafka once (test/tools/record-damaged-answers.ts) and to LMQ
 * in every run. A request is a random one or one that a real client sent, then broken in one or two places. Frames whose
 * effect would reach others (topics made, settings changed, answers that take time) are left out.
 */
import { readFileSync } from 'node:fs'
import { crc32c } from '../../src/io/crc32c.ts'
import { metadata } from '../../src/protocol/apis/03-metadata.ts'
import { buildBatch } from '../../src/protocol/batch-builder.ts'
import { Reader } from '../../src/protocol/reader.ts'
import type { Api, Fields } from '../../src/protocol/schema.ts'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import { inRange, parseVersions } from '../../src/protocol/versions.ts'
import { RequestHeaderReader } from '../../src/server/request-header.ts'
import { openFrame, recordedFrames } from '../golden/frames.ts'
import { kafka43Served } from '../golden/kafka-versions.ts'
import { apiByKey } from '../oracle/all-messages.ts'
import { RawClient } from '../unit/server/raw-client.ts'
import { makeRandomTopic } from '../unit/server/stories/random-requests.ts'
import { Dice, damage, frameOf, randomRequest, reframed, type Target } from './random-frames.ts'

/** What both brokers serve, and no request of which can make another broker of the cluster. */
const keys = new Set([
  0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 32, 33, 34, 35, 37, 42, 43,
  44, 45, 46, 47, 48, 49, 50, 55, 57, 60, 61, 64, 74, 75,
])
export const framesOfTarget = 24
/** The topic that requests hit. */
export const topicName = 'fuzz'
/** Stands for that topic's id, which every broker chooses by itself. */
const TOPIC_ID = 'bG1xLWZ1enotdG9waWMtaQ'
const topicIdBytes = Buffer.from(TOPIC_ID, 'base64url')
/** An answer that has not come by then does not come. */
const SILENCE_MS = 2_500

export const nameOf = ({ api, version }: Target): string => `${api.name} v${version}`

export const damagedTargets: readonly Target[] = kafka43Served.flatMap(([key, , versions]) => {
  if (!keys.has(key)) return []
  const { min, max } = parseVersions(versions)
  return Array.from({ length: max - min + 1 }, (_, i) => ({
    api: apiByKey(key),
    version: min + i,
  }))
})

type Message = Record<string, unknown>

const fixed: Message = {
  allowAutoTopicCreation: false,
  validateOnly: true,
  replicaId: -1,
  transactionalId: null,
  maxWaitMs: 0,
  keyType: 0,
  acks: -1,
}
const record = { key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 1_700_000_000_000 }

/** Puts what must be the same everywhere in its place, and what is known to a broker in some. */
function settle(
  dice: Dice,
  fields: Fields,
  version: number,
  message: Message,
  unique: string,
): void {
  for (const [name, field] of Object.entries(fields)) {
    if (!(name in message) || !inRange(parseVersions(field.versions), version)) continue
    const value = message[name]
    if (name in fixed) message[name] = fixed[name]
    else if (/timeoutMs/i.test(name)) message[name] = 30_000
    else if (name === 'groupId' && value !== null) message[name] = unique
    else if (/^(name|topic|topicName)$/.test(name) && dice.chance(60)) message[name] = topicName
    else if (name === 'topicId' && dice.chance(60)) message[name] = TOPIC_ID
    else if (field.kind === 'records') message[name] = buildBatch([record], {}, crc32c)
    else if (field.kind === 'struct' && value !== null) {
      const parts = Array.isArray(value) ? value : [value]
      for (const part of parts) settle(dice, field.fields ?? {}, version, part, unique)
    }
  }
}

const recorded = recordedFrames().filter(({ direction }) => direction === 'request')

function messageOf(dice: Dice, { api, version }: Target, unique: string): Message {
  const frames = recorded.filter((frame) => frame.key === api.key && frame.version === version)
  const message =
    frames.length > 0 && dice.chance(50)
      ? openFrame(dice.pick(frames)).body
      : (randomRequest(dice, api.request.fields, version) as Message)
  settle(dice, api.request.fields, version, message, unique)
  return message
}

/** Where the body of a frame with size and header begins. */
const bodyStartOf = ({ api, version }: Target): number => (inRange(api.flexible, version) ? 19 : 18)

/** A section of tagged fields that nobody knows, in place of an empty one. */
function tagged(dice: Dice, frame: Buffer, from: number): Buffer {
  const empty: number[] = []
  for (let at = from; at < frame.length; at++) if (frame[at] === 0) empty.push(at)
  if (empty.length === 0) return frame
  const at = dice.chance(50) ? (empty.at(-1) as number) : dice.pick(empty)
  const section = Buffer.from([1, dice.pick([0, 1, 5, 99]), 3, 7, 7, 7])
  return Buffer.concat([frame.subarray(0, at), section, frame.subarray(at + 1)])
}

function broken(dice: Dice, whole: Buffer, target: Target): Buffer {
  const start = bodyStartOf(target)
  const at = start + dice.int(Math.max(1, whole.length - start))
  switch (dice.int(10)) {
    case 0:
      return whole
    case 1:
      return Buffer.concat([whole, Buffer.alloc(1 + dice.int(6), dice.pick([0, 1, 0xff]))])
    case 2:
      return tagged(dice, whole, start)
    case 3: {
      // A length or count that is null, or larger than what follows.
      const bytes = Buffer.from(whole)
      if (at + 2 <= bytes.length) bytes.writeInt16BE(dice.pick([-1, -2, 0, 1, 32_767]), at)
      return bytes
    }
    case 4:
      return damage(dice, whole, 4)
    default:
      return damage(dice, whole, start)
  }
}

const LONG_MS = 5_000
const MANY_PARTITIONS = 20_000

/** Whether others would notice, or the answer would take time. */
function isHarmful(key: number, version: number, message: Message): boolean {
  const text = JSON.stringify(message)
  const numbers = (field: string) =>
    [...text.matchAll(new RegExp(`"${field}":(-?\\d+)`, 'g'))].map(([, n]) => Number(n))
  if (numbers('timeoutMs').some((ms) => ms < LONG_MS)) return true
  switch (key) {
    case 0:
      return message['acks'] === 0 || message['transactionalId'] !== null
    case 1:
      return (message['maxWaitMs'] as number) > 20
    case 3:
      return version < 4 || message['allowAutoTopicCreation'] === true
    case 10:
      return message['keyType'] !== 0
    // However many partitions are asked for, Kafka makes a list of them: its controller runs out of memory.
    case 19:
    case 37:
      return (
        message['validateOnly'] !== true ||
        [...numbers('count'), ...numbers('numPartitions')].some((n) => n > MANY_PARTITIONS)
      )
    case 33:
    case 44:
    case 49:
      return message['validateOnly'] !== true
    case 20:
      return text.includes(topicName) || text.includes(TOPIC_ID) || text.includes('__consumer')
    case 22:
      return message['transactionalId'] !== null
    case 57:
      return version === 0 || message['validateOnly'] !== true
    case 64:
      return message['brokerId'] === 1
    default:
      return false
  }
}

/** Whether a broker may be given this frame; what cannot be read does no harm. */
function isFit(frame: Buffer): boolean {
  if (frame.length < 8) return true
  const [key, version] = [frame.readInt16BE(4), frame.readInt16BE(6)]
  const served = kafka43Served.find((served) => served[0] === key)
  if (!served) return true
  if (!inRange(parseVersions(served[2]), version)) return true
  if (!keys.has(key)) return false
  const api = apiByKey(key)
  try {
    return !isHarmful(key, version, readRequest(api, version, frame))
  } catch {
    return true
  }
}

/** @throws LMQ_PROTOCOL */
export function readRequest(api: Api, version: number, frame: Buffer): Message {
  const isFlexible = inRange(api.flexible, version)
  const { bodyStart } = new RequestHeaderReader().read(frame, 4, frame.length, isFlexible)
  return api.request.read(new Reader(frame, bodyStart), version) as Message
}

/** The frames of one API and version, with their sizes; the same in every run. @param round each has frames of its own */
export function damagedFrames(target: Target, round = 0): Buffer[] {
  const dice = new Dice(100_000 * round + 1000 * target.api.key + target.version)
  const frames: Buffer[] = []
  for (let tries = 0; frames.length < framesOfTarget && tries < 50 * framesOfTarget; tries++) {
    const inRound = round === 0 ? 'g' : `g${round}`
    const unique = `${inRound}-${target.api.key}-${target.version}-${tries}`
    const whole = frameOf(target, messageOf(dice, target, unique), 1 + tries)
    const frame = reframed(broken(dice, whole, target))
    if (isFit(frame)) frames.push(frame)
  }
  return frames
}

/** Tells whether what was recorded belongs to these frames. */
export function fingerprintOf(frames: readonly Buffer[]): string {
  const bytes = Buffer.concat(frames)
  return crc32c(bytes, 0, bytes.length).toString(16)
}

/** All error codes of an answer with the initials of where they stand, each with how often it is there. */
function codesOf(answer: unknown, withCounts: boolean): string {
  const codes = new Map<string, number>()
  const visit = (value: unknown, path: string): void => {
    if (Array.isArray(value)) for (const each of value) visit(each, path)
    else if (value !== null && typeof value === 'object' && !Buffer.isBuffer(value)) {
      for (const [name, each] of Object.entries(value)) {
        if (name !== 'errorCode') visit(each, `${path}${name[0]}.`)
        else codes.set(`${path}${each}`, (codes.get(`${path}${each}`) ?? 0) + 1)
      }
    }
  }
  visit(answer, '')
  const parts = [...codes].map(([code, n]) => (withCounts && n > 1 ? `${code}*${n}` : code))
  return parts.sort().join(' ') || '-'
}

/** Asks a broker one damaged request after the other. */
export class DamagedTelling {
  readonly #port: number
  readonly #topicId: Buffer
  #client: RawClient | undefined

  constructor(port: number, topicId: string) {
    this.#port = port
    this.#topicId = Buffer.from(topicId, 'base64url')
  }

  /** The answer's error codes, or `closed`, `silent`, or what is wrong with the answer. */
  async ask(frame: Buffer): Promise<string> {
    const bytes = Buffer.from(frame)
    for (let at = bytes.indexOf(topicIdBytes); at >= 0; at = bytes.indexOf(topicIdBytes, at + 1)) {
      this.#topicId.copy(bytes, at)
    }
    this.#client ??= await RawClient.connect(this.#port)
    const client = this.#client
    client.socket.write(bytes)
    let timer: NodeJS.Timeout | undefined
    const silence = new Promise<string>((resolve) => {
      timer = setTimeout(resolve, SILENCE_MS, 'silent')
    })
    const told = await Promise.race([client.next().catch(() => 'closed'), silence])
    clearTimeout(timer)
    if (typeof told !== 'string') return this.#read(bytes, told)
    this.close()
    return told
  }

  #read(asked: Buffer, told: Buffer): string {
    const [key, version] = [asked.readInt16BE(4), asked.readInt16BE(6)]
    if (told.readInt32BE(0) !== asked.readInt32BE(8)) return 'another correlation id'
    const api = apiByKey(key)
    const isUnknown = key === 18 && !inRange(api.request.versions, version)
    return codesOf(RawClient.body(api, isUnknown ? 0 : version, told), key !== 3)
  }

  close(): void {
    this.#client?.close()
    this.#client = undefined
  }
}

export type DamagedAnswers = { readonly fingerprint: string; readonly answers: readonly string[] }

/** By API and version: a line each, the answers in the order of the frames. */
export function readDamagedAnswers(): Map<string, DamagedAnswers> {
  const path = new URL('../golden/damaged-answers.txt', import.meta.url)
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  return new Map(
    lines.map((line) => {
      const [name = '', fingerprint = '', answers = ''] = line.split(' | ')
      return [name, { fingerprint, answers: answers.split(', ') }]
    }),
  )
}

/** Makes the topic that requests hit and everything that is made when it is first needed. @returns its id */
export async function makeDamagedTopic(port: number): Promise<string> {
  await makeRandomTopic(port)
  const client = await RawClient.connect(port)
  const answer = await client.ask(metadata, 12, {
    topics: [{ name: topicName, topicId: ZERO_UUID }],
    allowAutoTopicCreation: false,
    includeTopicAuthorizedOperations: false,
    includeClusterAuthorizedOperations: false,
  })
  client.close()
  return answer.topics[0]?.topicId ?? ''
}
