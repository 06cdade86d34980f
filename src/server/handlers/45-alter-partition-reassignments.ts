import { alterPartitionReassignments } from '../../protocol/apis/45-alter-partition-reassignments.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { withDeadline } from '../deadline.ts'
import { defineHandler } from '../handler.ts'

/** Gives partitions other replicas; answered when the moves have begun. */
export const alterPartitionReassignmentsHandler = defineHandler({
  api: alterPartitionReassignments,
  versions: '0-1',
  requires: 'ALTER cluster',
  forwards: true,
  serve: async ({ topics, timeoutMs, allowReplicationFactorChange }, { services }) => {
    const none = { allowReplicationFactorChange, errorCode: ErrorCode.NONE }
    // Kafka's sentence for nothing to do is an empty one.
    if (topics.length === 0) return { ...none, errorMessage: '', responses: [] }
    const command = { topics, allowReplicationFactorChange }
    const answer = await withDeadline(services.io.timers, timeoutMs, () =>
      services.controller.alterPartitionReassignments(command),
    )
    return { ...none, errorMessage: null, responses: answer.topics }
  },
  refuse: ({ topics, allowReplicationFactorChange }, errorCode) => ({
    allowReplicationFactorChange,
    errorCode,
    errorMessage: null,
    responses: topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode,
        errorMessage: null,
      })),
    })),
  }),
})
