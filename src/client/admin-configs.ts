/** What tools ask about settings of topics, brokers, groups and client metrics. */
import { describeConfigs as describeConfigsApi } from '../protocol/apis/32-describe-configs.ts'
import { incrementalAlterConfigs as alterConfigsApi } from '../protocol/apis/44-incremental-alter-configs.ts'
import { ErrorCode } from '../protocol/error-code.ts'
import type { ResponseOf } from '../protocol/schema.ts'
import type { Client, Target } from './client.ts'
import { checkOutcome } from './outcome-error.ts'

/** `ResourceType` of the configuration APIs. */
export const resourceTypes = {
  topic: 2,
  broker: 4,
  'broker-logger': 8,
  'client-metrics': 16,
  group: 32,
} as const
export type ResourceType = keyof typeof resourceTypes

export type ConfigResource = {
  readonly type: ResourceType
  /** A topic, a broker's number, a group; empty: the default of all brokers. */
  readonly name: string
}

export type ConfigEntry = ResponseOf<
  typeof describeConfigsApi
>['results'][number]['configs'][number]

/** What a change of one setting is. `append` and `subtract` are for lists. */
export const configOperations = { set: 0, delete: 1, append: 2, subtract: 3 } as const
export type ConfigChange = {
  readonly name: string
  readonly operation: keyof typeof configOperations
  /** Null for `delete`. */
  readonly value: string | null
}

const textOf = ({ type, name }: ConfigResource): string => `${type} ${name || '(default)'}`

/** A broker's own settings are known to that broker only. */
function targetOf({ type, name }: ConfigResource): Target {
  const isOneBroker = (type === 'broker' || type === 'broker-logger') && /^\d+$/.test(name)
  return isOneBroker ? { brokerId: Number(name) } : 'any'
}

/** @returns all settings of a resource, by name */
export async function describeConfigs(
  client: Client,
  resource: ConfigResource,
): Promise<ConfigEntry[]> {
  const answer = await client.request(targetOf(resource), describeConfigsApi, (version) => ({
    resources: [
      {
        resourceType: resourceTypes[resource.type],
        resourceName: resource.name,
        configurationKeys: null,
      },
    ],
    includeSynonyms: version >= 1,
    includeDocumentation: version >= 3,
  }))
  const [result] = answer.results
  const errorCode = result?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
  checkOutcome(errorCode, textOf(resource), result?.errorMessage)
  return (result?.configs ?? []).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Changes settings of one resource: all of them or none. */
export async function alterConfigs(
  client: Client,
  resource: ConfigResource,
  changes: readonly ConfigChange[],
  { validateOnly = false }: { validateOnly?: boolean } = {},
): Promise<void> {
  const answer = await client.request(targetOf(resource), alterConfigsApi, {
    resources: [
      {
        resourceType: resourceTypes[resource.type],
        resourceName: resource.name,
        configs: changes.map(({ name, operation, value }) => ({
          name,
          configOperation: configOperations[operation],
          value,
        })),
      },
    ],
    validateOnly,
  })
  const [result] = answer.responses
  const errorCode = result?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
  checkOutcome(errorCode, textOf(resource), result?.errorMessage)
}
