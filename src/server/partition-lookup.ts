import type { Partition } from '../cluster/partition.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { Services } from './handler.ts'

/** @returns the partition that this broker leads, or why a client cannot use it here */
export function findPartition(
  services: Services,
  topic: string,
  partitionIndex: number,
): Partition | ErrorCode {
  const partition = services.partitions.get(topic, partitionIndex)
  if (partition !== undefined) return partition
  return services.image.partition(topic, partitionIndex) === undefined
    ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    : ErrorCode.NOT_LEADER_OR_FOLLOWER
}

/** As `findPartition`, for requests that name topics by id. */
export function findPartitionById(
  services: Services,
  topicId: string,
  partitionIndex: number,
): Partition | ErrorCode {
  const partition = services.partitions.getById(topicId, partitionIndex)
  if (partition !== undefined) return partition
  const topic = services.image.topicById(topicId)
  if (topic === undefined) return ErrorCode.UNKNOWN_TOPIC_ID
  return topic.partitions[partitionIndex] === undefined
    ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    : ErrorCode.NOT_LEADER_OR_FOLLOWER
}

/** Compares the leader epoch that a client knows with the broker's (KIP-320); -1 is not checked. */
export function leaderEpochError(partition: Partition, currentLeaderEpoch: number): ErrorCode {
  if (currentLeaderEpoch === -1 || currentLeaderEpoch === partition.leaderEpoch) {
    return ErrorCode.NONE
  }
  return currentLeaderEpoch < partition.leaderEpoch
    ? ErrorCode.FENCED_LEADER_EPOCH
    : ErrorCode.UNKNOWN_LEADER_EPOCH
}

/** Replica ids of brokers; consumers are -1, debugging consumers -2. */
export const isBroker = (replicaId: number): boolean => replicaId >= 0

/** Where a client finds the leader of a partition that is not led here; -1 and -1 when nobody leads it. */
export function currentLeaderOf(
  services: Services,
  topic: string,
  partitionIndex: number,
): { leaderId: number; leaderEpoch: number } {
  const image = services.image.partition(topic, partitionIndex)
  return { leaderId: image?.leader ?? -1, leaderEpoch: image?.leaderEpoch ?? -1 }
}

/** The endpoints of the leaders that an answer names, as its tagged NodeEndpoints. */
export function endpointsOf(
  services: Services,
  listenerName: string,
  leaderIds: ReadonlySet<number>,
): { nodeId: number; host: string; port: number; rack: string | null }[] {
  const endpoints = []
  for (const nodeId of leaderIds) {
    const endpoint = services.image.endpoint(nodeId, listenerName)
    if (endpoint === undefined) continue
    const rack = services.image.brokers.get(nodeId)?.rack ?? null
    endpoints.push({ nodeId, host: endpoint.host, port: endpoint.port, rack })
  }
  return endpoints
}
