/** What tools ask about topics. Outcomes other than NONE are thrown; each function says of how many topics at once. */
import { createTopics as createTopicsApi } from '../protocol/apis/19-create-topics.ts'
import { deleteTopics as deleteTopicsApi } from '../protocol/apis/20-delete-topics.ts'
import { deleteRecords as deleteRecordsApi } from '../protocol/apis/21-delete-records.ts'
import { createPartitions as createPartitionsApi } from '../protocol/apis/37-create-partitions.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import type { Client, TopicMetadata } from './client.ts'
import type { TopicPartition } from './committed-offsets.ts'
import { checkOutcome } from './outcome-error.ts'
import { TopicView } from './topic-view.ts'

const timeoutMs = 30_000

export type NewTopic = {
  readonly name: string
  /** -1: the cluster's default. */
  readonly partitionCount: number
  /** -1: the cluster's default. */
  readonly replicationFactor: number
  readonly configs: ReadonlyMap<string, string>
}

/** All topics, or those that are named. @throws {OutcomeError} when one that is named does not exist */
export async function listTopics(
  client: Client,
  names: readonly string[] | null,
): Promise<TopicMetadata[]> {
  const answer = await client.metadata(names)
  for (const { name, errorCode } of names ? answer.topics : []) {
    checkOutcome(errorCode, `topic ${name}`)
  }
  return answer.topics.sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1))
}

/** Creates one topic. @returns the partitions and replicas that it got; -1 when the broker does not tell */
export async function createTopic(
  client: Client,
  topic: NewTopic,
  { validateOnly = false }: { validateOnly?: boolean } = {},
): Promise<{ topicId: string; partitionCount: number; replicationFactor: number }> {
  const answer = await client.request('controller', createTopicsApi, {
    topics: [
      {
        name: topic.name,
        numPartitions: topic.partitionCount,
        replicationFactor: topic.replicationFactor,
        assignments: [],
        configs: [...topic.configs].map(([name, value]) => ({ name, value })),
      },
    ],
    timeoutMs,
    validateOnly,
  })
  const [created] = answer.topics
  const errorCode = created?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
  checkOutcome(errorCode, `topic ${topic.name}`, created?.errorMessage)
  return {
    topicId: created?.topicId ?? ZERO_UUID,
    partitionCount: created?.numPartitions ?? -1,
    replicationFactor: created?.replicationFactor ?? -1,
  }
}

/** Deletes one topic with all its records. */
export async function deleteTopic(client: Client, name: string): Promise<void> {
  const answer = await client.request('controller', deleteTopicsApi, (version) => ({
    topics: version < 6 ? [] : [{ name, topicId: ZERO_UUID }],
    topicNames: version < 6 ? [name] : [],
    timeoutMs,
  }))
  const [deleted] = answer.responses
  const errorCode = deleted?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
  checkOutcome(errorCode, `topic ${name}`, deleted?.errorMessage)
}

/** @param count the new number of partitions in all */
export async function createPartitions(client: Client, name: string, count: number): Promise<void> {
  const answer = await client.request('controller', createPartitionsApi, {
    topics: [{ name, count, assignments: null }],
    timeoutMs,
    validateOnly: false,
  })
  const [created] = answer.results
  const errorCode = created?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
  checkOutcome(errorCode, `topic ${name}`, created?.errorMessage)
}

export type RecordsBefore = TopicPartition & {
  /** Records below go; -1: all that are there now. */
  readonly offset: number
}

/** Deletes the oldest records of partitions. @returns where each log starts now, in the order asked */
export async function deleteRecords(
  client: Client,
  partitions: readonly RecordsBefore[],
): Promise<number[]> {
  const topics = new TopicView(client)
  const starts: number[] = []
  for (const { topic, partitionIndex, offset } of partitions) {
    const attempt = async (): Promise<number> => {
      const brokerId = await topics.leaderOf(topic, partitionIndex)
      const connection = await client.connectionTo({ brokerId })
      const answer = await connection.request(deleteRecordsApi, {
        topics: [{ name: topic, partitions: [{ partitionIndex, offset }] }],
        timeoutMs,
      })
      const outcome = answer.topics[0]?.partitions[0]
      const errorCode = outcome?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
      checkOutcome(errorCode, `partition ${topic}-${partitionIndex}`)
      return outcome?.lowWatermark ?? -1
    }
    starts.push(await client.retrying(attempt, { forget: () => topics.forget(topic) }))
  }
  return starts
}
