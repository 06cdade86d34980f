import type { HandlerContext } from '../handler.ts'
import type { ClientAttributes } from '../telemetry-subscriptions.ts'

/** Labels and patterns see no more of what a client calls itself. */
const MAX_LENGTH = 256

/** What is known of a client besides its instance id. */
export const telemetryClient = ({
  clientId,
  connection,
}: HandlerContext): Omit<ClientAttributes, 'client_instance_id'> => ({
  client_id: clientId.slice(0, MAX_LENGTH),
  client_software_name: connection.clientSoftware?.name.slice(0, MAX_LENGTH),
  client_software_version: connection.clientSoftware?.version.slice(0, MAX_LENGTH),
  client_source_address: connection.remoteAddress,
  client_source_port: String(connection.remotePort),
})
