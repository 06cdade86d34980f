/**
 * One classic group: who may join, when a generation is complete, who gets what. Pure: commands and the time go in,
 * answers, a record to write and notes come out. Requests that must wait are kept by number and answered by a later
 * decision. What it writes is only complete generations: membership in between is soft, and after a failover members
 * find themselves in the last written one. Source: KIP-62, KIP-134, KIP-345, KIP-394, KIP-559, KIP-814;
 * Kafka's GroupMetadataManager and ClassicGroup.
 */
import { assert } from '../../base/assert.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import {
  type GroupMember,
  type MemberProtocol,
  metadataOf,
  NO_ASSIGNMENT,
  NO_REQUEST,
  sameProtocols,
} from './group-member.ts'
import type { GroupMetadata } from './group-records.ts'
import { GroupRoster } from './group-roster.ts'
import { CONSUMER_PROTOCOL, subscribedTopics } from './subscription.ts'

export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

export type JoinCommand = {
  readonly requestId: number
  /** "" for who is new. */
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocolType: string
  readonly protocols: readonly MemberProtocol[]
  readonly reason: string | null
  /** The id for a member that has none. Chance comes from outside. */
  readonly newMemberId: string
  /** JoinGroup v4+: a dynamic member first learns its id and joins again with it (KIP-394). */
  readonly requiresKnownMemberId: boolean
  /** JoinGroup v9+: a static leader that came back keeps the assignment (KIP-814). */
  readonly supportsSkipAssignment: boolean
}

export type JoinAnswer = {
  readonly errorCode: ErrorCode
  readonly memberId: string
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  readonly skipAssignment: boolean
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly metadata: Buffer
  }[]
}

export type SyncCommand = {
  readonly requestId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generationId: number
  /** Null: the client is too old to say. */
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[]
}

export type SyncAnswer = {
  readonly errorCode: ErrorCode
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Buffer
}

export type HeartbeatCommand = {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generationId: number
}

export type LeavingMember = {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly reason: string | null
}

export type LeaveAnswer = {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly errorCode: ErrorCode
}

export type CommitCommand = HeartbeatCommand & { readonly isTransactional: boolean }

/** What a decision promised for when its record is written. Given back to `settle` as it is. */
export type Settlement =
  | { readonly kind: 'created' | 'emptied' }
  | {
      readonly kind: 'assigned'
      readonly generationId: number
      readonly assignments: ReadonlyMap<string, Buffer>
    }
  | {
      readonly kind: 'replaced'
      readonly generationId: number
      readonly memberId: string
      readonly requestId: number
      /** Who a client that cannot skip its assignment is told to be the leader, so that it does not take itself for it. */
      readonly oldLeader: string
      readonly supportsSkipAssignment: boolean
    }

export type GroupEffect =
  | { readonly kind: 'join'; readonly requestId: number; readonly answer: JoinAnswer }
  | { readonly kind: 'sync'; readonly requestId: number; readonly answer: SyncAnswer }
  | { readonly kind: 'note'; readonly message: string; readonly reason?: string }

/** What a command led to. The driver writes `record`, if any, and then calls `settle`. */
export type GroupDecision = {
  readonly effects: readonly GroupEffect[]
  readonly record: GroupMetadata | undefined
  readonly settlement: Settlement | undefined
}

/** How long a first join may wait: its client cannot heartbeat, and a broken connection is not seen. */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000
/** Ids given out and not used at one time, so that a client that only asks for ids cannot fill the memory. */
export const MAX_PENDING_JOINS = 10_000

export type ClassicGroupSettings = {
  readonly initialRebalanceDelayMs: number
  readonly maxSize: number
}

const next: Record<GroupState, readonly GroupState[]> = {
  Empty: ['PreparingRebalance', 'Dead'],
  PreparingRebalance: ['CompletingRebalance', 'Empty', 'Dead'],
  CompletingRebalance: ['Stable', 'PreparingRebalance', 'Dead'],
  Stable: ['PreparingRebalance', 'Dead'],
  Dead: [],
}

export class ClassicGroupMachine {
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
  /** No later than the earliest time-out: call `tick` then. It may be early, because renewals do not move it. */
  wakeAtMs = Number.POSITIVE_INFINITY
  /** Rebalances completed since this object was made. */
  completedRebalances = 0

