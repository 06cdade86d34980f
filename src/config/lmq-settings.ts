import { consulSettings } from './consul-settings.ts'
import { bool, bytes, int, LONG_MAX, long, oneOf, string } from './setting.ts'

/** Settings that Kafka does not have. All start with `lmq.`; an unknown `lmq.` name stops the start. */
export const lmqSettings = {
  'lmq.cluster.id': string({
    default: null,
    check: (id) =>
      /^[A-Za-z0-9_-]{1,64}$/.test(id)
        ? undefined
        : 'A cluster id is 1 to 64 letters, digits, - or _',
    about:
      'Cluster id that a new data folder gets. Unset: a random one; with Consul the one that the first broker chose.',
  }),
  ...consulSettings,
  'lmq.ephemeral': bool({
    default: false,
    about: 'Keeps the data in a temporary folder that is removed when the broker stops.',
  }),
  'lmq.host.id': string({
    default: null,
    about:
      'What the brokers of one machine have in common: without broker.rack their replicas are kept apart by it. Found out unless set.',
  }),
  'lmq.http.host': string({
    default: '127.0.0.1',
    about: 'Address on which HTTP (health, metrics) is served.',
  }),
  'lmq.http.port': int({
    default: 9644,
    min: -1,
    max: 65_535,
    about: 'Port on which HTTP (health, metrics) is served. 0: a free one, -1: none.',
  }),
  'lmq.log.format': oneOf(['text', 'json'], {
    default: 'text',
    about: 'Form of the log lines: text for people, json for programs.',
  }),
  'lmq.log.level': oneOf(['debug', 'info', 'warn', 'error'], {
    default: 'info',
    about: 'Least level of the log lines that are written.',
  }),
  'lmq.memory.budget.bytes': bytes({
    default: 268_435_456,
    min: 16_777_216,
    max: LONG_MAX,
    about:
      'Memory for requests being read and answers not yet sent, over all connections. Sockets are not read above it.',
  }),
  'lmq.open.files': int({
    default: 32_768,
    min: 64,
    max: 1_048_576,
    about:
      'Most segment files held open at once, and never more than half of what the system lets a process open (`ulimit -n`); one that was not used for long is closed first.',
  }),
  'lmq.produce.validation': oneOf(['outline', 'records'], {
    default: 'outline',
    update: 'cluster-wide',
    about:
      'What of a compressed batch is checked when it is produced. `outline`: checksum, header, the frames and sizes of its codec, and that so many records have room in them. `records`: it is also opened and every record looked at, as Kafka does, for which the broker needs several times the processor time. Batches that are not compressed, and those of topics whose settings need it, are always checked record by record.',
  }),
  'lmq.rebalance.disk.percent': int({
    default: 85,
    update: 'cluster-wide',
    min: 1,
    max: 100,
    about: 'Share of a disk in use above which automatic moves take replicas away from its broker.',
  }),
  'lmq.rebalance.enable': bool({
    default: false,
    update: 'cluster-wide',
    about:
      'Whether the controller moves replicas by itself, when brokers join, leave for good or fill up. Off: it pauses.',
  }),
  'lmq.rebalance.gone.after.ms': long({
    default: 3_600_000,
    update: 'cluster-wide',
    min: -1,
    about: 'Time after which a broker that is away counts as gone for good. -1: never.',
  }),
  'lmq.rebalance.interval.ms': int({
    default: 30_000,
    update: 'cluster-wide',
    min: 100,
    about: 'Time between two looks for replicas to move.',
  }),
  'lmq.rebalance.max.moves': int({
    default: 5,
    update: 'cluster-wide',
    min: 1,
    max: 1_000,
    about: 'Most partitions that automatic moves copy at a time.',
  }),
  'lmq.rebalance.rate.bytes': bytes({
    default: 33_554_432,
    update: 'cluster-wide',
    min: 1_024,
    max: LONG_MAX,
    about:
      'Bytes per second that automatic moves copy on average over the whole cluster, and at most to or from one broker.',
  }),
  'lmq.tail.bytes': bytes({
    default: 67_108_864,
    min: 0,
    max: LONG_MAX,
    about:
      'Memory for the newest batches of all partitions, from which consumers that keep up are served without the disk.',
  }),
} as const
