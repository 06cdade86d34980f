/** What tools ask about groups and what they committed. */
import { describeGroups as describeGroupsApi } from '../protocol/apis/15-describe-groups.ts'
import { listGroups as listGroupsApi } from '../protocol/apis/16-list-groups.ts'
import { deleteGroups as deleteGroupsApi } from '../protocol/apis/42-delete-groups.ts'
import { offsetDelete as offsetDeleteApi } from '../protocol/apis/47-offset-delete.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { ResponseOf } from '../protocol/schema.ts'
import type { Client } from './client.ts'
import { fetchCommitted, type TopicPartition } from './committed-offsets.ts'
import { readAssignment } from './group-member.ts'
import { listOffsets, OffsetSpec } from './offsets.ts'
import { checkOutcome, OutcomeError } from './outcome-error.ts'

export type ListedGroup = ResponseOf<typeof listGroupsApi>['groups'][number]

/** All groups of all brokers, by name. */
export async function listGroups(client: Client): Promise<ListedGroup[]> {
  const { brokers } = await client.metadata([])
  const found = new Map<string, ListedGroup>()
  for (const { nodeId } of brokers) {
    const attempt = async (): Promise<void> => {
      const connection = await client.connectionTo({ brokerId: nodeId })
      const answer = await connection.request(listGroupsApi, { statesFilter: [], typesFilter: [] })
      checkOutcome(answer.errorCode, `groups of broker ${nodeId}`)
      for (const group of answer.groups) found.set(group.groupId, group)
    }
    await client.retrying(attempt)
  }
  return [...found.values()].sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
}

export type DescribedMember = {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly assignment: readonly TopicPartition[]
}

export type DescribedGroup = {
  readonly groupId: string
  readonly state: string
  readonly protocolType: string
  readonly protocol: string
  readonly members: readonly DescribedMember[]
}

/** @throws {OutcomeError} GROUP_ID_NOT_FOUND */
export async function describeGroup(client: Client, groupId: string): Promise<DescribedGroup> {
  const attempt = async (): Promise<DescribedGroup> => {
    const connection = await client.connectionTo({ group: groupId })
    const answer = await connection.request(describeGroupsApi, {
      groups: [groupId],
      includeAuthorizedOperations: false,
    })
    const [group] = answer.groups
    if (!group) throw new OutcomeError(ErrorCode.GROUP_ID_NOT_FOUND, `group ${groupId}`)
    checkOutcome(group.errorCode, `group ${groupId}`, group.errorMessage)
    return {
      groupId,
      state: group.groupState,
      protocolType: group.protocolType,
      protocol: group.protocolData,
      members: group.members.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        assignment:
          group.protocolType === 'consumer' ? readAssignment(member.memberAssignment) : [],
      })),
    }
  }
  return client.retrying(attempt, { forget: () => client.forgetCoordinator(groupId) })
}

export type PartitionLag = TopicPartition & {
  /** -1: nothing committed. */
  readonly committedOffset: number
  readonly logEndOffset: number
  /** Records between the two; from the start of the log when nothing is committed. */
  readonly lagRecords: number
}

/** How far a group is behind, for every partition in which it has committed. */
export async function groupLag(client: Client, groupId: string): Promise<PartitionLag[]> {
  const committed = await fetchCommitted(client, groupId, null)
  const answer = await client.metadata([...new Set(committed.map(({ topic }) => topic))])
  const gone = new Set(answer.topics.filter((each) => each.errorCode !== 0).map(({ name }) => name))
  const present = committed.filter(({ topic }) => !gone.has(topic))
  const ends = await listOffsets(
    client,
    present.map(({ topic, partitionIndex }) => ({
      topic,
      partitionIndex,
      timestamp: OffsetSpec.latest,
    })),
  )
  return present
    .map(({ topic, partitionIndex, offset }, at) => {
      const logEndOffset = ends[at]?.offset ?? -1
      const lagRecords = Math.max(0, logEndOffset - Math.max(0, offset))
      return { topic, partitionIndex, committedOffset: offset, logEndOffset, lagRecords }
    })
    .sort((a, b) =>
      a.topic === b.topic ? a.partitionIndex - b.partitionIndex : a.topic < b.topic ? -1 : 1,
    )
}

/** Deletes one group without members, and what it committed. */
export async function deleteGroup(client: Client, groupId: string): Promise<void> {
  const attempt = async (): Promise<void> => {
    const connection = await client.connectionTo({ group: groupId })
    const answer = await connection.request(deleteGroupsApi, { groupsNames: [groupId] })
    const errorCode = answer.results[0]?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
    checkOutcome(errorCode, `group ${groupId}`)
  }
  await client.retrying(attempt, { forget: () => client.forgetCoordinator(groupId) })
}

/** Makes a group forget what it committed for partitions of topics that it does not read now. */
export async function deleteCommitted(
  client: Client,
  groupId: string,
  partitions: readonly TopicPartition[],
): Promise<void> {
  const topics = new Map<string, { partitionIndex: number }[]>()
  for (const { topic, partitionIndex } of partitions) {
    topics.set(topic, [...(topics.get(topic) ?? []), { partitionIndex }])
  }
  const attempt = async (): Promise<void> => {
    const connection = await client.connectionTo({ group: groupId })
    const answer = await connection.request(offsetDeleteApi, {
      groupId,
      topics: [...topics].map(([name, list]) => ({ name, partitions: list })),
    })
    checkOutcome(answer.errorCode, `group ${groupId}`)
    for (const { name, partitions: list } of answer.topics) {
      for (const { partitionIndex, errorCode } of list) {
        checkOutcome(errorCode, `committed offset of ${name}-${partitionIndex}`)
      }
    }
  }
  await client.retrying(attempt, { forget: () => client.forgetCoordinator(groupId) })
}
