import type { TopicConfig } from '../config/topic-config.ts'
import { Codec, type CodecId } from '../io/io.ts'

/** What of a topic's configuration the log uses, by Kafka's names. */
export type LogTopicConfig = Pick<
  TopicConfig,
  | 'cleanup.policy'
  | 'compression.gzip.level'
  | 'compression.type'
  | 'compression.zstd.level'
  | 'delete.retention.ms'
  | 'file.delete.delay.ms'
  | 'flush.messages'
  | 'flush.ms'
  | 'index.interval.bytes'
  | 'max.compaction.lag.ms'
  | 'max.message.bytes'
  | 'message.timestamp.after.max.ms'
  | 'message.timestamp.before.max.ms'
  | 'message.timestamp.type'
  | 'min.cleanable.dirty.ratio'
  | 'min.compaction.lag.ms'
  | 'retention.bytes'
  | 'retention.ms'
  | 'segment.bytes'
  | 'segment.index.bytes'
  | 'segment.jitter.ms'
  | 'segment.ms'
> & { readonly 'internal.segment.bytes'?: number | null }

/** The same as fields: looking a name up in a large object at every append would cost more than what it decides. */
export type LogConfig = {
  readonly isCompacted: boolean
  readonly isDeleted: boolean
  /** undefined: batches keep the codec that their producer chose. */
  readonly codec: CodecId | undefined
  readonly codecLevel: number | undefined
  readonly deleteRetentionMs: number
  readonly fileDeleteDelayMs: number
  readonly flushMessages: number
  readonly flushMs: number
  readonly indexIntervalBytes: number
  readonly maxCompactionLagMs: number
  readonly maxMessageBytes: number
  readonly timestampAfterMaxMs: number
  readonly timestampBeforeMaxMs: number
  readonly usesLogAppendTime: boolean
  readonly minCleanableDirtyRatio: number
  readonly minCompactionLagMs: number
  readonly retentionBytes: number
  readonly retentionMs: number
  readonly segmentBytes: number
  readonly segmentIndexBytes: number
  readonly segmentJitterMs: number
  readonly segmentMs: number
}

const codecs: Readonly<Record<string, CodecId>> = {
  uncompressed: Codec.none,
  gzip: Codec.gzip,
  snappy: Codec.snappy,
  lz4: Codec.lz4,
  zstd: Codec.zstd,
}

export function logConfigOf(config: LogTopicConfig): LogConfig {
  const policies = config['cleanup.policy']
  const codec = codecs[config['compression.type']]
  return {
    isCompacted: policies.includes('compact'),
    isDeleted: policies.includes('delete'),
    codec,
    codecLevel: codecLevelOf(config, codec),
    deleteRetentionMs: config['delete.retention.ms'],
    fileDeleteDelayMs: config['file.delete.delay.ms'],
    flushMessages: config['flush.messages'],
    flushMs: config['flush.ms'],
    indexIntervalBytes: config['index.interval.bytes'],
    maxCompactionLagMs: config['max.compaction.lag.ms'],
    maxMessageBytes: config['max.message.bytes'],
    timestampAfterMaxMs: config['message.timestamp.after.max.ms'],
    timestampBeforeMaxMs: config['message.timestamp.before.max.ms'],
    usesLogAppendTime: config['message.timestamp.type'] === 'LogAppendTime',
    minCleanableDirtyRatio: config['min.cleanable.dirty.ratio'],
    minCompactionLagMs: config['min.compaction.lag.ms'],
    retentionBytes: config['retention.bytes'],
    retentionMs: config['retention.ms'],
    segmentBytes: config['internal.segment.bytes'] ?? config['segment.bytes'],
    segmentIndexBytes: config['segment.index.bytes'],
    segmentJitterMs: config['segment.jitter.ms'],
    // A compacted log must close its segments in time, or max.compaction.lag.ms could not be kept.
    segmentMs: policies.includes('compact')
      ? Math.min(config['segment.ms'], config['max.compaction.lag.ms'])
      : config['segment.ms'],
  }
}

function codecLevelOf(config: LogTopicConfig, codec: CodecId | undefined): number | undefined {
  if (codec === Codec.gzip) return config['compression.gzip.level']
  if (codec === Codec.zstd) return config['compression.zstd.level']
  return undefined
}

/** Kafka's defaults: for logs found on disk until their topic's configuration is known. */
export const defaultLogConfig: LogConfig = {
  isCompacted: false,
  isDeleted: false,
  codec: undefined,
  codecLevel: undefined,
  deleteRetentionMs: 86_400_000,
  fileDeleteDelayMs: 60_000,
  flushMessages: Number.MAX_SAFE_INTEGER,
  flushMs: Number.MAX_SAFE_INTEGER,
  indexIntervalBytes: 4096,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  maxMessageBytes: 1_048_588,
  timestampAfterMaxMs: 3_600_000,
  timestampBeforeMaxMs: Number.MAX_SAFE_INTEGER,
  usesLogAppendTime: false,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  retentionBytes: -1,
  retentionMs: 604_800_000,
  segmentBytes: 1_073_741_824,
  segmentIndexBytes: 10_485_760,
  segmentJitterMs: 0,
  segmentMs: 604_800_000,
}
