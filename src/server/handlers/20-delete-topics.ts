import { deleteTopics } from '../../protocol/apis/20-delete-topics.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { ZERO_UUID } from '../../protocol/uuid.ts'
import { withDeadline } from '../deadline.ts'
import { defineHandler } from '../handler.ts'

/** From here on topics are structs with a name or an id; before, a list of names. */
const FIRST_VERSION_WITH_IDS = 6
/** Clients older than this do not know TOPIC_DELETION_DISABLED. */
const FIRST_VERSION_WITH_DISABLED = 3

export const deleteTopicsHandler = defineHandler({
  api: deleteTopics,
  versions: '1-6',
  forwards: true,
  requires: 'DELETE topic:topics[]',
  serve: async (request, { services, apiVersion }) => {
    const { controller, config, io } = services
    if (!config['delete.topic.enable']) {
      return refusedAll(
        request,
        apiVersion < FIRST_VERSION_WITH_DISABLED
          ? ErrorCode.INVALID_REQUEST
          : ErrorCode.TOPIC_DELETION_DISABLED,
        'Topic deletion is disabled.',
      )
    }
    const deleted = await withDeadline(io.timers, request.timeoutMs, () =>
      controller.deleteTopics({ topics: topicsOf(request) }),
    )
    if (apiVersion < FIRST_VERSION_WITH_IDS) {
      // Before ids a topic that is asked for without any name cannot be.
      return { responses: deleted.map((topic) => ({ ...topic, name: topic.name ?? '' })) }
    }
    return { responses: deleted }
  },
  refuse: (request, errorCode) => refusedAll(request, errorCode, null),
})

type DeleteTopicsRequest = RequestOf<typeof deleteTopics>

const topicsOf = ({ topics, topicNames }: DeleteTopicsRequest) => [
  ...topicNames.map((name) => ({ name, topicId: ZERO_UUID })),
  ...topics,
]

const refusedAll = (
  request: DeleteTopicsRequest,
  errorCode: ErrorCode,
  errorMessage: string | null,
): ResponseInput<typeof deleteTopics> => ({
  responses: topicsOf(request).map(({ name, topicId }) => ({
    name,
    topicId,
    errorCode,
    errorMessage,
  })),
})
