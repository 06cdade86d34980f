import { describeGroups } from '../../protocol/apis/15-describe-groups.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'
import { clientOf } from './group-client.ts'

/** Bits by operation number: read 3, delete 6, describe 8, describe configs 10, alter configs 11. */
const ALL_GROUP_OPERATIONS = (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11)

/** State and members of groups. While nobody is refused anything, all operations are authorized. */
export const describeGroupsHandler = defineHandler({
  api: describeGroups,
  versions: '0-6',
  requires: 'DESCRIBE group:groups[]',
  serve: (request, context) => {
    const answer = context.services.groups.describeGroups(request, clientOf(context))
    if (!request.includeAuthorizedOperations) return answer
    const groups = answer.groups.map((group) =>
      group.errorCode === ErrorCode.NONE
        ? { ...group, authorizedOperations: ALL_GROUP_OPERATIONS }
        : group,
    )
    return { ...answer, groups }
  },
  refuse: (request, errorCode) => ({
    groups: request.groups.map((groupId) => ({
      errorCode,
      groupId,
      groupState: '',
      protocolType: '',
      protocolData: '',
      members: [],
    })),
  }),
})
