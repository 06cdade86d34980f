/** What the tests of the log share: a folder, settings with Kafka's defaults, batches. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import type { Io } from '../../../src/io/io.ts'
import { createNodeIo } from '../../../src/io/node-io.ts'
import type { LogTopicConfig } from '../../../src/log/log-config.ts'
import { LogDirs, type LogDirsOptions } from '../../../src/log/log-dirs.ts'
import type { AppendResult, ReadResult } from '../../../src/log/log-outcomes.ts'
import type { LogSettings } from '../../../src/log/log-shared.ts'
import type { PartitionLog } from '../../../src/log/partition-log.ts'
import {
  type BatchOptions,
  buildBatch,
  type RecordInput,
} from '../../../src/protocol/batch-builder.ts'
import { newRecordPlace, nextRecord, readRecord } from '../../../src/protocol/record.ts'
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchSizeOf,
  isControl,
  recordCountOf,
} from '../../../src/protocol/record-batch.ts'
import { VarintCursor } from '../../../src/protocol/varint.ts'

export const never = Number.MAX_SAFE_INTEGER

export function topicConfig(overrides: Partial<LogTopicConfig> = {}): LogTopicConfig {
  return {
    'cleanup.policy': ['delete'],
    'compression.gzip.level': -1,
    'compression.type': 'producer',
    'compression.zstd.level': 3,
    'delete.retention.ms': 86_400_000,
    'file.delete.delay.ms': 60_000,
    'flush.messages': never,
    'flush.ms': never,
    'index.interval.bytes': 4096,
    'max.compaction.lag.ms': never,
    'max.message.bytes': 1_048_588,
    'message.timestamp.after.max.ms': 3_600_000,
    'message.timestamp.before.max.ms': never,
    'message.timestamp.type': 'CreateTime',
    'min.cleanable.dirty.ratio': 0.5,
    'min.compaction.lag.ms': 0,
    'retention.bytes': -1,
    'retention.ms': 604_800_000,
    'segment.bytes': 1_073_741_824,
    'segment.index.bytes': 10_485_760,
    'segment.jitter.ms': 0,
    'segment.ms': 604_800_000,
    ...overrides,
  }
}

export const logSettings: LogSettings = {
  'log.retention.check.interval.ms': never,
  'log.flush.offset.checkpoint.interval.ms': 60_000,
  'log.flush.start.offset.checkpoint.interval.ms': 60_000,
  'replica.high.watermark.checkpoint.interval.ms': 5_000,
  'log.flush.scheduler.interval.ms': never,
  'producer.id.expiration.ms': 86_400_000,
  'producer.id.expiration.check.interval.ms': 600_000,
  'log.cleaner.enable': true,
  'log.cleaner.backoff.ms': never,
  'log.cleaner.dedupe.buffer.size': 1024 * 1024,
  'log.cleaner.io.buffer.load.factor': 0.9,
  'log.cleaner.io.max.bytes.per.second': Number.MAX_VALUE,
}

export const topicId = 'AAAAAAAAAAAAAAAAAAAAAQ'

export function temporaryFolder(t: Test): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lmq-log-'))
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A real `Io` whose worker thread ends with the test. */
export function nodeIo(t: Test): Io {
  const io = createNodeIo()
  t.teardown(() => io.jobs.close())
  return io
}

export function openLogDirs(
  io: Io,
  dirs: readonly string[],
  options: Partial<LogDirsOptions> = {},
): Promise<LogDirs> {
  return LogDirs.open(io, {
    dirs,
    clusterId: 'BBBBBBBBBBBBBBBBBBBBBQ',
    brokerId: 1,
    logger: silentLogger,
    settings: logSettings,
    ...options,
  })
}

/** Keeps the high watermark at what is written, as the only replica does. */
export function follow(log: PartitionLog): PartitionLog {
  log.listener = {
    written: (one) => {
      one.highWatermark = one.writtenEndOffset
    },
  }
  log.highWatermark = log.writtenEndOffset
  return log
}

export function record(key: string | null, value: string | null, timestamp = 1_000): RecordInput {
  return {
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestamp,
  }
}

export function batchOf(
  io: Io,
  records: readonly RecordInput[],
  options: BatchOptions = {},
): Buffer {
  return buildBatch(records, options, io.crc32c)
}

export type AppendOverrides = {
  nowMs?: number
  leaderEpoch?: number
  produceVersion?: number
  origin?: 'client' | 'coordinator'
}

export async function append(
  log: PartitionLog,
  batch: Buffer,
  overrides: AppendOverrides = {},
): Promise<AppendResult> {
  const result = await log.append(batch, {
    leaderEpoch: 0,
    nowMs: 2_000,
    origin: 'client',
    produceVersion: 11,
    ...overrides,
  })
  if (result.errorCode === 0) await written(log, result.end)
  return result
}

export function written(log: PartitionLog, offset: number): Promise<number> {
  return new Promise((resolve) => log.whenWritten(offset, resolve))
}

export type StoredRecord = { offset: number; key: string | null; value: string | null }

/** Opens uncompressed batches. Control batches are left out. */
export function recordsIn(parts: readonly Buffer[]): StoredRecord[] {
  const found: StoredRecord[] = []
  for (const part of parts) {
    for (let at = 0; at < part.length; at += batchSizeOf(part, at)) {
      if (isControl(attributesOf(part, at))) continue
      const cursor = new VarintCursor(part, at + BATCH_HEADER_BYTES, at + batchSizeOf(part, at))
      const place = newRecordPlace()
      for (let index = 0; index < recordCountOf(part, at); index++) {
        nextRecord(cursor, place)
        const { key, value, offsetDelta } = readRecord(part, place)
        found.push({
          offset: baseOffsetOf(part, at) + offsetDelta,
          key: key?.toString() ?? null,
          value: value?.toString() ?? null,
        })
      }
    }
  }
  return found
}

/** Reads to the end, in steps of `maxBytes`. */
export async function readAll(log: PartitionLog, maxBytes = 1_000_000): Promise<StoredRecord[]> {
  const found: StoredRecord[] = []
  let offset = log.logStartOffset
  for (;;) {
    const from = offset
    const result: ReadResult = await log.read(from, maxBytes, {
      upTo: log.writtenEndOffset,
      minOneBatch: true,
    })
    if (result.errorCode !== 0) throw new Error(`read at ${from} gives error ${result.errorCode}`)
    if (result.records.length === 0) return found
    found.push(...recordsIn(result.records).filter((one) => one.offset >= from))
    offset = result.nextOffset
  }
}
