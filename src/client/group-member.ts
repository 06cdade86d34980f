/**
 * A member of a classic consumer group: joins, takes its share of partitions, keeps its session alive, commits. It
 * assigns by range when it leads. What it reads is the caller's business.
 */
import type { Timer } from '../io/io.ts'
import { joinGroup } from '../protocol/apis/11-join-group.ts'
import { heartbeat } from '../protocol/apis/12-heartbeat.ts'
import { leaveGroup } from '../protocol/apis/13-leave-group.ts'
import { syncGroup } from '../protocol/apis/14-sync-group.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import { consumerProtocolAssignment } from '../protocol/messages/consumer-protocol-assignment.ts'
import { consumerProtocolSubscription } from '../protocol/messages/consumer-protocol-subscription.ts'
import { Reader } from '../protocol/reader.ts'
import type { ResponseOf } from '../protocol/schema.ts'
import type { Client } from './client.ts'
import {
  type CommittedOffset,
  commitOffsets,
  fetchCommitted,
  rejoinErrors,
  type TopicPartition,
} from './committed-offsets.ts'
import { checkOutcome, isRetriable, OutcomeError } from './outcome-error.ts'

export type GroupMemberOptions = {
  readonly groupId: string
  readonly topics: readonly string[]
  readonly groupInstanceId?: string | undefined
  readonly sessionTimeoutMs?: number
  readonly rebalanceTimeoutMs?: number
}

type JoinAnswer = ResponseOf<typeof joinGroup>

const protocolType = 'consumer'
const protocolName = 'range'
const pauseBetweenJoinsMs = 50
export class GroupMember {
  readonly #client: Client
  readonly #groupId: string
  readonly #topics: readonly string[]
  readonly #instanceId: string | null
  readonly #sessionTimeoutMs: number
  readonly #rebalanceTimeoutMs: number
  #memberId = ''
  #generationId = -1
  #heartbeatTimer: Timer | undefined
  /** The group rebalances, or forgot this member: call `join` again. */
  #mustRejoin = true
  #failure: Error | undefined
  #left = false

  constructor(client: Client, options: GroupMemberOptions) {
    this.#client = client
    this.#groupId = options.groupId
    this.#topics = options.topics
    this.#instanceId = options.groupInstanceId ?? null
    this.#sessionTimeoutMs = options.sessionTimeoutMs ?? 10_000
    this.#rebalanceTimeoutMs = options.rebalanceTimeoutMs ?? 60_000
  }

