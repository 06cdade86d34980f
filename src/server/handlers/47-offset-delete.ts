import { offsetDelete } from '../../protocol/apis/47-offset-delete.ts'
import { defineHandler } from '../handler.ts'

/** Removes committed offsets of topics that the group does not read any more. */
export const offsetDeleteHandler = defineHandler({
  api: offsetDelete,
  versions: '0',
  requires: 'DELETE group:groupId, READ topic:topics[]',
  serve: (request, { services }) => services.groups.offsetDelete(request),
  refuse: (_request, errorCode) => ({ errorCode, topics: [] }),
})
