import {
  type BrokerConfig,
  brokerSettings,
  withoutListenerPrefix,
} from '../config/broker-config.ts'
import type { ConfigTable } from '../config/define-config.ts'
import { groupSettings } from '../config/group-config.ts'
import {
  type Refusal,
  refusalOfBrokerChange,
  refusalOfClientMetricsOverrides,
  refusalOfGroupOverrides,
  refusalOfTopicOverrides,
} from '../config/refusals.ts'
import { topicSettings } from '../config/topic-config.ts'
import { compileRegex } from '../io/linear-regex.ts'
import { ResourceType } from './metadata-image.ts'

/** What the controller asks of the settings' tables before it stores a change. */
export type ConfigRules = {
  /** @param values all settings of the resource as they would be */
  refusalOf(
    resourceType: number,
    resourceName: string,
    values: ReadonlyMap<string, string>,
  ): Refusal | undefined
  /** Whether items may be appended to a setting and subtracted from it. */
  isList(resourceType: number, name: string): boolean
  /** The text that an append starts from when the resource has none. */
  defaultText(resourceType: number, name: string): string | null
  /** What the controller's own broker has for a setting that topics inherit from brokers. */
  textInForce(name: InheritedSetting): string
}

/** What elections ask of a topic's settings. */
export type InheritedSetting = 'min.insync.replicas' | 'unclean.leader.election.enable'

/** @param broker the settings in force of the broker that was asked */
export function configRulesOf(broker: BrokerConfig): ConfigRules {
  const settingOf = (resourceType: number, name: string) =>
    resourceType === ResourceType.BROKER
      ? brokerSettings.find(withoutListenerPrefix(name))
      : tables[resourceType]?.find(name)
  return {
    refusalOf(resourceType, resourceName, values) {
      switch (resourceType) {
        case ResourceType.TOPIC:
          return refusalOfTopicOverrides(values, broker)
        case ResourceType.BROKER:
          return refusalOfBrokerChange(values, resourceName === '' ? 'default' : 'broker', broker)
        case ResourceType.CLIENT_METRICS:
          return refusalOfClientMetricsOverrides(values, isRegex)
        default:
          return refusalOfGroupOverrides(values, broker)
      }
    },
    isList: (resourceType, name) => settingOf(resourceType, name)?.type === 'list',
    defaultText: (resourceType, name) => settingOf(resourceType, name)?.defaultText ?? null,
    textInForce: (name) => String(broker[name]),
  }
}

/** Expressions that clients write are RE2's: Java's own are a way to hold a broker. */
const isRegex = (expression: string): boolean => compileRegex(expression) !== undefined

/** Subscriptions of client metrics take no appends, as in Kafka. */
const tables: Readonly<Record<number, ConfigTable>> = {
  [ResourceType.TOPIC]: topicSettings,
  [ResourceType.GROUP]: groupSettings,
}