  /** Whether `join` must be called (again). @throws what ended the membership for good */
  get mustRejoin(): boolean {
    if (this.#failure) throw this.#failure
    return this.#mustRejoin
  }

  get memberId(): string {
    return this.#memberId
  }

  /** Joins or rejoins the group. @returns the partitions to read from now on */
  async join(): Promise<TopicPartition[]> {
    this.#heartbeatTimer?.cancel()
    const assignment = await this.#client.retrying(() => this.#joinOnce(), {
      forget: () => this.#client.forgetCoordinator(this.#groupId),
    })
    this.#mustRejoin = false
    this.#scheduleHeartbeat()
    return assignment
  }

  async #joinOnce(): Promise<TopicPartition[]> {
    for (let round = 0; ; round++) {
      if (round > 1) await this.#client.pause(pauseBetweenJoinsMs)
      const joined = await this.#sendJoin()
      this.#memberId = joined.memberId || this.#memberId
      if (joined.errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.#memberId = ''
      if (rejoinErrors.has(joined.errorCode)) continue
      checkOutcome(joined.errorCode, `group ${this.#groupId}`)
      this.#generationId = joined.generationId
      const synced = await this.#sendSync(joined)
      if (rejoinErrors.has(synced.errorCode)) {
        if (synced.errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.#memberId = ''
        continue
      }
      checkOutcome(synced.errorCode, `group ${this.#groupId}`)
      return readAssignment(synced.assignment)
    }
  }

  async #sendJoin(): Promise<JoinAnswer> {
    const metadata = withVersion(
      1,
      consumerProtocolSubscription.encode({ topics: [...this.#topics], ownedPartitions: [] }, 1),
    )
    const request = {
      groupId: this.#groupId,
      sessionTimeoutMs: this.#sessionTimeoutMs,
      rebalanceTimeoutMs: this.#rebalanceTimeoutMs,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
      protocolType,
      protocols: [{ name: protocolName, metadata }],
    }
    const connection = await this.#client.connectionTo({ group: this.#groupId })
    return connection.request(joinGroup, request, {
      timeoutMs: this.#rebalanceTimeoutMs + 30_000,
    })
  }

  async #sendSync(joined: JoinAnswer): Promise<ResponseOf<typeof syncGroup>> {
    const leads = joined.leader === joined.memberId
    const assignments = leads && !joined.skipAssignment ? await this.#assign(joined) : []
    const connection = await this.#client.connectionTo({ group: this.#groupId })
    const request = {
      groupId: this.#groupId,
      generationId: this.#generationId,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
      protocolType,
      protocolName,
      assignments,
    }
    return connection.request(syncGroup, request, { timeoutMs: this.#rebalanceTimeoutMs + 30_000 })
  }

  /** As the leader: gives each topic's partitions to its subscribers in runs of nearly equal length. */
  async #assign(joined: JoinAnswer): Promise<{ memberId: string; assignment: Buffer }[]> {
    const subscribers = new Map<string, string[]>()
    for (const { memberId, metadata } of joined.members) {
      for (const topic of readSubscription(metadata)) {
        subscribers.set(topic, [...(subscribers.get(topic) ?? []), memberId])
      }
    }
    const answer = await this.#client.metadata([...subscribers.keys()])
    const shares = new Map<string, { topic: string; partitions: number[] }[]>()
    for (const { name, partitions } of answer.topics) {
      const members = (subscribers.get(name ?? '') ?? []).sort()
      const indexes = partitions.map(({ partitionIndex }) => partitionIndex).sort((a, b) => a - b)
      for (const [at, memberId] of members.entries()) {
        const from = Math.ceil((indexes.length * at) / members.length)
        const to = Math.ceil((indexes.length * (at + 1)) / members.length)
        if (to <= from) continue
        const share = { topic: name ?? '', partitions: indexes.slice(from, to) }
        shares.set(memberId, [...(shares.get(memberId) ?? []), share])
      }
    }
    return joined.members.map(({ memberId }) => {
      const assignedPartitions = shares.get(memberId) ?? []
      return {
        memberId,
        assignment: withVersion(1, consumerProtocolAssignment.encode({ assignedPartitions }, 1)),
      }
    })
  }

  #scheduleHeartbeat(): void {
    if (this.#left) return
    this.#heartbeatTimer = this.#client.io.timers.schedule(this.#sessionTimeoutMs / 3, () => {
      void this.#beat()
    })
  }

  async #beat(): Promise<void> {
    try {
      const connection = await this.#client.connectionTo({ group: this.#groupId })
      const { errorCode } = await connection.request(heartbeat, {
        groupId: this.#groupId,
        generationId: this.#generationId,
        memberId: this.#memberId,
        groupInstanceId: this.#instanceId,
      })
      this.#noteOutcome(errorCode)
    } catch (error) {
      this.#noteError(error as Error)
    }
    if (!this.#mustRejoin && !this.#failure) this.#scheduleHeartbeat()
  }

  #noteOutcome(errorCode: number): void {
    if (errorCode === ErrorCode.UNKNOWN_MEMBER_ID) this.#memberId = ''
    if (rejoinErrors.has(errorCode)) this.#mustRejoin = true
    else if (errorCode !== ErrorCode.NONE) {
      this.#noteError(new OutcomeError(errorCode, `group ${this.#groupId}`))
    }
  }

  #noteError(error: Error): void {
    if (!isRetriable(error)) this.#failure = error
    else this.#client.forgetCoordinator(this.#groupId)
  }

  /** @returns what the group has committed for these partitions, in their order */
  async committed(partitions: readonly TopicPartition[]): Promise<CommittedOffset[]> {
    return fetchCommitted(this.#client, this.#groupId, partitions)
  }

  /**
   * Commits where reading stands. A commit that comes too late (the group rebalances) is dropped and asks for `join`:
   * its partitions are read again from the last commit.
   */
  async commit(offsets: readonly CommittedOffset[]): Promise<void> {
    if (offsets.length === 0) return
    const identity = {
      generationId: this.#generationId,
      memberId: this.#memberId,
      groupInstanceId: this.#instanceId,
    }
    const codes = await commitOffsets(this.#client, this.#groupId, offsets, identity)
    for (const code of codes) this.#noteOutcome(code)
  }

  /** Gives the partitions back. Never throws: the session ends by itself when the coordinator is away. */
  async leave(): Promise<void> {
    this.#left = true
    this.#heartbeatTimer?.cancel()
    if (this.#memberId === '' || this.#instanceId !== null) return
    const memberId = this.#memberId
    try {
      const connection = await this.#client.connectionTo({ group: this.#groupId })
      await connection.request(
        leaveGroup,
        (version) => ({
          groupId: this.#groupId,
          memberId: version < 3 ? memberId : '',
          members: version < 3 ? [] : [{ memberId, groupInstanceId: null }],
        }),
        { timeoutMs: 3_000 },
      )
    } catch {
      // The session time-out removes a member whose goodbye did not arrive.
    }
  }
}

function withVersion(version: number, message: Buffer): Buffer {
  const prefix = Buffer.alloc(2)
  prefix.writeInt16BE(version)
  return Buffer.concat([prefix, message])
}

/** Newer versions add fields at the end: what is known of them reads as the newest known version. */
function readSubscription(metadata: Buffer): string[] {
  const reader = new Reader(metadata)
  const version = Math.min(3, reader.int16())
  return consumerProtocolSubscription.read(reader, Math.max(0, version)).topics
}

/** The partitions in a member's assignment; none when it is empty. */
export function readAssignment(assignment: Buffer): TopicPartition[] {
  if (assignment.length === 0) return []
  const reader = new Reader(assignment)
  const version = Math.min(3, reader.int16())
  const { assignedPartitions } = consumerProtocolAssignment.read(reader, Math.max(0, version))
  return assignedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partitionIndex) => ({ topic, partitionIndex })),
  )
}
