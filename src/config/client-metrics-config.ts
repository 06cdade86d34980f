import { type ConfigOf, defineConfig } from './define-config.ts'
import { duration, list } from './setting.ts'

/** Settings of one client-metrics subscription (KIP-714): Kafka 4.3's list. */
export const clientMetricsSettings = defineConfig({
  'interval.ms': duration({
    type: 'int',
    default: 300_000,
    used: false,
    about: "Time between two pushes of a client's metrics.",
  }),
  match: list({
    default: [],
    used: false,
    about: 'Clients of this subscription: key=regular expression pairs. Empty: all clients.',
  }),
  metrics: list({
    default: [],
    used: false,
    about: 'Prefixes of the metrics to push. Empty: none, *: all.',
  }),
})

export type ClientMetricsConfig = ConfigOf<typeof clientMetricsSettings>