  readonly #settings: ClassicGroupSettings
  /** The group had nobody when this rebalance began: it waits for more members, whoever has joined. */
  #isInitialRebalance = false
  #newMemberAdded = false
  #initialDelayMs = 0
  #initialRemainingMs = 0
  #joinDeadlineMs = Number.POSITIVE_INFINITY
  #syncDeadlineMs = Number.POSITIVE_INFINITY
  /** The generation whose assignment is being written, so that a repeated sync of the leader writes none. */
  #assigningGenerationId = -1
  #effects: GroupEffect[] = []
  #record: GroupMetadata | undefined
  #settlement: Settlement | undefined

  constructor(groupId: string, settings: ClassicGroupSettings, nowMs: number) {
    this.groupId = groupId
    this.#settings = settings
    this.stateSinceMs = nowMs
  }

  /** Takes over what a record says: the group as it was when that was written. Byte fields are kept, not copied. */
  static restore(
    groupId: string,
    stored: GroupMetadata,
    settings: ClassicGroupSettings,
  ): ClassicGroupMachine {
    const group = new ClassicGroupMachine(groupId, settings, stored.currentStateTimestamp)
    group.generationId = stored.generation
    group.protocolType = stored.protocolType === '' ? null : stored.protocolType
    group.protocolName = stored.protocol
    group.state = stored.members.length === 0 ? 'Empty' : 'Stable'
    for (const member of stored.members) {
      group.roster.add({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        protocolType: stored.protocolType,
        sessionTimeoutMs: member.sessionTimeout,
        rebalanceTimeoutMs:
          member.rebalanceTimeout === -1 ? member.sessionTimeout : member.rebalanceTimeout,
        protocols: [{ name: stored.protocol ?? '', metadata: member.subscription }],
        assignment: member.assignment,
        joinRequestId: NO_REQUEST,
        syncRequestId: NO_REQUEST,
        isNew: false,
        deadlineMs: Number.POSITIVE_INFINITY,
      })
    }
    if (stored.leader !== null && group.roster.members.has(stored.leader)) {
      group.roster.leaderId = stored.leader
    }
    group.#learnSubscriptions()
    return group
  }

  /** Begins to watch a restored group's members; one that is larger than allowed by now is rebalanced. */
  resume(nowMs: number): GroupDecision {
    for (const member of this.roster.members.values()) this.#renew(member, nowMs)
    if (this.roster.size > this.#settings.maxSize) {
      this.#prepareRebalance(nowMs, 'the loaded group is larger than group.max.size')
    }
    return this.#take()
  }

  // ---- Commands ----

  /** @returns the answer as an effect, at once or by a later decision */
  join(command: JoinCommand, nowMs: number): GroupDecision {
    const { requestId, memberId } = command
    if (!this.#accepts(memberId)) {
      this.roster.remove(memberId)
      this.#completeIfAllJoined(nowMs)
      this.#answerJoin(requestId, refusedJoin(ErrorCode.GROUP_MAX_SIZE_REACHED, ''))
    } else if (this.state === 'Dead') {
      this.#answerJoin(requestId, refusedJoin(ErrorCode.COORDINATOR_NOT_AVAILABLE, memberId))
    } else if (!this.#supports(command)) {
      this.#answerJoin(requestId, refusedJoin(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, memberId))
    } else if (memberId === '') {
      this.#joinNew(command, nowMs)
    } else {
      this.#joinKnown(command, nowMs)
    }
    return this.#take()
  }

  /** @returns the answer as an effect, at once or by a later decision */
  sync(command: SyncCommand, nowMs: number): GroupDecision {
    const { requestId, memberId } = command
    const refusal = this.#checkSync(command)
    if (refusal !== ErrorCode.NONE) {
      this.#answerSync(requestId, refusedSync(refusal))
      return this.#take()
    }
    const member = this.#member(memberId)
    this.roster.pendingSyncs.delete(memberId)
    if (this.roster.pendingSyncs.size === 0) this.#syncDeadlineMs = Number.POSITIVE_INFINITY
    if (this.state === 'Stable') {
      this.#answerSync(requestId, this.#assignmentOf(member))
      return this.#take()
    }
    this.#answerMemberSync(member, refusedSync(ErrorCode.REBALANCE_IN_PROGRESS))
    member.syncRequestId = requestId
    this.#renew(member, nowMs)
    if (memberId === this.roster.leaderId && this.#assigningGenerationId !== this.generationId) {
      this.#assign(command)
    }
    return this.#take()
  }

