import { initProducerId } from '../../protocol/apis/22-init-producer-id.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { NO_PRODUCER_EPOCH, NO_PRODUCER_ID } from '../../protocol/record-batch.ts'
import { defineHandler } from '../handler.ts'

/**
 * Gives an idempotent producer its id. Transactional ids are refused as a broker does whose rules allow them to
 * nobody: every client takes that as final instead of asking again.
 */
export const initProducerIdHandler = defineHandler({
  api: initProducerId,
  versions: '0-5',
  requires: 'WRITE transactionalId:transactionalId, else IDEMPOTENT_WRITE cluster',
  serve: async (request, { services }) => {
    const { transactionalId, producerId, producerEpoch } = request
    if (transactionalId === '') return refused(ErrorCode.INVALID_REQUEST)
    if (transactionalId !== null) return refused(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    // Both or neither (KIP-360); without a transactional id their values do not matter.
    if ((producerId === NO_PRODUCER_ID) !== (producerEpoch === NO_PRODUCER_EPOCH)) {
      return refused(ErrorCode.INVALID_REQUEST)
    }
    return {
      errorCode: ErrorCode.NONE,
      producerId: await services.producerIds.next(),
      producerEpoch: 0,
    }
  },
  refuse: (_request, errorCode) => refused(errorCode),
})

const refused = (errorCode: ErrorCode) => ({
  errorCode,
  producerId: NO_PRODUCER_ID,
  producerEpoch: NO_PRODUCER_EPOCH,
})
