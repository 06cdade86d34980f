/** Offsets that groups have committed: asked for and set by members, and by tools for groups without members. */
import { offsetCommit } from '../protocol/apis/08-offset-commit.ts'
import { offsetFetch } from '../protocol/apis/09-offset-fetch.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { ZERO_UUID } from '../protocol/uuid.ts'
import type { Client } from './client.ts'
import { checkOutcome } from './outcome-error.ts'

export type TopicPartition = { readonly topic: string; readonly partitionIndex: number }
export type CommittedOffset = TopicPartition & {
  /** The next offset to read; -1: none committed. */
  readonly offset: number
}

/** OffsetCommit and OffsetFetch above name topics by id. */
const offsetsVersion = 9
/** After these the member starts over with a new id, or in the next generation. */
export const rejoinErrors: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.ILLEGAL_GENERATION,
  ErrorCode.REBALANCE_IN_PROGRESS,
  ErrorCode.MEMBER_ID_REQUIRED,
])

function byTopic<T extends TopicPartition>(list: readonly T[]): [string, T[]][] {
  const topics = new Map<string, T[]>()
  for (const each of list) {
    const known = topics.get(each.topic)
    if (known) known.push(each)
    else topics.set(each.topic, [each])
  }
  return [...topics]
}

/**
 * What a group has committed.
 *
 * @param partitions null: everything
 */
export async function fetchCommitted(
  client: Client,
  groupId: string,
  partitions: readonly TopicPartition[] | null,
): Promise<CommittedOffset[]> {
  const wanted =
    partitions &&
    byTopic(partitions).map(([name, list]) => ({
      name,
      partitionIndexes: list.map(({ partitionIndex }) => partitionIndex),
    }))
  const attempt = async (): Promise<CommittedOffset[]> => {
    const connection = await client.connectionTo({ group: groupId })
    const answer = await connection.request(
      offsetFetch,
      (version) => offsetFetchRequest(groupId, wanted, version),
      { maxVersion: offsetsVersion },
    )
    const group = answer.groups[0] ?? answer
    checkOutcome(group.errorCode, `group ${groupId}`)
    const found = new Map<string, number>()
    for (const { name, partitions: list } of group.topics) {
      for (const { partitionIndex, errorCode, committedOffset } of list) {
        checkOutcome(errorCode, `committed offset of ${name}-${partitionIndex}`)
        found.set(`${name}\n${partitionIndex}`, committedOffset)
      }
    }
    if (partitions) {
      return partitions.map((each) => {
        const offset = found.get(`${each.topic}\n${each.partitionIndex}`) ?? -1
        return { topic: each.topic, partitionIndex: each.partitionIndex, offset }
      })
    }
    return [...found].map(([key, offset]) => {
      const [topic = '', index] = key.split('\n')
      return { topic, partitionIndex: Number(index), offset }
    })
  }
  return client.retrying(attempt, { forget: () => client.forgetCoordinator(groupId) })
}

type WantedTopics = { name: string; partitionIndexes: number[] }[] | null

function offsetFetchRequest(groupId: string, wanted: WantedTopics, version: number) {
  const topics = wanted?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null
  return version < 8
    ? { groupId, topics: wanted, groups: [] }
    : { groupId: '', topics: [], groups: [{ groupId, topics }] }
}

/**
 * Commits for a group.
 *
 * @param identity of a member; without one the group must be empty
 * @returns the error codes that are not NONE and ask for rejoining. @throws {OutcomeError} for the others
 */
export async function commitOffsets(
  client: Client,
  groupId: string,
  offsets: readonly CommittedOffset[],
  identity = { generationId: -1, memberId: '', groupInstanceId: null as string | null },
): Promise<number[]> {
  const attempt = async (): Promise<number[]> => {
    const connection = await client.connectionTo({ group: groupId })
    const answer = await connection.request(
      offsetCommit,
      {
        groupId,
        generationIdOrMemberEpoch: identity.generationId,
        memberId: identity.memberId,
        groupInstanceId: identity.groupInstanceId,
        topics: byTopic(offsets).map(([name, list]) => ({
          name,
          topicId: ZERO_UUID,
          partitions: list.map(({ partitionIndex, offset }) => ({
            partitionIndex,
            committedOffset: offset,
            committedMetadata: '',
          })),
        })),
      },
      { maxVersion: offsetsVersion },
    )
    const codes = new Set<number>()
    for (const { name, partitions } of answer.topics) {
      for (const { partitionIndex, errorCode } of partitions) {
        if (rejoinErrors.has(errorCode) && identity.memberId !== '') codes.add(errorCode)
        else checkOutcome(errorCode, `commit of ${name}-${partitionIndex} for group ${groupId}`)
      }
    }
    return [...codes]
  }
  return client.retrying(attempt, { forget: () => client.forgetCoordinator(groupId) })
}
