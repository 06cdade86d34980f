import { fetch } from '../../protocol/apis/01-fetch.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { ZERO_UUID } from '../../protocol/uuid.ts'
import { FetchAttempt, type FetchLimits } from '../fetch-attempt.ts'
import { FetchList } from '../fetch-list.ts'
import {
  type FetchSession,
  FINAL_EPOCH,
  INITIAL_EPOCH,
  NO_SESSION,
} from '../fetch-session-cache.ts'
import { defineDirectHandler, type HandlerContext, type Reply } from '../handler.ts'
import { isBroker } from '../partition-lookup.ts'

type FetchRequest = RequestOf<typeof fetch>
type FetchResponse = ResponseInput<typeof fetch>

/** From here on topics are named by id. */
const FIRST_VERSION_WITH_IDS = 13
/**
 * Reads records: from some partitions (full fetch), or from those of a session (KIP-227). Waits until there are
 * `minBytes`, `maxWaitMs` are over, or a partition has an error.
 *
 * Not served: brokers (replica id 0 and above), until there is replication; preferred read replicas.
 */
export const fetchHandler = defineDirectHandler({
  api: fetch,
  versions: '4-18',
  requires: 'CLUSTER_ACTION cluster for brokers, READ topic:topics[] for clients',
  start: (request, context, reply) => {
    if (isBroker(request.replicaId) || isBroker(request.replicaState.replicaId)) {
      return reply(refused(request, ErrorCode.TOPIC_AUTHORIZATION_FAILED))
    }
    context.services.topicMetrics.total.fetchRequests++
    if (request.sessionEpoch === FINAL_EPOCH || request.sessionEpoch === INITIAL_EPOCH) {
      startFull(request, context, reply)
    } else {
      startIncremental(request, context, reply)
    }
  },
  refuse: (request, errorCode) => refused(request, errorCode),
})

function startFull(request: FetchRequest, context: HandlerContext, reply: Reply<typeof fetch>) {
  const { fetchSessions } = context.services
  if (request.sessionId !== NO_SESSION) fetchSessions.remove(request.sessionId)
  const usesTopicIds = context.apiVersion >= FIRST_VERSION_WITH_IDS
  let session: FetchSession | undefined
  if (request.sessionEpoch === INITIAL_EPOCH && context.apiVersion >= 7) {
    let count = 0
    for (const topic of request.topics) count += topic.partitions.length
    session = fetchSessions.create(usesTopicIds, count)
  }
  const list = session?.list ?? new FetchList()
  putAll(list, request, usesTopicIds)
  const kind = { full: true, sessionId: session?.id ?? NO_SESSION }
  const attempt = new FetchAttempt(list, limitsOf(request, context), context, kind, (answer) => {
    if (session === undefined) list.close()
    else session.hurry = undefined
    reply(answer)
  })
  if (session !== undefined) session.hurry = attempt.hurry
  attempt.start()
}

function startIncremental(
  request: FetchRequest,
  context: HandlerContext,
  reply: Reply<typeof fetch>,
) {
  const { fetchSessions } = context.services
  const usesTopicIds = context.apiVersion >= FIRST_VERSION_WITH_IDS
  const session = fetchSessions.resume(request.sessionId, request.sessionEpoch, usesTopicIds)
  if (typeof session === 'number') return reply(sessionError(session))
  // Two requests of one session at a time come only from a client that gave the first one up.
  session.hurry?.()
  if (session.hurry !== undefined) return reply(sessionError(ErrorCode.INVALID_FETCH_SESSION_EPOCH))
  putAll(session.list, request, usesTopicIds)
  // What is both asked for and forgotten is forgotten.
  for (const topic of request.forgottenTopicsData) {
    const name = usesTopicIds ? '' : topic.topic
    const topicId = usesTopicIds ? topic.topicId : ZERO_UUID
    for (const partitionIndex of topic.partitions) {
      session.list.forget({ topic: name, topicId, partitionIndex })
    }
  }
  const isEmpty = session.list.size === 0
  if (isEmpty) fetchSessions.remove(session.id)
  const kind = { full: false, sessionId: isEmpty ? NO_SESSION : session.id }
  const limits = limitsOf(request, context)
  const attempt = new FetchAttempt(session.list, limits, context, kind, (answer) => {
    session.hurry = undefined
    reply(answer)
  })
  session.hurry = attempt.hurry
  attempt.start()
}

function putAll(list: FetchList, request: FetchRequest, usesTopicIds: boolean): void {
  for (const { topic, topicId, partitions } of request.topics) {
    const name = usesTopicIds ? '' : topic
    const id = usesTopicIds ? topicId : ZERO_UUID
    for (const wish of partitions) {
      list.put({
        topic: name,
        topicId: id,
        partitionIndex: wish.partition,
        fetchOffset: wish.fetchOffset,
        maxBytes: wish.partitionMaxBytes,
        // Here every negative epoch counts as none.
        currentLeaderEpoch: Math.max(-1, wish.currentLeaderEpoch),
        lastFetchedEpoch: wish.lastFetchedEpoch,
      })
    }
  }
}

function limitsOf(request: FetchRequest, { services }: HandlerContext): FetchLimits {
  const maxBytes = Math.min(Math.max(0, request.maxBytes), services.config['fetch.max.bytes'])
  return {
    maxBytes,
    minBytes: request.minBytes,
    maxWaitMs: request.maxWaitMs,
    readCommitted: request.isolationLevel === 1,
  }
}

const sessionError = (errorCode: ErrorCode): FetchResponse => ({
  throttleTimeMs: 0,
  errorCode,
  sessionId: NO_SESSION,
  responses: [],
})

/** Every partition with the error, no session. */
function refused(request: FetchRequest, errorCode: ErrorCode): FetchResponse {
  return {
    throttleTimeMs: 0,
    errorCode: ErrorCode.NONE,
    sessionId: NO_SESSION,
    responses: request.topics.map(({ topic, topicId, partitions }) => ({
      topic,
      topicId,
      partitions: partitions.map(({ partition }) => ({
        partitionIndex: partition,
        errorCode,
        highWatermark: -1,
        abortedTransactions: null,
        records: Buffer.alloc(0),
      })),
    })),
  }
}
