/** `lmq start`: starts a broker, says where it is, and stops it on SIGTERM and SIGINT. */
import { homedir, hostname } from 'node:os'
import { join } from 'node:path'
import type { Logger, LogLevel } from '../base/logger.ts'
import { startBroker } from '../index.ts'
import { banner } from './banner.ts'
import { UsageError } from './error-sentence.ts'
import { exitCodes } from './exit-codes.ts'
import { JsonLogger } from './json-logger.ts'
import { parseStartFlags } from './start-flags.ts'
import { createTextLogger } from './text-logger.ts'

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']
/** A stop that takes longer is cut: the next start recovers what was not written. */
const stopWithinMs = 20_000

/** `$XDG_DATA_HOME/lmq`, `%LOCALAPPDATA%\lmq`, else `~/.local/share/lmq`. */
export function defaultDataDir(env: NodeJS.ProcessEnv = process.env): string {
  const { XDG_DATA_HOME, LOCALAPPDATA } = env
  if (XDG_DATA_HOME) return join(XDG_DATA_HOME, 'lmq')
  if (process.platform === 'win32' && LOCALAPPDATA) return join(LOCALAPPDATA, 'lmq')
  return join(homedir(), '.local', 'share', 'lmq')
}

/** How logs look is needed before settings are read: flags, then variables, then the default. */
function loggerOf(flags: { logJson?: boolean | undefined; logLevel?: string | undefined }): Logger {
  const { LMQ_LOG_FORMAT, LMQ_LOG_LEVEL } = process.env
  const level = (flags.logLevel ?? LMQ_LOG_LEVEL ?? 'info') as LogLevel
  if (!levels.includes(level)) {
    throw new UsageError(`--log-level ${level}: give one of ${levels.join(', ')}`)
  }
  if (flags.logJson ?? LMQ_LOG_FORMAT === 'json') return new JsonLogger(level)
  const write = (line: string): void => void process.stderr.write(line)
  return createTextLogger(write, level, () => new Date())
}

/** @returns the exit code, after the broker has stopped */
export async function startCommand(argv: readonly string[]): Promise<number> {
  const flags = parseStartFlags(argv)
  const logger = loggerOf(flags)
  const stopped = stopSignal()
  try {
    const broker = await startBroker({
      ...flags,
      env: process.env,
      defaultDataDir: defaultDataDir(),
      hostName: hostname(),
      logger,
    })
    const startedMs = Math.round(process.uptime() * 1_000)
    if (logger instanceof JsonLogger) {
      const { bootstrap, httpAddress, clusterId, brokerId, dataDir } = broker
      logger.info({ bootstrap, httpAddress, clusterId, brokerId, dataDir, startedMs }, 'ready')
      await logger.load()
    } else process.stdout.write(banner({ ...broker, startedMs }))
    const signal = await stopped
    logger.info({ signal }, 'stopping')
    const watchdog = setTimeout(() => {
      logger.error({ afterMs: stopWithinMs }, 'the stop takes too long and is cut short')
      process.exit(exitCodes.failed)
    }, stopWithinMs)
    await broker.stop()
    clearTimeout(watchdog)
    logger.info({}, 'stopped')
    return exitCodes.done
  } finally {
    if (logger instanceof JsonLogger) await logger.load()
  }
}

/** Resolves at the first SIGINT or SIGTERM; a second SIGINT ends the process at once. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (asked && signal === 'SIGINT') process.exit(130)
        asked = true
        resolve(signal)
      })
    }
  })
}
