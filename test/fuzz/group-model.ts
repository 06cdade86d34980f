/**
 * What a classic group does, by Kafka's rules (KIP-62, KIP-345, KIP-394), in a few plain sets: who is in, who waits, and what
 * each request is answered. Time does not pass in it: sessions and rebalances of the tests are longer than they run.
 */
import { ErrorCode } from '../../src/protocol/error-code.ts'

export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable'

/** A request that is under way, on a connection of its own. */
export type Waiting<Answer = unknown> = {
  readonly answer: Promise<Answer>
  arrived: boolean
  /** Its connection was dropped: nobody gets the answer. */
  dropped: boolean
}

export type JoinAnswer = {
  errorCode: number
  generationId: number
  leader: string
  memberId: string
  protocolName: string | null
  members: readonly { memberId: string; groupInstanceId: string | null }[]
}
export type SyncAnswer = { errorCode: number; assignment: Buffer }

export type Member = {
  /** The client id it came with. */
  readonly name: string
  /** Undefined until the broker told. */
  id: string | undefined
  /** The one that it lost when its instance came back; it must not be seen any more. */
  formerId: string | undefined
  readonly instanceId: string | null
  protocols: readonly string[]
  join: Waiting<JoinAnswer> | undefined
  sync: Waiting<SyncAnswer> | undefined
  assignment: string
}

export type JoinOf = {
  readonly name: string
  readonly version: number
  readonly memberId: string
  readonly instanceId: string | null
  readonly protocolType: string
  readonly protocols: readonly string[]
}

/** An answer that must come now. */
export type Due =
  | {
      kind: 'join'
      waiting: Waiting<JoinAnswer>
      errorCode: number
      member?: Member
      generation?: number
      leads?: boolean
      /** A newer request of the same member took its place: Kafka forgets it. */
      isReplaced?: boolean
      /** Kafka throws an IllegalStateException inside: a static member brings an id that was given to a dynamic one. */
      failsInKafka?: boolean
    }
  | {
      kind: 'sync'
      waiting: Waiting<SyncAnswer>
      errorCode: number
      assignment: string
      isReplaced?: boolean
    }

export class GroupModel {
  state: GroupState = 'Empty'
  /** A group that nobody joined or committed to is not there. */
  exists = false
  /** Of a JoinGroup that was refused an empty group is left. */
  readonly #keepsRefused: boolean
  generation = 0
  protocolType = ''
  readonly members = new Set<Member>()
  /** Ids that were given out and not used yet. */
  readonly givenIds = new Set<string>()
  /** Undefined where the broker chooses: its next answers tell. */
  leader: Member | undefined
  readonly committed = new Map<number, number>()
  readonly due: Due[] = []
  /** Every request whose answer must not come yet. */
  readonly open = new Set<Waiting>()

  constructor(keepsRefused: boolean) {
    this.#keepsRefused = keepsRefused
  }

  byId(id: string): Member | undefined {
    return [...this.members].find((member) => member.id === id)
  }

  byInstance(instanceId: string | null): Member | undefined {
    if (instanceId === null) return undefined
    return [...this.members].find((member) => member.instanceId === instanceId)
  }

  /** UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID or NONE. */
  check(memberId: string, instanceId: string | null): number {
    if (instanceId !== null) {
      const owner = this.byInstance(instanceId)
      if (!owner) return ErrorCode.UNKNOWN_MEMBER_ID
      if (owner.id !== memberId) return ErrorCode.FENCED_INSTANCE_ID
    }
    return this.byId(memberId) ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
  }

  checkGeneration(memberId: string, instanceId: string | null, generation: number): number {
    const refusal = this.check(memberId, instanceId)
    if (refusal !== ErrorCode.NONE) return refusal
    return generation === this.generation ? ErrorCode.NONE : ErrorCode.ILLEGAL_GENERATION
  }

  supports(protocolType: string, protocols: readonly string[]): boolean {
    if (this.state === 'Empty') return protocolType !== '' && protocols.length > 0
    const isCommon = (name: string) =>
      [...this.members].every((member) => member.protocols.includes(name))
    return protocolType === this.protocolType && protocols.some(isCommon)
  }

