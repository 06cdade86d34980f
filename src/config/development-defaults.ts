import type { SettingsOf } from './define-config.ts'

export type DevelopmentDefault = {
  readonly name: string
  /** Kafka 4.3's default, as text. */
  readonly kafka: string
  /** The default here; undefined where the default is Kafka's and only its effect differs. */
  readonly here?: string
  readonly why: string
}

/** Every place where a setting behaves otherwise than in Kafka when nobody sets it. The README shows this list. */
export const developmentDefaults: readonly DevelopmentDefault[] = [
  {
    name: 'listeners',
    kafka: 'PLAINTEXT://:9092',
    here: 'PLAINTEXT://127.0.0.1:9092',
    why: 'A broker without authentication is not offered to the network unless somebody says so.',
  },
  {
    name: 'node.id',
    kafka: '(required)',
    here: '1',
    why: 'One broker needs no number from a person.',
  },
  {
    name: 'group.initial.rebalance.delay.ms',
    kafka: '3000',
    here: '0',
    why: 'The delay spares rebalances when many members start together; a developer only waits for it.',
  },
  {
    name: 'offsets.topic.replication.factor',
    kafka: '3',
    why: 'At most the number of brokers, so that one broker can have committed offsets.',
  },
  {
    name: 'transaction.state.log.replication.factor',
    kafka: '3',
    why: 'At most the number of brokers.',
  },
  {
    name: 'share.coordinator.state.topic.replication.factor',
    kafka: '3',
    why: 'At most the number of brokers.',
  },
]

/** Puts the development defaults into a table of settings. */
export function withDevelopmentDefaults<Settings extends SettingsOf>(settings: Settings): Settings {
  const changed: Record<string, unknown> = { ...settings }
  for (const { name, here } of developmentDefaults) {
    const setting = settings[name]
    if (here === undefined || setting === undefined) continue
    const reading = setting.read(name, here)
    if (reading.refusal !== undefined) throw new TypeError(reading.refusal)
    changed[name] = { ...setting, default: reading.value, defaultText: reading.text }
  }
  return changed as Settings
}
