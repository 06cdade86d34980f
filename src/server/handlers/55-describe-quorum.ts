import type { BrokerImage } from '../../cluster/metadata-image.ts'
import { CLUSTER_METADATA_TOPIC } from '../../cluster/topic-name.ts'
import { describeQuorum } from '../../protocol/apis/55-describe-quorum.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { ZERO_UUID } from '../../protocol/uuid.ts'
import { defineHandler, type Services } from '../handler.ts'

/** Kafka's form of "no error" in this answer's texts. */
const NO_MESSAGE = ''
const FIRST_VERSION_WITH_NODES = 2
const UNKNOWN_PARTITION = 'This server does not host this topic-partition.'

/**
 * The metadata log in the form of a quorum (KIP-595): its leader is the controller, the leader epoch the controller's,
 * its voters are the registered brokers, each with what it has applied; the high watermark is the log's end.
 */
export const describeQuorumHandler = defineHandler({
  api: describeQuorum,
  versions: '0-2',
  requires: 'DESCRIBE cluster',
  forwards: true,
  serve: ({ topics }, { services, apiVersion }) => {
    const none = { errorCode: ErrorCode.NONE, errorMessage: NO_MESSAGE }
    if (topics.length === 0) return { ...none, topics: [], nodes: [] }
    const [topic] = topics
    const isKnown =
      topics.length === 1 &&
      topic?.topicName === CLUSTER_METADATA_TOPIC &&
      topic.partitions.length === 1 &&
      topic.partitions[0]?.partitionIndex === 0
    if (!isKnown) {
      return {
        ...none,
        topics: topics.map(({ topicName, partitions }) => ({
          topicName,
          partitions: partitions.map(({ partitionIndex }) => unknownPartition(partitionIndex)),
        })),
        nodes: [],
      }
    }
    return {
      ...none,
      topics: [{ topicName: topic.topicName, partitions: [partitionOf(services)] }],
      nodes: apiVersion >= FIRST_VERSION_WITH_NODES ? nodesOf(services) : [],
    }
  },
  refuse: (_request, errorCode) => ({ errorCode, errorMessage: null, topics: [], nodes: [] }),
})

type Partition = ResponseInput<typeof describeQuorum>['topics'][number]['partitions'][number]

const unknownPartition = (partitionIndex: number): Partition => ({
  partitionIndex,
  errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  errorMessage: UNKNOWN_PARTITION,
  leaderId: 0,
  leaderEpoch: 0,
  highWatermark: 0,
  currentVoters: [],
  observers: [],
})

function partitionOf(services: Services): Partition {
  const { image, controller, broker } = services
  return {
    partitionIndex: 0,
    errorCode: ErrorCode.NONE,
    errorMessage: NO_MESSAGE,
    leaderId: broker.brokerId,
    leaderEpoch: controller.controllerEpoch,
    highWatermark: image.index + 1,
    currentVoters: brokersById(services).map((known) => voterOf(services, known)),
    observers: [],
  }
}

/** A broker that has everything is up to date now; of the others it is not known since when they are not. */
function voterOf({ image, controller, io }: Services, { brokerId }: BrokerImage) {
  const appliedIndex = controller.appliedIndexOf(brokerId)
  const timestamp = appliedIndex >= image.index ? Math.floor(io.wall.nowMs()) : -1
  return {
    replicaId: brokerId,
    replicaDirectoryId: ZERO_UUID,
    logEndOffset: appliedIndex + 1,
    lastFetchTimestamp: timestamp,
    lastCaughtUpTimestamp: timestamp,
  }
}

const brokersById = ({ image }: Services): BrokerImage[] =>
  [...image.brokers.values()].sort((a, b) => a.brokerId - b.brokerId)

const nodesOf = (services: Services) =>
  brokersById(services).map(({ brokerId, listeners }) => ({
    nodeId: brokerId,
    listeners: listeners.map(({ name, host, port }) => ({ name, host, port })),
  }))
