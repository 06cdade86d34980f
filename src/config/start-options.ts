import { type Environment, settingsOfEnvironment } from './environment.ts'
import { parseEndpoint } from './listeners.ts'
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
    texts.set('listeners', listenerOf(flags, weaker))
  }
  put('log.dirs', flags.dataDir)
  put('lmq.ephemeral', flags.ephemeral)
  put('lmq.http.port', flags.httpPort)
  put('node.id', flags.brokerId)
  if (flags.logJson !== undefined) put('lmq.log.format', flags.logJson ? 'json' : 'text')
  put('lmq.log.level', flags.logLevel)
  return texts
}

function listenerOf({ host, port }: StartFlags, { file, environment }: Weaker): string {
  const fromFile = file ? parseProperties(file.text).get('listeners') : undefined
  const fromEnvironment = settingsOfEnvironment(environment ?? {}).settings.find(
    ({ name }) => name === 'listeners',
  )?.value
  const text = fromEnvironment ?? fromFile ?? ''
  const isSingle = text.trim() !== '' && !text.includes(',')
  const base = isSingle ? parseEndpoint('listeners', text) : undefined
  const where = host ?? base?.host ?? '127.0.0.1'
  const bracketed = where.includes(':') && !where.startsWith('[') ? `[${where}]` : where
  return `${base?.name ?? 'PLAINTEXT'}://${bracketed}:${port ?? base?.port ?? 9092}`
}
