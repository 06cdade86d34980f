/**
 * Why a set of settings is refused, in Kafka's words, or undefined when it is not. All functions look at the whole set
 * that would be in force after a change: a resource is accepted or refused as one.
 */
import { type BrokerConfig, brokerSettings, withoutListenerPrefix } from './broker-config.ts'
import type { Texts } from './broker-settings.ts'
import { clientMetricsSettings } from './client-metrics-config.ts'
import type { ConfigTable } from './define-config.ts'
import { type GroupConfig, groupConfigOf, groupSettings } from './group-config.ts'
import { type TopicConfig, topicConfigOf, topicSettings } from './topic-config.ts'

/** A sentence for the client. `INVALID_REQUEST` and `INVALID_CONFIG` are the error codes that Kafka answers with it. */
export type Refusal = { readonly errorName: 'INVALID_REQUEST' | 'INVALID_CONFIG'; reason: string }

/** Longest value that can be stored, in UTF-16 units. */
const maxValueLength = 32_767

const invalidConfig = (reason: string): Refusal => ({ errorName: 'INVALID_CONFIG', reason })
const invalidRequest = (reason: string): Refusal => ({ errorName: 'INVALID_REQUEST', reason })

function refusalOfValues(table: ConfigTable, overrides: Texts, scope: string): Refusal | undefined {
  for (const [name, text] of overrides) {
    const setting = table.find(name)
    if (!setting) return invalidConfig(`Unknown ${scope} config name: ${name}`)
    if (text.length > maxValueLength) {
      return invalidConfig(
        `The configuration value cannot be added because it exceeds the maximum value size of ${maxValueLength} bytes.`,
      )
    }
    const { refusal } = setting.read(name, text)
    if (refusal !== undefined) return invalidConfig(refusal)
  }
  return undefined
}

/** @param overrides all of the topic's own settings as they would be */
export function refusalOfTopicOverrides(
  overrides: Texts,
  broker: BrokerConfig,
): Refusal | undefined {
  const refusal = refusalOfValues(topicSettings, overrides, 'topic')
  if (refusal) return refusal
  const config: TopicConfig = topicConfigOf(overrides, broker)
  const least = config['min.compaction.lag.ms']
  const most = config['max.compaction.lag.ms']
  if (least > most) {
    return invalidConfig(
      `conflict topic config setting min.compaction.lag.ms (${least}) > max.compaction.lag.ms (${most})`,
    )
  }
  if (config['remote.storage.enable']) {
    return invalidConfig(
      'Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.',
    )
  }
  return undefined
}

const threadSettings = new Set([
  'background.threads',
  'log.cleaner.threads',
  'num.io.threads',
  'num.network.threads',
  'num.recovery.threads.per.data.dir',
  'num.replica.fetchers',
])

/** Kafka lets a client at most double or halve a number of threads at once. */
function refusalOfThreads(name: string, after: number, now: number): Refusal | undefined {
  const wrong = `Dynamic thread count update validation failed for ${name}=${after}`
  if (after <= 0) return invalidRequest(`${wrong}, value should be at least 1`)
  if (after < now / 2) {
    return invalidRequest(`${wrong}, value should be at least half the current value ${now}`)
  }
  if (after > now * 2) {
    return invalidRequest(
      `${wrong}, value should not be greater than double the current value ${now}`,
    )
  }
  return undefined
}

/** Listeners cannot be opened, closed or re-keyed while this broker runs. */
const fixedListeners = new Set(['listeners', 'listener.security.protocol.map'])

/** Keys and certificates belong to a listener (Kafka's SslConfigs.RECONFIGURABLE_CONFIGS). */
const perListenerSettings = new Set([
  'ssl.key.password',
  'ssl.keystore.certificate.chain',
  'ssl.keystore.key',
  'ssl.keystore.location',
  'ssl.keystore.password',
  'ssl.keystore.type',
  'ssl.truststore.certificates',
  'ssl.truststore.location',
  'ssl.truststore.password',
  'ssl.truststore.type',
])

/**
 * @param overrides all dynamic settings of the resource as they would be
 * @param resource one broker, or the default of all brokers (the empty resource name)
 * @param broker the asked broker's settings in force
 */
