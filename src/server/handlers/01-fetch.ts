import { fetch } from '../../protocol/apis/01-fetch.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { ZERO_UUID } from '../../protocol/uuid.ts'
import { FetchAttempt, type FetchLimits } from '../fetch-attempt.ts'
import { FetchList } from '../fetch-list.ts'
import type { FetchingReplica } from '../fetch-read.ts'
import {
  CONSUMER,
  type FetchSession,
  FINAL_EPOCH,
  INITIAL_EPOCH,
  NO_SESSION,
} from '../fetch-session-cache.ts'
import { defineDirectHandler, type HandlerContext, type Reply, type Services } from '../handler.ts'
import { isBroker } from '../partition-lookup.ts'

type FetchRequest = RequestOf<typeof fetch>
type FetchResponse = ResponseInput<typeof fetch>

/** From here on topics are named by id. */
const FIRST_VERSION_WITH_IDS = 13
/** From here on consumers may read from followers. */
const FIRST_VERSION_WITH_RACK = 11
/**
 * Reads records: from some partitions (full fetch), or from those of a session (KIP-227). Waits until there are
 * `minBytes`, `maxWaitMs` are over, or a partition has an error.
 *
 * Followers fetch with their broker id, over a connection that is known to be that broker's: they see what is written
 * and not only what is committed, and what they ask for tells what they have. Consumers from v11 on may read from any
 * replica, and are sent to one in their rack where `replica.selector.class` says so (KIP-392).
 */
export const fetchHandler = defineDirectHandler({
  api: fetch,
  versions: '4-18',
  requires: 'CLUSTER_ACTION cluster for brokers, READ topic:topics[] for clients',
  start: (request, context, reply) => {
    const replicaId = replicaIdOf(request)
    if (!isBroker(replicaId)) context.services.topicMetrics.total.fetchRequests++
    else if (replicaId !== context.connection.brokerId) {
      return reply(refused(request, ErrorCode.TOPIC_AUTHORIZATION_FAILED))
    }
    if (request.sessionEpoch === FINAL_EPOCH || request.sessionEpoch === INITIAL_EPOCH) {
      startFull(request, context, reply)
    } else {
      startIncremental(request, context, reply)
    }
  },
  refuse: (request, errorCode) => refused(request, errorCode),
})

/** From v15 on it stands with the broker's epoch. */
const replicaIdOf = ({ replicaId, replicaState }: FetchRequest): number =>
  Math.max(replicaId, replicaState.replicaId)

const followerOf = (request: FetchRequest): number => {
  const replicaId = replicaIdOf(request)
  return isBroker(replicaId) ? replicaId : CONSUMER
}

function startFull(request: FetchRequest, context: HandlerContext, reply: Reply<typeof fetch>) {
  const { fetchSessions } = context.services
  if (request.sessionId !== NO_SESSION) fetchSessions.remove(request.sessionId)
  const usesTopicIds = context.apiVersion >= FIRST_VERSION_WITH_IDS
  const brokerId = followerOf(request)
  const isReplica = brokerId !== CONSUMER
  let session: FetchSession | undefined
  if (request.sessionEpoch === INITIAL_EPOCH && context.apiVersion >= 7) {
    let count = 0
    for (const topic of request.topics) count += topic.partitions.length
    session = fetchSessions.create(usesTopicIds, count, brokerId)
    const id = session?.id
    // A follower begins a new one with each connection; consumers may go on over another.
    if (isReplica && id !== undefined) context.connection.onEnd(() => fetchSessions.remove(id))
  }
  const list = session?.list ?? new FetchList(usesTopicIds, isReplica)
  putAll(list, request, usesTopicIds)
  startAttempt(list, session, request, context, reply)
}

/** A full fetch: all partitions of the list are in the answer. */
function startAttempt(
  list: FetchList,
  session: FetchSession | undefined,
  request: FetchRequest,
  context: HandlerContext,
  reply: Reply<typeof fetch>,
): void {
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
  const brokerId = followerOf(request)
  const { sessionId, sessionEpoch } = request
  const session = fetchSessions.resume(sessionId, sessionEpoch, usesTopicIds, brokerId)
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
      fetchSessions.forget(session, { topic: name, topicId, partitionIndex })
    }
  }
  if (session.list.size === 0) {
    // That ends it. What was asked for all the same is answered as without a session (FetchManager in FetchSession.scala).
    fetchSessions.remove(session.id)
    const list = new FetchList(usesTopicIds, brokerId !== CONSUMER)
    putAll(list, request, usesTopicIds)
    return startAttempt(list, undefined, request, context, reply)
  }
  const kind = { full: false, sessionId: session.id }
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
        logStartOffset: wish.logStartOffset,
        highWatermark: wish.highWatermark,
      })
    }
  }
}

function limitsOf(request: FetchRequest, context: HandlerContext): FetchLimits {
  const { services, apiVersion } = context
  const replica = replicaOf(request, services)
  const bound = replica
    ? services.config['replica.fetch.response.max.bytes']
    : services.config['fetch.max.bytes']
  const maxBytes = Math.min(Math.max(0, request.maxBytes), bound)
  return {
    replica,
    rack: !replica && apiVersion >= FIRST_VERSION_WITH_RACK ? request.rackId : undefined,
    maxBytes,
    minBytes: request.minBytes,
    maxWaitMs: request.maxWaitMs,
    readCommitted: request.isolationLevel === 1,
  }
}

function replicaOf(request: FetchRequest, services: Services): FetchingReplica | undefined {
  const brokerId = replicaIdOf(request)
  if (!isBroker(brokerId)) return undefined
  const atMs = services.io.monotonic.nowMs()
  services.partitions.noteFetch(brokerId, atMs)
  return { brokerId, brokerEpoch: request.replicaState.replicaEpoch, atMs }
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
