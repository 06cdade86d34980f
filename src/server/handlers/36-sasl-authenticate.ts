import { saslAuthenticate } from '../../protocol/apis/36-sasl-authenticate.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'

/** Kafka's words for a listener without authentication (KafkaApis.scala). */
const OUT_OF_PLACE = 'SaslAuthenticate request received after successful authentication'

/** The login of another broker, after its SaslHandshake. One failure ends it. */
export const saslAuthenticateHandler = defineHandler({
  api: saslAuthenticate,
  versions: '0-2',
  requires: 'none',
  serve: ({ authBytes }, { connection }) => {
    const { login } = connection
    if (!login) return refused(ErrorCode.ILLEGAL_SASL_STATE, OUT_OF_PLACE)
    const received = login.receive(authBytes)
    if (!received) {
      connection.login = undefined
      return refused(ErrorCode.SASL_AUTHENTICATION_FAILED, 'This is no broker of this cluster.')
    }
    if (received.brokerId !== undefined) connection.authenticate(received.brokerId)
    return { errorCode: ErrorCode.NONE, errorMessage: null, authBytes: received.reply }
  },
  refuse: (_request, errorCode) => refused(errorCode, null),
})

const refused = (errorCode: ErrorCode, errorMessage: string | null) => ({
  errorCode,
  errorMessage,
  authBytes: Buffer.alloc(0),
})
