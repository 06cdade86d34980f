/** How a group looks in DescribeGroups. */
import type { describeGroups } from '../../protocol/apis/15-describe-groups.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import type { Client } from '../ports.ts'
import type { ClassicGroupMachine } from './classic-group-machine.ts'
import { metadataOf, NO_ASSIGNMENT } from './group-member.ts'

type DescribedGroup = ResponseInput<typeof describeGroups>['groups'][number]

/**
 * A group that does not exist is "Dead" without an error up to version 5, GROUP_ID_NOT_FOUND from version 6 on (KIP-1043).
 *
 * @param refusal set when this broker cannot say
 */
export function describeGroup(
  groupId: string,
  machine: ClassicGroupMachine | undefined,
  { apiVersion }: Client,
  refusal: ErrorCode = ErrorCode.NONE,
): DescribedGroup {
  const nothing = { groupId, groupState: '', protocolType: '', protocolData: '', members: [] }
  if (refusal !== ErrorCode.NONE) return { ...nothing, errorCode: refusal }
  if (!machine) {
    const errorCode = apiVersion >= 6 ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.NONE
    const errorMessage = apiVersion >= 6 ? `Group ${groupId} not found.` : null
    return { ...nothing, groupState: 'Dead', errorCode, errorMessage }
  }
  // Only then do all members agree on a protocol.
  const protocol = machine.state === 'Stable' ? (machine.protocolName ?? '') : undefined
  return {
    groupId,
    errorCode: ErrorCode.NONE,
    groupState: machine.state,
    protocolType: machine.protocolType ?? '',
    protocolData: protocol ?? '',
    members: [...machine.roster.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: protocol === undefined ? NO_ASSIGNMENT : metadataOf(member, protocol),
      memberAssignment: member.assignment,
    })),
  }
}
