/** OffsetCommit, OffsetFetch and OffsetDelete: topics by name or id, an outcome per partition. */
import type { offsetCommit } from '../../protocol/apis/08-offset-commit.ts'
import type { offsetFetch } from '../../protocol/apis/09-offset-fetch.ts'
import type { offsetDelete } from '../../protocol/apis/47-offset-delete.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { type Uuid, ZERO_UUID } from '../../protocol/uuid.ts'
import type { Client, GroupSettings, TopicsPort } from '../ports.ts'
import type { GroupCounters } from './group-counters.ts'
import type { StoredOffset } from './group-offsets.ts'
import type { OffsetRecord } from './group-records.ts'
import type { GroupShard } from './group-shard.ts'

/** From here on topics are named by id. */
const TOPIC_ID_VERSION = 10
/** A commit that asks for the broker's retention. */
const DEFAULT_RETENTION = -1
/** No stored time is later: larger ones would not be numbers that count exactly. */
const LATEST_MS = Number.MAX_SAFE_INTEGER

type CommitRequest = RequestOf<typeof offsetCommit>
type CommitTopic = CommitRequest['topics'][number]
type FetchRequest = RequestOf<typeof offsetFetch>
type FetchGroup = FetchRequest['groups'][number]
type FetchedGroup = ResponseInput<typeof offsetFetch>['groups'][number]
type FetchedPartition = FetchedGroup['topics'][number]['partitions'][number]

/** A topic of a commit with what is known of it; errors are filled in while it is worked on. */
type ResolvedTopic = {
  readonly name: string
  readonly topicId: Uuid
  readonly partitions: {
    readonly asked: CommitTopic['partitions'][number]
    errorCode: ErrorCode
  }[]
}

export type OffsetRequestParts = { readonly settings: GroupSettings; readonly topics: TopicsPort }

export class OffsetRequests {
  readonly #settings: GroupSettings
  readonly #topics: TopicsPort
  readonly #shardOf: (groupId: string) => GroupShard | ErrorCode
  readonly #counters: GroupCounters

  constructor(
    { settings, topics }: OffsetRequestParts,
    shardOf: (groupId: string) => GroupShard | ErrorCode,
    counters: GroupCounters,
  ) {
    this.#settings = settings
    this.#topics = topics
    this.#shardOf = shardOf
    this.#counters = counters
  }

  // ---- Commit ----

  async commit(
    request: CommitRequest,
    client: Client,
  ): Promise<ResponseInput<typeof offsetCommit>> {
    const isById = client.apiVersion >= TOPIC_ID_VERSION
    const topics = request.topics.map((topic) => this.#resolve(topic, isById))
    // Nothing to write: the group is not even looked at, as in Kafka.
    if (topics.some(({ partitions }) => partitions.some((each) => each.errorCode === 0))) {
      await this.#commitKnown(request, topics, client)
    }
    const answered = topics.filter(({ partitions }) => partitions.length > 0)
    return {
      topics: answered.map(({ name, topicId, partitions }) => ({
        name,
        topicId: isById ? topicId : ZERO_UUID,
        partitions: partitions.map(({ asked, errorCode }) => ({
          partitionIndex: asked.partitionIndex,
          errorCode,
        })),
      })),
    }
  }

  /** Finds each topic and partition; what is unknown has its error from here on. */
  #resolve(topic: CommitTopic, isById: boolean): ResolvedTopic {
    const name = isById ? (this.#topics.nameOf(topic.topicId) ?? '') : topic.name
    const count = name === '' ? undefined : this.#topics.partitionCount(name)
    const unknown =
      isById && name === '' ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return {
      name,
      topicId: isById ? topic.topicId : (this.#topics.idOf(name) ?? ZERO_UUID),
      partitions: topic.partitions.map((asked) => {
        const { partitionIndex } = asked
        const exists = count !== undefined && partitionIndex >= 0 && partitionIndex < count
        return { asked, errorCode: exists ? ErrorCode.NONE : unknown }
      }),
    }
  }

  async #commitKnown(
    request: CommitRequest,
    topics: readonly ResolvedTopic[],
    client: Client,
  ): Promise<void> {
    const shard = this.#shardOf(request.groupId)
    const refusal = typeof shard === 'number' ? shard : checkCommit(shard, request, client)
    const fail = (errorCode: ErrorCode): void => {
      for (const partition of topics.flatMap((topic) => topic.partitions)) {
        if (partition.errorCode === ErrorCode.NONE) partition.errorCode = errorCode
      }
    }
    if (typeof shard === 'number' || refusal !== ErrorCode.NONE) {
      fail(refusal)
      return
    }
    const records: OffsetRecord[] = []
    const nowMs = shard.nowMs()
    const { retentionTimeMs } = request
    const expireTimestampMs =
      retentionTimeMs === DEFAULT_RETENTION ? -1 : Math.min(nowMs + retentionTimeMs, LATEST_MS)
    for (const { name, topicId, partitions } of topics) {
      for (const partition of partitions) {
        if (partition.errorCode !== ErrorCode.NONE) continue
        const { asked } = partition
        partition.errorCode = this.#checkOffset(asked)
        if (partition.errorCode !== ErrorCode.NONE) continue
        records.push({
          kind: 'offset',
          groupId: request.groupId,
          topic: name,
          partitionIndex: asked.partitionIndex,
          value: {
            offset: asked.committedOffset,
            leaderEpoch: asked.committedLeaderEpoch,
            metadata: asked.committedMetadata ?? '',
            commitTimestampMs: asked.commitTimestamp === -1 ? nowMs : asked.commitTimestamp,
            expireTimestampMs,
            topicId,
          },
        })
      }
    }
    const errorCode = await shard.writeOffsets(records)
    if (errorCode === ErrorCode.NONE) this.#counters.offsetCommits += records.length
    else fail(errorCode)
  }

  #checkOffset(asked: CommitTopic['partitions'][number]): ErrorCode {
    const limit = this.#settings['offset.metadata.max.bytes']
    if ((asked.committedMetadata?.length ?? 0) > limit) return ErrorCode.OFFSET_METADATA_TOO_LARGE
    // An offset beyond 2^53 was read as the largest number: storing that would store something else.
    const isExact = Math.abs(asked.committedOffset) < Number.MAX_SAFE_INTEGER
    return isExact ? ErrorCode.NONE : ErrorCode.INVALID_COMMIT_OFFSET_SIZE
  }