  join(asked: JoinOf, waiting: Waiting<JoinAnswer>): void {
    const { memberId, instanceId, protocols } = asked
    if (!this.exists && memberId !== '') this.#refuse(waiting, ErrorCode.UNKNOWN_MEMBER_ID)
    else if (!this.supports(asked.protocolType, protocols)) {
      this.exists ||= this.#keepsRefused
      this.#refuse(waiting, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    } else if (memberId === '') this.#joinNew(asked, waiting)
    else if (instanceId === null && this.givenIds.delete(memberId)) {
      this.#add(asked, waiting, memberId)
    } else this.#joinKnown(asked, waiting)
  }

  #joinNew(asked: JoinOf, waiting: Waiting<JoinAnswer>): void {
    const { instanceId, version } = asked
    this.exists = true
    const old = this.byInstance(instanceId)
    if (old) this.#replace(old, asked, waiting)
    else if (instanceId === null && version >= 4) {
      this.#refuse(waiting, ErrorCode.MEMBER_ID_REQUIRED)
    } else this.#add(asked, waiting, undefined)
  }

  #joinKnown({ memberId, instanceId, protocols }: JoinOf, waiting: Waiting<JoinAnswer>): void {
    const refusal = this.check(memberId, instanceId)
    if (refusal !== ErrorCode.NONE) {
      this.#refuse(waiting, refusal, this.givenIds.has(memberId))
      return
    }
    const member = this.byId(memberId) as Member
    const isUnchanged = String(member.protocols) === String(protocols)
    const isRepeat =
      isUnchanged &&
      (this.state === 'CompletingRebalance' || (this.state === 'Stable' && member !== this.leader))
    if (isRepeat) {
      const leads = member === this.leader
      this.due.push({ ...answered(waiting), member, generation: this.generation, leads })
      return
    }
    this.#update(member, protocols, waiting)
    this.#rebalance()
  }

  #refuse(waiting: Waiting<JoinAnswer>, errorCode: number, failsInKafka = false): void {
    this.due.push({ kind: 'join', waiting, errorCode, failsInKafka })
  }

  #add(asked: JoinOf, join: Waiting<JoinAnswer>, id: string | undefined): void {
    const isFirst = this.members.size === 0
    if (isFirst) this.protocolType = asked.protocolType
    const { name, instanceId, protocols } = asked
    const nothing = { formerId: undefined, sync: undefined, assignment: '' }
    const member = { name, id, instanceId, protocols, join, ...nothing }
    this.members.add(member)
    if (isFirst) this.leader = member
    this.#rebalance()
  }

  #update(member: Member, protocols: readonly string[], waiting: Waiting<JoinAnswer>): void {
    if (member.join) {
      const errorCode = ErrorCode.REBALANCE_IN_PROGRESS
      this.due.push({ kind: 'join', waiting: member.join, errorCode, isReplaced: true })
    }
    member.protocols = protocols
    member.join = waiting
  }

  #replace(old: Member, asked: JoinOf, waiting: Waiting<JoinAnswer>): void {
    if (old.join) this.#refuse(old.join, ErrorCode.FENCED_INSTANCE_ID)
    if (old.sync) this.#answerSync(old, ErrorCode.FENCED_INSTANCE_ID)
    const isUnchanged = String(old.protocols) === String(asked.protocols)
    old.join = undefined
    old.sync = undefined
    old.formerId = old.id
    old.id = undefined
    this.#update(old, asked.protocols, waiting)
    if (this.state === 'Stable' && isUnchanged) {
      old.join = undefined
      this.due.push({ ...answered(waiting), member: old, generation: this.generation })
    } else if (this.state === 'CompletingRebalance') this.#prepare()
    else this.#rebalance()
  }

  #rebalance(): void {
    if (this.state === 'PreparingRebalance') this.completeIfAllJoined()
    else this.#prepare()
  }

  #prepare(): void {
    const wasEmpty = this.state === 'Empty'
    if (this.state === 'CompletingRebalance') {
      for (const member of this.members) {
        if (member.sync) this.#answerSync(member, ErrorCode.REBALANCE_IN_PROGRESS)
      }
    }
    this.state = 'PreparingRebalance'
    // The first member of an empty group waits for nobody, and nobody is waited for when the last one left.
    if (wasEmpty || this.members.size === 0) this.#complete()
    else this.completeIfAllJoined()
  }

  completeIfAllJoined(): void {
    if (this.state !== 'PreparingRebalance' || this.givenIds.size > 0) return
    for (const member of this.members) if (!member.join) return
    this.#complete()
  }

  #complete(): void {
    this.generation++
    if (this.members.size === 0) {
      this.state = 'Empty'
      this.leader = undefined
      return
    }
    this.state = 'CompletingRebalance'
    for (const member of this.members) {
      const waiting = member.join as Waiting<JoinAnswer>
      this.due.push({ ...answered(waiting), member, generation: this.generation })
      member.join = undefined
      member.assignment = ''
    }
  }

  sync(
    memberId: string,
    instanceId: string | null,
    generation: number,
    assignments: ReadonlyMap<string, string>,
    waiting: Waiting<SyncAnswer>,
  ): void {
    const refusal = this.checkGeneration(memberId, instanceId, generation)
    const refuse = (errorCode: number) => {
      this.due.push({ kind: 'sync', waiting, errorCode, assignment: '' })
    }
    if (refusal !== ErrorCode.NONE) {
      refuse(refusal)
      return
    }
    const member = this.byId(memberId) as Member
    if (this.state === 'PreparingRebalance') {
      refuse(ErrorCode.REBALANCE_IN_PROGRESS)
      return
    }
    if (this.state === 'Stable') {
      const { assignment } = member
      this.due.push({ kind: 'sync', waiting, errorCode: ErrorCode.NONE, assignment })
      return
    }
    if (member.sync) this.#answerSync(member, ErrorCode.REBALANCE_IN_PROGRESS, true)
    member.sync = waiting
    if (member !== this.leader) return
    this.state = 'Stable'
    for (const each of this.members) {
      each.assignment = assignments.get(each.id ?? '') ?? ''
      if (each.sync) this.#answerSync(each, ErrorCode.NONE)
    }
  }

  #answerSync(member: Member, errorCode: number, isReplaced = false): void {
    const waiting = member.sync as Waiting<SyncAnswer>
    const assignment = errorCode === ErrorCode.NONE ? member.assignment : ''
    this.due.push({ kind: 'sync', waiting, errorCode, assignment, isReplaced })
    member.sync = undefined
  }

  heartbeat(memberId: string, instanceId: string | null, generation: number): number {
    const refusal = this.checkGeneration(memberId, instanceId, generation)
    if (refusal !== ErrorCode.NONE) return refusal
    return this.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
  }

  commit(memberId: string, instanceId: string | null, generation: number): number {
    if (generation < 0 && this.state === 'Empty') {
      this.exists = true
      return ErrorCode.NONE
    }
    if (!this.exists) return ErrorCode.ILLEGAL_GENERATION
    if (generation < 0 && memberId === '' && instanceId === null) return ErrorCode.UNKNOWN_MEMBER_ID
    const refusal = this.checkGeneration(memberId, instanceId, generation)
    if (refusal !== ErrorCode.NONE) return refusal
    return this.state === 'CompletingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
  }

  leave(memberId: string, instanceId: string | null): number {
    let member = this.byId(memberId)
    if (memberId === '') {
      member = this.byInstance(instanceId)
      if (!member) return ErrorCode.UNKNOWN_MEMBER_ID
    } else if (this.givenIds.delete(memberId)) {
      this.#afterLoss()
      return ErrorCode.NONE
    } else {
      const refusal = this.check(memberId, instanceId)
      if (refusal !== ErrorCode.NONE) return refusal
    }
    this.#remove(member as Member)
    return ErrorCode.NONE
  }

  #remove(member: Member): void {
    if (member.join) this.#refuse(member.join, ErrorCode.UNKNOWN_MEMBER_ID)
    if (member.sync) this.#answerSync(member, ErrorCode.UNKNOWN_MEMBER_ID)
    this.members.delete(member)
    if (this.leader === member) this.leader = undefined
    this.#afterLoss()
  }

  /** Even an id that was given out and never used is missed by the others when it leaves. */
  #afterLoss(): void {
    if (this.state === 'PreparingRebalance') this.completeIfAllJoined()
    else if (this.state !== 'Empty') this.#prepare()
  }
}

const answered = (waiting: Waiting<JoinAnswer>) =>
  ({ kind: 'join', waiting, errorCode: ErrorCode.NONE }) as const
