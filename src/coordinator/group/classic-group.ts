/**
 * What a classic group is: its state and generation, its members and when they time out, and what can be asked of it
 * without changing it. What happens to it is the machine's business (classic-group-machine.ts).
 */
import { assert } from '../../base/assert.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { GroupState, HeartbeatCommand, JoinAnswer, SyncAnswer } from './group-commands.ts'
import { type GroupMember, metadataOf } from './group-member.ts'
import { GroupRoster } from './group-roster.ts'
import { CONSUMER_PROTOCOL, subscribedTopics } from './subscription.ts'

/** Where a group may go next. Anything else is a bug, hence the assert in `enter`. */
const next: Record<GroupState, readonly GroupState[]> = {
  Empty: ['PreparingRebalance', 'Dead'],
  PreparingRebalance: ['CompletingRebalance', 'Empty', 'Dead'],
  CompletingRebalance: ['Stable', 'PreparingRebalance', 'Dead'],
  Stable: ['PreparingRebalance', 'Dead'],
  Dead: ['Dead'],
}

export class ClassicGroup {
  readonly groupId: string
  readonly roster = new GroupRoster()
  state: GroupState = 'Empty'
  generationId = 0
  /** Null: never had a member; its offsets are those of a client that assigns its partitions itself. */
  protocolType: string | null = null
  protocolName: string | null = null
  /** Since when the group is in its state; -1: written by an old broker that did not say. */
  stateSinceMs: number
  /** Undefined: not known, because members speak another protocol or broken bytes. */
  subscriptions: ReadonlySet<string> | undefined
  /** No later than the earliest time-out. It may be early, because renewals do not move it. */
  wakeAtMs = Number.POSITIVE_INFINITY
  /** When the join phase ends, and when members that have not synced are given up. */
  protected joinDeadlineMs = Number.POSITIVE_INFINITY
  protected syncDeadlineMs = Number.POSITIVE_INFINITY

  constructor(groupId: string, nowMs: number) {
    this.groupId = groupId
    this.stateSinceMs = nowMs
  }

  get isConsumerGroup(): boolean {
    return this.protocolType === CONSUMER_PROTOCOL
  }

  /** Unknown subscriptions count as "all topics" for consumers. */
  isSubscribedTo(topic: string): boolean {
    return this.subscriptions ? this.subscriptions.has(topic) : this.isConsumerGroup
  }

  /**
   * From when an offset's retention counts; undefined: it does not expire now (ClassicGroup.offsetExpirationCondition).
   *
   * @param commitTimestampMs of the offset in question
   */
  retentionStart(commitTimestampMs: number): number | undefined {
    if (this.protocolType === null) return commitTimestampMs
    if (this.state === 'Empty') {
      return this.stateSinceMs === -1 ? commitTimestampMs : this.stateSinceMs
    }
    const knowsTopics = this.isConsumerGroup && this.subscriptions !== undefined
    return knowsTopics && this.state === 'Stable' ? commitTimestampMs : undefined
  }

  /** Whether a request comes from a member of this generation. */
  protected checkMember(command: HeartbeatCommand): ErrorCode {
    const refusal = this.roster.check(command.memberId, command.groupInstanceId)
    if (refusal !== ErrorCode.NONE) return refusal
    const isCurrent = command.generationId === this.generationId
    return isCurrent ? ErrorCode.NONE : ErrorCode.ILLEGAL_GENERATION
  }

  protected member(memberId: string): GroupMember {
    const member = this.roster.members.get(memberId)
    assert(member, 'a checked member is in the group')
    return member
  }

  protected enter(state: GroupState, nowMs: number): void {
    assert(next[this.state].includes(state), `a group may go from ${this.state} to ${state}`)
    this.state = state
    this.stateSinceMs = nowMs
  }

  /** After the members or their protocol changed. */
  protected learnSubscriptions(): void {
    this.subscriptions = undefined
    if (!this.isConsumerGroup) return
    const topics = new Set<string>()
    for (const member of this.roster.members.values()) {
      const wanted = subscribedTopics(metadataOf(member, this.protocolName ?? ''))
      if (!wanted) return
      for (const topic of wanted) topics.add(topic)
    }
    this.subscriptions = topics
  }

  // ---- Time-outs ----

  /** The member was heard of: its session begins anew. */
  protected renew(member: GroupMember, nowMs: number): void {
    member.deadlineMs = nowMs + member.sessionTimeoutMs
    this.wakeBy(member.deadlineMs)
  }

  protected setJoinDeadline(deadlineMs: number): void {
    this.joinDeadlineMs = deadlineMs
    this.wakeBy(deadlineMs)
  }

  protected setSyncDeadline(deadlineMs: number): void {
    this.syncDeadlineMs = deadlineMs
    this.wakeBy(deadlineMs)
  }

  protected wakeBy(deadlineMs: number): void {
    if (deadlineMs < this.wakeAtMs) this.wakeAtMs = deadlineMs
  }

  protected earliestDeadline(): number {
    if (this.state === 'Dead') return Number.POSITIVE_INFINITY
    let earliest = Math.min(this.joinDeadlineMs, this.syncDeadlineMs)
    for (const member of this.roster.members.values()) {
      earliest = Math.min(earliest, member.deadlineMs)
    }
    for (const deadlineMs of this.roster.pendingJoins.values()) {
      earliest = Math.min(earliest, deadlineMs)
    }
    return earliest
  }

  // ---- Answers ----

  /** @param withMembers only who assigns is shown the others */
  protected joinedAnswer(member: GroupMember, withMembers: boolean): JoinAnswer {
    const protocolName = this.protocolName ?? ''
    const members = withMembers ? [...this.roster.members.values()] : []
    return {
      errorCode: ErrorCode.NONE,
      memberId: member.memberId,
      generationId: this.generationId,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      leader: this.roster.leaderId ?? '',
      skipAssignment: false,
      members: members.map((each) => ({
        memberId: each.memberId,
        groupInstanceId: each.groupInstanceId,
        metadata: metadataOf(each, protocolName),
      })),
    }
  }

  protected assignmentOf(member: GroupMember): SyncAnswer {
    const { protocolType, protocolName } = this
    return { errorCode: ErrorCode.NONE, protocolType, protocolName, assignment: member.assignment }
  }
}
