/** What every command over the network shares: the client, the output, and how long it is patient. */
import type { Command } from 'commander'
import { Client, parseBootstrap } from '../client/client.ts'
import { createNodeIo } from '../io/node-io.ts'
import { UsageError } from './error-sentence.ts'
import { Output } from './output.ts'

export type Tool = {
  readonly client: Client
  readonly output: Output
  /** How long what passes is tried again, as the person wants it; undefined: nothing was said. */
  readonly patienceMs: number | undefined
}

type ToolFlags = {
  bootstrap: string
  bootstrapConsul?: string
  json?: boolean
  timeout?: string
}

/** Without another wish: long enough for an election, short enough for somebody who mistyped an address. */
const usualPatienceMs = 5_000

/** Flags that every command takes. */
export function withToolFlags(command: Command): Command {
  return command
    .option(
      '-b, --bootstrap <addresses>',
      'brokers to ask first, host:port separated by commas (or LMQ_BOOTSTRAP)',
      process.env['LMQ_BOOTSTRAP'] ?? 'localhost:9092',
    )
    .option(
      '--bootstrap-consul <addresses>',
      'Consul servers to find the brokers by, host:port separated by commas (or LMQ_BOOTSTRAP_CONSUL)',
      process.env['LMQ_BOOTSTRAP_CONSUL'],
    )
    .option('--json', 'write JSON')
    .option('--timeout <seconds>', 'how long to try again while brokers are away')
}

/**
 * Runs a command's work with a client that is closed at its end.
 *
 * @param patienceMs how long the client tries again when the person says nothing
 */
export async function withTool<T>(
  command: Command,
  work: (tool: Tool) => Promise<T>,
  patienceMs = usualPatienceMs,
): Promise<T> {
  const flags = command.optsWithGlobals<ToolFlags>()
  const wished = flags.timeout === undefined ? undefined : secondsOf('--timeout', flags.timeout)
  const bootstrap = flags.bootstrapConsul
    ? await (await import('./consul-bootstrap.ts')).brokersInConsul(
        flags.bootstrapConsul,
        wished ?? patienceMs,
      )
    : flags.bootstrap
  const client = new Client(createNodeIo(), {
    bootstrap: parseBootstrap(bootstrap),
    clientId: 'lmq-cli',
    retryForMs: wished ?? patienceMs,
  })
  // The client's timers do not keep the process alive, and nothing else may be open between two tries.
  const alive = setInterval(() => {}, 60_000)
  try {
    return await work({ client, output: new Output(flags.json === true), patienceMs: wished })
  } finally {
    clearInterval(alive)
    client.close()
  }
}

/** @returns milliseconds. @throws {UsageError} */
export function secondsOf(flag: string, text: string): number {
  const seconds = Number(text)
  if (text.trim() === '' || !(seconds >= 0)) throw new UsageError(`${flag} ${text}: give seconds`)
  return seconds * 1_000
}

/** @throws {UsageError} */
export function integerOf(flag: string, text: string, least = 0): number {
  const value = Number(text)
  if (!/^-?\d+$/.test(text) || value < least || !Number.isSafeInteger(value)) {
    throw new UsageError(`${flag} ${text}: give a whole number, ${least} or more`)
  }
  return value
}

/** For options that may be repeated. */
export const collect = (word: string, words: readonly string[] = []): string[] => [...words, word]
