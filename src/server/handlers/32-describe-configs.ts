import { ResourceType } from '../../cluster/metadata-image.ts'
import { refusalOfTopicName } from '../../cluster/topic-name.ts'
import {
  type DescribedSetting,
  describeBrokerDefaults,
  describeBrokerSettings,
  describeClientMetricsSettings,
  describeGroupSettings,
  describeTopicSettings,
} from '../../config/describe-config.ts'
import { describeConfigs } from '../../protocol/apis/32-describe-configs.ts'
import { ErrorCode } from '../../protocol/error-code.ts'
import type { RequestOf, ResponseInput } from '../../protocol/schema.ts'
import { defineHandler, type Services } from '../handler.ts'

type Resource = RequestOf<typeof describeConfigs>['resources'][number]
type ConfigAnswer = ResponseInput<typeof describeConfigs>['results'][number]['configs'][number]
type Refused = { readonly errorCode: ErrorCode; readonly errorMessage: string }

/** Settings in force with where they come from (ConfigHelper.scala). A broker answers for itself only. */
export const describeConfigsHandler = defineHandler({
  api: describeConfigs,
  versions: '1-4',
  requires: 'DESCRIBE_CONFIGS of each resource',
  serve: ({ resources, includeSynonyms, includeDocumentation }, { services }) => {
    const refusal = refusalOfTypes(resources)
    const results = resources.map((resource) => {
      const { resourceType, resourceName, configurationKeys } = resource
      const described = refusal ?? describe(resource, services)
      if (!Array.isArray(described)) {
        return { ...described, resourceType, resourceName, configs: [] }
      }
      const wanted =
        configurationKeys === null || configurationKeys.length === 0
          ? undefined
          : new Set(configurationKeys)
      return {
        errorCode: ErrorCode.NONE,
        errorMessage: '',
        resourceType,
        resourceName,
        configs: described
          .filter(({ name }) => wanted === undefined || wanted.has(name))
          .map((setting) => toAnswer(setting, includeSynonyms, includeDocumentation)),
      }
    })
    return { results }
  },
  refuse: ({ resources }, errorCode) => ({
    results: resources.map(({ resourceType, resourceName }) => ({
      errorCode,
      errorMessage: null,
      resourceType,
      resourceName,
      configs: [],
    })),
  }),
})

function toAnswer(
  setting: DescribedSetting,
  withSynonyms: boolean,
  withDocumentation: boolean,
): ConfigAnswer {
  const { name, value, readOnly, configSource, isSensitive, configType } = setting
  return {
    name,
    value,
    readOnly,
    // Only version 0 has it, which is not served.
    isDefault: false,
    configSource,
    isSensitive,
    synonyms: withSynonyms ? setting.synonyms : [],
    configType,
    documentation: withDocumentation ? setting.documentation : null,
  }
}

const invalid = (errorMessage: string): Refused => ({
  errorCode: ErrorCode.INVALID_REQUEST,
  errorMessage,
})

const knownTypes: ReadonlySet<number> = new Set([
  ResourceType.TOPIC,
  ResourceType.BROKER,
  ResourceType.BROKER_LOGGER,
  ResourceType.CLIENT_METRICS,
  ResourceType.GROUP,
])

/** One resource of an unknown type refuses them all, as by Kafka. */
function refusalOfTypes(resources: readonly Resource[]): Refused | undefined {
  const unknown = resources.find(({ resourceType }) => !knownTypes.has(resourceType))
  return unknown && invalid(`Unsupported resource type: ${unknown.resourceType}`)
}

function describe(
  { resourceType, resourceName }: Resource,
  { image, settings, broker }: Services,
): DescribedSetting[] | Refused {
  switch (resourceType) {
    case ResourceType.TOPIC: {
      const badName = refusalOfTopicName(resourceName)
      if (badName !== undefined) {
        return { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, errorMessage: badName }
      }
      if (!image.topics.has(resourceName)) {
        return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: '' }
      }
      return describeTopicSettings(image.configs(resourceType, resourceName), settings)
    }
    case ResourceType.BROKER:
      if (resourceName === '') return describeBrokerDefaults(settings)
      return (
        refusalOfBroker(resourceName, broker.brokerId, ' or empty string,') ??
        describeBrokerSettings(settings)
      )
    case ResourceType.BROKER_LOGGER:
      if (resourceName === '') return invalid('Broker id must not be empty')
      // The level of this broker's log is a setting (lmq.log.level); it has no loggers by name.
      return refusalOfBroker(resourceName, broker.brokerId, '') ?? []
    case ResourceType.CLIENT_METRICS:
      if (resourceName === '') return invalid('Client metrics subscription name must not be empty')
      return describeClientMetricsSettings(image.configs(resourceType, resourceName))
    case ResourceType.GROUP:
      if (resourceName === '') return invalid('Group name must not be empty')
      return describeGroupSettings(image.configs(resourceType, resourceName), settings)
    default:
      return invalid(`Unsupported resource type: ${resourceType}`)
  }
}

/** @param orElse what Kafka's sentence says between the id expected and the one received */
function refusalOfBroker(name: string, brokerId: number, orElse: string): Refused | undefined {
  if (!/^[+-]?\d{1,10}$/.test(name) || Number(name) !== (Number(name) | 0)) {
    return invalid(`Broker id must be an integer, but it is: ${name}`)
  }
  if (Number(name) === brokerId) return undefined
  return invalid(`Unexpected broker id, expected ${brokerId}${orElse} but received ${name}`)
}
