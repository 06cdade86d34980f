import { CLUSTER_MECHANISM, ClusterLogin, NONCE_BYTES } from '../../client/cluster-proof.ts'
import { saslHandshake } from '../../protocol/apis/17-sasl-handshake.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler } from '../handler.ts'

/** The first version after which the mechanism's bytes come in SaslAuthenticate. */
const FIRST_VERSION_WITH_FRAMES = 1

/**
 * Begins the login of another broker. Clients have no mechanism to choose from on a PLAINTEXT listener and are answered
 * as Kafka answers them there.
 */
export const saslHandshakeHandler = defineHandler({
  api: saslHandshake,
  versions: '0-1',
  requires: 'none',
  serve: ({ mechanism }, { apiVersion, connection, services }) => {
    const { image, broker, io } = services
    const isBroker = mechanism === CLUSTER_MECHANISM && apiVersion >= FIRST_VERSION_WITH_FRAMES
    if (!isBroker || image.clusterSecret === '' || connection.brokerId !== undefined) {
      return { errorCode: ErrorCode.ILLEGAL_SASL_STATE, mechanisms: [] }
    }
    const nonce = io.random.bytes(NONCE_BYTES)
    connection.login = new ClusterLogin(image.clusterSecret, broker.brokerId, nonce)
    return { errorCode: ErrorCode.NONE, mechanisms: [] }
  },
  refuse: (_request, errorCode) => ({ errorCode, mechanisms: [] }),
})
