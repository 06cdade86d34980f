import { supportedFeatures } from '../../cluster/feature-commands.ts'
import { apiVersions } from '../../protocol/apis/18-api-versions.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import type { ApiTable, ServedApi } from '../api-table.ts'
import { defineHandler, type Handler, type Services } from '../handler.ts'

/** KIP-511: what a client may call itself. */
const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/**
 * Tells a client what this broker serves. Asked for before anything else, on every connection, in any version: an
 * unknown version is answered by the connection itself in v0.
 *
 * @param table what is served, this API included; read when the first client asks
 */
export function apiVersionsHandler(table: () => ApiTable): Handler<typeof apiVersions> {
  type ApiKeys = ResponseInput<typeof apiVersions>['apiKeys']
  const keysOf = (apis: Iterable<ServedApi>): ApiKeys =>
    [...apis].map(({ api, advertised }) => ({
      apiKey: api.key,
      minVersion: advertised.min,
      maxVersion: advertised.max,
    }))
  let apiKeys: ApiKeys | undefined
  return defineHandler({
    api: apiVersions,
    versions: '0-4',
    requires: 'none',
    serve: (request, { apiVersion, services, connection }) => {
      if (apiVersion >= 3) {
        const { clientSoftwareName, clientSoftwareVersion } = request
        if (!SOFTWARE_NAME.test(clientSoftwareName) || !SOFTWARE_NAME.test(clientSoftwareVersion)) {
          return { errorCode: ErrorCode.INVALID_REQUEST, apiKeys: [] }
        }
        connection.clientSoftware = { name: clientSoftwareName, version: clientSoftwareVersion }
      }
      if (connection.brokerId !== undefined) {
        return { errorCode: ErrorCode.NONE, apiKeys: keysOf(table().everything()) }
      }
      apiKeys ??= keysOf(table().all())
      return { errorCode: ErrorCode.NONE, apiKeys, ...featuresOf(services, apiVersion) }
    },
    refuse: (_request, errorCode) => ({ errorCode, apiKeys: [] }),
  })
}

/** Clients of v3 cannot read a supported minimum of 0: such features are left out for them (KAFKA-17011). */
function featuresOf({ image }: Services, apiVersion: number) {
  const finalized = [...image.features].map(([name, level]) => ({
    name,
    maxVersionLevel: level,
    minVersionLevel: level,
  }))
  return {
    supportedFeatures: supportedFeatures.filter(
      (feature) => apiVersion >= 4 || feature.minVersion > 0,
    ),
    finalizedFeaturesEpoch: image.featuresEpoch,
    finalizedFeatures: finalized,
  }
}
