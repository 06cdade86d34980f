/**
 * What DescribeConfigs says of a setting: its value in force, where that comes from, and everything that was
 * overruled, strongest first. The order and the omissions are those of Kafka's ConfigHelper.
 */
import { brokerSettings, synonymsOf, withoutListenerPrefix } from './broker-config.ts'
import type { BrokerSettings, Texts } from './broker-settings.ts'
import { clientMetricsSettings } from './client-metrics-config.ts'
import type { ConfigTable } from './define-config.ts'
import { groupDefaultOf, groupSettings } from './group-config.ts'
import { configTypeIds, javaDouble, LONG_MAX, type Setting } from './setting.ts'
import { topicDefaultOf, topicSettings } from './topic-config.ts'

/** `ConfigSource` of a DescribeConfigs answer. */
export const ConfigSource = {
  UNKNOWN: 0,
  TOPIC: 1,
  DYNAMIC_BROKER: 2,
  DYNAMIC_DEFAULT_BROKER: 3,
  STATIC_BROKER: 4,
  DEFAULT: 5,
  BROKER_LOGGER: 6,
  CLIENT_METRICS: 7,
  GROUP: 8,
} as const

export type SettingSynonym = {
  readonly name: string
  /** Null when sensitive. */
  readonly value: string | null
  readonly source: number
}

export type DescribedSetting = {
  readonly name: string
  /** Null when there is none, or when it is sensitive. */
  readonly value: string | null
  readonly readOnly: boolean
  readonly isSensitive: boolean
  readonly configSource: number
  readonly configType: number
  readonly documentation: string
  /** Strongest first; the first one is the value in force, if it was set under this name. */
  readonly synonyms: readonly SettingSynonym[]
}

const LONG_MAX_TEXT = '9223372036854775807'

/** A value as Kafka writes it: lists with commas, doubles as Java does. */
export function textOf(setting: Setting, value: unknown): string | null {
  if (value === null || value === undefined) return null
  if (Array.isArray(value)) return value.join(',')
  if (typeof value !== 'number') return String(value)
  if (setting.type === 'double') return javaDouble(value)
  return value === LONG_MAX ? LONG_MAX_TEXT : String(value)
}

/** The canonical form of a text that was accepted before; the text itself if it cannot be read any more. */
function canonical(setting: Setting, name: string, text: string): string {
  const reading = setting.read(name, text)
  return reading.refusal === undefined ? reading.text : text
}

/** Kafka knows the rates of throttled replicas only as what somebody set: they have no default to show. */
const isThrottle = ({ internal, update }: Setting) => internal && update === 'cluster-wide'

/** Where a broker setting was given, strongest first. Those before the setting's own name are left out, as in Kafka. */
function brokerSources(name: string, settings: BrokerSettings): SettingSynonym[] {
  const names = synonymsOf(name)
  const sensitive = brokerSettings.find(withoutListenerPrefix(name))?.type === 'password'
  const found: SettingSynonym[] = []
  const look = (texts: Texts, source: number): void => {
    for (const synonym of names) {
      const value = texts.get(synonym)
      if (value !== undefined)
        found.push({ name: synonym, value: sensitive ? null : value, source })
    }
  }
  look(settings.dynamicBroker, ConfigSource.DYNAMIC_BROKER)
  look(settings.dynamicDefault, ConfigSource.DYNAMIC_DEFAULT_BROKER)
  look(settings.static, ConfigSource.STATIC_BROKER)
  for (const synonym of names) {
    const setting = brokerSettings.find(synonym)
    if (setting && isThrottle(setting)) continue
    const value = setting?.defaultText
    if (value !== null && value !== undefined) {
      found.push({ name: synonym, value, source: ConfigSource.DEFAULT })
    }
  }
  const first = found.findIndex((synonym) => synonym.name === name)
  return first < 0 ? [] : found.slice(first)
}

type Scope = {
  table: ConfigTable
  source: number
  defaultOf: (name: string) => unknown
  /** A setting that no broker setting stands behind names its own default among the synonyms, as in Kafka. */
  namesOwnDefault?: true
}

function describeOverridable(
  { table, source, defaultOf, namesOwnDefault }: Scope,
  overrides: Texts,
  settings: BrokerSettings,
): DescribedSetting[] {
  const described: DescribedSetting[] = []
  for (const name of table.names) {
    const setting = table.get(name)
    if (setting.internal) continue
    const own = overrides.get(name)
    const value =
      own === undefined ? textOf(setting, defaultOf(name)) : canonical(setting, name, own)
    const [synonym] = setting.synonyms
    const synonyms = synonym === undefined ? [] : brokerSources(synonym, settings)
    if (synonym === undefined && namesOwnDefault) {
      const text = textOf(setting, defaultOf(name))
      synonyms.push({ name, value: text, source: ConfigSource.DEFAULT })
    }
    if (own !== undefined) synonyms.unshift({ name, value, source })
    described.push({
      name,
      value,
      readOnly: false,
      isSensitive: false,
      configSource: synonyms[0]?.source ?? ConfigSource.DEFAULT,
      configType: configTypeIds[setting.type],
      documentation: setting.about,
      synonyms,
    })
  }
  return described
}

