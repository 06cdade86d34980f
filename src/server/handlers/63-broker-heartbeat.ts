import { brokerHeartbeat } from '../../protocol/apis/63-broker-heartbeat.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'

/** A broker says that it lives: served by the active controller. */
export const brokerHeartbeatHandler = defineHandler({
  api: brokerHeartbeat,
  versions: '0-2',
  interBroker: true,
  requires: 'CLUSTER_ACTION cluster',
  serve: async (request, { services, connection }) => {
    const { brokerId, brokerEpoch, currentMetadataOffset, wantFence, wantShutDown } = request
    if (!services.cluster) return refused(ErrorCode.NOT_CONTROLLER)
    if (brokerId !== connection.brokerId) return refused(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    return services.cluster.heartbeat(
      { brokerId, brokerEpoch, appliedIndex: currentMetadataOffset, wantFence, wantShutDown },
      connection,
    )
  },
  refuse: (_request, errorCode) => refused(errorCode),
})

const refused = (errorCode: ErrorCode) => ({
  errorCode,
  isCaughtUp: false,
  isFenced: true,
  shouldShutDown: false,
})