  // ---- Fetch ----

  async fetch(request: FetchRequest, client: Client): Promise<ResponseInput<typeof offsetFetch>> {
    const { requireStable } = request
    if (client.apiVersion >= 8) {
      const groups = request.groups.map((group) => this.#fetchGroup(group, requireStable, client))
      return { topics: [], groups: await Promise.all(groups) }
    }
    const topics = request.topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null
    const asked = { groupId: request.groupId, memberId: null, memberEpoch: -1, topics }
    const { topics: found, errorCode = 0 } = await this.#fetchGroup(asked, requireStable, client)
    if (client.apiVersion >= 2) return { topics: found, errorCode, groups: [] }
    // Before version 2 there was no error on top: each partition has it.
    if (errorCode === ErrorCode.NONE) return { topics: found, groups: [] }
    const failed = (topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) => noOffset(index, errorCode)),
    }))
    return { topics: failed, groups: [] }
  }

  async #fetchGroup(
    asked: FetchGroup,
    requireStable: boolean,
    client: Client,
  ): Promise<FetchedGroup> {
    const { groupId } = asked
    const shard = this.#shardOf(groupId)
    if (typeof shard === 'number') return { groupId, topics: [], errorCode: shard }
    if (requireStable) await new Promise<void>((passed) => shard.afterEarlierWrites(passed))
    const errorCode = shard.isSettled(groupId) ? shard.refusal : await shard.settled(groupId)
    if (errorCode !== ErrorCode.NONE) return { groupId, topics: [], errorCode }
    const isById = client.apiVersion >= TOPIC_ID_VERSION
    const topics = asked.topics
      ? asked.topics.map((topic) => this.#fetchTopic(shard, groupId, topic, requireStable, isById))
      : this.#fetchAll(shard, groupId, requireStable, isById)
    return { groupId, topics, errorCode: ErrorCode.NONE }
  }

  #fetchTopic(
    shard: GroupShard,
    groupId: string,
    asked: NonNullable<FetchGroup['topics']>[number],
    requireStable: boolean,
    isById: boolean,
  ): FetchedGroup['topics'][number] {
    const name = isById ? this.#topics.nameOf(asked.topicId) : asked.name
    const topicId = isById ? asked.topicId : ZERO_UUID
    const partitions = asked.partitionIndexes.map((index) => {
      if (name === undefined) return noOffset(index, ErrorCode.UNKNOWN_TOPIC_ID)
      if (requireStable && shard.offsets.hasPending(groupId, name, index)) {
        return noOffset(index, ErrorCode.UNSTABLE_OFFSET_COMMIT)
      }
      const stored = shard.offsets.get(groupId, name, index)
      const expectedId = isById ? asked.topicId : (this.#topics.idOf(name) ?? ZERO_UUID)
      return stored && sameTopic(stored.topicId, expectedId)
        ? foundOffset(index, stored)
        : noOffset(index, ErrorCode.NONE)
    })
    return { name: name ?? '', topicId, partitions }
  }

  #fetchAll(
    shard: GroupShard,
    groupId: string,
    requireStable: boolean,
    isById: boolean,
  ): FetchedGroup['topics'] {
    const topics: FetchedGroup['topics'][number][] = []
    for (const [name, stored] of shard.offsets.ofGroup(groupId) ?? []) {
      const topicId = this.#topics.idOf(name)
      // A client that knows topics by id can do nothing with one that has none any more.
      if (isById && topicId === undefined) continue
      const partitions = [...stored].map(([index, offset]) =>
        requireStable && shard.offsets.hasPending(groupId, name, index)
          ? noOffset(index, ErrorCode.UNSTABLE_OFFSET_COMMIT)
          : foundOffset(index, offset),
      )
      topics.push({ name, topicId: isById ? (topicId ?? ZERO_UUID) : ZERO_UUID, partitions })
    }
    return topics
  }

  // ---- Delete ----

  async delete(
    request: RequestOf<typeof offsetDelete>,
  ): Promise<ResponseInput<typeof offsetDelete>> {
    const { groupId } = request
    if (groupId === '') return { errorCode: ErrorCode.INVALID_GROUP_ID, topics: [] }
    const shard = this.#shardOf(groupId)
    if (typeof shard === 'number') return { errorCode: shard, topics: [] }
    const machine = shard.group(groupId)
    if (!machine) return { errorCode: ErrorCode.GROUP_ID_NOT_FOUND, topics: [] }
    if (machine.state !== 'Empty' && !machine.isConsumerGroup) {
      return { errorCode: ErrorCode.NON_EMPTY_GROUP, topics: [] }
    }
    const removed: { topic: string; partitionIndex: number }[] = []
    const topics = request.topics.map(({ name, partitions }) => {
      const count = this.#topics.partitionCount(name)
      const isRead = machine.isSubscribedTo(name)
      return {
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          const exists = count !== undefined && partitionIndex >= 0 && partitionIndex < count
          if (!exists) return { partitionIndex, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
          if (isRead) return { partitionIndex, errorCode: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC }
          removed.push({ topic: name, partitionIndex })
          return { partitionIndex, errorCode: ErrorCode.NONE }
        }),
      }
    })
    const records = shard.tombstones(groupId, removed)
    const errorCode = await shard.writeOffsets(records)
    if (errorCode !== ErrorCode.NONE) return { errorCode, topics: [] }
    this.#counters.offsetDeletions += records.length
    // As in Kafka, topics without partitions do not appear in the answer.
    return { errorCode, topics: topics.filter(({ partitions }) => partitions.length > 0) }
  }
}