  /** Renews the member's session. Writes nothing: sessions are soft state. */
  heartbeat(command: HeartbeatCommand, nowMs: number): ErrorCode {
    if (this.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const refusal = this.#checkMember(command)
    if (refusal !== ErrorCode.NONE) return refusal
    this.#renew(this.#member(command.memberId), nowMs)
    // The client learns of a rebalance only through this answer; it must rejoin, so it is not an error to log.
    return this.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
  }

  /**
   * Removes members, by id or, for static ones, by instance id alone.
   *
   * @param answers gets one entry per member, in their order
   */
  leave(members: readonly LeavingMember[], answers: LeaveAnswer[], nowMs: number): GroupDecision {
    const sizeBefore = this.roster.size
    for (const leaving of members) {
      const errorCode = this.#leaveOne(leaving)
      const { memberId, groupInstanceId } = leaving
      answers.push({ memberId, groupInstanceId, errorCode })
    }
    this.#afterLoss(this.roster.size < sizeBefore, nowMs, 'members left')
    return this.#take()
  }

  /**
   * Whether a commit of offsets may be written. A member that commits shows that it lives.
   *
   * @returns NONE or the error of every partition
   */
  commit(command: CommitCommand, nowMs: number): ErrorCode {
    const { memberId, groupInstanceId, generationId, isTransactional } = command
    if (this.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
    // No generation: an admin client, or a consumer that assigns its partitions itself.
    if (generationId < 0 && this.state === 'Empty') return ErrorCode.NONE
    if (generationId >= 0 || memberId !== '' || groupInstanceId !== null) {
      const refusal = this.#checkMember(command)
      if (refusal !== ErrorCode.NONE) return refusal
    } else if (!isTransactional) {
      return ErrorCode.UNKNOWN_MEMBER_ID
    }
    if (!isTransactional && this.state === 'CompletingRebalance') {
      return ErrorCode.REBALANCE_IN_PROGRESS
    }
    const member = this.roster.members.get(memberId)
    if (member && !isTransactional) this.#renew(member, nowMs)
    return ErrorCode.NONE
  }

  /** Lets time-outs happen that are due at `nowMs`. */
  tick(nowMs: number): GroupDecision {
    this.#expireMembers(nowMs)
    if (this.#joinDeadlineMs <= nowMs) this.#joinTimedOut(nowMs)
    if (this.#syncDeadlineMs <= nowMs) this.#syncTimedOut(nowMs)
    this.wakeAtMs = this.#earliestDeadline()
    return this.#take()
  }

  /** The record of a decision is written, or could not be: `errorCode` is what a client is told then. */
  settle(settlement: Settlement, errorCode: ErrorCode, nowMs: number): GroupDecision {
    if (settlement.kind === 'assigned') this.#settleAssignment(settlement, errorCode, nowMs)
    if (settlement.kind === 'replaced') this.#settleReplacement(settlement, errorCode, nowMs)
    return this.#take()
  }

  /** The record that makes a group known that has only been asked for an id so far. */
  created(): GroupDecision {
    this.#record = {
      protocolType: '',
      generation: 0,
      protocol: null,
      leader: null,
      currentStateTimestamp: this.stateSinceMs,
      members: [],
    }
    this.#settlement = { kind: 'created' }
    return this.#take()
  }

  /** The end: the group was deleted, or its partition has moved away. Whoever waits is answered with `errorCode`. */
  die(errorCode: ErrorCode): GroupDecision {
    for (const member of this.roster.members.values()) {
      this.#answerMemberJoin(member, refusedJoin(errorCode, member.memberId))
      this.#answerMemberSync(member, refusedSync(errorCode))
    }
    this.state = 'Dead'
    this.wakeAtMs = Number.POSITIVE_INFINITY
    return this.#take()
  }

  // ---- Questions ----

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
    if (this.state === 'Empty')
      return this.stateSinceMs === -1 ? commitTimestampMs : this.stateSinceMs
    const knowsTopics = this.isConsumerGroup && this.subscriptions !== undefined
    return knowsTopics && this.state === 'Stable' ? commitTimestampMs : undefined
  }

  // ---- Joining ----

  #accepts(memberId: string): boolean {
    const { members, awaitingJoins, pendingJoins, size } = this.roster
    const { maxSize } = this.#settings
    const isWaiting = (members.get(memberId)?.joinRequestId ?? NO_REQUEST) !== NO_REQUEST
    if (memberId === '' && pendingJoins.size >= MAX_PENDING_JOINS) return false
    switch (this.state) {
      case 'Empty':
      case 'Dead':
        return true
      case 'PreparingRebalance':
        // Counts who waits, not who is in: of a group that is too large the last to rejoin are turned away.
        return isWaiting || awaitingJoins < maxSize
      default:
        return members.has(memberId) || size < maxSize
    }
  }

  #supports({ protocolType, protocols }: JoinCommand): boolean {
    if (this.state === 'Empty') return protocolType !== '' && protocols.length > 0
    return this.protocolType === protocolType && this.roster.supportsAny(protocols)
  }

