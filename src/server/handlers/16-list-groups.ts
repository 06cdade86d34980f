import { listGroups } from '../../protocol/apis/16-list-groups.ts'
import { defineHandler } from '../handler.ts'

/** The groups that this broker coordinates; by state from version 4, by type from version 5 on. */
export const listGroupsHandler = defineHandler({
  api: listGroups,
  versions: '0-5',
  requires: 'DESCRIBE cluster, or DESCRIBE group:groups[]',
  serve: (request, { services }) => services.groups.listGroups(request),
  refuse: (_request, errorCode) => ({ errorCode, groups: [] }),
})
