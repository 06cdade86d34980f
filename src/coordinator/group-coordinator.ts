/**
 * Serves the classic group APIs for the partitions of `__consumer_offsets` that this broker leads. Checks requests,
 * finds the group's shard and turns its answers into responses; what a group does is its machine's business
 * (group/classic-group-machine.ts). See ports.ts for what it needs and must be told.
 */
import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import type { offsetCommit } from '../protocol/apis/08-offset-commit.ts'
import type { offsetFetch } from '../protocol/apis/09-offset-fetch.ts'
import type { findCoordinator } from '../protocol/apis/10-find-coordinator.ts'
import type { joinGroup } from '../protocol/apis/11-join-group.ts'
import type { heartbeat } from '../protocol/apis/12-heartbeat.ts'
import type { leaveGroup } from '../protocol/apis/13-leave-group.ts'
import type { syncGroup } from '../protocol/apis/14-sync-group.ts'
import type { describeGroups } from '../protocol/apis/15-describe-groups.ts'
import type { listGroups } from '../protocol/apis/16-list-groups.ts'
import type { deleteGroups } from '../protocol/apis/42-delete-groups.ts'
import type { offsetDelete } from '../protocol/apis/47-offset-delete.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../protocol/schema.ts'
import { CoordinatorFinder } from './group/coordinator-finder.ts'
import {
  type GroupState,
  type LeaveAnswer,
  refusedJoin,
  refusedSync,
} from './group/group-commands.ts'
import { GroupCounters } from './group/group-counters.ts'
import { describeGroup } from './group/group-description.ts'
import { groupPartition } from './group/group-partition.ts'
import { GroupShard } from './group/group-shard.ts'
import { OffsetRequests } from './group/offset-requests.ts'
import type {
  Client,
  CoordinatorLog,
  GroupSettings,
  OffsetsTopicPort,
  TopicsPort,
} from './ports.ts'

export type GroupCoordinatorOptions = {
  readonly io: Io
  readonly logger: Logger
  /** Read when a partition is loaded and when a request is checked. */
  readonly settings: GroupSettings
  readonly log: CoordinatorLog
  readonly topics: TopicsPort
  readonly offsetsTopic: OffsetsTopicPort
}

/** Bound of one member's metadata over all its protocols, in batches of `__consumer_offsets`. */
const MAX_METADATA_BATCHES = 4

export class GroupCoordinator {
  readonly counters = new GroupCounters()
  readonly #options: GroupCoordinatorOptions
  readonly #shards = new Map<number, GroupShard>()
  readonly #offsets: OffsetRequests
  readonly #finder: CoordinatorFinder
  /** How many partitions the topic had when first seen: a group must not move while the broker runs. */
  #partitionCount: number | undefined
  #isClosed = false

