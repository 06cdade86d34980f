import { ErrorCode } from '../protocol/error-code.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import { type ControllerEffect, type Decision, type Outcome, refuse } from './decision.ts'
import type { MetadataImage } from './metadata-image.ts'
import type { MetadataRecord } from './metadata-records.ts'

export type DeleteTopicsCommand = {
  /** Each has a name or an id; the other one is null or the zero id. */
  readonly topics: readonly { readonly name: string | null; readonly topicId: string }[]
}

export type TopicDeletion = Outcome & { readonly name: string | null; readonly topicId: string }

/** Deletes topics, named either way. What comes twice, also once by name and once by id, is refused. */
export function decideDeleteTopics(
  image: MetadataImage,
  { topics }: DeleteTopicsCommand,
): Decision<TopicDeletion[]> {
  const answer: TopicDeletion[] = []
  const records: MetadataRecord[] = []
  const effects: ControllerEffect[] = []
  const times = new Map<string, number>()
  const keyOf = ({ name, topicId }: (typeof topics)[number]) => name ?? `id ${topicId}`
  for (const topic of topics) times.set(keyOf(topic), (times.get(keyOf(topic)) ?? 0) + 1)
  const told = new Set<string>()
  const ids = new Set(topics.map(({ topicId }) => topicId))
  const namedToo = new Set<string>()
  for (const { name } of topics) {
    const topicId = name === null ? undefined : image.topic(name)?.topicId
    if (topicId !== undefined && ids.has(topicId)) namedToo.add(topicId)
  }
  for (const asked of topics) {
    const { name, topicId } = asked
    const wrong = refusalOfReference(asked, times.get(keyOf(asked)) as number)
    if (wrong) {
      if (wrong.repeated && told.has(keyOf(asked))) continue
      told.add(keyOf(asked))
      answer.push({ ...wrong.outcome, name, topicId })
      continue
    }
    const topic = name === null ? image.topicById(topicId) : image.topic(name)
    if (!topic) {
      answer.push({ ...unknownTopic(name), name, topicId })
    } else if (namedToo.has(topic.topicId)) {
      // Told once, and not deleted.
      if (name === null) continue
      const message = 'The provided topic name maps to an ID that was already supplied.'
      const outcome = refuse(ErrorCode.INVALID_REQUEST, message)
      answer.push({ ...outcome, name: topic.name, topicId: topic.topicId })
    } else {
      records.push({ kind: 'removeTopic', topicId: topic.topicId })
      answer.push({ ...success, name: topic.name, topicId: topic.topicId })
      const facts = { topic: topic.name, topicId: topic.topicId }
      effects.push({ kind: 'log', facts, message: 'topic deleted' })
    }
  }
  return { answer, records, effects }
}

const success: Outcome = { errorCode: ErrorCode.NONE, errorMessage: null }

function refusalOfReference(
  { name, topicId }: DeleteTopicsCommand['topics'][number],
  times: number,
): { outcome: Outcome; repeated: boolean } | undefined {
  const invalid = (message: string, repeated = false) => ({
    outcome: refuse(ErrorCode.INVALID_REQUEST, message),
    repeated,
  })
  if (name === null && topicId === ZERO_UUID) {
    return invalid('Neither topic name nor id were specified.')
  }
  if (name !== null && topicId !== ZERO_UUID) {
    return invalid('You may not specify both topic name and topic id.')
  }
  if (times > 1) {
    return invalid(name === null ? 'Duplicate topic id.' : 'Duplicate topic name.', true)
  }
  return undefined
}

const unknownTopic = (name: string | null): Outcome =>
  name === null
    ? refuse(ErrorCode.UNKNOWN_TOPIC_ID, 'This server does not host this topic ID.')
    : refuse(
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        'This server does not host this topic-partition.',
      )
