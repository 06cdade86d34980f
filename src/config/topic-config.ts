import { LmqError } from '../base/errors.ts'
import type { BrokerConfig } from './broker-config.ts'
import { type ConfigOf, defineConfig } from './define-config.ts'
import {
  bool,
  bytes,
  double,
  duration,
  INT_MAX,
  int,
  LONG_MAX,
  list,
  long,
  oneOf,
} from './setting.ts'

export const compressionTypes = [
  'uncompressed',
  'zstd',
  'lz4',
  'snappy',
  'gzip',
  'producer',
] as const

/** `*`, or pairs of partition and broker. */
export function checkThrottledReplicas(items: readonly string[]): string | undefined {
  if (items.length === 0 || (items.length === 1 && items[0] === '*')) return undefined
  if (items.every((item) => /^\d+:\d+$/.test(item))) return undefined
  return "must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
}

/** Per-topic settings: Kafka 4.3's list. `synonyms` are the broker settings that a topic's default comes from. */
export const topicSettings = defineConfig({
  'cleanup.policy': list({
    default: ['delete'],
    of: ['compact', 'delete'],
    synonyms: ['log.cleanup.policy'],
    about:
      'What happens to old records: delete drops closed segments by age and size, compact keeps the last record of every key. Both may stand together; empty keeps everything.',
  }),
  'compression.gzip.level': int({
    default: -1,
    min: 1,
    max: 9,
    or: -1,
    synonyms: ['compression.gzip.level'],
    about: 'gzip level when the broker compresses: 1 is fastest, 9 smallest, -1 is the default.',
  }),
  'compression.lz4.level': int({
    default: 9,
    min: 1,
    max: 17,
    synonyms: ['compression.lz4.level'],
    used: false,
    about: 'lz4 level when the broker compresses. No effect here: the lz4 library has one level.',
  }),
  'compression.type': oneOf(compressionTypes, {
    default: 'producer',
    synonyms: ['compression.type'],
    about:
      'Codec of stored batches. producer keeps what the client sent; any other value makes the broker compress again when the codec differs.',
  }),
  'compression.zstd.level': int({
    default: 3,
    min: -131_072,
    max: 22,
    synonyms: ['compression.zstd.level'],
    about: 'zstd level when the broker compresses.',
  }),
  'delete.retention.ms': duration({
    default: 86_400_000,
    min: 0,
    synonyms: ['log.cleaner.delete.retention.ms'],
    about:
      'How long compaction keeps a tombstone (a null value) after it was first cleaned, so that readers from the start still learn of the deletion.',
  }),
  'file.delete.delay.ms': duration({
    default: 60_000,
    min: 0,
    synonyms: ['log.segment.delete.delay.ms'],
    about: 'Time between taking a segment out of the log and removing its files.',
  }),
  'flush.messages': long({
    default: LONG_MAX,
    min: 1,
    synonyms: ['log.flush.interval.messages'],
    about:
      'Records after which the log is synced to disk. 1 means that nothing is acknowledged before it is durable.',
  }),
  'flush.ms': duration({
    default: LONG_MAX,
    min: 0,
    synonyms: ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'],
    about: 'Longest time between an append and the sync that makes it durable.',
  }),
  'follower.replication.throttled.replicas': list({
    default: [],
    check: checkThrottledReplicas,
    valid: '* or partition:broker pairs',
    about: 'Followers whose replication is held to the throttled rate.',
  }),
  'index.interval.bytes': int({
    default: 4096,
    min: 0,
    synonyms: ['log.index.interval.bytes'],
    about: 'Bytes of log between two entries of the offset index.',
  }),
  'leader.replication.throttled.replicas': list({
    default: [],
    check: checkThrottledReplicas,
    valid: '* or partition:broker pairs',
    about: 'Leaders whose replication is held to the throttled rate.',
  }),
  'local.retention.bytes': bytes({
    default: -2,
    min: -2,
    synonyms: ['log.local.retention.bytes'],
    used: false,
    about: 'Size kept on local disk with tiered storage. -2 means retention.bytes.',
  }),
  'local.retention.ms': duration({
    default: -2,
    min: -2,
    synonyms: ['log.local.retention.ms'],
    used: false,
    about: 'Age kept on local disk with tiered storage. -2 means retention.ms.',
  }),
  'max.compaction.lag.ms': duration({
    default: LONG_MAX,
    min: 1,
    synonyms: ['log.cleaner.max.compaction.lag.ms'],
    about: 'Age at which a record must be compacted whatever the dirty ratio.',
  }),
  'max.message.bytes': bytes({
    type: 'int',
    default: 1_048_588,
    min: 0,
    synonyms: ['message.max.bytes'],
    about: 'Largest batch accepted, compressed and with its header.',
  }),
  'message.timestamp.after.max.ms': duration({
    default: 3_600_000,
    min: 0,
    synonyms: ['log.message.timestamp.after.max.ms'],
    about: 'How far ahead of the broker clock a CreateTime timestamp may be.',
  }),
  'message.timestamp.before.max.ms': duration({
    default: LONG_MAX,
    min: 0,
    synonyms: ['log.message.timestamp.before.max.ms'],
    about: 'How far behind the broker clock a CreateTime timestamp may be.',
  }),
  'message.timestamp.type': oneOf(['CreateTime', 'LogAppendTime'], {
    default: 'CreateTime',
    synonyms: ['log.message.timestamp.type'],
    about: "Whose clock gives a record its time: the producer's or the broker's at append.",
  }),
  'min.cleanable.dirty.ratio': double({
    default: 0.5,
    min: 0,
    max: 1,
    synonyms: ['log.cleaner.min.cleanable.ratio'],
    about: 'Share of not yet compacted bytes in the log from which compaction is due.',
  }),
  'min.compaction.lag.ms': duration({
    default: 0,
    min: 0,
    synonyms: ['log.cleaner.min.compaction.lag.ms'],
    about: 'Age below which a record is not compacted.',
  }),
  'min.insync.replicas': int({
    default: 1,
    min: 1,
    synonyms: ['min.insync.replicas'],
    about: 'In-sync replicas without which a produce with acks=all is refused.',
  }),
  preallocate: bool({
    default: false,
    synonyms: ['log.preallocate'],
    used: false,
    about: 'Whether a new segment file takes its full size at once.',
  }),
  'remote.log.copy.disable': bool({
    default: false,
    used: false,
    about: 'Stops copying segments to tiered storage.',
  }),
  'remote.log.delete.on.disable': bool({
    default: false,
    used: false,
    about: 'Deletes tiered data when tiered storage is turned off.',
  }),
  'remote.storage.enable': bool({
    default: false,
    used: false,
    about: 'Turns tiered storage on. There is no tiered storage here.',
  }),
  'retention.bytes': bytes({
    default: -1,
    synonyms: ['log.retention.bytes'],
    about: 'Size of a partition above which its oldest segments are deleted. -1: no limit.',
  }),
  'retention.ms': duration({
    default: 604_800_000,
    min: -1,
    synonyms: ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
    about: 'Age at which a closed segment is deleted. -1 keeps it for ever.',
  }),
  'segment.bytes': bytes({
    type: 'int',
    default: 1_073_741_824,
    min: 1_048_576,
    synonyms: ['log.segment.bytes'],
    about: 'Size at which the active segment is closed and a new one begun.',
  }),
  'segment.index.bytes': bytes({
    type: 'int',
    default: 10_485_760,
    min: 4,
    synonyms: ['log.index.size.max.bytes'],
    about: 'Size of an index file at which its segment is closed.',
  }),
  'segment.jitter.ms': duration({
    default: 0,
    min: 0,
    synonyms: ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
    about: 'Longest random time taken off segment.ms, so that segments do not close all at once.',
  }),
  'segment.ms': duration({
    default: 604_800_000,
    min: 1,
    synonyms: ['log.roll.ms', 'log.roll.hours'],
    about: 'Age at which the active segment is closed even when it is not full.',
  }),
  'unclean.leader.election.enable': bool({
    default: false,
    synonyms: ['unclean.leader.election.enable'],
    about: 'Whether a replica outside the in-sync set may lead when no other is left.',
  }),
  'internal.segment.bytes': int({
    default: null,
    min: 1,
    max: INT_MAX,
    internal: true,
    about: 'Segment size below the bounds of segment.bytes, for tests.',
  }),
})

