import type { PartitionImage, TopicImage } from '../../cluster/topic-image.ts'
import { isInternalTopic, refusalOfTopicName } from '../../cluster/topic-name.ts'
import { describeTopicPartitions } from '../../protocol/apis/75-describe-topic-partitions.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { ZERO_UUID } from '../../protocol/uuid.ts'
import { defineHandler, type HandlerContext } from '../handler.ts'
import { allTopicOperations } from '../operations.ts'

type DescribeRequest = RequestOf<typeof describeTopicPartitions>
type DescribeResponse = ResponseInput<typeof describeTopicPartitions>
type TopicAnswer = DescribeResponse['topics'][number]

/**
 * Topics in the order of their names, a page at a time (KIP-966): at most as many partitions as asked for and as
 * `max.request.partition.size.limit` allows; the cursor says where the next page begins. The order stands still while
 * topics come and go, so a client that follows the cursor misses none that was there all the time.
 */
export const describeTopicPartitionsHandler = defineHandler({
  api: describeTopicPartitions,
  versions: '0',
  requires: 'DESCRIBE topic:topics[]',
  serve: (request, context) => {
    const { cursor } = request
    const names = namesFrom(request, context, cursor?.topicName ?? '')
    const isWrong =
      cursor !== null &&
      (cursor.partitionIndex < 0 ||
        (request.topics.length > 0 && !names.includes(cursor.topicName)))
    if (isWrong) return refused(request, ErrorCode.INVALID_REQUEST)
    return describePage(request, context, names)
  },
  refuse: refused,
})

/** Names at or behind the cursor, sorted, once each. None given: all topics. */
function namesFrom(
  { topics }: DescribeRequest,
  { services }: HandlerContext,
  first: string,
): string[] {
  const names = topics.length === 0 ? services.image.topics.keys() : topics.map(({ name }) => name)
  const wanted = new Set<string>()
  for (const name of names) if (name >= first) wanted.add(name)
  return [...wanted].sort()
}

function describePage(
  { topics, cursor, responsePartitionLimit }: DescribeRequest,
  context: HandlerContext,
  names: readonly string[],
): DescribeResponse {
  const { image, config } = context.services
  const limit = Math.min(config['max.request.partition.size.limit'], responsePartitionLimit)
  let room = Math.max(1, limit)
  const answers: TopicAnswer[] = []
  for (const name of names) {
    if (room === 0) return { topics: answers, nextCursor: { topicName: name, partitionIndex: 0 } }
    const topic = image.topic(name)
    if (!topic) {
      if (topics.length > 0) answers.push(unknown(name))
      continue
    }
    const start = name === cursor?.topicName ? cursor.partitionIndex : 0
    const partitions = topic.partitions.slice(start, start + room)
    answers.push(describe(topic, partitions, context))
    room -= partitions.length
    const next = start + partitions.length
    if (next < topic.partitions.length) {
      return { topics: answers, nextCursor: { topicName: name, partitionIndex: next } }
    }
  }
  return { topics: answers, nextCursor: null }
}

function describe(
  { name, topicId }: TopicImage,
  partitions: readonly PartitionImage[],
  context: HandlerContext,
): TopicAnswer {
  return {
    errorCode: ErrorCode.NONE,
    name,
    topicId,
    isInternal: isInternalTopic(name),
    partitions: partitions.map((partition) => describePartition(topicId, partition, context)),
    topicAuthorizedOperations: allTopicOperations,
  }
}

function describePartition(
  topicId: string,
  partition: PartitionImage,
  { services, connection }: HandlerContext,
): TopicAnswer['partitions'][number] {
  const { image } = services
  const { partitionIndex, leader, leaderEpoch, replicas, isr, elr, lastKnownElr } = partition
  const isReachable = leader >= 0 && image.endpoint(leader, connection.listenerName) !== undefined
  const noLeader = leader < 0 ? ErrorCode.LEADER_NOT_AVAILABLE : ErrorCode.LISTENER_NOT_FOUND
  return {
    errorCode: isReachable ? ErrorCode.NONE : noLeader,
    partitionIndex,
    leaderId: leader,
    leaderEpoch,
    replicaNodes: replicas,
    isrNodes: isr,
    eligibleLeaderReplicas: elr,
    lastKnownElr,
    offlineReplicas: replicas.filter((brokerId) =>
      image.isOffline(brokerId, topicId, partitionIndex),
    ),
  }
}

function unknown(name: string): TopicAnswer {
  const errorCode =
    refusalOfTopicName(name) === undefined
      ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      : ErrorCode.INVALID_TOPIC_EXCEPTION
  const topicAuthorizedOperations = allTopicOperations
  return { ...refusedTopic(name, errorCode, isInternalTopic(name)), topicAuthorizedOperations }
}

const refusedTopic = (name: string, errorCode: ErrorCode, isInternal: boolean): TopicAnswer => ({
  errorCode,
  name,
  topicId: ZERO_UUID,
  isInternal,
  partitions: [],
})

function refused({ topics }: DescribeRequest, errorCode: ErrorCode): DescribeResponse {
  return { topics: topics.map(({ name }) => refusedTopic(name, errorCode, false)) }
}
