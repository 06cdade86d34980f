import type { Logger } from '../base/logger.ts'
import type { ListenerMetrics } from '../metrics/request-metrics.ts'
import type { ApiTable } from './api-table.ts'
import type { Connection } from './connection.ts'
import type { Services } from './handler.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { Outbox } from './outbox.ts'

/** What a connection shares with all others of its broker and listener. */
export type ConnectionSurroundings = {
  readonly table: ApiTable
  readonly services: Services
  readonly outbox: Outbox
  /** Bytes of requests that are being received or worked on. */
  readonly requestMemory: MemoryBudget
  /** Bytes of answers that peers have not taken yet. */
  readonly answerMemory: MemoryBudget
  readonly metrics: ListenerMetrics
  readonly logger: Logger
  readonly maxFrameBytes: number
  /** Told once, when the connection is gone. */
  onClosed(connection: Connection): void
  /** The peer sent what this broker does not read; `firstFrame`: it never sent anything else. */
  onProtocolError(connection: Connection, reason: string, firstFrame: boolean): void
}
