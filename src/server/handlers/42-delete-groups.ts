import { deleteGroups } from '../../protocol/apis/42-delete-groups.ts'
import { defineHandler } from '../handler.ts'

/** Removes empty groups with all their offsets. */
export const deleteGroupsHandler = defineHandler({
  api: deleteGroups,
  versions: '0-2',
  requires: 'DELETE group:groupsNames[]',
  serve: (request, { services }) => services.groups.deleteGroups(request),
  refuse: (request, errorCode) => ({
    results: request.groupsNames.map((groupId) => ({ groupId, errorCode })),
  }),
})
