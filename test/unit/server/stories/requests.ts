/** Requests that stories are made of. */

import { produce } from '../../../../src/protocol/apis/00-produce.ts'
import { fetch } from '../../../../src/protocol/apis/01-fetch.ts'
import { listOffsets } from '../../../../src/protocol/apis/02-list-offsets.ts'
import { metadata } from '../../../../src/protocol/apis/03-metadata.ts'
import { createTopics } from '../../../../src/protocol/apis/19-create-topics.ts'
import { ZERO_UUID } from '../../../../src/protocol/uuid.ts'
import type { AskOptions, Telling } from './telling.ts'

/** Creates a topic and knows its id from then on. @returns its name */
export async function topic(
  telling: Telling,
  plainName: string,
  numPartitions = 1,
  configs: Record<string, string> = {},
): Promise<string> {
  const name = telling.name(plainName)
  const answer = await telling.quietly(createTopics, 7, {
    topics: [
      {
        name,
        numPartitions,
        replicationFactor: 1,
        assignments: [],
        configs: Object.entries({ 'retention.ms': '-1', ...configs }).map(([key, value]) => ({
          name: key,
          value,
        })),
      },
    ],
    timeoutMs: 30_000,
    validateOnly: false,
  })
  const [created] = (answer?.topics ?? []) as { topicId: string; errorCode: number }[]
  if (created?.errorCode !== 0) throw new Error(`${name} was not created: ${created?.errorCode}`)
  telling.rememberTopicId(name, created.topicId)
  await led(telling, name, numPartitions)
  return name
}

/** Waits until all partitions are led: a broker may name a leader before that broker knows of it. */
async function led(telling: Telling, name: string, count: number): Promise<void> {
  const partitions = Array.from({ length: count }, (_, partitionIndex) => ({
    partitionIndex,
    timestamp: -1,
    currentLeaderEpoch: -1,
  }))
  for (;;) {
    const answer = await telling.quietly(listOffsets, 2, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name, partitions }],
    })
    const [found] = (answer?.topics ?? []) as { partitions: { errorCode: number }[] }[]
    if (found?.partitions.every(({ errorCode }) => errorCode === 0)) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export type Parts = Record<number, Buffer | null>

export function produceRequest(
  telling: Telling,
  version: number,
  topics: Record<string, Parts>,
  { acks = -1, timeoutMs = 5_000, transactionalId = null as string | null } = {},
) {
  return {
    transactionalId,
    acks,
    timeoutMs,
    topicData: Object.entries(topics).map(([name, partitions]) => ({
      ...named(telling, version >= 13, name),
      partitionData: Object.entries(partitions).map(([index, records]) => ({
        index: Number(index),
        records,
      })),
    })),
  }
}

/** A topic by name or by id; text that is an id already stays one. */
function named(telling: Telling, byId: boolean, name: string) {
  if (!byId) return { name, topicId: ZERO_UUID }
  return {
    name: '',
    topicId: name.length === 22 && !name.includes('-x') ? name : telling.topicId(name),
  }
}

export const send = (
  telling: Telling,
  version: number,
  topics: Record<string, Parts>,
  more: Parameters<typeof produceRequest>[3] & AskOptions = {},
) => telling.ask(produce, version, produceRequest(telling, version, topics, more), more)

export type Wish = {
  offset?: number
  epoch?: number
  lastEpoch?: number
  max?: number
  logStart?: number
}

export function fetchRequest(
  telling: Telling,
  version: number,
  topics: Record<string, Record<number, Wish>>,
  more: Record<string, unknown> & { forget?: Record<string, number[]> } = {},
) {
  const { forget = {}, ...fields } = more
  return {
    clusterId: null,
    replicaId: -1,
    replicaState: { replicaId: -1, replicaEpoch: -1 },
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1_000_000,
    isolationLevel: 0,
    sessionId: 0,
    sessionEpoch: -1,
    topics: Object.entries(topics).map(([name, partitions]) => {
      const { name: topicName, topicId } = named(telling, version >= 13, name)
      return {
        topic: topicName,
        topicId,
        partitions: Object.entries(partitions).map(([partition, wish]) => ({
          partition: Number(partition),
          currentLeaderEpoch: wish.epoch ?? -1,
          fetchOffset: wish.offset ?? 0,
          lastFetchedEpoch: wish.lastEpoch ?? -1,
          logStartOffset: wish.logStart ?? -1,
          partitionMaxBytes: wish.max ?? 1_000_000,
        })),
      }
    }),
    forgottenTopicsData: Object.entries(forget).map(([name, partitions]) => {
      const { name: topicName, topicId } = named(telling, version >= 13, name)
      return { topic: topicName, topicId, partitions }
    }),
    rackId: '',
    ...fields,
  }
}

export const read = (
  telling: Telling,
  version: number,
  topics: Record<string, Record<number, Wish>>,
  more: Parameters<typeof fetchRequest>[3] = {},
  options: AskOptions = {},
) => telling.ask(fetch, version, fetchRequest(telling, version, topics, more), options)

export const offsets = (
  telling: Telling,
  version: number,
  topics: Record<string, [partition: number, timestamp: number, epoch?: number][]>,
  { isolationLevel = 0, replicaId = -1 } = {},
) =>
  telling.ask(listOffsets, version, {
    replicaId,
    isolationLevel: version >= 2 ? isolationLevel : 0,
    topics: Object.entries(topics).map(([name, partitions]) => ({
      name,
      partitions: partitions.map(([partitionIndex, timestamp, epoch = -1]) => ({
        partitionIndex,
        timestamp,
        currentLeaderEpoch: epoch,
        maxNumOffsets: 1,
      })),
    })),
    timeoutMs: 1000,
  })

export const askMetadata = (
  telling: Telling,
  version: number,
  topics: ({ name?: string | null; topicId?: string } | string)[] | null,
  more: { allow?: boolean; operations?: boolean } = {},
) =>
  telling.ask(metadata, version, {
    topics:
      topics?.map((each) =>
        typeof each === 'string'
          ? { name: each, topicId: ZERO_UUID }
          : {
              name: each.name === undefined ? null : each.name,
              topicId: each.topicId ?? ZERO_UUID,
            },
      ) ?? null,
    allowAutoTopicCreation: version >= 4 ? (more.allow ?? false) : true,
    includeClusterAuthorizedOperations: version >= 8 && version <= 10 && (more.operations ?? false),
    includeTopicAuthorizedOperations: version >= 8 && (more.operations ?? false),
  })
