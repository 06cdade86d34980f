import { offsetFetch } from '../../protocol/apis/09-offset-fetch.ts'
import { defineHandler } from '../handler.ts'
import { clientOf } from './group-client.ts'

/** Where groups left off: of named partitions, or of all that a group has committed. */
export const offsetFetchHandler = defineHandler({
  api: offsetFetch,
  versions: '1-10',
  requires: 'DESCRIBE group:groups[], DESCRIBE topic:groups[].topics[]',
  serve: (request, context) => context.services.groups.offsetFetch(request, clientOf(context)),
  refuse: (request, errorCode, { apiVersion }) => {
    if (apiVersion >= 8) {
      const groups = request.groups.map(({ groupId }) => ({ groupId, topics: [], errorCode }))
      return { topics: [], groups }
    }
    if (apiVersion >= 2) return { topics: [], errorCode, groups: [] }
    // Version 1 has no error on top.
    const topics = (request.topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => ({
        partitionIndex,
        committedOffset: -1,
        metadata: '',
        errorCode,
      })),
    }))
    return { topics, groups: [] }
  },
})
