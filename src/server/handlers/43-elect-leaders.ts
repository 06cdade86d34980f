import { electLeaders } from '../../protocol/apis/43-elect-leaders.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { withDeadline } from '../deadline.ts'
import { defineHandler } from '../handler.ts'

/** What clients are told where the controller says no more than the code. */
const sentences: Readonly<Record<number, string>> = {
  [ErrorCode.ELECTION_NOT_NEEDED]: 'Leader election not needed for topic partition.',
  [ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE]: 'The preferred leader was not available.',
  [ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE]: 'Eligible topic partition leaders are not available.',
}

/** Hands partitions to their preferred leaders, or to any living replica. */
export const electLeadersHandler = defineHandler({
  api: electLeaders,
  versions: '0-2',
  requires: 'ALTER cluster',
  forwards: true,
  serve: async (request, { apiVersion, services }) => {
    const { electionType, topicPartitions, timeoutMs } = request
    const answer = await withDeadline(services.io.timers, timeoutMs, () =>
      services.controller.electLeaders({ electionType, topicPartitions }),
    )
    const { errorCode, errorMessage } = answer
    if (errorCode !== ErrorCode.NONE) return refused(request, apiVersion, errorCode, errorMessage)
    return {
      errorCode,
      replicaElectionResults: answer.results.map(({ topic, partitions }) => ({
        topic,
        partitionResult: partitions.map((outcome) => ({
          partitionId: outcome.partitionIndex,
          errorCode: outcome.errorCode,
          errorMessage: outcome.errorMessage ?? sentences[outcome.errorCode] ?? null,
        })),
      })),
    }
  },
  refuse: (request, errorCode, { apiVersion }) => refused(request, apiVersion, errorCode, null),
})

const refused = (
  { topicPartitions }: RequestOf<typeof electLeaders>,
  apiVersion: number,
  errorCode: ErrorCode,
  errorMessage: string | null,
): ResponseInput<typeof electLeaders> => ({
  // Version 0 has no code for the whole.
  errorCode: apiVersion >= 1 ? errorCode : ErrorCode.NONE,
  replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions }) => ({
    topic,
    partitionResult: partitions.map((partitionId) => ({ partitionId, errorCode, errorMessage })),
  })),
})
