import { leaveGroup } from '../../protocol/apis/13-leave-group.ts'
import { defineHandler } from '../handler.ts'
import { clientOf } from './group-client.ts'

/** Members leave, or an administrator removes them by id or instance id. */
export const leaveGroupHandler = defineHandler({
  api: leaveGroup,
  versions: '0-5',
  requires: 'READ group:groupId',
  serve: (request, context) => context.services.groups.leaveGroup(request, clientOf(context)),
  refuse: (_request, errorCode) => ({ errorCode, members: [] }),
})
