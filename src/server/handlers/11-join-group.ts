import { joinGroup } from '../../protocol/apis/11-join-group.ts'
import { defineHandler } from '../handler.ts'
import { clientOf } from './group-client.ts'

/** A member joins or rejoins; answered when the join phase of the next generation ends. */
export const joinGroupHandler = defineHandler({
  api: joinGroup,
  versions: '0-9',
  requires: 'READ group:groupId',
  serve: (request, context) => context.services.groups.joinGroup(request, clientOf(context)),
  refuse: (request, errorCode, { apiVersion }) => ({
    errorCode,
    generationId: -1,
    protocolName: apiVersion >= 7 ? null : '',
    leader: '',
    memberId: request.memberId,
    members: [],
  }),
})
