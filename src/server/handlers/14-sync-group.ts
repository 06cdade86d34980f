import { syncGroup } from '../../protocol/apis/14-sync-group.ts'
import { defineHandler } from '../handler.ts'
import { clientOf } from './group-client.ts'

/** The leader hands in the assignment, every member gets its own; answered when the generation is committed. */
export const syncGroupHandler = defineHandler({
  api: syncGroup,
  versions: '0-5',
  requires: 'READ group:groupId',
  serve: (request, context) => context.services.groups.syncGroup(request, clientOf(context)),
  refuse: (_request, errorCode) => ({ errorCode, assignment: Buffer.alloc(0) }),
})
