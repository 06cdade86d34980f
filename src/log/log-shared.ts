import type { Logger } from '../base/logger.ts'
import type { Io } from '../io/io.ts'
import type { TailBudget } from './batch-tail.ts'
import type { OpeningRoom } from './opening-room.ts'
import type { PartitionLog } from './partition-log.ts'
import type { SegmentShared } from './segment.ts'
import type { TurnPace } from './turn-pace.ts'

/** Broker-wide settings of the logs, by Kafka's names. Read when they are needed, so a dynamic change acts at once. */
export type LogSettings = {
  readonly 'log.retention.check.interval.ms': number
  readonly 'log.flush.offset.checkpoint.interval.ms': number
  readonly 'log.flush.start.offset.checkpoint.interval.ms': number
  readonly 'replica.high.watermark.checkpoint.interval.ms': number
  readonly 'log.flush.scheduler.interval.ms': number
  readonly 'producer.id.expiration.ms': number
  readonly 'producer.id.expiration.check.interval.ms': number
  readonly 'log.cleaner.enable': boolean
  readonly 'log.cleaner.backoff.ms': number
  readonly 'log.cleaner.dedupe.buffer.size': number
  readonly 'log.cleaner.io.buffer.load.factor': number
  readonly 'log.cleaner.io.max.bytes.per.second': number
  readonly 'replica.alter.log.dirs.io.max.bytes.per.second'?: number
  readonly 'lmq.produce.validation'?: 'outline' | 'records'
}

/** What all logs of a broker share. */
export type LogShared = SegmentShared & {
  readonly io: Io
  readonly tailBudget: TailBudget
  /** Whoever opens a compressed batch does it in here. */
  readonly openings: OpeningRoom
  /** Whoever looks for a record by its time does it in here. */
  readonly searches: OpeningRoom
  /** Folders and files of partitions that are written to for the first time. */
  readonly creations: TurnPace
  readonly settings: LogSettings
  /** Whether compaction may have taken records out of the topic's logs; true when that is not known. */
  mayHaveGaps(topic: string): boolean
  /** Logs whose tail is kept in memory: looked after from time to time. */
  readonly logsWithTail: Set<PartitionLog>
}

/** What a log needs of the log directory that it lies in. */
export type LogHome = {
  readonly path: string
  readonly isOffline: boolean
  readonly logger: Logger
  /** Closes the directory and all logs in it; they answer KAFKA_STORAGE_ERROR from now on. */
  fail(error: unknown, doing: string): void
  /** Lets the log write what it has gathered when this turn ends. */
  drainAtEndOfTurn(log: PartitionLog): void
  /** The log start or recovery point moved: have it in the checkpoints soon. */
  checkpointSoon(): void
}
