/**
 * Gathers a broker's settings from defaults, a server.properties file, the environment and the command line, the later
 * before the earlier, and sorts every name into: used; known but without meaning here; unknown. Reads no file itself.
 */
import { LmqError } from '../base/errors.ts'
import { type BrokerConfig, brokerSettings, withoutListenerPrefix } from './broker-config.ts'
import { BrokerSettings } from './broker-settings.ts'
import { clusterDefaults } from './cluster-defaults.ts'
import { type Environment, settingsOfEnvironment } from './environment.ts'
import { type ListenersPlan, planListeners } from './listeners.ts'
import { nearestName } from './nearest-name.ts'
import { parseProperties } from './properties-file.ts'
import { isRetiredSetting } from './retired-settings.ts'

export type SettingSources = {
  /** A server.properties file that was read. */
  readonly file?: { readonly path: string; readonly text: string } | undefined
  readonly environment?: Environment | undefined
  /** Flags that stand for settings. They go before file and environment. */
  readonly flags?: ReadonlyMap<string, string> | undefined
  /** `--set` and an embedder's `settings`: go before everything. A name that is not known is an error. */
  readonly set?: ReadonlyMap<string, string> | undefined
  /** Folder of the data when nothing else names one. */
  readonly defaultDataDir?: string | undefined
  /** The machine's name, for listeners that are open on every address. */
  readonly hostName?: string | undefined
  /** There are other brokers, also where no setting says so. */
  readonly inCluster?: boolean | undefined
}

export type LoadedSettings = {
  readonly settings: BrokerSettings
  /** The same as `settings.config`. */
  readonly config: BrokerConfig
  readonly listenersPlan: ListenersPlan
  /** Folders of the data; none: a temporary folder, removed when the broker stops. */
  readonly dataDirs: readonly string[]
  /** What the operator should know, one sentence each. */
  readonly warnings: readonly string[]
}

type Given = { name: string; value: string; source: string; isExplicit: boolean }
type Problem = { key: string; value: string; source: string; reason: string; nearest?: string }

/** @throws LMQ_CONFIG_INVALID, LMQ_CONFIG_UNKNOWN with key, value, where it stands, why, and the nearest valid name */
export function loadSettings(sources: SettingSources): LoadedSettings {
  const { given, scripts } = gather(sources)
  const texts = new Map<string, string>()
  const withoutMeaning = new Set<string>(scripts)
  const unknown = new Set<string>()
  const problems: Problem[] = []
  for (const entry of given) {
    const sorted = sort(entry)
    if (typeof sorted === 'object') {
      problems.push(sorted)
      continue
    }
    if (sorted === 'without meaning') withoutMeaning.add(entry.name)
    if (sorted === 'unknown') unknown.add(entry.name)
    if (keeps(entry)) texts.set(entry.name, entry.value)
  }
  refuse(problems)
  settleBrokerId(texts)
  const namesNoFolder = !texts.has('log.dirs') && !texts.has('log.dir')
  if (namesNoFolder && sources.defaultDataDir) texts.set('log.dirs', sources.defaultDataDir)
  if (sources.inCluster || texts.has('lmq.consul.address')) {
    for (const { name, value } of clusterDefaults) if (!texts.has(name)) texts.set(name, value)
  }
  const settings = new BrokerSettings(texts)
  checkTogether(settings.config)
  const listenersPlan = planListeners(settings.config, sources.hostName ?? 'localhost')
  checkProtection(settings.config)
  const warnings = [...listenersPlan.warnings]
  const protective = [...withoutMeaning, ...unknown].filter(isProtective).sort()
  if (protective.length > 0) {
    for (const name of protective) {
      withoutMeaning.delete(name)
      unknown.delete(name)
    }
    warnings.unshift(
      `these settings protect nothing here, every listener is PLAINTEXT and whoever reaches it may do everything: ${protective.join(', ')}`,
    )
  }
  if (withoutMeaning.size > 0) {
    const names = [...withoutMeaning].sort().join(', ')
    warnings.unshift(`known to Kafka but without meaning here, passed over: ${names}`)
  }
  if (unknown.size > 0) {
    warnings.unshift(`unknown settings, passed over: ${[...unknown].sort().join(', ')}`)
  }
  const { config } = settings
  return { settings, config, listenersPlan, warnings, dataDirs: dataDirsOf(config) }
}

