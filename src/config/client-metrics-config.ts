import { type ConfigOf, defineConfig } from './define-config.ts'
import { duration, list } from './setting.ts'

/** Settings of one client-metrics subscription (KIP-714): Kafka 4.3's list. */
export const clientMetricsSettings = defineConfig({
  'interval.ms': duration({
    type: 'int',
    default: 300_000,
    about: "Time between two pushes of a client's metrics.",
  }),
  match: list({
    default: [],
    about: 'Clients of this subscription: key=regular expression pairs. Empty: all clients.',
  }),
  metrics: list({
    default: [],
    about: 'Prefixes of the metrics to push. Empty: none, *: all.',
  }),
})

export type ClientMetricsConfig = ConfigOf<typeof clientMetricsSettings>

/** The subscription with these settings; what cannot be read counts as not set. */
export function clientMetricsConfigOf(overrides: ReadonlyMap<string, string>): ClientMetricsConfig {
  const config: Record<string, unknown> = {}
  for (const name of clientMetricsSettings.names) {
    const setting = clientMetricsSettings.get(name)
    const given = overrides.get(name)
    const reading = given === undefined ? undefined : setting.read(name, given)
    config[name] = reading && reading.refusal === undefined ? reading.value : setting.default
  }
  return config as ClientMetricsConfig
}
