import { findCoordinator } from '../../protocol/apis/10-find-coordinator.ts'
import { errorName } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'
import { clientOf } from './group-client.ts'

const NOBODY = { nodeId: -1, host: '', port: -1 }

/**
 * Which broker coordinates a group. The first client to ask makes `__consumer_offsets`.
 *
 * Not served: transactional ids (refused with a code that the client takes as final, and a message) and share
 * coordinators.
 */
export const findCoordinatorHandler = defineHandler({
  api: findCoordinator,
  versions: '0-6',
  requires: 'DESCRIBE group:key',
  serve: (request, context) => context.services.groups.findCoordinator(request, clientOf(context)),
  refuse: (request, errorCode, { apiVersion }) => {
    const errorMessage = errorName(errorCode)
    if (apiVersion < 4) return { ...NOBODY, errorCode, errorMessage, coordinators: [] }
    return {
      errorCode: 0,
      errorMessage: null,
      nodeId: 0,
      host: '',
      port: 0,
      coordinators: request.coordinatorKeys.map((key) => ({
        ...NOBODY,
        key,
        errorCode,
        errorMessage,
      })),
    }
  },
})
