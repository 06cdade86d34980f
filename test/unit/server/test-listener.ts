// A listener with handlers of the test's choice, on a free port: the real connection layer without a broker behind it.
import type { Facts } from '../../../src/base/errors.ts'
import type { Logger } from '../../../src/base/logger.ts'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import { type AnyHandler, ApiTable } from '../../../src/server/api-table.ts'
import { ConnectionLimits } from '../../../src/server/connection-limits.ts'
import type { Services } from '../../../src/server/handler.ts'
import { Listener } from '../../../src/server/listener.ts'
import { MemoryBudget } from '../../../src/server/memory-budget.ts'
import { Outbox } from '../../../src/server/outbox.ts'
import { RawClient } from './raw-client.ts'

type Teardown = { teardown(end: () => unknown): void }

export type LogLine = { level: string; facts: Facts; message: string }

export function recordingLogger(lines: LogLine[]): Logger {
  const at = (level: string) => (facts: Facts, message: string) => {
    lines.push({ level, facts, message })
  }
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  }
  return logger
}

export async function openTestListener(
  t: Teardown,
  handlers: readonly AnyHandler[],
  options: { settings?: Record<string, string>; budgetBytes?: number } = {},
) {
  const io = createNodeIo()
  const lines: LogLine[] = []
  const config = brokerConfigOf(options.settings ?? {})
  const services = { io, config, logger: recordingLogger(lines) } as Partial<Services> as Services
  const requestMemory = new MemoryBudget(options.budgetBytes ?? 64 * 1024 * 1024)
  const answerMemory = new MemoryBudget(options.budgetBytes ?? 64 * 1024 * 1024)
  let connections = 0
  const listener = await Listener.open(
    { name: 'TEST', host: '127.0.0.1', port: 0 },
    {
      table: new ApiTable(handlers),
      services,
      outbox: new Outbox(io.timers),
      requestMemory,
      answerMemory,
      limits: new ConnectionLimits({ config: () => config }),
      nextConnectionId: () => ++connections,
    },
  )
  listener.serve()
  t.teardown(() => listener.close(0))
  const connect = async () => {
    const client = await RawClient.connect(listener.port)
    t.teardown(() => client.close())
    return client
  }
  return { listener, connect, lines, requestMemory, answerMemory }
}

/** Resolves when `condition` holds; fails after ten seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > end) throw new Error(`did not happen in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
