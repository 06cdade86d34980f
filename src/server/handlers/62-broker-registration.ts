import { clusterRegistration, securityProtocols } from '../../cluster/registration-api.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'

/** A broker joins the cluster: served by the active controller, to the broker itself only. */
export const brokerRegistrationHandler = defineHandler({
  api: clusterRegistration,
  versions: '0-4',
  interBroker: true,
  requires: 'CLUSTER_ACTION cluster',
  serve: async (request, { services, connection }) => {
    const { cluster, broker } = services
    if (!cluster) return refused(ErrorCode.NOT_CONTROLLER)
    if (request.brokerId !== connection.brokerId) {
      return refused(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    }
    if (request.clusterId !== broker.clusterId) return refused(ErrorCode.INCONSISTENT_CLUSTER_ID)
    const { brokerId, incarnationId, logDirs, rack, bootId, hostId } = request
    const { errorCode, brokerEpoch } = await cluster.register({
      brokerId,
      incarnationId,
      directoryIds: logDirs,
      bootId,
      rack,
      hostId,
      listeners: request.listeners.map(({ name, host, port, securityProtocol }) => ({
        name,
        host,
        port,
        securityProtocol: securityProtocols[securityProtocol] ?? 'PLAINTEXT',
      })),
      unfenced: false,
      previousBrokerEpoch: request.previousBrokerEpoch,
      logsWhole: request.logsWhole,
    })
    return { errorCode, brokerEpoch }
  },
  refuse: (_request, errorCode) => refused(errorCode),
})

const refused = (errorCode: ErrorCode) => ({ errorCode, brokerEpoch: -1 })
