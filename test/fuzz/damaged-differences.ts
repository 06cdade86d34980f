/** Where LMQ answers a damaged request otherwise than Apache Kafka 4.3.1, and why. */
import { readFileSync } from 'node:fs'
import { ZERO_UUID } from '../../src/protocol/uuid.ts'
import {
  DamagedTelling,
  damagedFrames,
  damagedTargets,
  fingerprintOf,
  makeDamagedTopic,
  nameOf,
  readDamagedAnswers,
  readRequest,
} from './damaged-requests.ts'
import type { Target } from './random-frames.ts'

export type Difference = {
  /** API, version, number of the frame. */
  readonly where: string
  readonly kafka: string
  readonly lmq: string
  readonly why: string
}

type Asked = {
  readonly key: number
  readonly version: number
  /** As LMQ reads it; undefined when it does not, and why. */
  readonly request: Request | undefined
  readonly unreadable: string
  readonly kafka: string
  readonly lmq: string
}

type Request = Record<string, unknown>
type Batches = readonly { partitionData: readonly { index: number; records: Buffer | null }[] }[]

/** Shorter than the smallest record of any format. */
const LEAST_BATCH_BYTES = 14

const isTooShort = ({ records }: { records: Buffer | null }): boolean =>
  records !== null && records.length >= 12 && records.readInt32BE(8) < LEAST_BATCH_BYTES

const hasMoreBehind = ({ records }: { records: Buffer | null }): boolean =>
  records !== null && records.length >= 12 && records.readInt32BE(8) + 12 < records.length

const batchesOf = (request: Request | undefined) =>
  ((request?.['topicData'] ?? []) as Batches).flatMap(({ partitionData }) => partitionData)

function namesTwice(request: Request | undefined): boolean {
  const seen = new Set<string>()
  const topics = (request?.['topicData'] ?? []) as readonly Request[]
  for (const { name, topicId, partitionData } of topics) {
    for (const { index } of partitionData as readonly Request[]) {
      const where = `${name}/${topicId}/${index}`
      if (seen.has(where)) return true
      seen.add(where)
    }
  }
  return false
}

/** Every number that stands in a field of this name, however deep. */
function numbersOf(value: unknown, field: string): number[] {
  if (Array.isArray(value)) return value.flatMap((each) => numbersOf(each, field))
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return []
  return Object.entries(value).flatMap(([name, each]) =>
    name === field ? [Number(each)] : numbersOf(each, field),
  )
}

const failsInside = ({ kafka }: Asked): boolean => /(^|[ .])-1\b/.test(kafka)
/** Topic, broker, logger, client metrics, group. */
const resourceTypes = new Set([2, 4, 8, 16, 32])

function hasTwins(list: unknown): boolean {
  const names = ((list ?? []) as Request[]).map(({ name }) => name)
  return new Set(names).size < names.length
}

/** Of Fetch: ClusterId, ReplicaState; from which version on they are known. */
const fetchTags = new Map([[1, 15]])

