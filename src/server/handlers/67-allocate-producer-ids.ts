import { allocateProducerIds } from '../../protocol/apis/67-allocate-producer-ids.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'

/** Gives a broker its next block of producer ids (KIP-730): served by the active controller. */
export const allocateProducerIdsHandler = defineHandler({
  api: allocateProducerIds,
  versions: '0',
  interBroker: true,
  requires: 'CLUSTER_ACTION cluster',
  serve: async ({ brokerId, brokerEpoch }, { services, connection }) => {
    if (brokerId !== connection.brokerId) return refused(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    if (!services.controller.isActive) return refused(ErrorCode.NOT_CONTROLLER)
    const block = await services.controller.allocateProducerIds({ brokerId, brokerEpoch })
    const { errorCode, firstProducerId, count } = block
    return { errorCode, producerIdStart: firstProducerId, producerIdLen: count }
  },
  refuse: (_request, errorCode) => refused(errorCode),
})

const refused = (errorCode: ErrorCode) => ({ errorCode, producerIdStart: -1, producerIdLen: 0 })
