/**
 * From the settings of listeners to what is opened and what clients are told. Everything that would leave clients
 * without a way in is refused here, before a port is opened.
 */
import { LmqError } from '../base/errors.ts'
import type { BrokerConfig } from './broker-config.ts'

export type ListenerPlan = {
  /** In capitals: PLAINTEXT, INTERNAL ... */
  readonly name: string
  readonly securityProtocol: string
  /** Where to listen; undefined is every address of the machine. IPv6 without brackets. */
  readonly host: string | undefined
  /** 0: any free port. */
  readonly port: number
  /** What clients are told. */
  readonly advertisedHost: string
  /** Undefined: the port really bound. */
  readonly advertisedPort: number | undefined
}

export type ListenersPlan = {
  readonly listeners: readonly ListenerPlan[]
  /** The listener over which brokers talk to one another. */
  readonly interBrokerListener: string
  /** Sentences for the operator. */
  readonly warnings: readonly string[]
}

/** One `NAME://host:port`. */
export type Endpoint = { name: string; host: string; port: number; text: string }

/** The only security protocol that is served now. */
const servedProtocol = 'PLAINTEXT'
const wildcards = new Set(['', '0.0.0.0', '::', '0:0:0:0:0:0:0:0'])

function refuse(key: string, value: string, reason: string): LmqError {
  return new LmqError('LMQ_CONFIG_INVALID', { key, value, reason })
}

/** `NAME://host:port`; the host may be empty or an IPv6 address in brackets. @throws LMQ_CONFIG_INVALID */
export function parseEndpoint(key: string, text: string): Endpoint {
  const match =
    /^([A-Za-z0-9_.-]+):\/\/(?:\[([0-9A-Fa-f:.%a-z]*)\]|([^:[\]/\s]*)):(-?\d{1,6})$/.exec(
      text.trim(),
    )
  if (!match) {
    throw refuse(key, text, 'write NAME://host:port, with an IPv6 address in brackets')
  }
  const port = Number(match[4])
  if (port < 0 || port > 65_535) throw refuse(key, text, 'a port is a number from 0 to 65535')
  return {
    name: (match[1] ?? '').toUpperCase(),
    host: match[2] ?? match[3] ?? '',
    port,
    text: text.trim(),
  }
}

/** `NAME:PROTOCOL` pairs. A listener named like a protocol needs no entry. */
function protocolsOf(config: BrokerConfig): Map<string, string> {
  const key = 'listener.security.protocol.map'
  const protocols = new Map(
    ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'].map((name) => [name, name]),
  )
  for (const pair of config[key].split(',')) {
    if (pair.trim() === '') continue
    const [name = '', protocol = '', ...more] = pair.split(':').map((part) => part.trim())
    if (name === '' || more.length > 0 || !protocols.has(protocol.toUpperCase())) {
      const known = 'PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL'
      throw refuse(key, pair, `write NAME:PROTOCOL pairs, with a protocol of ${known}`)
    }
    protocols.set(name.toUpperCase(), protocol.toUpperCase())
  }
  return protocols
}

function checkDistinct(endpoints: readonly Endpoint[], key: string): void {
  const names = new Set<string>()
  const ports = new Map<number, Endpoint>()
  for (const endpoint of endpoints) {
    if (names.has(endpoint.name)) {
      throw refuse(key, endpoint.text, `each listener needs a name of its own: ${endpoint.name}`)
    }
    names.add(endpoint.name)
    const other = ports.get(endpoint.port)
    if (key === 'listeners' && endpoint.port !== 0 && other && overlap(other, endpoint)) {
      throw refuse(key, endpoint.text, `port ${endpoint.port} is that of ${other.text}, too`)
    }
    ports.set(endpoint.port, endpoint)
  }
}

/** Two listeners on one port go together when they are on different addresses. */
const overlap = (one: Endpoint, other: Endpoint): boolean =>
  one.host === other.host || wildcards.has(one.host) || wildcards.has(other.host)

