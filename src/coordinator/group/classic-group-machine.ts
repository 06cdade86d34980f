/**
 * One classic group: who may join, when a generation is complete, who gets what. Pure: commands and the time go in,
 * answers, a record to write and notes come out. Requests that must wait are kept by number and answered by a later
 * decision. What it writes is only complete generations: membership in between is soft, and after a failover members
 * find themselves in the last written one. Source: KIP-62, KIP-134, KIP-345, KIP-394, KIP-559, KIP-814;
 * Kafka's GroupMetadataManager and ClassicGroup.
 */
import { ErrorCode } from '../../protocol/error-code.ts'
import { ClassicGroup } from './classic-group.ts'
import {
  type CommitCommand,
  type GroupDecision,
  type HeartbeatCommand,
  type JoinCommand,
  type LeaveAnswer,
  type LeavingMember,
  refusedJoin,
  refusedSync,
  type Settlement,
  type SyncCommand,
} from './group-commands.ts'
import { type GroupMember, NO_ASSIGNMENT, NO_REQUEST, sameProtocols } from './group-member.ts'
import { GroupOutbox } from './group-outbox.ts'
import type { GroupMetadata } from './group-records.ts'
import { restoreRoster, storedGroup } from './group-snapshot.ts'
import { InitialRebalance } from './initial-rebalance.ts'

/** How long a first join may wait: its client cannot heartbeat, and a broken connection is not seen. */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000
/** Ids given out and not used at one time, so that a client that only asks for ids cannot fill the memory. */
export const MAX_PENDING_JOINS = 10_000

export type ClassicGroupSettings = {
  readonly initialRebalanceDelayMs: number
  readonly maxSize: number
}

export class ClassicGroupMachine extends ClassicGroup {
  /** Rebalances completed since this object was made. */
  completedRebalances = 0

  readonly #settings: ClassicGroupSettings
  readonly #initial: InitialRebalance
  /** The generation whose assignment is being written, so that a repeated sync of the leader writes none. */
  #assigningGenerationId = -1
  readonly #out = new GroupOutbox(this.roster)

  constructor(groupId: string, settings: ClassicGroupSettings, nowMs: number) {
    super(groupId, nowMs)
    this.#settings = settings
    this.#initial = new InitialRebalance(settings.initialRebalanceDelayMs)
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
    restoreRoster(group.roster, stored)
    group.learnSubscriptions()
    return group
  }

  /** Begins to watch a restored group's members; one that is larger than allowed by now is rebalanced. */
  resume(nowMs: number): GroupDecision {
    for (const member of this.roster.members.values()) this.renew(member, nowMs)
    if (this.roster.size > this.#settings.maxSize) {
      this.#prepareRebalance(nowMs, 'the loaded group is larger than group.max.size')
    }
    return this.#out.take()
  }

  // ---- Commands ----

  /** @returns the answer as an effect, at once or by a later decision */
  join(command: JoinCommand, nowMs: number): GroupDecision {
    const { requestId, memberId } = command
    if (!this.#accepts(memberId)) {
      this.roster.remove(memberId)
      this.#completeIfAllJoined(nowMs)
      this.#out.join(requestId, refusedJoin(ErrorCode.GROUP_MAX_SIZE_REACHED, ''))
    } else if (this.state === 'Dead') {
      this.#out.join(requestId, refusedJoin(ErrorCode.COORDINATOR_NOT_AVAILABLE, memberId))
    } else if (!this.#supports(command)) {
      this.#out.join(requestId, refusedJoin(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, memberId))
    } else if (memberId === '') {
      this.#joinNew(command, nowMs)
    } else {
      this.#joinKnown(command, nowMs)
    }
    return this.#out.take()
  }

  /** @returns the answer as an effect, at once or by a later decision */
  sync(command: SyncCommand, nowMs: number): GroupDecision {
    const { requestId, memberId } = command
    const refusal = this.#checkSync(command)
    if (refusal !== ErrorCode.NONE) {
      this.#out.sync(requestId, refusedSync(refusal))
      return this.#out.take()
    }
    const member = this.member(memberId)
    this.roster.pendingSyncs.delete(memberId)
    if (this.roster.pendingSyncs.size === 0) this.syncDeadlineMs = Number.POSITIVE_INFINITY
    if (this.state === 'Stable') {
      this.#out.sync(requestId, this.assignmentOf(member))
      return this.#out.take()
    }
    this.#out.syncOf(member, refusedSync(ErrorCode.REBALANCE_IN_PROGRESS))
    member.syncRequestId = requestId
    this.renew(member, nowMs)
    if (memberId === this.roster.leaderId && this.#assigningGenerationId !== this.generationId) {
      this.#assign(command)
    }
    return this.#out.take()
  }