/** @param overrides the topic's own settings */
export const describeTopicSettings = (
  overrides: Texts,
  settings: BrokerSettings,
): DescribedSetting[] =>
  describeOverridable(
    {
      table: topicSettings,
      source: ConfigSource.TOPIC,
      defaultOf: (name) => topicDefaultOf(name, settings.config),
    },
    overrides,
    settings,
  )

/** @param overrides the group's own settings */
export const describeGroupSettings = (
  overrides: Texts,
  settings: BrokerSettings,
): DescribedSetting[] =>
  describeOverridable(
    {
      table: groupSettings,
      source: ConfigSource.GROUP,
      defaultOf: (name) => groupDefaultOf(name, settings.config),
      namesOwnDefault: true,
    },
    overrides,
    settings,
  )

/** @param overrides what was set for the subscription; one without any is described by the defaults, as in Kafka */
export function describeClientMetricsSettings(overrides: Texts): DescribedSetting[] {
  return clientMetricsSettings.names.map((name) => {
    const setting = clientMetricsSettings.get(name)
    const own = overrides.get(name)
    const source = ConfigSource.CLIENT_METRICS
    return {
      name,
      value: own ?? setting.defaultText,
      readOnly: false,
      isSensitive: false,
      configSource: own === undefined ? ConfigSource.DEFAULT : source,
      configType: configTypeIds[setting.type],
      documentation: setting.about,
      synonyms: own === undefined ? [] : [{ name, value: own, source }],
    }
  })
}

function describeBrokerSetting(name: string, settings: BrokerSettings): DescribedSetting {
  const setting = brokerSettings.find(withoutListenerPrefix(name))
  const synonyms = brokerSources(name, settings)
  // A setting that is not known may be a secret of a plug-in: Kafka hides it, too.
  const isSensitive = setting === undefined || setting.type === 'password'
  const given = synonyms[0]
  let value: string | null = null
  if (setting !== undefined && !isSensitive) {
    const inForce =
      name === withoutListenerPrefix(name)
        ? (settings.config as Readonly<Record<string, unknown>>)[name]
        : undefined
    value =
      inForce === undefined && given?.value
        ? canonical(setting, name, given.value)
        : keepText(setting, name, inForce, given)
  }
  return {
    name,
    value,
    readOnly: (setting?.update ?? 'read-only') === 'read-only',
    isSensitive,
    configSource: given?.source ?? ConfigSource.DEFAULT,
    configType: setting ? configTypeIds[setting.type] : 0,
    documentation: setting?.about ?? '',
    synonyms: isSensitive ? synonyms.map((synonym) => ({ ...synonym, value: null })) : synonyms,
  }
}

/** A saturated number loses digits that the text still has. */
function keepText(
  setting: Setting,
  name: string,
  inForce: unknown,
  given: SettingSynonym | undefined,
): string | null {
  const isSaturated = typeof inForce === 'number' && Math.abs(inForce) === LONG_MAX
  if (isSaturated && given?.name === name && given.value !== null) {
    return canonical(setting, name, given.value)
  }
  return textOf(setting, inForce)
}

/** All settings of this broker, and those names that were given but are not known. */
export function describeBrokerSettings(settings: BrokerSettings): DescribedSetting[] {
  const names = new Set(brokerSettings.names.filter((name) => !brokerSettings.get(name).internal))
  for (const texts of [settings.static, settings.dynamicBroker, settings.dynamicDefault]) {
    for (const name of texts.keys()) names.add(name)
  }
  return [...names].map((name) => describeBrokerSetting(name, settings))
}

/** The cluster's dynamic defaults: what DescribeConfigs answers for the broker resource with the empty name. */
export function describeBrokerDefaults(settings: BrokerSettings): DescribedSetting[] {
  return [...settings.dynamicDefault.keys()].map((name) => {
    const described = describeBrokerSetting(name, settings)
    const synonyms = described.synonyms.filter(
      ({ source }) => source === ConfigSource.DYNAMIC_DEFAULT_BROKER,
    )
    const value = described.isSensitive ? null : (settings.dynamicDefault.get(name) ?? null)
    return { ...described, value, synonyms, configSource: ConfigSource.DYNAMIC_DEFAULT_BROKER }
  })
}