function openedEndpoints(config: BrokerConfig): Endpoint[] {
  const endpoints = config.listeners.map((text) => parseEndpoint('listeners', text))
  checkDistinct(endpoints, 'listeners')
  const controllers = new Set(
    (config['controller.listener.names'] ?? []).map((name) => name.toUpperCase()),
  )
  const opened = endpoints.filter(({ name }) => !controllers.has(name))
  if (opened.length === 0) {
    const value = config.listeners.join(',')
    throw refuse('listeners', value, 'clients need a listener that controllers do not take')
  }
  const protocols = protocolsOf(config)
  for (const { name, text } of opened) {
    const protocol = protocols.get(name)
    if (protocol === undefined) {
      const hint = `add ${name}:PLAINTEXT to listener.security.protocol.map`
      throw refuse('listeners', text, `${name} has no security protocol: ${hint}`)
    }
    if (protocol !== servedProtocol) {
      const hint = `${protocol} is not served yet, only ${servedProtocol} is`
      throw refuse('listeners', text, hint)
    }
  }
  return opened
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)

function advertisedEndpoints(
  config: BrokerConfig,
  opened: readonly Endpoint[],
): Map<string, Endpoint> {
  const key = 'advertised.listeners'
  const endpoints = (config[key] ?? []).map((text) => parseEndpoint(key, text))
  checkDistinct(endpoints, key)
  const names = new Set(opened.map(({ name }) => name))
  const controllers = new Set(
    (config['controller.listener.names'] ?? []).map((n) => n.toUpperCase()),
  )
  const advertised = new Map<string, Endpoint>()
  for (const endpoint of endpoints) {
    if (controllers.has(endpoint.name)) continue
    if (!names.has(endpoint.name)) {
      const known = [...names].join(', ')
      throw refuse(key, endpoint.text, `there is no listener ${endpoint.name}, only ${known}`)
    }
    if (wildcards.has(endpoint.host)) {
      const hint = 'clients cannot connect to it: give a host name or address that they can reach'
      throw refuse(key, endpoint.text, `${endpoint.host || 'an empty host'} is no address: ${hint}`)
    }
    const listener = opened.find(({ name }) => name === endpoint.name)
    if (endpoint.port === 0 && listener?.port !== 0) {
      throw refuse(key, endpoint.text, 'clients cannot connect to port 0: give the port to use')
    }
    advertised.set(endpoint.name, endpoint)
  }
  return advertised
}

/**
 * @param hostName the machine's name, told to clients of a listener that is open on every address when
 *   advertised.listeners says nothing of it
 * @throws LMQ_CONFIG_INVALID with key, value and reason
 */
export function planListeners(config: BrokerConfig, hostName: string): ListenersPlan {
  const opened = openedEndpoints(config)
  const advertised = advertisedEndpoints(config, opened)
  const warnings: string[] = []
  const listeners = opened.map(({ name, host, port, text }): ListenerPlan => {
    const isWildcard = wildcards.has(host)
    const told = advertised.get(name)
    if (!told && isWildcard) {
      warnings.push(
        `${text} listens on every address and advertised.listeners says nothing of ${name}: clients are told ${hostName}; set advertised.listeners if they cannot reach that name`,
      )
    }
    if (told && isLoopback(host) && !isLoopback(told.host)) {
      warnings.push(
        `clients are told ${told.text}, but ${text} listens on this machine's loopback address only: nobody else can reach it; let listeners name an address of the network, or 0.0.0.0`,
      )
    }
    return {
      name,
      securityProtocol: servedProtocol,
      host: host === '' ? undefined : host,
      port,
      advertisedHost: told?.host ?? (isWildcard ? hostName : host),
      advertisedPort: (told?.port ?? port) || undefined,
    }
  })
  return { listeners, interBrokerListener: interBrokerListener(config, listeners), warnings }
}

function interBrokerListener(config: BrokerConfig, listeners: readonly ListenerPlan[]): string {
  const key = 'inter.broker.listener.name'
  const wanted = config[key]?.toUpperCase()
  if (wanted === undefined) {
    const protocol = config['security.inter.broker.protocol']
    const named = listeners.find(({ name }) => name === protocol)
    const [first] = listeners
    return (named ?? first)?.name ?? servedProtocol
  }
  if (!listeners.some(({ name }) => name === wanted)) {
    const known = listeners.map(({ name }) => name).join(', ')
    throw refuse(key, wanted, `there is no such listener, only ${known}`)
  }
  return wanted
}

/** `host:port`, with brackets around an IPv6 address. */
export const addressText = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