  #joinNew(command: JoinCommand, nowMs: number): void {
    const { requestId, groupInstanceId, newMemberId } = command
    const oldId =
      groupInstanceId === null ? undefined : this.roster.staticMembers.get(groupInstanceId)
    if (oldId !== undefined) {
      this.#replaceStatic(command, this.#member(oldId), nowMs)
    } else if (groupInstanceId === null && command.requiresKnownMemberId) {
      const deadlineMs = nowMs + command.sessionTimeoutMs
      this.roster.pendingJoins.set(newMemberId, deadlineMs)
      this.#wakeBy(deadlineMs)
      this.#answerJoin(requestId, refusedJoin(ErrorCode.MEMBER_ID_REQUIRED, newMemberId))
    } else {
      this.#addMember(command, newMemberId, nowMs)
    }
  }

  #joinKnown(command: JoinCommand, nowMs: number): void {
    const { requestId, memberId, groupInstanceId } = command
    if (groupInstanceId === null && this.roster.pendingJoins.has(memberId)) {
      this.#addMember(command, memberId, nowMs)
      return
    }
    const refusal = this.roster.check(memberId, groupInstanceId)
    if (refusal !== ErrorCode.NONE) {
      this.#answerJoin(requestId, refusedJoin(refusal, memberId))
      return
    }
    const member = this.#member(memberId)
    const isLeader = this.roster.leaderId === memberId
    const isUnchanged = sameProtocols(member.protocols, command.protocols)
    // An unchanged rejoin lost its answer: it gets it again. The leader of a stable group, though, asks for a rebalance:
    // that is how it tells of changes that its metadata does not show, such as more partitions of a topic.
    const isRepeat =
      isUnchanged &&
      (this.state === 'CompletingRebalance' || (this.state === 'Stable' && !isLeader))
    if (isRepeat) {
      this.#answerJoin(requestId, this.#joinedAnswer(member, isLeader))
    } else {
      this.#updateMember(member, command, nowMs)
      this.#rebalanceOrComplete(nowMs, reasonOf(command, `member ${memberId} joins again`))
    }
  }

  #addMember(command: JoinCommand, memberId: string, nowMs: number): void {
    if (this.roster.size === 0) this.protocolType = command.protocolType
    const member: GroupMember = {
      memberId,
      groupInstanceId: command.groupInstanceId,
      clientId: command.clientId,
      clientHost: command.clientHost,
      protocolType: command.protocolType,
      sessionTimeoutMs: command.sessionTimeoutMs,
      rebalanceTimeoutMs: command.rebalanceTimeoutMs,
      protocols: command.protocols,
      assignment: NO_ASSIGNMENT,
      joinRequestId: command.requestId,
      syncRequestId: NO_REQUEST,
      isNew: true,
      deadlineMs: nowMs + NEW_MEMBER_JOIN_TIMEOUT_MS,
    }
    this.#wakeBy(member.deadlineMs)
    this.#newMemberAdded ||= this.state === 'PreparingRebalance' && this.#isInitialRebalance
    this.roster.add(member)
    this.#rebalanceOrComplete(nowMs, reasonOf(command, `new member ${memberId}`))
  }

  #updateMember(member: GroupMember, command: JoinCommand, nowMs: number): void {
    this.#answerMemberJoin(member, refusedJoin(ErrorCode.REBALANCE_IN_PROGRESS, member.memberId))
    this.roster.setProtocols(member, command.protocols)
    member.rebalanceTimeoutMs = command.rebalanceTimeoutMs
    member.sessionTimeoutMs = command.sessionTimeoutMs
    this.roster.setJoinRequest(member, command.requestId)
    if (!member.isNew) this.#renew(member, nowMs)
  }

  /** A known instance comes without its member id: it was restarted. The old process, if it still runs, is fenced. */
  #replaceStatic(command: JoinCommand, old: GroupMember, nowMs: number): void {
    const oldLeader = this.roster.leaderId ?? ''
    this.#answerMemberJoin(old, refusedJoin(ErrorCode.FENCED_INSTANCE_ID, old.memberId))
    this.#answerMemberSync(old, refusedSync(ErrorCode.FENCED_INSTANCE_ID))
    const member = this.roster.replace(old, command.newMemberId)
    this.#updateMember(member, command, nowMs)
    const reason = reasonOf(command, `static member ${command.groupInstanceId} came back`)
    if (this.state === 'CompletingRebalance') {
      // The leader may be assigning to the old id by now, and the new one would get nothing.
      this.#prepareRebalance(nowMs, reason)
    } else if (this.state === 'Stable' && this.roster.selectProtocol() === this.protocolName) {
      this.#record = this.#snapshot((each) => each.assignment)
      this.#settlement = {
        kind: 'replaced',
        generationId: this.generationId,
        memberId: member.memberId,
        requestId: command.requestId,
        oldLeader,
        supportsSkipAssignment: command.supportsSkipAssignment,
      }
      this.#note(`static member ${command.groupInstanceId} replaced, no rebalance needed`)
    } else {
      this.#rebalanceOrComplete(nowMs, reason)
    }
  }

  #settleReplacement(
    settlement: Settlement & { kind: 'replaced' },
    errorCode: ErrorCode,
    nowMs: number,
  ): void {
    const member = this.roster.members.get(settlement.memberId)
    // A rebalance began meanwhile: the member waits in it, and its end is the answer.
    const isCurrent =
      this.state === 'Stable' &&
      this.generationId === settlement.generationId &&
      member?.joinRequestId === settlement.requestId
    if (!isCurrent) return
    if (errorCode !== ErrorCode.NONE) {
      this.#answerMemberJoin(member, refusedJoin(errorCode, ''))
      return
    }
    this.#renew(member, nowMs)
    const isLeader = this.roster.leaderId === member.memberId
    const skips = isLeader && settlement.supportsSkipAssignment
    this.#answerMemberJoin(member, {
      ...this.#joinedAnswer(member, skips),
      leader: settlement.supportsSkipAssignment
        ? (this.roster.leaderId ?? '')
        : settlement.oldLeader,
      skipAssignment: skips,
    })
  }

  // ---- Rebalancing ----

  #rebalanceOrComplete(nowMs: number, reason: string): void {
    if (next[this.state].includes('PreparingRebalance')) this.#prepareRebalance(nowMs, reason)
    else this.#completeIfAllJoined(nowMs)
  }

  #prepareRebalance(nowMs: number, reason: string): void {
    if (this.state === 'CompletingRebalance') {
      this.#propagate(() => NO_ASSIGNMENT, ErrorCode.REBALANCE_IN_PROGRESS, nowMs)
    }
    this.roster.pendingSyncs.clear()
    this.#syncDeadlineMs = Number.POSITIVE_INFINITY
    this.#isInitialRebalance = this.state === 'Empty'
    this.#enter('PreparingRebalance', nowMs)
    this.#note('rebalance begins', reason)
    if (this.#isInitialRebalance) {
      const delayMs = this.#settings.initialRebalanceDelayMs
      this.#newMemberAdded = false
      this.#initialDelayMs = delayMs
      this.#initialRemainingMs = Math.max(this.roster.rebalanceTimeoutMs - delayMs, 0)
      this.#setJoinDeadline(nowMs + delayMs)
    } else if (this.roster.allJoined) {
      this.#completeJoin(nowMs)
    } else {
      this.#setJoinDeadline(nowMs + this.roster.rebalanceTimeoutMs)
    }
  }

  #completeIfAllJoined(nowMs: number): void {
    if (this.state !== 'PreparingRebalance' || this.#isInitialRebalance) return
    if (this.roster.allJoined) this.#completeJoin(nowMs)
  }

  #joinTimedOut(nowMs: number): void {
    this.#joinDeadlineMs = Number.POSITIVE_INFINITY
    if (this.state !== 'PreparingRebalance') return
    if (this.#isInitialRebalance && this.#newMemberAdded && this.#initialRemainingMs > 0) {
      // Members are still arriving: wait as long again, at most the rebalance time-out in all.
      const delayMs = Math.min(this.#settings.initialRebalanceDelayMs, this.#initialRemainingMs)
      this.#newMemberAdded = false
      this.#initialRemainingMs = Math.max(this.#initialRemainingMs - this.#initialDelayMs, 0)
      this.#initialDelayMs = delayMs
      this.#setJoinDeadline(nowMs + delayMs)
    } else {
      this.#completeJoin(nowMs)
    }
  }

  /** Ends the join phase: who has not rejoined is out, unless static; the next generation begins. */
  #completeJoin(nowMs: number): void {
    this.#joinDeadlineMs = Number.POSITIVE_INFINITY
    for (const member of [...this.roster.members.values()]) {
      if (member.joinRequestId !== NO_REQUEST || member.groupInstanceId !== null) continue
      this.roster.remove(member.memberId)
      this.#note(`member ${member.memberId} removed`, 'it did not rejoin in time')
    }
    if (this.roster.size > 0 && !this.roster.electJoinedLeader()) {
      // Only static members, none of them here: wait for one, or for their sessions to end.
      this.#isInitialRebalance = false
      this.#setJoinDeadline(nowMs + this.roster.rebalanceTimeoutMs)
      return
    }
    this.generationId++
    this.#isInitialRebalance = false
    this.roster.pendingSyncs.clear()
    if (this.roster.size === 0) this.#becomeEmpty(nowMs)
    else this.#awaitSync(nowMs)
  }

  #becomeEmpty(nowMs: number): void {
    this.protocolName = null
    this.#learnSubscriptions()
    this.#enter('Empty', nowMs)
    this.#note('group is empty')
    this.#record = this.#snapshot(() => NO_ASSIGNMENT)
    this.#settlement = { kind: 'emptied' }
  }

  #awaitSync(nowMs: number): void {
    this.protocolName = this.roster.selectProtocol()
    this.#learnSubscriptions()
    this.#enter('CompletingRebalance', nowMs)
    this.#note(`generation ${this.generationId} has ${this.roster.size} members`)
    for (const member of this.roster.members.values()) {
      const isLeader = member.memberId === this.roster.leaderId
      this.#answerMemberJoin(member, this.#joinedAnswer(member, isLeader))
      this.#renew(member, nowMs)
      member.isNew = false
      this.roster.pendingSyncs.add(member.memberId)
    }
    this.#syncDeadlineMs = nowMs + this.roster.rebalanceTimeoutMs
    this.#wakeBy(this.#syncDeadlineMs)
  }

  // ---- Syncing ----

  #checkSync(command: SyncCommand): ErrorCode {
    if (this.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const refusal = this.#checkMember(command)
    if (refusal !== ErrorCode.NONE) return refusal
    const { protocolType, protocolName } = command
    if (
      (protocolType !== null && protocolType !== this.protocolType) ||
      (protocolName !== null && this.protocolName !== null && protocolName !== this.protocolName)
    ) {
      return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    }
    return this.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
  }

  /** Only what the leader brings counts. Members that it forgot get an empty assignment, strangers are ignored. */
  #assign(command: SyncCommand): void {
    const given = new Map(command.assignments.map((each) => [each.memberId, each.assignment]))
    const assignments = new Map<string, Buffer>()
    for (const memberId of this.roster.members.keys()) {
      assignments.set(memberId, given.get(memberId) ?? NO_ASSIGNMENT)
    }
    this.#assigningGenerationId = this.generationId
    this.#record = this.#snapshot((member) => assignments.get(member.memberId) ?? NO_ASSIGNMENT)
    this.#settlement = { kind: 'assigned', generationId: this.generationId, assignments }
  }

  #settleAssignment(
    settlement: Settlement & { kind: 'assigned' },
    errorCode: ErrorCode,
    nowMs: number,
  ): void {
    const { generationId, assignments } = settlement
    if (this.#assigningGenerationId === generationId) this.#assigningGenerationId = -1
    // The group has moved on while the record was written: its members rejoin already.
    if (this.state !== 'CompletingRebalance' || this.generationId !== generationId) return
    if (errorCode !== ErrorCode.NONE) {
      this.#propagate(() => NO_ASSIGNMENT, errorCode, nowMs)
      this.#prepareRebalance(nowMs, 'the assignment could not be written')
      return
    }
    this.#enter('Stable', nowMs)
    this.completedRebalances++
    this.#propagate(
      (member) => assignments.get(member.memberId) ?? NO_ASSIGNMENT,
      ErrorCode.NONE,
      nowMs,
    )
  }

  #propagate(
    assignmentFor: (member: GroupMember) => Buffer,
    errorCode: ErrorCode,
    nowMs: number,
  ): void {
    for (const member of this.roster.members.values()) {
      member.assignment = assignmentFor(member)
      if (member.syncRequestId === NO_REQUEST) continue
      const answer =
        errorCode === ErrorCode.NONE ? this.#assignmentOf(member) : refusedSync(errorCode)
      this.#answerMemberSync(member, answer)
      // The session may have run out while the member waited, when nobody looked.
      this.#renew(member, nowMs)
    }
  }

  #syncTimedOut(nowMs: number): void {
    this.#syncDeadlineMs = Number.POSITIVE_INFINITY
    const missing = [...this.roster.pendingSyncs]
    if (missing.length === 0) return
    if (this.state !== 'CompletingRebalance' && this.state !== 'Stable') return
    for (const memberId of missing) {
      this.roster.remove(memberId)
      this.#note(`member ${memberId} removed`, 'it did not sync in time')
    }
    this.#prepareRebalance(nowMs, 'members did not sync in time')
  }

  // ---- Leaving and expiring ----

  #leaveOne({ memberId, groupInstanceId, reason }: LeavingMember): ErrorCode {
    if (this.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
    let leaver = memberId
    if (memberId === '') {
      const current =
        groupInstanceId === null ? undefined : this.roster.staticMembers.get(groupInstanceId)
      if (current === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
      leaver = current
    } else if (this.roster.pendingJoins.delete(memberId)) {
      return ErrorCode.NONE
    } else {
      const refusal = this.roster.check(memberId, groupInstanceId)
      if (refusal !== ErrorCode.NONE) return refusal
    }
    this.#removeMember(this.#member(leaver))
    this.#note(`member ${leaver} left`, reason ?? 'not provided')
    return ErrorCode.NONE
  }

  #expireMembers(nowMs: number): void {
    const sizeBefore = this.roster.size
    for (const [memberId, deadlineMs] of this.roster.pendingJoins) {
      if (deadlineMs <= nowMs) this.roster.pendingJoins.delete(memberId)
    }
    for (const member of [...this.roster.members.values()]) {
      if (member.deadlineMs > nowMs) continue
      const isWaiting = member.joinRequestId !== NO_REQUEST || member.syncRequestId !== NO_REQUEST
      if (isWaiting && !member.isNew) {
        // It sits in a request of ours and cannot heartbeat: it is watched again from its answer on.
        member.deadlineMs = Number.POSITIVE_INFINITY
        continue
      }
      this.#removeMember(member)
      this.#note(`member ${member.memberId} removed`, 'its session has ended')
    }
    this.#afterLoss(this.roster.size < sizeBefore, nowMs, 'members were lost')
  }

  #removeMember(member: GroupMember): void {
    // A client that still waits tries again, as a new member.
    this.#answerMemberJoin(member, refusedJoin(ErrorCode.UNKNOWN_MEMBER_ID, ''))
    this.#answerMemberSync(member, refusedSync(ErrorCode.UNKNOWN_MEMBER_ID))
    this.roster.remove(member.memberId)
  }

  /** A member is gone, or (`memberGone` false) only an id that was never used, which nobody needs to learn of. */
  #afterLoss(memberGone: boolean, nowMs: number, reason: string): void {
    const isRunning = this.state === 'Stable' || this.state === 'CompletingRebalance'
    if (isRunning && memberGone) this.#prepareRebalance(nowMs, reason)
    else this.#completeIfAllJoined(nowMs)
  }

  // ---- Small parts ----

  #checkMember({ memberId, groupInstanceId, generationId }: HeartbeatCommand): ErrorCode {
    const refusal = this.roster.check(memberId, groupInstanceId)
    if (refusal !== ErrorCode.NONE) return refusal
    return generationId === this.generationId ? ErrorCode.NONE : ErrorCode.ILLEGAL_GENERATION
  }

  #member(memberId: string): GroupMember {
    const member = this.roster.members.get(memberId)
    assert(member, 'a checked member is in the group')
    return member
  }

  #enter(state: GroupState, nowMs: number): void {
    assert(next[this.state].includes(state), `group goes from ${this.state} to ${state}`)
    this.state = state
    this.stateSinceMs = nowMs
  }

  #learnSubscriptions(): void {
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

  #renew(member: GroupMember, nowMs: number): void {
    member.deadlineMs = nowMs + member.sessionTimeoutMs
    this.#wakeBy(member.deadlineMs)
  }

  #setJoinDeadline(deadlineMs: number): void {
    this.#joinDeadlineMs = deadlineMs
    this.#wakeBy(deadlineMs)
  }

  #wakeBy(deadlineMs: number): void {
    if (deadlineMs < this.wakeAtMs) this.wakeAtMs = deadlineMs
  }

  #earliestDeadline(): number {
    if (this.state === 'Dead') return Number.POSITIVE_INFINITY
    let earliest = Math.min(this.#joinDeadlineMs, this.#syncDeadlineMs)
    for (const member of this.roster.members.values()) {
      earliest = Math.min(earliest, member.deadlineMs)
    }
    for (const deadlineMs of this.roster.pendingJoins.values()) {
      earliest = Math.min(earliest, deadlineMs)
    }
    return earliest
  }

  #joinedAnswer(member: GroupMember, withMembers: boolean): JoinAnswer {
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

  #assignmentOf(member: GroupMember): SyncAnswer {
    const { protocolType, protocolName } = this
    return { errorCode: ErrorCode.NONE, protocolType, protocolName, assignment: member.assignment }
  }

  #snapshot(assignmentFor: (member: GroupMember) => Buffer): GroupMetadata {
    const members = [...this.roster.members.values()]
    assert(
      members.length === 0 || this.protocolName !== null,
      'a group that is written with members has a protocol',
    )
    const protocolName = this.protocolName ?? ''
    return {
      protocolType: this.protocolType ?? '',
      generation: this.generationId,
      protocol: this.protocolName,
      leader: this.roster.leaderId,
      currentStateTimestamp: this.stateSinceMs,
      members: members.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeout: member.rebalanceTimeoutMs,
        sessionTimeout: member.sessionTimeoutMs,
        subscription: metadataOf(member, protocolName),
        assignment: assignmentFor(member),
      })),
    }
  }

  #answerJoin(requestId: number, answer: JoinAnswer): void {
    this.#effects.push({ kind: 'join', requestId, answer })
  }

  #answerSync(requestId: number, answer: SyncAnswer): void {
    this.#effects.push({ kind: 'sync', requestId, answer })
  }

  /** Answers the member's waiting join, if there is one. */
  #answerMemberJoin(member: GroupMember, answer: JoinAnswer): void {
    if (member.joinRequestId === NO_REQUEST) return
    this.#answerJoin(member.joinRequestId, answer)
    this.roster.setJoinRequest(member, NO_REQUEST)
  }

  #answerMemberSync(member: GroupMember, answer: SyncAnswer): void {
    if (member.syncRequestId === NO_REQUEST) return
    this.#answerSync(member.syncRequestId, answer)
    member.syncRequestId = NO_REQUEST
  }

  #note(message: string, reason?: string): void {
    this.#effects.push({ kind: 'note', message, ...(reason === undefined ? {} : { reason }) })
  }

  #take(): GroupDecision {
    const decision = {
      effects: this.#effects,
      record: this.#record,
      settlement: this.#settlement,
    }
    this.#effects = []
    this.#record = undefined
    this.#settlement = undefined
    return decision
  }
}

/** The answer to a join that was not let in. */
export function refusedJoin(errorCode: ErrorCode, memberId: string): JoinAnswer {
  return {
    errorCode,
    memberId,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    members: [],
  }
}

/** The answer to a sync without an assignment. */
export function refusedSync(errorCode: ErrorCode): SyncAnswer {
  return { errorCode, protocolType: null, protocolName: null, assignment: NO_ASSIGNMENT }
}

function reasonOf(command: JoinCommand, what: string): string {
  return `${what}; client reason: ${command.reason || 'not provided'}`
}
