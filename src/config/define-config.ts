import { assert } from '../base/assert.ts'
import type { Setting } from './setting.ts'

/** All settings of one scope (a topic, a broker, a group ...), by Kafka's own names. */
export type ConfigTable<Settings extends SettingsOf = SettingsOf> = {
  readonly settings: Settings
  readonly names: readonly string[]
  find(name: string): Setting | undefined
  /** The setting of a name that the program itself wrote. @throws {AssertionError} when there is none */
  get(name: string): Setting
}

export type SettingsOf = Readonly<Record<string, Setting>>

type ValueOf<One> = One extends Setting<infer Value> ? Value : never

/** The typed values of a table, keyed by Kafka's names: `config['retention.ms']` is a number. */
export type ConfigOf<T> =
  T extends ConfigTable<infer Settings>
    ? { readonly [Name in keyof Settings]: ValueOf<Settings[Name]> }
    : never

export function defineConfig<const Settings extends SettingsOf>(
  settings: Settings,
): ConfigTable<Settings> {
  const known = new Map<string, Setting>(Object.entries(settings))
  return {
    settings,
    names: [...known.keys()],
    find: (name) => known.get(name),
    get(name) {
      const setting = known.get(name)
      assert(setting, `no setting is named ${name}`)
      return setting
    },
  }
}
