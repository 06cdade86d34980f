import { describeCluster } from '../../protocol/apis/60-describe-cluster.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { defineHandler, type Services } from '../handler.ts'
import { controllerIdFor } from '../known-controller.ts'
import { allClusterOperations } from '../operations.ts'

const EndpointType = { broker: 1, controller: 2 } as const
/** "Was not asked for." */
const NO_OPERATIONS = -2_147_483_648

/** The brokers as clients of this listener reach them. */
export const describeClusterHandler = defineHandler({
  api: describeCluster,
  versions: '0-2',
  requires: 'DESCRIBE cluster to see operations',
  serve: (request, { services, connection }) => {
    const { endpointType } = request
    if (endpointType === EndpointType.controller) {
      return refused(
        ErrorCode.MISMATCHED_ENDPOINT_TYPE,
        'The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER',
      )
    }
    if (endpointType !== EndpointType.broker) {
      const message = `Unsupported endpoint type ${endpointType}`
      return refused(ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, message)
    }
    return {
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      endpointType: EndpointType.broker,
      clusterId: services.broker.clusterId,
      controllerId: controllerIdFor(services, connection.listenerName),
      brokers: brokersOf(services, connection.listenerName, request.includeFencedBrokers),
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? allClusterOperations
        : NO_OPERATIONS,
    }
  },
  refuse: (_request, errorCode) => refused(errorCode, null),
})

function brokersOf({ image }: Services, listenerName: string, withFenced: boolean) {
  const brokers = []
  for (const { brokerId, rack, fenced, listeners } of image.brokers.values()) {
    if (fenced && !withFenced) continue
    const endpoint = listeners.find(({ name }) => name === listenerName)
    if (!endpoint) continue
    brokers.push({ brokerId, host: endpoint.host, port: endpoint.port, rack, isFenced: fenced })
  }
  return brokers
}

const refused = (
  errorCode: ErrorCode,
  errorMessage: string | null,
): ResponseInput<typeof describeCluster> => ({
  errorCode,
  errorMessage,
  clusterId: '',
  controllerId: -1,
  brokers: [],
})
