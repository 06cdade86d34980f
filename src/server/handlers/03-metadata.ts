import { LmqError } from '../../base/errors.ts'
import type { PartitionImage, TopicImage } from '../../cluster/topic-image.ts'
import { isInternalTopic, refusalOfTopicName } from '../../cluster/topic-name.ts'
import { metadata } from '../../protocol/apis/03-metadata.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { ZERO_UUID } from '../../protocol/uuid.ts'
import { withDeadline } from '../deadline.ts'
import { defineHandler, type EncodedBody, type HandlerContext, type Services } from '../handler.ts'
import { controllerIdFor } from '../known-controller.ts'
import { allClusterOperations, allTopicOperations } from '../operations.ts'

type MetadataRequest = RequestOf<typeof metadata>
type MetadataResponse = ResponseInput<typeof metadata>
type TopicAnswer = MetadataResponse['topics'][number]

/** How long a client waits for topics that are made for it. */
const PATIENCE_MS = 2_000
/** "Was not asked for." */
const NO_OPERATIONS = -2_147_483_648

/**
 * Brokers, topics and who leads what. The answer that names all topics is encoded once per state of the metadata.
 *
 * A topic that is missing is made while the client waits, when both sides allow it; Kafka answers
 * UNKNOWN_TOPIC_OR_PARTITION meanwhile, in every version, and clients ask again, so they cannot tell the difference but in
 * time. One that was deleted a moment ago is answered as by Kafka: who asks for that wants to see it gone.
 */
export const metadataHandler = defineHandler({
  api: metadata,
  versions: '0-13',
  requires: 'DESCRIBE topic:topics[]; CREATE topic or cluster to create',
  serve: (request, context) => {
    // Nobody is sent back to a broker that has just died.
    const departures = context.services.cluster?.departures
    return departures === undefined
      ? serve(request, context)
      : departures.settled().then(() => serve(request, context))
  },
  refuse: refused,
})

function serve(
  asked: MetadataRequest,
  context: HandlerContext,
): MetadataResponse | EncodedBody | Promise<MetadataResponse | EncodedBody> {
  if (asksForAll(asked, context.apiVersion)) return answerAll(asked, context)
  if (!isReadable(asked, context.apiVersion)) {
    return refused(asked, ErrorCode.INVALID_REQUEST, context)
  }
  const request = withoutNames(asked)
  const { services } = context
  const awaited: string[] = []
  const justDeleted: string[] = []
  for (const name of missingTopics(request, context)) {
    if (services.deletedTopics.has(name)) justDeleted.push(name)
    else awaited.push(name)
  }
  // Who wants it asks again, and is told then why it could not be made.
  if (justDeleted.length > 0) services.autoCreateTopics(justDeleted).catch(() => {})
  return awaited.length === 0
    ? answerSome(request, context, NOTHING_FAILED)
    : createMissing(awaited, context).then((failed) => answerSome(request, context, failed))
}

const NOTHING_FAILED: ReadonlyMap<string, ErrorCode> = new Map()

/** v0 has no null: there an empty list means all. */
const asksForAll = ({ topics }: MetadataRequest, apiVersion: number): boolean =>
  topics === null || (apiVersion === 0 && topics.length === 0)

/** Ids may be asked for from v12 on; v10 and v11 have the fields, but no client may use them (MetadataRequest.java). */
function isReadable({ topics }: MetadataRequest, apiVersion: number): boolean {
  if (apiVersion >= 12 || topics === null) return true
  return topics.every(({ name, topicId }) => name !== null && topicId === ZERO_UUID)
}

/** Where any topic is asked for by its id, Kafka looks at ids only. */
function withoutNames(request: MetadataRequest): MetadataRequest {
  const topics = request.topics?.filter(({ topicId }) => topicId !== ZERO_UUID) ?? []
  return topics.length === 0 || topics.length === request.topics?.length
    ? request
    : { ...request, topics }
}

function missingTopics(
  request: MetadataRequest,
  { services, apiVersion }: HandlerContext,
): string[] {
  if (apiVersion >= 4 && !request.allowAutoTopicCreation) return []
  if (!services.config['auto.create.topics.enable']) return []
  const missing = new Set<string>()
  for (const { name, topicId } of request.topics ?? []) {
    if (name !== null && topicId === ZERO_UUID && !services.image.topics.has(name))
      missing.add(name)
  }
  return [...missing]
}

/**
 * @returns topics that could not be made, with what their clients are told. What takes too long goes on being made; its
 *   clients come back for it, as they do with Kafka, which answers before it is made
 */
