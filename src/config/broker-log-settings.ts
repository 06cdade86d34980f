import {
  bool,
  bytes,
  className,
  double,
  duration,
  int,
  LONG_MAX,
  list,
  long,
  oneOf,
} from './setting.ts'

/** The log: segments, retention, compaction, flushes. Names, types, defaults, bounds and update modes are Kafka 4.3's. */
export const logSettings = {
  'alter.config.policy.class.name': className({
    default: null,
    about:
      'Java class that may refuse changes of settings. None can be loaded: a name here stops the start.',
  }),
  'auto.create.topics.enable': bool({
    default: true,
    about: 'Whether asking for a topic that is not there creates it.',
  }),
  'cordoned.log.dirs': list({
    default: [],
    update: 'per-broker',
    used: false,
    about: 'Log directories that take no new partitions.',
  }),
  'create.topic.policy.class.name': className({
    default: null,
    about:
      'Java class that may refuse new topics. None can be loaded: a name here stops the start.',
  }),
  'log.cleaner.backoff.ms': duration({
    default: 15_000,
    min: 0,
    update: 'cluster-wide',
    about: 'Pause of the compaction when no log is due.',
  }),
  'log.cleaner.dedupe.buffer.size': long({
    default: 134_217_728,
    update: 'cluster-wide',
    about: 'Memory for the map of keys of one compaction pass, over all its threads.',
  }),
  'log.cleaner.delete.retention.ms': duration({
    default: 86_400_000,
    min: 0,
    update: 'cluster-wide',
    about: 'How long compaction keeps tombstones, for topics that do not say.',
  }),
  'log.cleaner.enable': bool({ default: true, about: 'Whether compaction runs at all.' }),
  'log.cleaner.io.buffer.load.factor': double({
    default: 0.9,
    update: 'cluster-wide',
    about: "Fill factor of the cleaner's map of keys.",
  }),
  'log.cleaner.io.buffer.size': int({
    default: 524_288,
    min: 0,
    update: 'cluster-wide',
    used: false,
    about: "Memory for the cleaner's read and write buffers.",
  }),
  'log.cleaner.io.max.bytes.per.second': double({
    default: Number.MAX_VALUE,
    update: 'cluster-wide',
    about: 'Limit on the bytes that compaction reads and writes in a second.',
  }),
  'log.cleaner.max.compaction.lag.ms': duration({
    default: LONG_MAX,
    min: 1,
    update: 'cluster-wide',
    about: 'Age at which records must be compacted, for topics that do not say.',
  }),
  'log.cleaner.min.cleanable.ratio': double({
    default: 0.5,
    min: 0,
    max: 1,
    update: 'cluster-wide',
    about: 'Dirty share of a log from which compaction is due, for topics that do not say.',
  }),
  'log.cleaner.min.compaction.lag.ms': duration({
    default: 0,
    min: 0,
    update: 'cluster-wide',
    about: 'Age below which records are not compacted, for topics that do not say.',
  }),
  'log.cleaner.threads': int({
    default: 1,
    min: 0,
    update: 'cluster-wide',
    used: false,
    about: 'Compaction threads.',
  }),
  'log.cleanup.policy': list({
    default: ['delete'],
    of: ['compact', 'delete'],
    update: 'cluster-wide',
    about: 'What happens to old records of topics that do not say: delete, compact or both.',
  }),
  'log.dir': list({ default: null, about: 'Folder of the data when log.dirs is not set.' }),
  'log.dir.failure.timeout.ms': duration({
    default: 30_000,
    min: 1,
    used: false,
    about:
      'Time after which a broker stops when it cannot tell the controller of a failed log directory.',
  }),
  'log.dirs': list({
    default: null,
    about:
      'Folders of the data, separated by commas. New partitions go to the one with the fewest.',
  }),
  'log.flush.interval.messages': long({
    default: LONG_MAX,
    min: 1,
    update: 'cluster-wide',
    about: 'Records after which a log is synced to disk, for topics that do not say.',
  }),
  'log.flush.interval.ms': duration({
    default: null,
    update: 'cluster-wide',
    about:
      'Longest time between an append and its sync, for topics that do not say. Unset: log.flush.scheduler.interval.ms.',
  }),
  'log.flush.offset.checkpoint.interval.ms': duration({
    type: 'int',
    default: 60_000,
    min: 0,
    about: 'Time between two writes of the recovery points.',
  }),
  'log.flush.scheduler.interval.ms': duration({
    default: LONG_MAX,
    about: 'How often logs are looked at for a sync by time.',
  }),
  'log.flush.start.offset.checkpoint.interval.ms': duration({
    type: 'int',
    default: 60_000,
    min: 0,
    about: 'Time between two writes of the log start offsets.',
  }),
  'log.index.interval.bytes': bytes({
    type: 'int',
    default: 4096,
    min: 0,
    update: 'cluster-wide',
    about: 'Bytes of log between two entries of the offset index, for topics that do not say.',
  }),
  'log.index.size.max.bytes': bytes({
    type: 'int',
    default: 10_485_760,
    min: 4,
    update: 'cluster-wide',
    about: 'Size of an index file at which its segment is closed, for topics that do not say.',
  }),
  'log.message.timestamp.after.max.ms': duration({
    default: 3_600_000,
    min: 0,
    update: 'cluster-wide',
    about: 'How far ahead of the broker clock a timestamp may be, for topics that do not say.',
  }),
  'log.message.timestamp.before.max.ms': duration({
    default: LONG_MAX,
    min: 0,
    update: 'cluster-wide',
    about: 'How far behind the broker clock a timestamp may be, for topics that do not say.',
  }),
  'log.message.timestamp.type': oneOf(['CreateTime', 'LogAppendTime'], {
    default: 'CreateTime',
    update: 'cluster-wide',
    about: 'Whose clock gives a record its time, for topics that do not say.',
  }),
  'log.preallocate': bool({
    default: false,
    update: 'cluster-wide',
    used: false,
    about: 'Whether new segment files take their full size at once, for topics that do not say.',
  }),
  'log.retention.bytes': bytes({
    default: -1,
    update: 'cluster-wide',
    about:
      'Size of a partition above which old segments are deleted, for topics that do not say. -1: no limit.',
  }),
  'log.retention.check.interval.ms': duration({
    default: 300_000,
    min: 1,
    about: 'Time between two looks for segments that retention deletes.',
  }),
  'log.retention.hours': int({
    default: 168,
    about:
      'Hours for which segments are kept. log.retention.ms and log.retention.minutes go before it.',
  }),
  'log.retention.minutes': int({
    default: null,
    about: 'Minutes for which segments are kept. log.retention.ms goes before it.',
  }),
  'log.retention.ms': duration({
    default: null,
    update: 'cluster-wide',
    about: 'Milliseconds for which segments are kept, for topics that do not say. -1: for ever.',
  }),
  'log.roll.hours': int({
    default: 168,
    min: 1,
    about: 'Hours after which an active segment is closed. log.roll.ms goes before it.',
  }),
  'log.roll.jitter.hours': int({
    default: 0,
    min: 0,
    about: 'Hours of random time taken off log.roll.hours. log.roll.jitter.ms goes before it.',
  }),
  'log.roll.jitter.ms': duration({
    default: null,
    update: 'cluster-wide',
    about: 'Longest random time taken off log.roll.ms, for topics that do not say.',
  }),
  'log.roll.ms': duration({
    default: null,
    update: 'cluster-wide',
    about: 'Age at which an active segment is closed, for topics that do not say.',
  }),
  'log.segment.bytes': bytes({
    type: 'int',
    default: 1_073_741_824,
    min: 1_048_576,
    update: 'cluster-wide',
    about: 'Size at which a segment is closed, for topics that do not say.',
  }),
  'log.segment.delete.delay.ms': duration({
    default: 60_000,
    min: 0,
    update: 'cluster-wide',
    about:
      'Time between taking a segment out of a log and removing its files, for topics that do not say.',
  }),
  'min.insync.replicas': int({
    default: 1,
    min: 1,
    update: 'cluster-wide',
    about: 'In-sync replicas without which acks=all is refused, for topics that do not say.',
  }),
  'num.partitions': int({
    default: 1,
    min: 1,
    about: 'Partitions of a topic created without a number: automatically, or with -1.',
  }),
  'num.recovery.threads.per.data.dir': int({
    default: 2,
    min: 1,
    update: 'cluster-wide',
    about: 'Logs of one directory that are recovered at the same time at start.',
  }),
} as const