/** Each holds for what it says and nothing else. */
const reasons: readonly { readonly why: string; fits(asked: Asked): boolean }[] = [
  {
    why: 'stricter: tagged fields ascend',
    fits: ({ unreadable }) => /tagged fields (out of order|do not ascend)/.test(unreadable),
  },
  {
    why: 'stricter: a tagged field is as long as its size says',
    fits: ({ unreadable }) => /tagged field has a wrong size/.test(unreadable),
  },
  {
    why: 'stricter: no varint of more than 32 bits',
    fits: ({ unreadable }) => /varint too long/.test(unreadable),
  },
  {
    why: 'a tag of a later version counts as unknown; Kafka closes the connection',
    fits: ({ key, version, request, kafka }) =>
      key === 1 &&
      kafka === 'closed' &&
      ((request?.['unknownTags'] ?? []) as { tag: number }[]).some(
        ({ tag }) => version < (fetchTags.get(tag) ?? 0),
      ),
  },
  {
    why: 'no records at all: Kafka fails inside and never answers',
    fits: ({ key, request, kafka }) =>
      key === 0 && kafka === 'silent' && batchesOf(request).some(({ records }) => !records),
  },
  {
    why: 'Kafka refuses all batches of a request for one of an unknown magic',
    fits: ({ key, request, kafka }) =>
      key === 0 &&
      /^r\.p\.2(\*\d+)?$/.test(kafka) &&
      batchesOf(request).some(({ records }) => (records?.[16] ?? 0) > 2),
  },
  {
    why: 'Kafka refuses all batches of a request for one of an impossible length',
    fits: ({ key, request, kafka }) =>
      key === 0 && /^r\.p\.2(\*\d+)?$/.test(kafka) && batchesOf(request).some(isTooShort),
  },
  {
    why: 'a damaged batch: Kafka fails inside',
    fits: (asked) => asked.key === 0 && failsInside(asked) && /r\.p\.(2|87)\b/.test(asked.lmq),
  },
  {
    why: 'bytes behind a batch are refused; Kafka cuts them off',
    fits: ({ key, request, lmq }) =>
      key === 0 && /r\.p\.87\b/.test(lmq) && batchesOf(request).some(hasMoreBehind),
  },
  {
    why: 'Kafka answers a partition that is named twice once, and takes its last batch',
    fits: ({ key, request }) => key === 0 && namesTwice(request),
  },
  {
    why: 'unknown isolation level: Kafka fails inside',
    fits: (asked) =>
      (asked.key === 1 || asked.key === 2) &&
      failsInside(asked) &&
      ![0, 1].includes(asked.request?.['isolationLevel'] as number),
  },
  {
    why: 'the lowest session id: Kafka fails inside',
    fits: (asked) =>
      asked.key === 1 && failsInside(asked) && asked.request?.['sessionId'] === -(2 ** 31),
  },
  {
    why: 'the highest session id: Kafka fails inside',
    fits: (asked) =>
      asked.key === 1 && failsInside(asked) && asked.request?.['sessionId'] === 2 ** 31 - 1,
  },
  {
    why: 'a negative limit: Kafka fails inside',
    fits: (asked) =>
      asked.key === 1 &&
      failsInside(asked) &&
      ['maxBytes', 'partitionMaxBytes'].some((limit) =>
        numbersOf(asked.request, limit).some((bytes) => bytes < 0),
      ),
  },
  {
    why: 'no topic id at all: Kafka fails inside',
    fits: ({ key, version, request, kafka }) =>
      key === 1 &&
      version >= 13 &&
      kafka === '-1' &&
      ((request?.['topics'] ?? []) as Request[]).some(({ topicId }) => topicId === ZERO_UUID),
  },
  {
    why: 'who is no broker of this cluster may not ask in the name of one',
    fits: ({ key, request, lmq }) =>
      [1, 2, 23].includes(key) &&
      (request?.['replicaId'] as number) >= 0 &&
      /^(0 r|t)\.p\.29(\*\d+)?$/.test(lmq),
  },
  {
    why: 'offsets at or beyond 2^53 cannot be committed',
    fits: ({ key, request }) =>
      key === 8 && numbersOf(request, 'committedOffset').some((n) => n >= Number.MAX_SAFE_INTEGER),
  },
  {
    why: 'a subscription that cannot be read: Kafka fails inside and never answers',
    fits: ({ key, request, kafka, lmq }) =>
      key === 11 && kafka === 'silent' && lmq === '0' && request?.['protocolType'] === 'consumer',
  },
  {
    why: 'a protocol that is named twice: Kafka fails inside and never answers',
    fits: ({ key, request, kafka, lmq }) =>
      key === 11 && kafka === 'silent' && lmq === '0' && hasTwins(request?.['protocols']),
  },
  {
    why: 'an unknown version of ApiVersions is answered without a look at the rest of its header',
    fits: ({ key, version, lmq }) => key === 18 && (version > 4 || version < 0) && lmq === '35',
  },
  {
    why: 'two resources of unknown types: Kafka fails inside and never answers',
    fits: ({ key, request, kafka }) =>
      key === 33 &&
      kafka === 'silent' &&
      numbersOf(request, 'resourceType').filter((type) => !resourceTypes.has(type)).length > 1,
  },
  {
    why: 'an unknown kind of election is refused, also when there is nothing to elect',
    fits: ({ key, request, lmq }) =>
      key === 43 && lmq === '42' && ![0, 1].includes(request?.['electionType'] as number),
  },
  {
    why: 'metadata.version only: what the other features switch on is not served',
    fits: ({ key, request, kafka, lmq }) =>
      key === 57 &&
      kafka === '0' &&
      lmq === '95' &&
      ((request?.['featureUpdates'] ?? []) as { feature: string }[]).some(
        ({ feature }) => feature !== 'metadata.version',
      ),
  },
]

function requestOf(frame: Buffer, key: number, version: number) {
  const target = damagedTargets.find((each) => each.api.key === key && each.version === version)
  try {
    return { request: target && readRequest(target.api, version, frame), unreadable: '' }
  } catch (error) {
    return { request: undefined, unreadable: (error as Error).message }
  }
}

class Comparison {
  readonly differences: Difference[] = []
  readonly unexplained: Difference[] = []
  count = 0

  note(target: Target, number: number, frame: Buffer, kafka: string, lmq: string): void {
    this.count++
    if (lmq === kafka) return
    const [key, version] = [frame.readInt16BE(4), frame.readInt16BE(6)]
    const asked = { key, version, ...requestOf(frame, key, version), kafka, lmq }
    const reason = reasons.find(({ fits }) => fits(asked))
    const where = `${nameOf(target)} ${number}`
    this.differences.push({ where, kafka, lmq, why: reason?.why ?? 'no reason' })
    if (!reason) this.unexplained.push({ where, kafka, lmq, why: JSON.stringify(asked) })
  }
}

/** Tells LMQ all damaged requests; what differs from what was recorded, with its reason, and what has none. */
export async function damagedDifferences(port: number) {
  const telling = new DamagedTelling(port, await makeDamagedTopic(port))
  const recorded = readDamagedAnswers()
  const comparison = new Comparison()
  const stale: string[] = []
  for (const target of damagedTargets) {
    const frames = damagedFrames(target)
    const { fingerprint, answers } = recorded.get(nameOf(target)) ?? { answers: [] }
    if (fingerprint !== fingerprintOf(frames)) stale.push(nameOf(target))
    for (const [number, frame] of frames.entries()) {
      const kafka = answers[number] ?? 'not recorded'
      comparison.note(target, number, frame, kafka, await telling.ask(frame))
    }
  }
  telling.close()
  const { differences, unexplained, count } = comparison
  return { differences, unexplained, stale, count }
}

/** Tells a live Kafka and LMQ, both fresh, the frames of one round. */
export async function liveDifferences(kafka: DamagedTelling, lmq: DamagedTelling, round: number) {
  const comparison = new Comparison()
  for (const target of damagedTargets) {
    for (const [number, frame] of damagedFrames(target, round).entries()) {
      const [theirs, ours] = await Promise.all([kafka.ask(frame), lmq.ask(frame)])
      comparison.note(target, number, frame, theirs, ours)
    }
  }
  return comparison
}

export const differenceLines = (differences: readonly Difference[]): string[] =>
  differences.map(({ where, kafka, lmq, why }) => `${where}: ${kafka} -> ${lmq} (${why})`)

export const readDamagedDifferences = (): string[] =>
  readFileSync(new URL('../golden/damaged-differences.txt', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