export function refusalOfBrokerChange(
  overrides: Texts,
  resource: 'broker' | 'default',
  broker: BrokerConfig,
): Refusal | undefined {
  const settingOf = (name: string) => brokerSettings.find(withoutListenerPrefix(name))
  const names = [...overrides.keys()]
  const fixed = names.filter(
    (name) => settingOf(name)?.update === 'read-only' || fixedListeners.has(name),
  )
  if (fixed.length > 0) {
    return invalidRequest(`Cannot update these configs dynamically: [${fixed.join(', ')}]`)
  }
  const bare = names.filter((name) => perListenerSettings.has(name))
  if (bare.length > 0) {
    return invalidRequest(
      `These security configs can be dynamically updated only per-listener using the listener prefix: [${bare.join(', ')}]`,
    )
  }
  if (resource === 'default') {
    const own = names.filter((name) => settingOf(name)?.update === 'per-broker')
    if (own.length > 0) {
      return invalidRequest(
        `Cannot update these configs at default cluster level, broker id must be specified: [${own.join(', ')}]`,
      )
    }
  }
  const values = broker as Readonly<Record<string, unknown>>
  for (const [name, text] of overrides) {
    const setting = settingOf(name)
    if (text.length > maxValueLength) return invalidConfig(`The value of ${name} is too long.`)
    if (!setting) continue
    const reading = setting.read(name, text)
    if (reading.refusal !== undefined) return invalidRequest(reading.refusal)
    if (name === 'log.retention.ms' && reading.value === 0) {
      return invalidRequest(
        'requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1',
      )
    }
    if (threadSettings.has(name)) {
      const refusal = refusalOfThreads(name, Number(reading.value), Number(values[name]))
      if (refusal) return refusal
    }
  }
  return undefined
}

const groupBounds = [
  'consumer.session.timeout.ms',
  'consumer.heartbeat.interval.ms',
  'consumer.assignment.interval.ms',
  'share.session.timeout.ms',
  'share.heartbeat.interval.ms',
  'share.assignment.interval.ms',
  'share.record.lock.duration.ms',
  'share.delivery.count.limit',
  'share.partition.max.record.locks',
  'streams.session.timeout.ms',
  'streams.heartbeat.interval.ms',
  'streams.assignment.interval.ms',
  'streams.num.standby.replicas',
] as const

/** @param overrides all of the group's own settings as they would be */
export function refusalOfGroupOverrides(
  overrides: Texts,
  broker: BrokerConfig,
): Refusal | undefined {
  const refusal = refusalOfValues(groupSettings, overrides, 'group')
  if (refusal) return refusal
  const config: GroupConfig = groupConfigOf(overrides, broker)
  const bounds = broker as Readonly<Record<string, unknown>>
  for (const name of groupBounds) {
    if (!overrides.has(name)) continue
    const value = config[name]
    const [kind, ...rest] = name.split('.')
    const least = `group.${kind}.min.${rest.join('.')}`
    const most = `group.${kind}.max.${rest.join('.')}`
    if (value < Number(bounds[least] ?? Number.NEGATIVE_INFINITY)) {
      return invalidConfig(`${name} must be greater than or equal to ${least}`)
    }
    if (value > Number(bounds[most] ?? Number.POSITIVE_INFINITY)) {
      return invalidConfig(`${name} must be less than or equal to ${most}`)
    }
  }
  for (const kind of ['consumer', 'share', 'streams'] as const) {
    const interval = `${kind}.heartbeat.interval.ms` as const
    const timeout = `${kind}.session.timeout.ms` as const
    if (config[timeout] <= config[interval]) {
      return invalidConfig(`${timeout} must be greater than ${interval}`)
    }
  }
  return undefined
}

const matchKeys = new Set([
  'client_instance_id',
  'client_id',
  'client_software_name',
  'client_software_version',
  'client_source_address',
  'client_source_port',
])
const metricsInterval = { leastMs: 100, mostMs: 3_600_000 }

/**
 * @param overrides all settings of the subscription as they would be
 * @param isRegex whether clients can be chosen by an expression
 */
export function refusalOfClientMetricsOverrides(
  overrides: Texts,
  isRegex: (expression: string) => boolean,
): Refusal | undefined {
  for (const [name, text] of overrides) {
    const setting = clientMetricsSettings.find(name)
    if (!setting) return invalidRequest(`Unknown client metrics configuration: ${name}`)
    const reading = setting.read(name, text)
    if (reading.refusal !== undefined) return invalidConfig(reading.refusal)
    if (name === 'interval.ms') {
      const value = Number(reading.value)
      if (value < metricsInterval.leastMs || value > metricsInterval.mostMs) {
        return invalidRequest(
          `Invalid value ${value} for interval.ms, interval must be between 100 and 3600000 (1 hour)`,
        )
      }
    }
    if (name === 'match') {
      for (const pattern of reading.value as readonly string[]) {
        const [key = '', expression = '', ...more] = pattern.split('=')
        const isExpression = expression !== '' && more.every((part) => part === '')
        if (!isExpression || !matchKeys.has(key.trim()) || !isRegex(expression.trim())) {
          return invalidConfig(`Illegal client matching pattern: ${pattern}`)
        }
      }
    }
  }
  return undefined
}

/**
 * IncrementalAlterConfigs' append and subtract: the list as it would be.
 *
 * @param current the resource's own text, or the default's when it has none
 */
export function changeList(
  operation: 'append' | 'subtract',
  current: string | null,
  items: string,
): string {
  const split = (text: string): string[] =>
    text.trim() === '' ? [] : text.split(',').map((item) => item.trim())
  const before = split(current ?? '')
  const named = split(items)
  if (operation === 'subtract') return before.filter((item) => !named.includes(item)).join(',')
  return [...before, ...named.filter((item) => !before.includes(item))].join(',')
}