  /** Renews the member's session. Writes nothing: sessions are soft state. */
  heartbeat(command: HeartbeatCommand, nowMs: number): ErrorCode {
    if (this.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const refusal = this.checkMember(command)
    if (refusal !== ErrorCode.NONE) return refusal
    this.renew(this.member(command.memberId), nowMs)
    // The client learns of a rebalance only through this answer; it must rejoin, so it is not an error to log.
    return this.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
  }

  /**
   * Removes members, by id or, for static ones, by instance id alone.
   *
   * @param answers gets one entry per member, in their order
   */
  leave(members: readonly LeavingMember[], answers: LeaveAnswer[], nowMs: number): GroupDecision {
    let anyLeft = false
    for (const leaving of members) {
      const errorCode = this.#leaveOne(leaving)
      const { memberId, groupInstanceId } = leaving
      answers.push({ memberId, groupInstanceId, errorCode })
      anyLeft ||= errorCode === ErrorCode.NONE
    }
    this.#afterLoss(anyLeft, nowMs, 'members left')
    return this.#out.take()
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
      const refusal = this.checkMember(command)
      if (refusal !== ErrorCode.NONE) return refusal
    } else if (!isTransactional) {
      return ErrorCode.UNKNOWN_MEMBER_ID
    }
    if (!isTransactional && this.state === 'CompletingRebalance') {
      return ErrorCode.REBALANCE_IN_PROGRESS
    }
    const member = this.roster.members.get(memberId)
    if (member && !isTransactional) this.renew(member, nowMs)
    return ErrorCode.NONE
  }

  /** Lets time-outs happen that are due at `nowMs`. */
  tick(nowMs: number): GroupDecision {
    this.#expireMembers(nowMs)
    if (this.joinDeadlineMs <= nowMs) this.#joinTimedOut(nowMs)
    if (this.syncDeadlineMs <= nowMs) this.#syncTimedOut(nowMs)
    this.wakeAtMs = this.earliestDeadline()
    return this.#out.take()
  }

  /** The record of a decision is written, or could not be: `errorCode` is what a client is told then. */
  settle(settlement: Settlement, errorCode: ErrorCode, nowMs: number): GroupDecision {
    if (settlement.kind === 'assigned') this.#settleAssignment(settlement, errorCode, nowMs)
    if (settlement.kind === 'replaced') this.#settleReplacement(settlement, errorCode, nowMs)
    return this.#out.take()
  }

