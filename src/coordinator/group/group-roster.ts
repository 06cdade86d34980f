/**
 * Who is in a classic group: its members, who of them are static, whose join or sync is awaited, and which protocols
 * they have in common. It knows nothing of states or time-outs.
 */
import { assert } from '../../base/assert.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { type GroupMember, type MemberProtocol, NO_REQUEST } from './group-member.ts'

export class GroupRoster {
  /** In order of arrival. */
  readonly members = new Map<string, GroupMember>()
  /** Group instance id to member id. */
  readonly staticMembers = new Map<string, string>()
  /** Ids given out by MEMBER_ID_REQUIRED (KIP-394) that have not joined yet, with the time they are given up. */
  readonly pendingJoins = new Map<string, number>()
  /** Members that have not synced since the last join phase ended. */
  readonly pendingSyncs = new Set<string>()
  leaderId: string | null = null
  /** How many members wait in JoinGroup. */
  awaitingJoins = 0
  /** How many members offer each protocol. */
  readonly #supporters = new Map<string, number>()

  get size(): number {
    return this.members.size
  }

  add(member: GroupMember): void {
    assert(!this.members.has(member.memberId), 'a member is added once')
    if (member.groupInstanceId !== null) {
      assert(!this.staticMembers.has(member.groupInstanceId), 'an instance id has one member')
      this.staticMembers.set(member.groupInstanceId, member.memberId)
    }
    this.members.set(member.memberId, member)
    this.#count(member.protocols, 1)
    this.leaderId ??= member.memberId
    if (member.joinRequestId !== NO_REQUEST) this.awaitingJoins++
    this.pendingJoins.delete(member.memberId)
  }

  /** Also forgets a pending id. The oldest remaining member follows a leader who goes. */
  remove(memberId: string): void {
    const member = this.members.get(memberId)
    if (member) {
      this.members.delete(memberId)
      this.#count(member.protocols, -1)
      if (member.joinRequestId !== NO_REQUEST) this.awaitingJoins--
      if (member.groupInstanceId !== null) this.staticMembers.delete(member.groupInstanceId)
    }
    if (this.leaderId === memberId) this.leaderId = this.members.keys().next().value ?? null
    this.pendingJoins.delete(memberId)
    this.pendingSyncs.delete(memberId)
  }

  /** A static member came back under a new id: the new one takes the old one's place, leadership included. */
  replace(old: GroupMember, memberId: string): GroupMember {
    assert(old.groupInstanceId !== null, 'only static members are replaced')
    assert(old.joinRequestId === NO_REQUEST, 'the replaced member was answered')
    const member = { ...old, memberId, isNew: false, syncRequestId: NO_REQUEST }
    this.members.delete(old.memberId)
    this.pendingSyncs.delete(old.memberId)
    this.members.set(memberId, member)
    this.staticMembers.set(old.groupInstanceId, memberId)
    if (this.leaderId === old.memberId) this.leaderId = memberId
    return member
  }

  setProtocols(member: GroupMember, protocols: readonly MemberProtocol[]): void {
    this.#count(member.protocols, -1)
    member.protocols = protocols
    this.#count(protocols, 1)
  }

  /** @param requestId NO_REQUEST: nothing is awaited any more */
  setJoinRequest(member: GroupMember, requestId: number): void {
    const was = member.joinRequestId !== NO_REQUEST ? 1 : 0
    const is = requestId !== NO_REQUEST ? 1 : 0
    member.joinRequestId = requestId
    this.awaitingJoins += is - was
  }

  /** Whether nobody is missing: all members wait in JoinGroup and no given-out id is outstanding. */
  get allJoined(): boolean {
    return this.awaitingJoins === this.members.size && this.pendingJoins.size === 0
  }

  /** The longest rebalance time-out of all members, in ms; 0 without members. */
  get rebalanceTimeoutMs(): number {
    let longest = 0
    for (const member of this.members.values()) {
      longest = Math.max(longest, member.rebalanceTimeoutMs)
    }
    return longest
  }

  /** Whether at least one of the protocols is offered by every member; without members, any is. */
  supportsAny(protocols: readonly MemberProtocol[]): boolean {
    return protocols.some((protocol) => this.#isCommon(protocol.name))
  }

  /** Each member votes for the first protocol of its list that all have; the one with most votes wins. */
  selectProtocol(): string {
    const votes = new Map<string, number>()
    for (const member of this.members.values()) {
      const choice = member.protocols.find((protocol) => this.#isCommon(protocol.name))
      assert(choice, 'all members have a protocol in common')
      votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1)
    }
    let winner = ''
    let most = 0
    for (const [name, count] of votes) {
      if (count > most) [winner, most] = [name, count]
    }
    assert(most > 0, 'an empty group selects no protocol')
    return winner
  }

  /**
   * Keeps the leader if it waits in JoinGroup, else makes the first member that does the leader.
   *
   * @returns whether the group has a leader that has joined
   */
  electJoinedLeader(): boolean {
    if (this.leaderId === null) return false
    if (this.members.get(this.leaderId)?.joinRequestId !== NO_REQUEST) return true
    for (const member of this.members.values()) {
      if (member.joinRequestId === NO_REQUEST) continue
      this.leaderId = member.memberId
      return true
    }
    return false
  }

  /** Who a request claims to come from: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID or NONE. */
  check(memberId: string, groupInstanceId: string | null): ErrorCode {
    if (groupInstanceId !== null) {
      const current = this.staticMembers.get(groupInstanceId)
      if (current === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
      if (current !== memberId) return ErrorCode.FENCED_INSTANCE_ID
    }
    return this.members.has(memberId) ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
  }

  #isCommon(name: string): boolean {
    return (this.#supporters.get(name) ?? 0) === this.members.size
  }

  /** Names repeated by one member count once. */
  #count(protocols: readonly MemberProtocol[], step: 1 | -1): void {
    for (const name of new Set(protocols.map((protocol) => protocol.name))) {
      const count = (this.#supporters.get(name) ?? 0) + step
      if (count === 0) this.#supporters.delete(name)
      else this.#supporters.set(name, count)
    }
  }
}
