import { vote } from '../../protocol/apis/52-vote.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { defineHandler } from '../handler.ts'

/**
 * Another broker lost the controller and asks whether this one did, too. Only the question before a vote is answered
 * with yes (KIP-996): who leads is decided by the metadata store.
 */
export const voteHandler = defineHandler({
  api: vote,
  versions: '0-2',
  interBroker: true,
  requires: 'CLUSTER_ACTION cluster',
  serve: async ({ clusterId, topics }, { services }) => {
    const { cluster, broker } = services
    if (clusterId !== null && clusterId !== broker.clusterId) {
      return refused(ErrorCode.INCONSISTENT_CLUSTER_ID)
    }
    const answers: ResponseInput<typeof vote>['topics'][number][] = []
    for (const { topicName, partitions } of topics) {
      const votes = []
      for (const { partitionIndex, replicaEpoch, preVote } of partitions) {
        const voteGranted = preVote && (await cluster?.grantsVote(replicaEpoch)) === true
        votes.push({
          partitionIndex,
          errorCode: ErrorCode.NONE,
          leaderId: cluster?.controllerId ?? -1,
          leaderEpoch: replicaEpoch,
          voteGranted,
        })
      }
      answers.push({ topicName, partitions: votes })
    }
    return { errorCode: ErrorCode.NONE, topics: answers, nodeEndpoints: [] }
  },
  refuse: (_request, errorCode) => refused(errorCode),
})

const refused = (errorCode: ErrorCode): ResponseInput<typeof vote> => ({
  errorCode,
  topics: [],
  nodeEndpoints: [],
})
