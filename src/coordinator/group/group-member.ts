/** One member of a classic group. Only the group's machine changes it. */

/** A way to share out partitions that a member offers, with what its assignor wants the leader to know. */
export type MemberProtocol = { readonly name: string; readonly metadata: Buffer }

export const NO_ASSIGNMENT = Buffer.alloc(0)
/** No request waits. Real ones start at 1. */
export const NO_REQUEST = 0

export type GroupMember = {
  readonly memberId: string
  /** Set for static members (KIP-345). */
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly protocolType: string
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  /** In the member's order of liking. */
  protocols: readonly MemberProtocol[]
  assignment: Buffer
  /** The JoinGroup or SyncGroup request that waits for its answer. */
  joinRequestId: number
  syncRequestId: number
  /** Joins for the first time and knows no member id yet: it cannot heartbeat, so waiting does not keep it alive. */
  isNew: boolean
  /** When it counts as dead unless heard of. Infinity: not watched. */
  deadlineMs: number
}

/** @throws nothing: a protocol that the member does not offer has no metadata */
export function metadataOf(member: GroupMember, protocolName: string): Buffer {
  return (
    member.protocols.find((protocol) => protocol.name === protocolName)?.metadata ?? NO_ASSIGNMENT
  )
}

/** Same names with same metadata in the same order: a rejoin that changes nothing. */
export function sameProtocols(
  left: readonly MemberProtocol[],
  right: readonly MemberProtocol[],
): boolean {
  return (
    left.length === right.length &&
    left.every(({ name, metadata }, index) => {
      const other = right[index]
      return other !== undefined && other.name === name && other.metadata.equals(metadata)
    })
  )
}
