import { heartbeat } from '../../protocol/apis/12-heartbeat.ts'
import { defineHandler } from '../handler.ts'

/** A member shows that it lives, and learns here that it must rejoin. */
export const heartbeatHandler = defineHandler({
  api: heartbeat,
  versions: '0-4',
  requires: 'READ group:groupId',
  serve: (request, { services }) => services.groups.heartbeat(request),
  refuse: (_request, errorCode) => ({ errorCode }),
})
