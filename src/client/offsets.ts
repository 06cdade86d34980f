import { listOffsets as listOffsetsApi } from '../protocol/apis/02-list-offsets.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { Client } from './client.ts'
import { checkOutcome, OutcomeError } from './outcome-error.ts'
import { TopicView } from './topic-view.ts'

/** Special timestamps of ListOffsets. */
export const OffsetSpec = { latest: -1, earliest: -2, maxTimestamp: -3 } as const

export type OffsetQuestion = {
  readonly topic: string
  readonly partitionIndex: number
  /** Milliseconds since 1970, or one of `OffsetSpec`. */
  readonly timestamp: number
}

export type ListedOffset = {
  readonly topic: string
  readonly partitionIndex: number
  /** -1: there is none at or after that time. */
  readonly offset: number
  readonly timestamp: number
}

/**
 * Offsets by time or by place, in the order of the questions. Partitions whose leader is away are asked again until the
 * client's patience ends.
 */
export async function listOffsets(
  client: Client,
  questions: readonly OffsetQuestion[],
  isolation: 'read_uncommitted' | 'read_committed' = 'read_uncommitted',
  topics: TopicView = new TopicView(client),
): Promise<ListedOffset[]> {
  const found = new Map<string, ListedOffset>()
  const keyOf = (each: { topic: string; partitionIndex: number; timestamp: number }): string =>
    `${each.topic}-${each.partitionIndex}-${each.timestamp}`
  const attempt = async (): Promise<void> => {
    const byLeader = new Map<number, OffsetQuestion[]>()
    for (const question of questions) {
      if (found.has(keyOf(question))) continue
      const leaderId = await topics.leaderOf(question.topic, question.partitionIndex)
      byLeader.set(leaderId, [...(byLeader.get(leaderId) ?? []), question])
    }
    for (const [brokerId, list] of byLeader) {
      for (const answer of await askLeader(client, brokerId, list, isolation)) {
        found.set(keyOf({ ...answer.answer, timestamp: answer.asked }), answer.answer)
      }
    }
  }
  const forget = (): void => {
    for (const { topic } of questions) topics.forget(topic)
  }
  await client.retrying(attempt, { forget })
  return questions.map((question) => found.get(keyOf(question)) as ListedOffset)
}

async function askLeader(
  client: Client,
  brokerId: number,
  questions: readonly OffsetQuestion[],
  isolation: string,
): Promise<{ asked: number; answer: ListedOffset }[]> {
  const found: { asked: number; answer: ListedOffset }[] = []
  // A partition may stand only once in a request: one request for each kind of question.
  for (const asked of new Set(questions.map(({ timestamp }) => timestamp))) {
    const topics = new Map<string, number[]>()
    for (const { topic, partitionIndex, timestamp } of questions) {
      if (timestamp !== asked) continue
      topics.set(topic, [...(topics.get(topic) ?? []), partitionIndex])
    }
    const connection = await client.connectionTo({ brokerId })
    const answer = await connection.request(listOffsetsApi, {
      replicaId: -1,
      isolationLevel: isolation === 'read_committed' ? 1 : 0,
      topics: [...topics].map(([name, partitions]) => ({
        name,
        partitions: partitions.map((partitionIndex) => ({ partitionIndex, timestamp: asked })),
      })),
      timeoutMs: 30_000,
    })
    for (const { name, partitions } of answer.topics) {
      for (const { partitionIndex, errorCode, offset, timestamp } of partitions) {
        checkOutcome(errorCode, `partition ${name}-${partitionIndex}`)
        found.push({ asked, answer: { topic: name, partitionIndex, offset, timestamp } })
      }
    }
  }
  if (found.length < questions.length) {
    throw new OutcomeError(ErrorCode.UNKNOWN_SERVER_ERROR, 'ListOffsets', 'answers are missing')
  }
  return found
}