function dataDirsOf(config: BrokerConfig): readonly string[] {
  if (config['lmq.ephemeral']) return []
  return config['log.dirs'] ?? config['log.dir'] ?? []
}

/** Every setting once, with its strongest value. */
function gather(sources: SettingSources): { given: Iterable<Given>; scripts: string[] } {
  const given = new Map<string, Given>()
  const put = (name: string, value: string, source: string, isExplicit: boolean): void => {
    // One number under two names: the one given last is meant.
    if (isExplicit && name === 'node.id') given.delete('broker.id')
    if (isExplicit && name === 'broker.id') given.delete('node.id')
    given.set(name, { name, value, source, isExplicit })
  }
  if (sources.file) {
    const { path } = sources.file
    for (const [name, value] of readFile(sources.file)) put(name, value, path, false)
  }
  const { settings, scripts } = settingsOfEnvironment(sources.environment ?? {})
  for (const { name, value, variable } of settings) put(name, value, variable, false)
  for (const [name, value] of sources.flags ?? []) put(name, value, 'the command line', true)
  for (const [name, value] of sources.set ?? []) put(name, value, 'set', true)
  return { given: given.values(), scripts }
}

function readFile(file: { path: string; text: string }): Map<string, string> {
  try {
    return parseProperties(file.text)
  } catch (error) {
    throw new LmqError('LMQ_CONFIG_INVALID', { file: file.path }, error)
  }
}

/** How far a name may be from a known one to be taken for a slip of the pen. */
const slipOf = (name: string): number => (name.length < 8 ? 1 : 2)

function sort(given: Given): 'used' | 'without meaning' | 'unknown' | Problem {
  const { name, value, source } = given
  const setting = brokerSettings.find(withoutListenerPrefix(name))
  if (setting) {
    const { refusal } = setting.read(name, value)
    if (!setting.used) return 'without meaning'
    if (refusal === undefined) return 'used'
    const shown = setting.type === 'password' ? '(hidden)' : value
    return { key: name, value: shown, source, reason: refusal }
  }
  if (isRetiredSetting(name)) return 'without meaning'
  // A variable LMQ_X may be anybody's; lmq.x in a file, and KAFKA_LMQ_X, can only be meant for this program.
  const isStrict = given.isExplicit || (name.startsWith('lmq.') && !given.source.startsWith('LMQ_'))
  const nearest = nearestName(
    name,
    brokerSettings.names,
    isStrict ? Math.min(8, name.length >> 1) : slipOf(name),
  )
  if (!isStrict && nearest === undefined) return 'unknown'
  const hint = nearest === undefined ? {} : { nearest }
  const isSecret = /password|secret|jaas/.test(`${name} ${nearest ?? ''}`)
  const shown = isSecret ? '(hidden)' : value
  return { key: name, value: shown, source, reason: 'there is no such setting', ...hint }
}

/** A value that cannot be read is not kept: the default stands, and DescribeConfigs shows that. */
function keeps({ name, value }: Given): boolean {
  const setting = brokerSettings.find(withoutListenerPrefix(name))
  return setting === undefined || setting.read(name, value).refusal === undefined
}

function refuse(problems: readonly Problem[]): void {
  const [first, ...others] = problems
  if (!first) return
  const unknown = first.reason === 'there is no such setting'
  const also = others.map(({ key, value, nearest }) => {
    const hint = nearest === undefined ? '' : ` (nearest: ${nearest})`
    return `${key}=${value}${hint}`
  })
  throw new LmqError(unknown ? 'LMQ_CONFIG_UNKNOWN' : 'LMQ_CONFIG_INVALID', {
    ...first,
    ...(also.length > 0 ? { also } : {}),
  })
}

