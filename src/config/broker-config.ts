import { groupCoordinatorSettings } from './broker-group-settings.ts'
import { logSettings } from './broker-log-settings.ts'
import { quorumSettings } from './broker-quorum-settings.ts'
import { quotaSettings } from './broker-quota-settings.ts'
import { securitySettings } from './broker-security-settings.ts'
import { serverSettings } from './broker-server-settings.ts'
import { tieredSettings } from './broker-tiered-settings.ts'
import { transactionSettings } from './broker-transaction-settings.ts'
import { type ConfigOf, defineConfig } from './define-config.ts'
import { withDevelopmentDefaults } from './development-defaults.ts'
import { lmqSettings } from './lmq-settings.ts'

/** Per-broker settings: Kafka 4.3's list and LMQ's own. */
export const brokerSettings = defineConfig(
  withDevelopmentDefaults({
    ...logSettings,
    ...serverSettings,
    ...groupCoordinatorSettings,
    ...transactionSettings,
    ...quotaSettings,
    ...quorumSettings,
    ...securitySettings,
    ...tieredSettings,
    ...lmqSettings,
  }),
)

/**
 * A broker's settings in force, keyed by Kafka's names. Dynamic changes show in the same object, so read a value when
 * it is needed and do not keep it. Numbers beyond 2^53-1 saturate there.
 */
export type BrokerConfig = ConfigOf<typeof brokerSettings>
export type BrokerSettingName = keyof BrokerConfig

/** Settings of which the first that is set gives the value; each is in its own unit. */
const brokerSynonyms: Readonly<Record<string, readonly string[]>> = {
  'log.roll.ms': ['log.roll.ms', 'log.roll.hours'],
  'log.roll.hours': ['log.roll.ms', 'log.roll.hours'],
  'log.roll.jitter.ms': ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
  'log.roll.jitter.hours': ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
  'log.flush.interval.ms': ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'],
  'log.flush.scheduler.interval.ms': ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'],
  'log.retention.ms': ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
  'log.retention.minutes': ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
  'log.retention.hours': ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
}

const listenerPrefix = /^listener\.name\.[^.]+\.(.+)$/

/** The names under which a broker setting may be given, strongest first. */
export function synonymsOf(name: string): readonly string[] {
  const plain = listenerPrefix.exec(name)?.[1]
  return plain === undefined ? (brokerSynonyms[name] ?? [name]) : [name, plain]
}

/** `listener.name.<listener>.<setting>` gives a setting for one listener; this is the setting. */
export const withoutListenerPrefix = (name: string): string =>
  listenerPrefix.exec(name)?.[1] ?? name

/** A broker's settings with the given texts. For tests and tools. @throws {TypeError} when a text is refused */
export function brokerConfigOf(texts: Readonly<Record<string, string>> = {}): BrokerConfig {
  const config: Record<string, unknown> = {}
  for (const name of brokerSettings.names) config[name] = brokerSettings.get(name).default
  for (const [name, text] of Object.entries(texts)) {
    const reading = brokerSettings.get(name).read(name, text)
    if (reading.refusal !== undefined) throw new TypeError(reading.refusal)
    config[name] = reading.value
  }
  return config as BrokerConfig
}
