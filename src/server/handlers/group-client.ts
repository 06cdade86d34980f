import type { Client } from '../../coordinator/ports.ts'
import type { HandlerContext } from '../handler.ts'

/** Who asks, as the group coordinator wants to know it. */
export function clientOf({ apiVersion, clientId, connection }: HandlerContext): Client {
  const { remoteAddress, listenerName } = connection
  return { apiVersion, clientId, remoteAddress, listenerName }
}
