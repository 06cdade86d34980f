import { offsetCommit } from '../../protocol/apis/08-offset-commit.ts'
import { defineHandler } from '../handler.ts'
import { clientOf } from './group-client.ts'

/** Stores how far a group has read. Answered when the records are committed. */
export const offsetCommitHandler = defineHandler({
  api: offsetCommit,
  versions: '2-10',
  requires: 'READ group:groupId, READ topic:topics[]',
  serve: (request, context) => context.services.groups.offsetCommit(request, clientOf(context)),
  refuse: (request, errorCode) => ({
    topics: request.topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    })),
  }),
})
