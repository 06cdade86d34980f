import { LmqError } from '../base/errors.ts'
import { type Environment, settingsOfEnvironment } from './environment.ts'
import { type Endpoint, parseEndpoint } from './listeners.ts'
import { type LoadedSettings, loadSettings } from './load-settings.ts'
import { parseProperties } from './properties-file.ts'

/** What `lmq start` and `startBroker` take besides settings by name. */
export type StartFlags = {
  /** Address to listen on. */
  readonly host?: string | undefined
  /** Port to listen on; 0: a free one. */
  readonly port?: number | undefined
  /** Folder of the data. */
  readonly dataDir?: string | undefined
  readonly ephemeral?: boolean | undefined
  /** 0: a free one; -1: no HTTP. */
  readonly httpPort?: number | undefined
  readonly brokerId?: number | undefined
  readonly logJson?: boolean | undefined
  readonly logLevel?: string | undefined
}

/** Everything a start may be told. */
export type StartOptions = StartFlags & {
  /** Settings by name: go before everything else. */
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** A server.properties file. */
  readonly configFile?: string | undefined
  /** KAFKA_* and LMQ_* variables. Nothing is read from the process's own environment unless it is given here. */
  readonly env?: Environment | undefined
  /** Folder of the data when nothing else names one; without it the data is temporary. */
  readonly defaultDataDir?: string | undefined
  /** Port of the listener when nothing says where to listen; undefined: Kafka's 9092. */
  readonly defaultPort?: number | undefined
  /** The machine's name, for listeners that are open on every address. */
  readonly hostName?: string | undefined
  /** There are other brokers: the defaults of a cluster hold. */
  readonly inCluster?: boolean | undefined
}

type Weaker = {
  readonly file?: { readonly path: string; readonly text: string } | undefined
  readonly environment?: Environment | undefined
}

/**
 * The settings that flags stand for. `--port` alone keeps the host, and `--host` alone the port, of a single listener
 * that file or environment give.
 *
 * @param weaker what the flags go before
 */
export function settingsOfFlags(flags: StartFlags, weaker: Weaker = {}): Map<string, string> {
  const texts = new Map<string, string>()
  const put = (name: string, value: string | number | boolean | undefined): void => {
    if (value !== undefined) texts.set(name, String(value))
  }
  if (flags.host !== undefined || flags.port !== undefined) {
    for (const [name, value] of listenersOfFlags(flags, weaker)) texts.set(name, value)
  }
  put('log.dirs', flags.dataDir)
  put('lmq.ephemeral', flags.ephemeral)
  put('lmq.http.port', flags.httpPort)
  put('node.id', flags.brokerId)
  if (flags.logJson !== undefined) put('lmq.log.format', flags.logJson ? 'json' : 'text')
  put('lmq.log.level', flags.logLevel)
  return texts
}

/**
 * All settings of a start.
 *
 * @param readText reads a file. What it throws is told as LMQ_CONFIG_INVALID with the file's name
 * @throws LMQ_CONFIG_INVALID, LMQ_CONFIG_UNKNOWN
 */
export function loadStartOptions(
  options: StartOptions,
  readText: (path: string) => string,
): LoadedSettings {
  const {
    configFile,
    env: environment,
    settings = {},
    defaultDataDir,
    hostName,
    inCluster,
  } = options
  const file = configFile === undefined ? undefined : readConfigFile(configFile, readText)
  const weaker = { file, environment }
  const isPlaced = 'listeners' in settings || weakerSettings(weaker).has('listeners')
  const port = options.port ?? (isPlaced ? undefined : options.defaultPort)
  return loadSettings({
    file,
    environment,
    flags: settingsOfFlags({ ...options, port }, weaker),
    set: new Map(Object.entries(settings)),
    defaultDataDir,
    hostName,
    inCluster,
  })
}

function readConfigFile(path: string, readText: (path: string) => string) {
  try {
    return { path, text: readText(path) }
  } catch (error) {
    if (error instanceof LmqError) throw error
    throw new LmqError('LMQ_CONFIG_INVALID', { file: path, reason: 'cannot be read' }, error)
  }
}

/** What file and environment say, where the environment goes first. */
function weakerSettings({ file, environment }: Weaker): Map<string, string> {
  const texts = file ? parseProperties(file.text) : new Map<string, string>()
  for (const { name, value } of settingsOfEnvironment(environment ?? {}).settings) {
    texts.set(name, value)
  }
  return texts
}

const endpointsOf = (key: string, text: string | undefined): Endpoint[] =>
  (text ?? '')
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => parseEndpoint(key, part))

const endpointText = (name: string, host: string, port: number): string =>
  `${name}://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`

/**
 * Puts host and port into the one listener that is for clients; listeners of KRaft controllers stay as they are. What
 * clients are told follows the port when it was the listener's own.
 */
function listenersOfFlags({ host, port }: StartFlags, weaker: Weaker): Map<string, string> {
  const given = weakerSettings(weaker)
  const controllers = new Set(
    (given.get('controller.listener.names') ?? '').split(',').map((n) => n.trim().toUpperCase()),
  )
  const all = endpointsOf('listeners', given.get('listeners'))
  const [own, another] = all.filter(({ name }) => !controllers.has(name))
  if (another) {
    const value = given.get('listeners') ?? ''
    const reason = 'a host or port flag does not tell which of several listeners is meant'
    throw new LmqError('LMQ_CONFIG_INVALID', { key: 'listeners', value, reason })
  }
  const name = own?.name ?? 'PLAINTEXT'
  const changed = endpointText(name, host ?? own?.host ?? '127.0.0.1', port ?? own?.port ?? 9092)
  const rest = all.filter((each) => each !== own).map(({ text }) => text)
  const texts = new Map([['listeners', [changed, ...rest].join(',')]])
  const told = endpointsOf('advertised.listeners', given.get('advertised.listeners'))
  if (port !== undefined && told.some((each) => each.name === name && each.port === own?.port)) {
    const moved = told.map((each) =>
      each.name === name ? endpointText(name, each.host, port) : each.text,
    )
    texts.set('advertised.listeners', moved.join(','))
  }
  return texts
}
