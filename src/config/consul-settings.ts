import { bool, duration, list, password, string } from './setting.ts'

/** The text of one Consul agent's address, read; undefined when it is none. */
export type ConsulAddressText = {
  readonly host: string
  readonly port: number
  readonly secure: boolean
}

/** `host:port`, `http://host:port` or `https://host:port`; without a port 8500, with https 8501. */
export function parseConsulAddress(text: string): ConsulAddressText | undefined {
  const found = /^(?:(https?):\/\/)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?\/?$/.exec(
    text,
  )
  if (!found) return undefined
  const secure = found[1] === 'https'
  const port = found[3] === undefined ? (secure ? 8501 : 8500) : Number(found[3])
  if (port < 1 || port > 65_535) return undefined
  return { host: (found[2] as string).replace(/^\[|\]$/g, ''), port, secure }
}

const checkAddresses = (items: readonly string[]): string | undefined => {
  const wrong = items.find((item) => !parseConsulAddress(item))
  return wrong === undefined ? undefined : `is no host:port or http(s)://host:port: ${wrong}`
}

/** What a broker needs before it can read the metadata log in Consul; so it comes from its file and environment only. */
export const consulSettings = {
  'lmq.bootstrap.consul': list({
    default: [],
    check: checkAddresses,
    about:
      'Addresses of Consul agents that lmq commands ask for the brokers, as --bootstrap-consul or in the variable LMQ_BOOTSTRAP_CONSUL.',
  }),
  'lmq.consul.address': list({
    default: [],
    check: checkAddresses,
    about:
      'Addresses of Consul agents, host:port or https://host:port, tried in turn. Set: this broker is a member of the cluster whose metadata is there.',
  }),
  'lmq.consul.prefix': string({
    default: 'lmq',
    check: (text) =>
      /^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/.test(text) && text.length <= 200
        ? undefined
        : 'A prefix is words of letters, digits, - or _ with / between them',
    about: 'What all keys in Consul begin with; the id of the cluster follows.',
  }),
  'lmq.consul.request.timeout.ms': duration({
    type: 'int',
    default: 1_500,
    min: 100,
    max: 60_000,
    about: 'Time after which a call to Consul is given up and the next address is tried.',
  }),
  'lmq.consul.service.name': string({
    default: 'lmq',
    check: (text) =>
      /^[A-Za-z0-9-]{1,63}$/.test(text) ? undefined : 'A name is 1 to 63 letters, digits or -',
    about: 'Service as whose instances the brokers stand in the catalogue of Consul.',
  }),
  'lmq.consul.session.ttl.ms': duration({
    type: 'int',
    default: 10_000,
    min: 500,
    max: 86_400_000,
    about:
      'Consul takes the lead from a controller that is gone after twice this time, unless the brokers noticed before. Below 10 s only where session_ttl_min of Consul allows it.',
  }),
  'lmq.consul.start.timeout.ms': duration({
    type: 'int',
    default: 60_000,
    min: 0,
    about: 'How long a starting broker waits for a Consul that does not answer.',
  }),
  'lmq.consul.tls.ca': string({
    default: null,
    about: 'PEM file of the authorities whose certificates Consul may have. Unset: the usual ones.',
  }),
  'lmq.consul.tls.cert': string({
    default: null,
    about: 'PEM file of the certificate that this broker shows to Consul.',
  }),
  'lmq.consul.tls.key': string({
    default: null,
    about: 'PEM file of the private key of that certificate.',
  }),
  'lmq.consul.tls.verify': bool({
    default: true,
    about: 'Whether the certificate of Consul must be right. false is for tests.',
  }),
  'lmq.consul.token': password({
    default: null,
    about:
      'ACL token for Consul: write for the keys below the prefix, for sessions and for the service, read for nodes and agents.',
  }),
} as const
