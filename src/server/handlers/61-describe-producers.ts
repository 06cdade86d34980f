import { refusalOfTopicName } from '../../cluster/topic-name.ts'
import { describeProducers } from '../../protocol/apis/61-describe-producers.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { defineHandler, type Services } from '../handler.ts'
import { findPartition } from '../partition-lookup.ts'

type PartitionAnswer = ResponseInput<
  typeof describeProducers
>['topics'][number]['partitions'][number]

/** The idempotent and transactional producers that the leader of a partition remembers. */
export const describeProducersHandler = defineHandler({
  api: describeProducers,
  versions: '0',
  requires: 'READ topic:topics[]',
  serve: ({ topics }, { services }) => ({
    topics: topics.map(({ name, partitionIndexes }) => {
      const refusal = refusalOfTopic(services, name)
      return {
        name,
        partitions: partitionIndexes.map((partitionIndex) =>
          refusal === undefined
            ? producersOf(services, name, partitionIndex)
            : { partitionIndex, ...refusal, activeProducers: [] },
        ),
      }
    }),
  }),
  refuse: ({ topics }, errorCode) => ({
    topics: topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => ({
        partitionIndex,
        errorCode,
        activeProducers: [],
      })),
    })),
  }),
})

function refusalOfTopic({ image }: Services, topic: string) {
  const badName = refusalOfTopicName(topic)
  if (badName !== undefined) {
    return { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, errorMessage: badName }
  }
  if (image.topics.has(topic)) return undefined
  return {
    errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    errorMessage: 'This server does not host this topic-partition.',
  }
}

function producersOf(services: Services, topic: string, partitionIndex: number): PartitionAnswer {
  const partition = findPartition(services, topic, partitionIndex)
  if (typeof partition === 'number') {
    return { partitionIndex, errorCode: partition, activeProducers: [] }
  }
  const activeProducers = []
  for (const producer of partition.log.activeProducers()) {
    activeProducers.push({
      producerId: producer.producerId,
      producerEpoch: producer.epoch,
      lastSequence: producer.lastSequence,
      lastTimestamp: producer.lastTimestamp,
      coordinatorEpoch: producer.coordinatorEpoch,
      currentTxnStartOffset: producer.transactionFirstOffset,
    })
  }
  return { partitionIndex, errorCode: ErrorCode.NONE, activeProducers }
}
