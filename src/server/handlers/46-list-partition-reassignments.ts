import { listReassignments } from '../../cluster/reassignment.ts'
import { listPartitionReassignments } from '../../protocol/apis/46-list-partition-reassignments.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'

/** Partitions whose replicas are being changed now. */
export const listPartitionReassignmentsHandler = defineHandler({
  api: listPartitionReassignments,
  versions: '0',
  requires: 'DESCRIBE cluster',
  forwards: true,
  serve: ({ topics }, { services }) => ({
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    topics: listReassignments(services.image, topics),
  }),
  refuse: (_request, errorCode) => ({ errorCode, errorMessage: null, topics: [] }),
})
