import { apiVersions } from '../../protocol/apis/18-api-versions.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import type { ApiTable } from '../api-table.ts'
import { defineHandler, type Handler, type Services } from '../handler.ts'

/** KIP-511: what a client may call itself. */
const SOFTWARE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/**
 * The feature levels that this broker can work with. metadata.version tells clients and tools the age of the cluster
 * (30 = 4.3); group.version, transaction.version, share.version and streams.version join when their APIs do, because
 * clients switch protocols by them.
 */
export const supportedFeatures = [
  { name: 'kraft.version', minVersion: 0, maxVersion: 1 },
  { name: 'metadata.version', minVersion: 7, maxVersion: 30 },
] as const

/**
 * Tells a client what this broker serves. Asked for before anything else, on every connection, in any version: an
 * unknown version is answered by the connection itself in v0.
 *
 * @param table what is served, this API included; read when the first client asks
 */
export function apiVersionsHandler(table: () => ApiTable): Handler<typeof apiVersions> {
  let apiKeys: ResponseInput<typeof apiVersions>['apiKeys'] | undefined
  return defineHandler({
    api: apiVersions,
    versions: '0-4',
    requires: 'none',
    serve: (request, { apiVersion, services }) => {
      if (apiVersion >= 3) {
        const { clientSoftwareName, clientSoftwareVersion } = request
        if (!SOFTWARE_NAME.test(clientSoftwareName) || !SOFTWARE_NAME.test(clientSoftwareVersion)) {
          return { errorCode: ErrorCode.INVALID_REQUEST, apiKeys: [] }
        }
      }
      apiKeys ??= [...table().all()].map(({ api, advertised }) => ({
        apiKey: api.key,
        minVersion: advertised.min,
        maxVersion: advertised.max,
      }))
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
