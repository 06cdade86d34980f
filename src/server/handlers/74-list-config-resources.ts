import { ResourceType } from '../../cluster/metadata-image.ts'
import { listConfigResources } from '../../protocol/apis/74-list-config-resources.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import { defineHandler, type Services } from '../handler.ts'

const { TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP } = ResourceType
const listed: readonly number[] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP]

/** Names of resources that have settings: of every type where none is named (KIP-1142). */
export const listConfigResourcesHandler = defineHandler({
  api: listConfigResources,
  versions: '0-1',
  requires: 'DESCRIBE_CONFIGS cluster',
  serve: ({ resourceTypes }, { apiVersion, services }) => {
    // Version 0 knows subscriptions of client metrics only.
    const wanted = new Set(apiVersion === 0 ? [CLIENT_METRICS] : resourceTypes)
    for (const type of wanted) {
      if (!listed.includes(type)) {
        return { errorCode: ErrorCode.UNSUPPORTED_VERSION, configResources: [] }
      }
    }
    const configResources: { resourceName: string; resourceType: number }[] = []
    for (const resourceType of wanted.size === 0 ? listed : wanted) {
      for (const resourceName of namesOf(resourceType, services)) {
        configResources.push({ resourceName, resourceType })
      }
    }
    return { errorCode: ErrorCode.NONE, configResources }
  },
  refuse: (_request, errorCode) => ({ errorCode, configResources: [] }),
})

/** Topics and brokers are listed with or without settings; the others are nothing but their settings. */
function* namesOf(resourceType: number, { image }: Services): Iterable<string> {
  if (resourceType === TOPIC) {
    yield* image.topics.keys()
  } else if (resourceType === BROKER || resourceType === BROKER_LOGGER) {
    for (const { brokerId } of image.liveBrokers()) yield String(brokerId)
  } else {
    for (const resource of image.configuredResources()) {
      if (resource.resourceType === resourceType) yield resource.resourceName
    }
  }
}