  /** The record that makes a group known that has only been asked for an id so far. */
  created(): GroupDecision {
    this.#out.write(
      {
        protocolType: '',
        generation: 0,
        protocol: null,
        leader: null,
        currentStateTimestamp: this.stateSinceMs,
        members: [],
      },
      { kind: 'created' },
    )
    return this.#out.take()
  }

  /** The end: the group was deleted, or its partition has moved away. Whoever waits is answered with `errorCode`. */
  die(errorCode: ErrorCode): GroupDecision {
    for (const member of this.roster.members.values()) {
      this.#out.joinOf(member, refusedJoin(errorCode, member.memberId))
      this.#out.syncOf(member, refusedSync(errorCode))
    }
    this.state = 'Dead'
    this.wakeAtMs = Number.POSITIVE_INFINITY
    return this.#out.take()
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
      this.#replaceStatic(command, this.member(oldId), nowMs)
    } else if (groupInstanceId === null && command.requiresKnownMemberId) {
      const deadlineMs = nowMs + command.sessionTimeoutMs
      this.roster.pendingJoins.set(newMemberId, deadlineMs)
      this.wakeBy(deadlineMs)
      this.#out.join(requestId, refusedJoin(ErrorCode.MEMBER_ID_REQUIRED, newMemberId))
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
      this.#out.join(requestId, refusedJoin(refusal, memberId))
      return
    }
    const member = this.member(memberId)
    const isLeader = this.roster.leaderId === memberId
    const isUnchanged = sameProtocols(member.protocols, command.protocols)
    // An unchanged rejoin lost its answer: it gets it again. The leader of a stable group, though, asks for a rebalance:
    // that is how it tells of changes that its metadata does not show, such as more partitions of a topic.
    const isRepeat =
      isUnchanged &&
      (this.state === 'CompletingRebalance' || (this.state === 'Stable' && !isLeader))
    if (isRepeat) {
      this.#out.join(requestId, this.joinedAnswer(member, isLeader))
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
    this.wakeBy(member.deadlineMs)
    this.#initial.memberArrived()
    this.roster.add(member)
    this.#rebalanceOrComplete(nowMs, reasonOf(command, `new member ${memberId}`))
  }

  #updateMember(member: GroupMember, command: JoinCommand, nowMs: number): void {
    this.#out.joinOf(member, refusedJoin(ErrorCode.REBALANCE_IN_PROGRESS, member.memberId))
    this.roster.setProtocols(member, command.protocols)
    member.rebalanceTimeoutMs = command.rebalanceTimeoutMs
    member.sessionTimeoutMs = command.sessionTimeoutMs
    this.roster.setJoinRequest(member, command.requestId)
    if (!member.isNew) this.renew(member, nowMs)
  }

  /** A known instance comes without its member id: it was restarted. The old process, if it still runs, is fenced. */
  #replaceStatic(command: JoinCommand, old: GroupMember, nowMs: number): void {
    const oldLeader = this.roster.leaderId ?? ''
    this.#out.joinOf(old, refusedJoin(ErrorCode.FENCED_INSTANCE_ID, old.memberId))
    this.#out.syncOf(old, refusedSync(ErrorCode.FENCED_INSTANCE_ID))
    const member = this.roster.replace(old, command.newMemberId)
    this.#updateMember(member, command, nowMs)
    const reason = reasonOf(command, `static member ${command.groupInstanceId} came back`)
    if (this.state === 'CompletingRebalance') {
      // The leader may be assigning to the old id by now, and the new one would get nothing.
      this.#prepareRebalance(nowMs, reason)
    } else if (this.state === 'Stable' && this.roster.selectProtocol() === this.protocolName) {
      this.#out.write(
        storedGroup(this, (each) => each.assignment),
        {
          kind: 'replaced',
          generationId: this.generationId,
          memberId: member.memberId,
          requestId: command.requestId,
          oldLeader,
          supportsSkipAssignment: command.supportsSkipAssignment,
        },
      )
      this.#out.note(`static member ${command.groupInstanceId} replaced, no rebalance needed`)
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
      this.#out.joinOf(member, refusedJoin(errorCode, ''))
      return
    }
    this.renew(member, nowMs)
    const isLeader = this.roster.leaderId === member.memberId
    const skips = isLeader && settlement.supportsSkipAssignment
    this.#out.joinOf(member, {
      ...this.joinedAnswer(member, skips),
      leader: settlement.supportsSkipAssignment
        ? (this.roster.leaderId ?? '')
        : settlement.oldLeader,
      skipAssignment: skips,
    })
  }

  // ---- Rebalancing ----

  #rebalanceOrComplete(nowMs: number, reason: string): void {
    if (this.state === 'PreparingRebalance') this.#completeIfAllJoined(nowMs)
    else this.#prepareRebalance(nowMs, reason)
  }

  #prepareRebalance(nowMs: number, reason: string): void {
    if (this.state === 'CompletingRebalance') {
      this.#propagate(() => NO_ASSIGNMENT, ErrorCode.REBALANCE_IN_PROGRESS, nowMs)
    }
    this.roster.pendingSyncs.clear()
    this.syncDeadlineMs = Number.POSITIVE_INFINITY
    const isFirst = this.state === 'Empty'
    this.enter('PreparingRebalance', nowMs)
    this.#out.note('rebalance begins', reason)
    if (isFirst) {
      this.setJoinDeadline(nowMs + this.#initial.begin(this.roster.rebalanceTimeoutMs))
    } else if (this.roster.allJoined) {
      this.#completeJoin(nowMs)
    } else {
      this.setJoinDeadline(nowMs + this.roster.rebalanceTimeoutMs)
    }
  }

  #completeIfAllJoined(nowMs: number): void {
    if (this.state !== 'PreparingRebalance' || this.#initial.isRunning) return
    if (this.roster.allJoined) this.#completeJoin(nowMs)
  }

  #joinTimedOut(nowMs: number): void {
    this.joinDeadlineMs = Number.POSITIVE_INFINITY
    if (this.state !== 'PreparingRebalance') return
    const waitMs = this.#initial.waitAgainMs()
    if (waitMs === undefined) this.#completeJoin(nowMs)
    else this.setJoinDeadline(nowMs + waitMs)
  }

  /** Ends the join phase: who has not rejoined is out, unless static; the next generation begins. */
  #completeJoin(nowMs: number): void {
    this.#initial.end()
    this.joinDeadlineMs = Number.POSITIVE_INFINITY
    for (const member of [...this.roster.members.values()]) {
      if (member.joinRequestId !== NO_REQUEST || member.groupInstanceId !== null) continue
      this.roster.remove(member.memberId)
      this.#out.note(`member ${member.memberId} removed`, 'it did not rejoin in time')
    }
    if (this.roster.size > 0 && !this.roster.electJoinedLeader()) {
      // Only static members, none of them here: wait for one, or for their sessions to end.
      this.setJoinDeadline(nowMs + this.roster.rebalanceTimeoutMs)
      return
    }
    this.generationId++
    this.roster.pendingSyncs.clear()
    if (this.roster.size === 0) this.#becomeEmpty(nowMs)
    else this.#awaitSync(nowMs)
  }

  #becomeEmpty(nowMs: number): void {
    this.protocolName = null
    this.learnSubscriptions()
    this.enter('Empty', nowMs)
    this.#out.note('group is empty')
    this.#out.write(
      storedGroup(this, () => NO_ASSIGNMENT),
      { kind: 'emptied' },
    )
  }

  #awaitSync(nowMs: number): void {
    this.protocolName = this.roster.selectProtocol()
    this.learnSubscriptions()
    this.enter('CompletingRebalance', nowMs)
    this.#out.note(`generation ${this.generationId} has ${this.roster.size} members`)
    for (const member of this.roster.members.values()) {
      const isLeader = member.memberId === this.roster.leaderId
      this.#out.joinOf(member, this.joinedAnswer(member, isLeader))
      this.renew(member, nowMs)
      member.isNew = false
      this.roster.pendingSyncs.add(member.memberId)
    }
    this.setSyncDeadline(nowMs + this.roster.rebalanceTimeoutMs)
  }

  // ---- Syncing ----

  #checkSync(command: SyncCommand): ErrorCode {
    if (this.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const refusal = this.checkMember(command)
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
    this.#out.write(
      storedGroup(this, (member) => assignments.get(member.memberId) ?? NO_ASSIGNMENT),
      { kind: 'assigned', generationId: this.generationId, assignments },
    )
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
    this.enter('Stable', nowMs)
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
        errorCode === ErrorCode.NONE ? this.assignmentOf(member) : refusedSync(errorCode)
      this.#out.syncOf(member, answer)
      // The session may have run out while the member waited, when nobody looked.
      this.renew(member, nowMs)
    }
  }

  #syncTimedOut(nowMs: number): void {
    this.syncDeadlineMs = Number.POSITIVE_INFINITY
    const missing = [...this.roster.pendingSyncs]
    if (missing.length === 0) return
    if (this.state !== 'CompletingRebalance' && this.state !== 'Stable') return
    for (const memberId of missing) {
      this.roster.remove(memberId)
      this.#out.note(`member ${memberId} removed`, 'it did not sync in time')
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
    this.#removeMember(this.member(leaver))
    this.#out.note(`member ${leaver} left`, reason ?? 'not provided')
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
      this.#out.note(`member ${member.memberId} removed`, 'its session has ended')
    }
    this.#afterLoss(this.roster.size < sizeBefore, nowMs, 'members were lost')
  }

  #removeMember(member: GroupMember): void {
    // A client that still waits tries again, as a new member.
    this.#out.joinOf(member, refusedJoin(ErrorCode.UNKNOWN_MEMBER_ID, ''))
    this.#out.syncOf(member, refusedSync(ErrorCode.UNKNOWN_MEMBER_ID))
    this.roster.remove(member.memberId)
  }

  /**
   * Ends a join phase that waits for nobody any more; begins one where a loss `breaksGeneration`. Kafka does so also when
   * an id that was never used leaves, but not when it expires.
   */
  #afterLoss(breaksGeneration: boolean, nowMs: number, reason: string): void {
    const isRunning = this.state === 'Stable' || this.state === 'CompletingRebalance'
    if (isRunning && breaksGeneration) this.#prepareRebalance(nowMs, reason)
    else this.#completeIfAllJoined(nowMs)
  }
}

function reasonOf(command: JoinCommand, what: string): string {
  return `${what}; client reason: ${command.reason || 'not provided'}`
}