/** node.id and broker.id are one number under two names; -1 is none. */
function settleBrokerId(texts: Map<string, string>): void {
  const older = texts.get('broker.id')?.trim()
  const newer = texts.get('node.id')?.trim()
  const isGiven = older !== undefined && older !== '-1'
  if (isGiven && newer !== undefined && Number(older) !== Number(newer)) {
    const reason = `node.id is ${newer}: both must be the same, or only one set`
    throw new LmqError('LMQ_CONFIG_INVALID', { key: 'broker.id', value: older, reason })
  }
  const id = newer ?? (isGiven ? older : undefined)
  if (id === undefined) return
  const { refusal } = brokerSettings.get('node.id').read('node.id', id)
  if (refusal !== undefined) {
    throw new LmqError('LMQ_CONFIG_INVALID', { key: 'broker.id', value: id, reason: refusal })
  }
  texts.set('node.id', id)
  texts.set('broker.id', id)
}

/** Names that make a reader of the settings believe that clients are authenticated, encrypted or limited. */
const isProtective = (name: string): boolean =>
  /(^|\.)(sasl|ssl|delegation\.token)\./.test(name) ||
  name === 'super.users' ||
  name === 'allow.everyone.if.no.acl.found'

/** Classes that say no to clients. Others, such as reporters of metrics, are passed over with a warning. */
const gateClasses = [
  'alter.config.policy.class.name',
  'client.quota.callback.class',
  'create.topic.policy.class.name',
] as const

/** What an operator relies on to keep others out is never passed over: without it nothing starts. */
function checkProtection(config: BrokerConfig): void {
  const refuse = (key: string, value: string, reason: string): LmqError =>
    new LmqError('LMQ_CONFIG_INVALID', { key, value, reason })
  const authorizer = config['authorizer.class.name'].trim()
  if (authorizer !== '') {
    const reason =
      'authorization (ACLs) is not served yet, everybody could do everything: take the line out to start without'
    throw refuse('authorizer.class.name', authorizer, reason)
  }
  for (const key of gateClasses) {
    const value = config[key]?.trim()
    if (!value) continue
    const reason =
      'Java classes cannot be loaded here, so nothing would be refused or limited by it: take the line out to start without'
    throw refuse(key, value, reason)
  }
  const protocol = config['security.inter.broker.protocol']
  if (protocol !== 'PLAINTEXT') {
    const reason = `${protocol} is not served yet, only PLAINTEXT is`
    throw refuse('security.inter.broker.protocol', protocol, reason)
  }
}

const leastDedupeBytesPerThread = 1024 * 1024

/** What no single setting can be refused for. */
function checkTogether(config: BrokerConfig): void {
  const invalid = (key: keyof BrokerConfig, reason: string): LmqError =>
    new LmqError('LMQ_CONFIG_INVALID', { key, value: String(config[key]), reason })
  for (const key of ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'] as const) {
    if (config[key] === 0) throw invalid(key, 'write -1 for no limit, or 1 and more')
  }
  const queued = config['queued.max.request.bytes']
  if (queued > 0 && queued < config['socket.request.max.bytes']) {
    throw invalid('queued.max.request.bytes', 'it must hold at least socket.request.max.bytes')
  }
  const dedupe = config['log.cleaner.dedupe.buffer.size']
  if (dedupe / Math.max(1, config['log.cleaner.threads']) <= leastDedupeBytesPerThread) {
    throw invalid('log.cleaner.dedupe.buffer.size', 'it must be above 1 MiB for each thread')
  }
  if (config['group.min.session.timeout.ms'] > config['group.max.session.timeout.ms']) {
    throw invalid('group.min.session.timeout.ms', 'it is above group.max.session.timeout.ms')
  }
  const roles = config['process.roles']
  if (roles && !roles.includes('broker')) {
    throw invalid('process.roles', 'a process without the role broker serves no client here')
  }
  const { refusal } = checkConnectionOverrides(config['max.connections.per.ip.overrides'])
  if (refusal !== undefined) throw invalid('max.connections.per.ip.overrides', refusal)
}

function checkConnectionOverrides(text: string): { refusal?: string } {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '')
  const wrong = pairs.find((pair) => !/^\s*.+:\s*\d{1,10}\s*$/.test(pair))
  return wrong === undefined ? {} : { refusal: `write address:number, not ${wrong.trim()}` }
}
