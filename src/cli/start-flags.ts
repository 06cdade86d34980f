/** The flags of `lmq start`, in one table: read without a library when a broker starts, shown by commander's help. */
import { parseArgs } from 'node:util'
import type { StartOptions } from '../config/start-options.ts'
import { UsageError } from './error-sentence.ts'

export type StartFlag = {
  readonly short?: string
  /** The name of the value in the help; none: the flag stands alone. */
  readonly value?: string
  readonly many?: true
  readonly about: string
}

export const startFlags = {
  port: { short: 'p', value: 'number', about: 'port for Kafka clients; 0 takes a free one (9092)' },
  host: { short: 'H', value: 'address', about: 'address to listen on (127.0.0.1)' },
  data: { short: 'd', value: 'folder', about: 'folder of the data (~/.local/share/lmq)' },
  ephemeral: { about: 'keep the data in a temporary folder and remove it at the end' },
  config: { short: 'c', value: 'file', about: 'a Kafka server.properties file' },
  set: {
    short: 's',
    value: 'key=value',
    many: true,
    about: 'one setting by its Kafka name; may be repeated',
  },
  'http-port': {
    value: 'number',
    about: 'port for health and metrics; 0: a free one, -1: none (9644)',
  },
  'broker-id': { value: 'number', about: 'number of this broker (1)' },
  'log-json': { about: 'write log lines as JSON' },
  'log-level': { value: 'level', about: 'debug, info, warn or error (info)' },
} as const satisfies Record<string, StartFlag>

export type StartFlagName = keyof typeof startFlags

/** @throws {UsageError} */
export function parseStartFlags(argv: readonly string[]): StartOptions {
  const options = Object.fromEntries(
    Object.entries(startFlags).map(([name, flag]: [string, StartFlag]) => [
      name,
      {
        type: flag.value === undefined ? ('boolean' as const) : ('string' as const),
        ...(flag.short === undefined ? {} : { short: flag.short }),
        ...(flag.many ? { multiple: true } : {}),
      },
    ]),
  )
  let values: Record<string, unknown>
  try {
    values = parseArgs({
      args: joinNegative(argv),
      options,
      allowPositionals: false,
      strict: true,
    }).values
  } catch (error) {
    const [reason = ''] = (error as Error).message.split('. ')
    throw new UsageError(`${reason}: see lmq start --help`)
  }
  const text = (name: StartFlagName): string | undefined => values[name] as string | undefined
  return {
    port: numberOf('port', text('port'), 0, 65_535),
    host: text('host'),
    dataDir: text('data'),
    ephemeral: values['ephemeral'] as boolean | undefined,
    configFile: text('config'),
    settings: settingsOf((values['set'] as string[] | undefined) ?? []),
    httpPort: numberOf('http-port', text('http-port'), -1, 65_535),
    brokerId: numberOf('broker-id', text('broker-id'), 0, 2_147_483_647),
    logJson: values['log-json'] as boolean | undefined,
    logLevel: text('log-level'),
  }
}

/** `--http-port -1`: parseArgs takes a value that starts with a dash only after an equals sign. */
function joinNegative(argv: readonly string[]): string[] {
  const joined: string[] = []
  for (const word of argv) {
    const before = joined.at(-1)
    if (/^-\d+$/.test(word) && before?.startsWith('--') && !before.includes('=')) {
      joined[joined.length - 1] = `${before}=${word}`
    } else joined.push(word)
  }
  return joined
}

function numberOf(
  flag: string,
  text: string | undefined,
  least: number,
  most: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^-?\d+$/.test(text) || value < least || value > most) {
    throw new UsageError(`--${flag} ${text}: give a whole number from ${least} to ${most}`)
  }
  return value
}

/** `key=value` words. @throws {UsageError} */
export function settingsOf(words: readonly string[]): Record<string, string> {
  const settings: Record<string, string> = {}
  for (const word of words) {
    const at = word.indexOf('=')
    if (at < 1) throw new UsageError(`${word}: write key=value`)
    settings[word.slice(0, at).trim()] = word.slice(at + 1)
  }
  return settings
}
