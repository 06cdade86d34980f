/** What a classic group is asked, what it answers, and what a decision of its machine consists of. */
import type { ErrorCode } from '../../protocol/error-code.ts'
import { type MemberProtocol, NO_ASSIGNMENT } from './group-member.ts'
import type { GroupMetadata } from './group-records.ts'

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
