/** A classic group as a record keeps it, and back. */
import { assert } from '../../base/assert.ts'
import { type GroupMember, metadataOf, NO_REQUEST } from './group-member.ts'
import type { GroupMetadata } from './group-records.ts'
import type { GroupRoster } from './group-roster.ts'

type Group = {
  readonly roster: GroupRoster
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly generationId: number
  readonly stateSinceMs: number
}

/** @param assignmentFor what each member is to do; members keep only the metadata of the chosen protocol */
export function storedGroup(
  group: Group,
  assignmentFor: (member: GroupMember) => Buffer,
): GroupMetadata {
  const { roster, protocolName } = group
  assert(
    roster.size === 0 || protocolName !== null,
    'a group that is written with members has a protocol',
  )
  return {
    protocolType: group.protocolType ?? '',
    generation: group.generationId,
    protocol: protocolName,
    leader: roster.leaderId,
    currentStateTimestamp: group.stateSinceMs,
    members: [...roster.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: metadataOf(member, protocolName ?? ''),
      assignment: assignmentFor(member),
    })),
  }
}

/** Fills an empty roster. Nobody is watched yet. Byte fields are kept, not copied. */
export function restoreRoster(roster: GroupRoster, stored: GroupMetadata): void {
  for (const member of stored.members) {
    roster.add({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      protocolType: stored.protocolType,
      sessionTimeoutMs: member.sessionTimeout,
      // Version 0 of the record did not have it.
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
  const { leader } = stored
  if (leader !== null && roster.members.has(leader)) roster.leaderId = leader
}
