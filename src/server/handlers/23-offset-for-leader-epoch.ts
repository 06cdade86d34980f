import { offsetForLeaderEpoch } from '../../protocol/apis/23-offset-for-leader-epoch.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler, type Services } from '../handler.ts'
import { findPartition, isBroker, leaderEpochError } from '../partition-lookup.ts'

/**
 * Where a leader epoch ended: clients use it after a failover to see whether what they read was cut away (KIP-320).
 */
export const offsetForLeaderEpochHandler = defineHandler({
  api: offsetForLeaderEpoch,
  versions: '2-4',
  requires: 'CLUSTER_ACTION cluster for brokers, DESCRIBE topic:topics[].topic for clients',
  serve: ({ replicaId, topics }, { services, connection }) => ({
    topics: topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition, currentLeaderEpoch, leaderEpoch }) =>
        isBroker(replicaId) && replicaId !== connection.brokerId
          ? { partition, errorCode: ErrorCode.TOPIC_AUTHORIZATION_FAILED }
          : endOf(services, topic, partition, currentLeaderEpoch, leaderEpoch),
      ),
    })),
  }),
  refuse: ({ topics }, errorCode) => ({
    topics: topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => ({ partition, errorCode })),
    })),
  }),
})

function endOf(
  services: Services,
  topic: string,
  partitionIndex: number,
  currentLeaderEpoch: number,
  asked: number,
) {
  const found = findPartition(services, topic, partitionIndex)
  if (typeof found === 'number') return { partition: partitionIndex, errorCode: found }
  const errorCode = leaderEpochError(found, currentLeaderEpoch)
  if (errorCode !== ErrorCode.NONE) return { partition: partitionIndex, errorCode }
  const { leaderEpoch, endOffset } = found.endOffsetForEpoch(asked)
  return { partition: partitionIndex, errorCode, leaderEpoch, endOffset }
}
