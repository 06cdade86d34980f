/** `lmq start`: starts a broker, says where it is, and stops it on SIGTERM and SIGINT. */
import { homedir, hostname } from 'node:os'
import { join } from 'node:path'
import { LmqError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { BrokerConfig } from '../config/broker-config.ts'
import { loadStartOptions, type StartOptions } from '../config/start-options.ts'
import { startBroker } from '../index.ts'
import { nodeHost } from '../io/node-host.ts'
import { banner } from './banner.ts'
import { exitCodes } from './exit-codes.ts'
import { JsonLogger } from './json-logger.ts'
import { parseStartFlags } from './start-flags.ts'
import { createTextLogger } from './text-logger.ts'

/** A stop that gets nowhere for so long is cut: the next start recovers what was not written. */
const stopWithinMs = 20_000

/** `$XDG_DATA_HOME/lmq`, `%LOCALAPPDATA%\lmq`, else `~/.local/share/lmq`. */
export function defaultDataDir(env: NodeJS.ProcessEnv = process.env): string {
  const { XDG_DATA_HOME, LOCALAPPDATA } = env
  if (XDG_DATA_HOME) return join(XDG_DATA_HOME, 'lmq')
  if (process.platform === 'win32' && LOCALAPPDATA) return join(LOCALAPPDATA, 'lmq')
  return join(homedir(), '.local', 'share', 'lmq')
}

function loggerOf(config: BrokerConfig): Logger {
  const level = config['lmq.log.level']
  if (config['lmq.log.format'] === 'json') return new JsonLogger(level)
  const write = (line: string): void => void process.stderr.write(line)
  return createTextLogger(write, level, () => new Date())
}

/** @returns the exit code, after the broker has stopped */
export async function startCommand(argv: readonly string[]): Promise<number> {
  const options: StartOptions = {
    ...parseStartFlags(argv),
    env: process.env,
    defaultDataDir: defaultDataDir(),
    defaultPort: undefined,
    hostName: hostname(),
  }
  // How logs look is a setting, too, and the broker's first line must look right already.
  const { config } = loadStartOptions(options, (path) => nodeHost.readSettingsFile(path))
  const logger = loggerOf(config)
  const signalled = stopSignal()
  const starting = new AbortController()
  void signalled.then(() => starting.abort())
  // A start that waits, for Consul say, may have nothing open that keeps the process.
  const alive = setInterval(() => {}, 60_000)
  try {
    let failed = (): void => {}
    const fatal = new Promise<'fatal'>((resolve) => {
      failed = () => resolve('fatal')
    })
    const broker = await startBroker({
      ...options,
      logger,
      onFatal: failed,
      signal: starting.signal,
    })
    const startedMs = Math.round(process.uptime() * 1_000)
    if (logger instanceof JsonLogger) {
      const { bootstrap, httpAddress, clusterId, brokerId, dataDir } = broker
      logger.info({ bootstrap, httpAddress, clusterId, brokerId, dataDir, startedMs }, 'ready')
      await logger.load()
    } else process.stdout.write(banner({ ...broker, startedMs }))
    const reason = await Promise.race([signalled, fatal])
    logger.info({ reason }, 'stopping')
    let left = Number.POSITIVE_INFINITY
    const watchdog = setInterval(() => {
      const { unclosedLogs } = broker
      if (unclosedLogs > 0 && unclosedLogs < left) {
        left = unclosedLogs
        logger.info({ unclosedLogs }, 'the logs are being closed')
        return
      }
      logger.error({ afterMs: stopWithinMs }, 'the stop takes too long and is cut short')
      process.exit(exitCodes.failed)
    }, stopWithinMs)
    await broker.stop()
    clearInterval(watchdog)
    logger.info({}, 'stopped')
    return reason === 'fatal' ? exitCodes.failed : exitCodes.done
  } catch (error) {
    const wasAsked = starting.signal.aborted && error instanceof LmqError
    if (!wasAsked || error.code !== 'LMQ_SHUTTING_DOWN') throw error
    logger.info({ reason: await signalled }, 'stopped before the start was done')
    return exitCodes.done
  } finally {
    clearInterval(alive)
    if (logger instanceof JsonLogger) await logger.load()
  }
}

/** Resolves at the first SIGINT or SIGTERM; a second SIGINT ends the process at once. */
export function stopSignal(): Promise<NodeJS.Signals> {
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
