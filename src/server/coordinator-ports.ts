import { LmqError } from '../base/errors.ts'
import type { AutoTopicCreation } from '../cluster/auto-topic-creation.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import type { Partitions } from '../cluster/partitions.ts'
import {
  type CoordinatorLog,
  OFFSETS_TOPIC,
  type OffsetsTopicPort,
  type TopicsPort,
} from '../coordinator/ports.ts'
import { produce } from '../protocol/apis/00-produce.ts'
import { ErrorCode } from '../protocol/error-code.ts'

const ALL_REPLICAS = -1
const NEWEST_PRODUCE = produce.versions.max

/** The group coordinator's log: the partitions of `__consumer_offsets` that this broker leads. */
export function coordinatorLog(partitions: Partitions): CoordinatorLog {
  return {
    maxBatchBytes: (partitionIndex) =>
      partitions.get(OFFSETS_TOPIC, partitionIndex)?.config['max.message.bytes'] ?? 1_048_588,
    append(partitionIndex, batch, done) {
      const partition = partitions.get(OFFSETS_TOPIC, partitionIndex)
      if (partition === undefined) return done(ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)
      const options = {
        acks: ALL_REPLICAS,
        produceVersion: NEWEST_PRODUCE,
        origin: 'coordinator',
      } as const
      partition.append(batch, options, (result) => done(result.errorCode, result.baseOffset))
    },
    async load(partitionIndex, maxBytes, visit) {
      const partition = partitions.get(OFFSETS_TOPIC, partitionIndex)
      if (partition === undefined) return
      const { log } = partition
      const end = log.logEndOffset
      // What came from the leader before may still be on its way to the file, where readers do not see it yet.
      if (log.writtenEndOffset < end) {
        await new Promise<void>((resolve) => log.whenWritten(end, () => resolve()))
      }
      let offset = log.logStartOffset
      while (offset < end) {
        const { errorCode, records, nextOffset } = await log.read(offset, maxBytes, {
          upTo: end,
          minOneBatch: true,
        })
        if (errorCode !== ErrorCode.NONE) {
          throw new LmqError('LMQ_DISK_READ', { log: log.name, offset, errorCode })
        }
        // Compaction may have taken everything up to the end.
        if (nextOffset <= offset) return
        for (const part of records) await visit(part)
        offset = nextOffset
      }
    },
    highWatermark: (partitionIndex) =>
      partitions.get(OFFSETS_TOPIC, partitionIndex)?.highWatermark ?? 0,
    whenCommitted(partitionIndex, end, done) {
      const partition = partitions.get(OFFSETS_TOPIC, partitionIndex)
      const look = () => {
        if (partition?.isLeader && partition.highWatermark < end) return
        partition?.removeWaiter(look)
        done()
      }
      partition?.addWaiter(look)
      look()
      return () => partition?.removeWaiter(look)
    },
  }
}

export function topicsPort(image: MetadataImage): TopicsPort {
  return {
    idOf: (topic) => image.topic(topic)?.topicId,
    nameOf: (topicId) => image.topicById(topicId)?.name,
    partitionCount: (topic) => image.topic(topic)?.partitions.length,
  }
}

export function offsetsTopicPort(
  image: MetadataImage,
  creator: AutoTopicCreation,
): OffsetsTopicPort {
  return {
    partitionCount: () => image.topic(OFFSETS_TOPIC)?.partitions.length,
    leaderOf(partitionIndex, listenerName) {
      const leader = image.partition(OFFSETS_TOPIC, partitionIndex)?.leader ?? -1
      const endpoint = image.endpoint(leader, listenerName)
      return endpoint && { brokerId: leader, host: endpoint.host, port: endpoint.port }
    },
    async create() {
      await creator.create([OFFSETS_TOPIC])
    },
  }
}
