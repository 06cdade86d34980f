import type { BrokerConfig } from './broker-config.ts'
import { type ConfigOf, defineConfig } from './define-config.ts'
import { bool, duration, int, oneOf, string } from './setting.ts'

function checkShareReset(text: string): string | undefined {
  if (/^(earliest|latest)$/i.test(text)) return undefined
  if (/^by_duration:P(?!$)(\d+D)?(T(?!$)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$/i.test(text)) {
    return undefined
  }
  return `Invalid value \`${text}\` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.`
}

/** Per-group settings: Kafka 4.3's list. They matter to the consumer, share and streams group protocols only. */
export const groupSettings = defineConfig({
  'consumer.assignment.interval.ms': duration({
    type: 'int',
    default: 1000,
    min: 0,
    synonyms: ['group.consumer.assignment.interval.ms'],
    used: false,
    about: 'Shortest time between two assignments of this consumer group.',
  }),
  'consumer.heartbeat.interval.ms': duration({
    type: 'int',
    default: 5000,
    min: 1,
    synonyms: ['group.consumer.heartbeat.interval.ms'],
    used: false,
    about: "Heartbeat interval of this group's members.",
  }),
  'consumer.session.timeout.ms': duration({
    type: 'int',
    default: 45_000,
    min: 1,
    synonyms: ['group.consumer.session.timeout.ms'],
    used: false,
    about: 'Silence after which a member of this consumer group is removed.',
  }),
  'share.assignment.interval.ms': duration({
    type: 'int',
    default: 1000,
    min: 0,
    synonyms: ['group.share.assignment.interval.ms'],
    used: false,
    about: 'Shortest time between two assignments of this share group.',
  }),
  'share.auto.offset.reset': string({
    default: 'latest',
    check: checkShareReset,
    used: false,
    about:
      'Where a share group starts: earliest, latest, or by_duration: and an ISO-8601 duration back.',
  }),
  'share.delivery.count.limit': int({
    default: 5,
    min: 2,
    synonyms: ['group.share.delivery.count.limit'],
    used: false,
    about: 'Deliveries after which a record of this share group is given up.',
  }),
  'share.heartbeat.interval.ms': duration({
    type: 'int',
    default: 5000,
    min: 1,
    synonyms: ['group.share.heartbeat.interval.ms'],
    used: false,
    about: "Heartbeat interval of this share group's members.",
  }),
  'share.isolation.level': oneOf(['read_committed', 'read_uncommitted'], {
    default: 'read_uncommitted',
    used: false,
    about: 'Whether a share group sees records of open transactions.',
  }),
  'share.partition.max.record.locks': int({
    default: 2000,
    min: 100,
    synonyms: ['group.share.partition.max.record.locks'],
    used: false,
    about: 'Records of a partition that this share group may hold locked at once.',
  }),
  'share.record.lock.duration.ms': duration({
    type: 'int',
    default: 30_000,
    min: 1000,
    synonyms: ['group.share.record.lock.duration.ms'],
    used: false,
    about: 'Time for which a record is locked for one member.',
  }),
  'share.renew.acknowledge.enable': bool({
    default: true,
    used: false,
    about: 'Whether members may renew the lock of a record.',
  }),
  'share.session.timeout.ms': duration({
    type: 'int',
    default: 45_000,
    min: 1,
    synonyms: ['group.share.session.timeout.ms'],
    used: false,
    about: 'Silence after which a member of this share group is removed.',
  }),
  'streams.assignment.interval.ms': duration({
    type: 'int',
    default: 1000,
    min: 0,
    synonyms: ['group.streams.assignment.interval.ms'],
    used: false,
    about: 'Shortest time between two assignments of this streams group.',
  }),
  'streams.heartbeat.interval.ms': duration({
    type: 'int',
    default: 5000,
    min: 1,
    synonyms: ['group.streams.heartbeat.interval.ms'],
    used: false,
    about: "Heartbeat interval of this streams group's members.",
  }),
  'streams.initial.rebalance.delay.ms': duration({
    type: 'int',
    default: 3000,
    min: 0,
    synonyms: ['group.streams.initial.rebalance.delay.ms'],
    used: false,
    about: 'How long the first rebalance of this streams group waits for more members.',
  }),
  'streams.num.standby.replicas': int({
    default: 0,
    min: 0,
    synonyms: ['group.streams.num.standby.replicas'],
    used: false,
    about: 'Standby replicas of each task.',
  }),
  'streams.session.timeout.ms': duration({
    type: 'int',
    default: 45_000,
    min: 1,
    synonyms: ['group.streams.session.timeout.ms'],
    used: false,
    about: 'Silence after which a member of this streams group is removed.',
  }),
})

export type GroupConfig = ConfigOf<typeof groupSettings>

/** What a group setting is when the group itself says nothing. */
export function groupDefaultOf(name: string, broker: BrokerConfig): unknown {
  const setting = groupSettings.get(name)
  const values = broker as Readonly<Record<string, unknown>>
  for (const synonym of setting.synonyms) {
    const value = values[synonym]
    if (value !== null && value !== undefined) return value
  }
  return setting.default
}

/** A group's settings in force: its own overrides, then the broker's, then the defaults. Names not known are passed over. */
export function groupConfigOf(
  overrides: ReadonlyMap<string, string>,
  broker: BrokerConfig,
): GroupConfig {
  const config: Record<string, unknown> = {}
  for (const name of groupSettings.names) {
    const given = overrides.get(name)
    const reading = given === undefined ? undefined : groupSettings.get(name).read(name, given)
    config[name] =
      reading && reading.refusal === undefined ? reading.value : groupDefaultOf(name, broker)
  }
  return config as GroupConfig
}
