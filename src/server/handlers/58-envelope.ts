import { envelope } from '../../protocol/apis/58-envelope.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import type { ApiTable } from '../api-table.ts'
import { principalOf, textOfAddress } from '../forwarded-client.ts'
import { type ConnectionFacts, defineHandler, type Handler } from '../handler.ts'
import { serveForwarded } from '../inner-request.ts'

/**
 * What another broker's client asked the controller for (KIP-590): served as if the client were connected here, with the
 * client's principal and address.
 *
 * @param table what is served; read when the first request comes
 */
export function envelopeHandler(table: () => ApiTable): Handler<typeof envelope> {
  return defineHandler({
    api: envelope,
    versions: '0',
    interBroker: true,
    requires: 'CLUSTER_ACTION cluster',
    serve: async (
      { requestData, requestPrincipal, clientHostAddress },
      { services, connection },
    ) => {
      if (!services.controller.isActive) return refused(ErrorCode.NOT_CONTROLLER)
      const client: ConnectionFacts = {
        id: connection.id,
        listenerName: connection.listenerName,
        remoteAddress: textOfAddress(clientHostAddress) ?? connection.remoteAddress,
        remotePort: 0,
        principal: principalOf(requestPrincipal),
        brokerId: undefined,
        forwardedBy: connection.brokerId,
        login: undefined,
        authenticate() {},
        get closed() {
          return connection.closed
        },
        onEnd: (listener) => connection.onEnd(listener),
        offEnd: (listener) => connection.offEnd(listener),
      }
      const answer = await serveForwarded(table(), requestData, { connection: client, services })
      if (!answer) return refused(ErrorCode.INVALID_REQUEST)
      return { responseData: answer, errorCode: ErrorCode.NONE }
    },
    refuse: (_request, errorCode) => refused(errorCode),
  })
}

const refused = (errorCode: ErrorCode): ResponseInput<typeof envelope> => ({
  responseData: null,
  errorCode,
})