  constructor(options: GroupCoordinatorOptions) {
    this.#options = options
    this.#offsets = new OffsetRequests(options, (groupId) => this.#shardOf(groupId), this.counters)
    this.#finder = new CoordinatorFinder(
      options.io,
      options.offsetsTopic,
      (groupId) => this.partitionOf(groupId),
      (partitionIndex) => this.#shards.get(partitionIndex),
    )
  }

  // ---- What the broker tells ----

  /** This broker leads a partition of `__consumer_offsets` from now on, or under a new epoch: its groups are loaded. */
  lead(partitionIndex: number, leaderEpoch: number): void {
    if (this.#isClosed) return
    const current = this.#shards.get(partitionIndex)
    // A new epoch of the same leader: its log went on without a gap.
    if (current && current.leaderEpoch >= leaderEpoch) return
    current?.close()
    const { io, logger, settings, log } = this.#options
    const parts = { io, logger, settings, log, counters: this.counters }
    this.#shards.set(partitionIndex, new GroupShard(partitionIndex, leaderEpoch, parts))
  }

  /** Another broker leads the partition now: whoever waits here is told NOT_COORDINATOR. */
  resign(partitionIndex: number): void {
    this.#shards.get(partitionIndex)?.close()
    this.#shards.delete(partitionIndex)
  }

  /** Topics were deleted: their offsets go too. Resolves when that is written. */
  async forgetTopics(topics: Iterable<string>): Promise<void> {
    const names = new Set(topics)
    await Promise.all([...this.#shards.values()].map((shard) => shard.forgetTopics(names)))
  }

  /** Resolves when the partitions led so far have ended their first load. */
  async whenLoaded(): Promise<void> {
    await Promise.all([...this.#shards.values()].map((shard) => shard.loaded))
  }

  /** Lets everything happen that is due: call after moving the broker's clock by hand. */
  wakeAll(): void {
    for (const shard of this.#shards.values()) shard.wakeAll()
  }

  /** Removes expired offsets and deserted groups now instead of at the next check. */
  expireNow(): void {
    for (const shard of this.#shards.values()) if (shard.state === 'active') shard.expire()
  }

  /** Answers whoever waits with NOT_COORDINATOR. Call before the logs are closed. */
  close(): void {
    this.#isClosed = true
    for (const partitionIndex of [...this.#shards.keys()]) this.resign(partitionIndex)
  }

  // ---- What metrics read ----

  /** Groups by state; a walk over all groups. */
  countGroups(): Record<GroupState, number> {
    const counts = { Empty: 0, PreparingRebalance: 0, CompletingRebalance: 0, Stable: 0, Dead: 0 }
    for (const shard of this.#shards.values()) {
      for (const group of shard.groups()) counts[group.state]++
    }
    return counts
  }

  /** Committed offsets in memory. */
  countOffsets(): number {
    let count = 0
    for (const shard of this.#shards.values()) count += shard.offsets.count
    return count
  }

  /** Partitions of `__consumer_offsets` by what they are doing here. */
  countPartitions(): Record<GroupShard['state'], number> {
    const counts = { loading: 0, active: 0, failed: 0, closed: 0 }
    for (const shard of this.#shards.values()) counts[shard.state]++
    return counts
  }

  // ---- Requests ----

  /** Which partition of `__consumer_offsets` a group lives on. */
  partitionOf(groupId: string): number {
    const { offsetsTopic, settings } = this.#options
    this.#partitionCount ??= offsetsTopic.partitionCount()
    return groupPartition(groupId, this.#partitionCount ?? settings['offsets.topic.num.partitions'])
  }

  findCoordinator(
    request: RequestOf<typeof findCoordinator>,
    client: Client,
  ): Promise<ResponseInput<typeof findCoordinator>> {
    return this.#finder.find(request, client)
  }

  async joinGroup(
    request: RequestOf<typeof joinGroup>,
    client: Client,
  ): Promise<ResponseInput<typeof joinGroup>> {
    const answer = await this.#join(request, client)
    // Before version 7 there was no null for it.
    return client.apiVersion >= 7 ? answer : { ...answer, protocolName: answer.protocolName ?? '' }
  }

  async #join(request: RequestOf<typeof joinGroup>, client: Client) {
    const { groupId, memberId, sessionTimeoutMs } = request
    const { settings, io } = this.#options
    if (groupId === '') return refusedJoin(ErrorCode.INVALID_GROUP_ID, memberId)
    if (
      sessionTimeoutMs < settings['group.min.session.timeout.ms'] ||
      sessionTimeoutMs > settings['group.max.session.timeout.ms']
    ) {
      return refusedJoin(ErrorCode.INVALID_SESSION_TIMEOUT, memberId)
    }
    const shard = this.#shardOf(groupId)
    if (typeof shard === 'number') return refusedJoin(shard, '')
    const sizeBytes = request.protocols.reduce((sum, { metadata }) => sum + metadata.length, 0)
    // What cannot be written need not be kept in memory: no more than a batch for each of a few protocols.
    if (sizeBytes > MAX_METADATA_BATCHES * this.#options.log.maxBatchBytes(shard.partitionIndex)) {
      return refusedJoin(ErrorCode.UNKNOWN_SERVER_ERROR, memberId)
    }
    return shard.join(groupId, {
      memberId,
      groupInstanceId: request.groupInstanceId,
      clientId: client.clientId,
      // With the slash that Java puts before an address without a name: tools show it so.
      clientHost: `/${client.remoteAddress}`,
      sessionTimeoutMs,
      // Version 0 had one time-out for both.
      rebalanceTimeoutMs:
        client.apiVersion === 0 ? sessionTimeoutMs : Math.max(request.rebalanceTimeoutMs, 0),
      protocolType: request.protocolType,
      // The bytes are views of the request, which is gone when the group needs them.
      protocols: request.protocols.map(({ name, metadata }) => ({
        name,
        metadata: Buffer.from(metadata),
      })),
      reason: request.reason,
      newMemberId: `${request.groupInstanceId ?? client.clientId}-${javaUuid(io.random.bytes(16))}`,
      requiresKnownMemberId: client.apiVersion >= 4,
      supportsSkipAssignment: client.apiVersion >= 9,
    })
  }

  async syncGroup(
    request: RequestOf<typeof syncGroup>,
    client: Client,
  ): Promise<ResponseInput<typeof syncGroup>> {
    const { groupId, protocolType, protocolName } = request
    // From version 5 on a client must say what it takes the group for (KIP-559).
    if (client.apiVersion >= 5 && (protocolType === null || protocolName === null)) {
      return refusedSync(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    }
    if (groupId === '') return refusedSync(ErrorCode.INVALID_GROUP_ID)
    const shard = this.#shardOf(groupId)
    if (typeof shard === 'number') return refusedSync(shard)
    const machine = shard.group(groupId)
    if (!machine) return refusedSync(ErrorCode.UNKNOWN_MEMBER_ID)
    return shard.sync(machine, {
      memberId: request.memberId,
      groupInstanceId: request.groupInstanceId,
      generationId: request.generationId,
      protocolType,
      protocolName,
      assignments: request.assignments.map(({ memberId, assignment }) => ({
        memberId,
        assignment: Buffer.from(assignment),
      })),
    })
  }

  heartbeat(request: RequestOf<typeof heartbeat>): ResponseInput<typeof heartbeat> {
    const { groupId } = request
    if (groupId === '') return { errorCode: ErrorCode.INVALID_GROUP_ID }
    const shard = this.#shardOf(groupId)
    // While groups are loaded nobody's session ends: the member may as well go on.
    if (shard === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) return { errorCode: ErrorCode.NONE }
    if (typeof shard === 'number') return { errorCode: shard }
    const machine = shard.group(groupId)
    if (!machine) return { errorCode: ErrorCode.UNKNOWN_MEMBER_ID }
    const errorCode = machine.heartbeat(request, shard.nowMs())
    shard.watch(machine)
    return { errorCode }
  }

  async leaveGroup(
    request: RequestOf<typeof leaveGroup>,
    client: Client,
  ): Promise<ResponseInput<typeof leaveGroup>> {
    // Up to version 2 one member left, with its error on top.
    const isBatch = client.apiVersion >= 3
    const leaving = isBatch
      ? request.members
      : [{ memberId: request.memberId, groupInstanceId: null, reason: null }]
    const answer = await this.#leave(request.groupId, leaving)
    if (typeof answer === 'number') return { errorCode: answer, members: [] }
    if (isBatch) return { errorCode: ErrorCode.NONE, members: answer }
    return { errorCode: answer[0]?.errorCode ?? ErrorCode.NONE, members: [] }
  }

  async #leave(
    groupId: string,
    leaving: RequestOf<typeof leaveGroup>['members'],
  ): Promise<LeaveAnswer[] | ErrorCode> {
    if (groupId === '') return ErrorCode.INVALID_GROUP_ID
    const shard = this.#shardOf(groupId)
    if (typeof shard === 'number') return shard
    const machine = shard.group(groupId)
    if (machine) return shard.leave(machine, leaving)
    return leaving.map(({ memberId, groupInstanceId }) => ({
      memberId,
      groupInstanceId,
      errorCode: ErrorCode.UNKNOWN_MEMBER_ID,
    }))
  }

  /** `authorizedOperations` are left to the handler: they are no business of groups. */
  describeGroups(
    request: RequestOf<typeof describeGroups>,
    client: Client,
  ): ResponseInput<typeof describeGroups> {
    return {
      groups: request.groups.map((groupId) => {
        const shard = this.#shardOf(groupId)
        if (typeof shard === 'number') return describeGroup(groupId, undefined, client, shard)
        return describeGroup(groupId, shard.group(groupId), client)
      }),
    }
  }

  /** States and types are compared without regard to case; an empty list means all. */
  listGroups(request: RequestOf<typeof listGroups>): ResponseInput<typeof listGroups> {
    const states = new Set(request.statesFilter.map((state) => state.trim().toLowerCase()))
    const types = new Set(request.typesFilter.map((type) => type.trim().toLowerCase()))
    const groups = []
    for (const shard of this.#shards.values()) {
      if (shard.state === 'loading') {
        return { errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, groups: [] }
      }
      for (const { groupId, protocolType, state } of shard.groups()) {
        if (states.size > 0 && !states.has(state.toLowerCase())) continue
        if (types.size > 0 && !types.has('classic')) continue
        groups.push({
          groupId,
          protocolType: protocolType ?? '',
          groupState: state,
          groupType: 'classic',
        })
      }
    }
    return { errorCode: ErrorCode.NONE, groups }
  }

  /** A group named twice is deleted once and answered once. */
  async deleteGroups(
    request: RequestOf<typeof deleteGroups>,
  ): Promise<ResponseInput<typeof deleteGroups>> {
    const groupIds = [...new Set(request.groupsNames)]
    const results = await Promise.all(
      groupIds.map(async (groupId) => {
        const shard = this.#shardOf(groupId)
        const errorCode = typeof shard === 'number' ? shard : await shard.deleteGroup(groupId)
        if (errorCode === ErrorCode.NONE) this.counters.groupDeletions++
        return { groupId, errorCode }
      }),
    )
    return { results }
  }

  offsetCommit(
    request: RequestOf<typeof offsetCommit>,
    client: Client,
  ): Promise<ResponseInput<typeof offsetCommit>> {
    return this.#offsets.commit(request, client)
  }

  offsetFetch(
    request: RequestOf<typeof offsetFetch>,
    client: Client,
  ): Promise<ResponseInput<typeof offsetFetch>> {
    return this.#offsets.fetch(request, client)
  }

  offsetDelete(
    request: RequestOf<typeof offsetDelete>,
  ): Promise<ResponseInput<typeof offsetDelete>> {
    return this.#offsets.delete(request)
  }

  /** The shard that serves a group, or what its clients are told instead. */
  #shardOf(groupId: string): GroupShard | ErrorCode {
    const shard = this.#shards.get(this.partitionOf(groupId))
    if (!shard) return ErrorCode.NOT_COORDINATOR
    return shard.refusal === ErrorCode.NONE ? shard : shard.refusal
  }
}

/** A random UUID (version 4) as Java prints it. */
function javaUuid(random: Buffer): string {
  const bytes = Buffer.from(random)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return [0, 8, 12, 16, 20].map((at, i, all) => hex.slice(at, all[i + 1] ?? 32)).join('-')
}