/** A topic's settings in force, keyed by Kafka's names. Numbers beyond 2^53-1 saturate there. */
export type TopicConfig = ConfigOf<typeof topicSettings>
export type TopicSettingName = keyof TopicConfig

/** Size at which a topic's segments are closed: `internal.segment.bytes` goes before `segment.bytes`. */
export const segmentBytesOf = (config: TopicConfig): number =>
  config['internal.segment.bytes'] ?? config['segment.bytes']

export const isCompacted = (config: TopicConfig): boolean =>
  config['cleanup.policy'].includes('compact')

/** Whether age and size delete old segments. */
export const isDeletedByRetention = (config: TopicConfig): boolean =>
  config['cleanup.policy'].includes('delete')

const hourMs = 3_600_000
const minuteMs = 60_000

/** A broker setting in the unit of the topic setting that it is a synonym of: hours and minutes become milliseconds. */
function inTopicUnit(name: string, value: unknown): unknown {
  if (typeof value !== 'number') return value
  if (name.endsWith('.hours')) return value < 0 ? -1 : value * hourMs
  if (name.endsWith('.minutes')) return value < 0 ? -1 : value * minuteMs
  return value
}

/** What a topic setting is when the topic itself says nothing: the first broker synonym that has a value. */
export function topicDefaultOf(name: string, broker: BrokerConfig): unknown {
  const setting = topicSettings.get(name)
  const values = broker as Readonly<Record<string, unknown>>
  for (const synonym of setting.synonyms) {
    const value = values[synonym]
    if (value !== null && value !== undefined) return inTopicUnit(synonym, value)
  }
  return setting.default
}

/**
 * A topic's settings in force: its own overrides, then the broker's, then the defaults.
 *
 * @param overrides the topic's own settings, accepted earlier by `refusalOfTopicOverrides`. A name that is not known
 *   is passed over: a newer version may have stored it.
 * @throws LMQ_CONFIG_INVALID when a stored value cannot be read
 */
export function topicConfigOf(
  overrides: ReadonlyMap<string, string>,
  broker: BrokerConfig,
): TopicConfig {
  const config: Record<string, unknown> = {}
  for (const name of topicSettings.names) {
    const given = overrides.get(name)
    if (given === undefined) {
      config[name] = topicDefaultOf(name, broker)
      continue
    }
    const reading = topicSettings.get(name).read(name, given)
    if (reading.refusal !== undefined) {
      throw new LmqError('LMQ_CONFIG_INVALID', { key: name, value: given, reason: reading.refusal })
    }
    config[name] = reading.value
  }
  return config as TopicConfig
}
