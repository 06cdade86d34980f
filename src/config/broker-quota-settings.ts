import { bytes, className, duration, int, LONG_MAX, list, long, string } from './setting.ts'

/** Quotas and metrics. Names, types, defaults, bounds and update modes are Kafka 4.3's. */
export const quotaSettings = {
  'alter.log.dirs.replication.quota.window.num': int({
    default: 11,
    min: 1,
    used: false,
    about: 'Samples kept for the quota of moves between log directories.',
  }),
  'alter.log.dirs.replication.quota.window.size.seconds': int({
    default: 1,
    min: 1,
    used: false,
    about: 'Length of a sample of the quota of moves between log directories.',
  }),
  'client.quota.callback.class': className({
    default: null,
    about: 'Java class that decides quotas. None can be loaded: a name here stops the start.',
  }),
  'controller.quota.window.num': int({
    default: 11,
    min: 1,
    used: false,
    about: 'Samples kept for the quota of controller mutations.',
  }),
  'controller.quota.window.size.seconds': int({
    default: 1,
    min: 1,
    used: false,
    about: 'Length of a sample of the quota of controller mutations.',
  }),
  'follower.replication.throttled.rate': long({
    default: LONG_MAX,
    min: 0,
    update: 'cluster-wide',
    internal: true,
    about: 'Bytes a second for throttled replicas on their followers.',
  }),
  'kafka.metrics.polling.interval.secs': int({
    default: 10,
    min: 1,
    used: false,
    about: "Polling interval of Kafka's own metric reporters.",
  }),
  'kafka.metrics.reporters': list({
    default: [],
    used: false,
    about: "Java classes of Kafka's own metric reporters.",
  }),
  'leader.replication.throttled.rate': long({
    default: LONG_MAX,
    min: 0,
    update: 'cluster-wide',
    internal: true,
    about: 'Bytes a second for throttled replicas on their leaders.',
  }),
  'metric.reporters': list({
    default: ['org.apache.kafka.common.metrics.JmxReporter'],
    update: 'cluster-wide',
    used: false,
    about: 'Java classes that report metrics. Metrics are served over HTTP here.',
  }),
  'metrics.num.samples': int({
    default: 2,
    min: 1,
    used: false,
    about: 'Samples kept for a rate.',
  }),
  'metrics.recording.level': string({
    default: 'INFO',
    used: false,
    about: 'Which metrics are recorded.',
  }),
  'metrics.sample.window.ms': duration({
    default: 30_000,
    min: 1,
    used: false,
    about: 'Length of a sample of a rate.',
  }),
  'quota.window.num': int({
    default: 11,
    min: 1,
    used: false,
    about: 'Samples kept for client quotas.',
  }),
  'quota.window.size.seconds': int({
    default: 1,
    min: 1,
    used: false,
    about: 'Length of a sample of client quotas.',
  }),
  'replica.alter.log.dirs.io.max.bytes.per.second': long({
    default: LONG_MAX,
    min: 0,
    update: 'cluster-wide',
    internal: true,
    about: 'Bytes a second for each move of a replica between log directories.',
  }),
  'replication.quota.window.num': int({
    default: 11,
    min: 1,
    used: false,
    about: 'Samples kept for replication quotas.',
  }),
  'replication.quota.window.size.seconds': int({
    default: 1,
    min: 1,
    used: false,
    about: 'Length of a sample of replication quotas.',
  }),
  'telemetry.max.bytes': bytes({
    type: 'int',
    default: 1_048_576,
    min: 1,
    used: false,
    about: 'Largest push of client metrics.',
  }),
} as const