async function createMissing(
  topics: string[],
  { services }: HandlerContext,
): Promise<Map<string, ErrorCode>> {
  const failed = new Map<string, ErrorCode>()
  try {
    const made = await withDeadline(services.io.timers, PATIENCE_MS, () =>
      services.autoCreateTopics(topics),
    )
    for (const [topic, errorCode] of made) {
      if (errorCode !== ErrorCode.NONE) failed.set(topic, errorCode)
    }
  } catch (error) {
    if (!(error instanceof LmqError) || error.code !== 'LMQ_REQUEST_TIMED_OUT') throw error
    for (const topic of topics) {
      if (!services.image.topics.has(topic)) failed.set(topic, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    }
  }
  return failed
}

function answerSome(
  request: MetadataRequest,
  context: HandlerContext,
  failed: ReadonlyMap<string, ErrorCode>,
): MetadataResponse {
  const { image } = context.services
  const topics: TopicAnswer[] = []
  const seen = new Set<string>()
  const operations = request.includeTopicAuthorizedOperations ? allTopicOperations : NO_OPERATIONS
  for (const { name, topicId } of request.topics ?? []) {
    const byId = topicId !== ZERO_UUID
    const key = byId ? topicId : (name ?? '')
    const topic = byId ? image.topicById(topicId) : image.topic(key)
    // Asked for twice, perhaps by name and by id: answered once.
    const once = topic?.topicId ?? key
    if (seen.has(once)) continue
    seen.add(once)
    if (topic !== undefined) topics.push(describe(topic, context, operations))
    else if (byId) topics.push(unknown(null, topicId, ErrorCode.UNKNOWN_TOPIC_ID))
    else topics.push(unknown(key, ZERO_UUID, failed.get(key) ?? unknownNameError(key)))
  }
  return around(request, context, topics)
}

function answerAll(request: MetadataRequest, context: HandlerContext): EncodedBody {
  const { services, apiVersion, connection } = context
  const variant =
    `${apiVersion}/${connection.listenerName}/${controllerIdFor(services, connection.listenerName)}/` +
    `${request.includeTopicAuthorizedOperations}/${request.includeClusterAuthorizedOperations}/` +
    `${services.cluster?.departures.version}`
  return services.metadataCache.get(services.image.index, variant, () => {
    const operations = request.includeTopicAuthorizedOperations ? allTopicOperations : NO_OPERATIONS
    const topics = [...services.image.topics.values()].map((topic) =>
      describe(topic, context, operations),
    )
    return metadata.response.encode(around(request, context, topics), apiVersion)
  })
}

function around(
  request: MetadataRequest,
  { services, connection }: HandlerContext,
  topics: TopicAnswer[],
): MetadataResponse {
  const brokers = []
  const lately = services.cluster?.departures.lately() ?? []
  for (const { brokerId, rack, listeners } of [...services.image.liveBrokers(), ...lately]) {
    const endpoint = listeners.find(({ name }) => name === connection.listenerName)
    if (endpoint) brokers.push({ nodeId: brokerId, host: endpoint.host, port: endpoint.port, rack })
  }
  return {
    throttleTimeMs: 0,
    brokers,
    clusterId: services.broker.clusterId,
    controllerId: controllerIdFor(services, connection.listenerName),
    topics,
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
      ? allClusterOperations
      : NO_OPERATIONS,
    errorCode: ErrorCode.NONE,
  }
}

function describe(topic: TopicImage, context: HandlerContext, operations: number): TopicAnswer {
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.topicId,
    isInternal: isInternalTopic(topic.name),
    partitions: topic.partitions.map((partition) =>
      describePartition(topic.topicId, partition, context),
    ),
    topicAuthorizedOperations: operations,
  }
}

function describePartition(
  topicId: string,
  partition: PartitionImage,
  { services, apiVersion, connection }: HandlerContext,
): TopicAnswer['partitions'][number] {
  const { partitionIndex, leader, leaderEpoch, replicas, isr } = partition
  return {
    errorCode: leaderError(services, leader, apiVersion, connection.listenerName),
    partitionIndex,
    leaderId: leader,
    leaderEpoch,
    replicaNodes: replicas,
    isrNodes: isr,
    offlineReplicas: replicas.filter((brokerId) =>
      services.image.isOffline(brokerId, topicId, partitionIndex),
    ),
  }
}

function leaderError(
  { image }: Services,
  leader: number,
  apiVersion: number,
  listenerName: string,
): ErrorCode {
  if (leader < 0) return ErrorCode.LEADER_NOT_AVAILABLE
  if (image.endpoint(leader, listenerName) !== undefined) return ErrorCode.NONE
  return apiVersion >= 6 ? ErrorCode.LISTENER_NOT_FOUND : ErrorCode.LEADER_NOT_AVAILABLE
}

/** For a topic that nobody tried to make. */
const unknownNameError = (name: string): ErrorCode =>
  refusalOfTopicName(name) === undefined
    ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    : ErrorCode.INVALID_TOPIC_EXCEPTION

const unknown = (name: string | null, topicId: string, errorCode: ErrorCode): TopicAnswer => ({
  errorCode,
  name,
  topicId,
  isInternal: name !== null && isInternalTopic(name),
  partitions: [],
  topicAuthorizedOperations: NO_OPERATIONS,
})

function refused(
  request: MetadataRequest,
  errorCode: ErrorCode,
  { apiVersion }: HandlerContext,
): MetadataResponse {
  return {
    brokers: [],
    topics: (request.topics ?? []).map(({ name, topicId }) =>
      // Only v12 and later may leave a name out.
      unknown(apiVersion < 12 ? (name ?? '') : name, topicId, errorCode),
    ),
    errorCode,
  }
}
