/**
 * A running broker's settings: what was given at start, what was changed since by clients, and the values in force.
 * Owns the one `BrokerConfig` object of the broker; reads no file and no environment.
 */
import { assert } from '../base/assert.ts'
import { type BrokerConfig, brokerSettings, withoutListenerPrefix } from './broker-config.ts'

export type Texts = ReadonlyMap<string, string>

/** Settings that act for a listener when they are given for one. */
export type ListenerSettingName = 'max.connections' | 'max.connection.creation.rate'

export class BrokerSettings {
  /** The values in force. The same object for the broker's whole life; dynamic changes show in it. */
  readonly config: BrokerConfig
  /** What was given at start, by name, as it was written; names that are not known included. */
  readonly static: Texts
  #dynamicBroker: Texts = new Map()
  #dynamicDefault: Texts = new Map()
  readonly #values: Record<string, unknown> = {}
  readonly #listeners = new Set<(changed: ReadonlySet<string>) => void>()

  /** @param texts known settings must be readable: `loadSettings` has looked at them */
  constructor(texts: Texts) {
    this.static = new Map(texts)
    this.config = this.#values as BrokerConfig
    this.#recompute()
  }

  /** Changes made by clients for this broker. */
  get dynamicBroker(): Texts {
    return this.#dynamicBroker
  }

  /** Changes made by clients for all brokers. */
  get dynamicDefault(): Texts {
    return this.#dynamicDefault
  }

  /**
   * Puts clients' changes in force. Each map replaces the one before it. Values were accepted earlier by
   * `refusalOfBrokerChange`; one that can no longer be read is passed over.
   *
   * @returns the names whose value in force changed
   */
  setDynamic(change: { broker?: Texts; clusterDefault?: Texts }): ReadonlySet<string> {
    if (change.broker) this.#dynamicBroker = new Map(change.broker)
    if (change.clusterDefault) this.#dynamicDefault = new Map(change.clusterDefault)
    const changed = this.#recompute()
    if (changed.size > 0) for (const listener of this.#listeners) listener(changed)
    return changed
  }

  /** Calls `listener` after every dynamic change with the names that changed. @returns how to stop that */
  onChange(listener: (changed: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Whether anybody gave a value, at start or since. */
  isSet(name: string): boolean {
    return this.static.has(name) || this.#dynamicBroker.has(name) || this.#dynamicDefault.has(name)
  }

  /** A number that was given for one listener: `listener.name.<listener>.<setting>`. Undefined when nobody did. */
  ofListener(listenerName: string, setting: ListenerSettingName): number | undefined {
    const name = `listener.name.${listenerName.toLowerCase()}.${setting}`
    for (const texts of [this.#dynamicBroker, this.#dynamicDefault, this.static]) {
      const text = texts.get(name)
      const reading = text === undefined ? undefined : brokerSettings.get(setting).read(name, text)
      if (reading && reading.refusal === undefined) return Number(reading.value)
    }
    return undefined
  }

  #recompute(): Set<string> {
    const changed = new Set<string>()
    for (const name of brokerSettings.names) {
      const before = this.#values[name]
      const after = this.#valueOf(name)
      if (!same(before, after)) changed.add(name)
      this.#values[name] = after
    }
    return changed
  }

  #valueOf(name: string): unknown {
    const setting = brokerSettings.get(name)
    for (const texts of [this.#dynamicBroker, this.#dynamicDefault]) {
      const text = texts.get(name)
      const reading = text === undefined ? undefined : setting.read(name, text)
      if (reading && reading.refusal === undefined) return reading.value
    }
    const text = this.static.get(name)
    if (text === undefined) return setting.default
    const reading = setting.read(name, text)
    assert(reading.refusal === undefined, `${name} was accepted before it was understood`)
    return reading.value
  }
}

function same(before: unknown, after: unknown): boolean {
  if (!Array.isArray(before) || !Array.isArray(after)) return Object.is(before, after)
  return before.length === after.length && before.every((item, at) => item === after[at])
}

/** Whether a name is a setting of brokers, by itself or for one listener. */
export const isBrokerSetting = (name: string): boolean =>
  brokerSettings.find(withoutListenerPrefix(name)) !== undefined
