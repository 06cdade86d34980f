import { alterPartition } from '../../protocol/apis/56-alter-partition.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { defineHandler, type Services } from '../handler.ts'

/** Before it topics are asked for by name. */
const FIRST_VERSION_WITH_IDS = 2
/** Before it members of the ISR come without their broker epochs. */
const FIRST_VERSION_WITH_EPOCHS = 3
const ANY_EPOCH = -1

/** A partition's leader asks for other in-sync replicas (KIP-497): served by the active controller. */
export const alterPartitionHandler = defineHandler({
  api: alterPartition,
  versions: '0-3',
  interBroker: true,
  requires: 'CLUSTER_ACTION cluster',
  serve: async (request, { services, connection, apiVersion }) => {
    const { brokerId, brokerEpoch, topics } = request
    if (brokerId !== connection.brokerId) return refused(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    if (!services.controller.isActive) return refused(ErrorCode.NOT_CONTROLLER)
    const changes = []
    for (const { topicId, topicName, partitions } of topics) {
      const id = apiVersion >= FIRST_VERSION_WITH_IDS ? topicId : idOf(services, topicName)
      for (const partition of partitions) {
        const { partitionIndex, leaderEpoch, partitionEpoch, leaderRecoveryState } = partition
        const isr =
          apiVersion >= FIRST_VERSION_WITH_EPOCHS
            ? partition.newIsrWithEpochs
            : partition.newIsr.map((member) => ({ brokerId: member, brokerEpoch: ANY_EPOCH }))
        changes.push({
          topicId: id,
          partitionIndex,
          leaderEpoch,
          partitionEpoch,
          isr,
          leaderRecoveryState,
        })
      }
    }
    const answer = await services.controller.alterPartition({ brokerId, brokerEpoch, changes })
    let at = 0
    return {
      errorCode: answer.errorCode,
      topics:
        answer.errorCode !== ErrorCode.NONE
          ? []
          : topics.map(({ topicId, topicName, partitions }) => ({
              topicId,
              topicName,
              partitions: partitions.map(({ partitionIndex }) => {
                const outcome = answer.partitions[at++]
                return {
                  partitionIndex,
                  errorCode: outcome?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR,
                  leaderId: outcome?.leader ?? -1,
                  leaderEpoch: outcome?.leaderEpoch ?? -1,
                  isr: outcome?.isr ?? [],
                  leaderRecoveryState: outcome?.leaderRecoveryState ?? 0,
                  partitionEpoch: outcome?.partitionEpoch ?? -1,
                }
              }),
            })),
    }
  },
  refuse: (_request, errorCode) => refused(errorCode),
})

const idOf = ({ image }: Services, name: string): string => image.topic(name)?.topicId ?? ''

const refused = (errorCode: ErrorCode): ResponseInput<typeof alterPartition> => ({
  errorCode,
  topics: [],
})