/** Whether the group and member may commit at all. */
function checkCommit(shard: GroupShard, request: CommitRequest, client: Client): ErrorCode {
  const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch: generationId } = request
  const machine = shard.group(groupId)
  if (machine) {
    const command = { memberId, groupInstanceId, generationId, isTransactional: false }
    const errorCode = machine.commit(command, shard.nowMs())
    shard.watch(machine)
    return errorCode
  }
  // Without a generation it is a client that assigns its partitions itself: the commit makes the group.
  if (generationId < 0) return ErrorCode.NONE
  return client.apiVersion >= 9 ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.ILLEGAL_GENERATION
}

/** A commit of a deleted topic's namesake is none of this one's. */
function sameTopic(stored: Uuid, expected: Uuid): boolean {
  return stored === ZERO_UUID || expected === ZERO_UUID || stored === expected
}

function foundOffset(partitionIndex: number, stored: StoredOffset): FetchedPartition {
  return {
    partitionIndex,
    committedOffset: stored.offset,
    committedLeaderEpoch: stored.leaderEpoch,
    metadata: stored.metadata,
    errorCode: ErrorCode.NONE,
  }
}

function noOffset(partitionIndex: number, errorCode: number): FetchedPartition {
  return {
    partitionIndex,
    committedOffset: -1,
    committedLeaderEpoch: -1,
    metadata: '',
    errorCode,
  }
}
