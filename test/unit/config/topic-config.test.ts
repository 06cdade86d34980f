// Goal: a topic's settings in force come from itself, then from the broker in its own units, then from the defaults.
import t from 'tap'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import { BrokerSettings } from '../../../src/config/broker-settings.ts'
import {
  isCompacted,
  isDeletedByRetention,
  segmentBytesOf,
  topicConfigOf,
} from '../../../src/config/topic-config.ts'

const none = new Map<string, string>()

t.test('defaults', async (t) => {
  const config = topicConfigOf(none, brokerConfigOf())
  t.equal(config['retention.ms'], 604_800_000)
  t.equal(config['segment.ms'], 604_800_000)
  t.equal(config['flush.messages'], Number.MAX_SAFE_INTEGER)
  t.equal(config['flush.ms'], Number.MAX_SAFE_INTEGER)
  t.same(config['cleanup.policy'], ['delete'])
  t.notOk(isCompacted(config))
  t.ok(isDeletedByRetention(config))
  t.equal(segmentBytesOf(config), 1_073_741_824)
})

t.test('hours and minutes of the broker become milliseconds', async (t) => {
  const of = (texts: Record<string, string>) => topicConfigOf(none, brokerConfigOf(texts))
  t.equal(of({ 'log.retention.hours': '2' })['retention.ms'], 7_200_000)
  t.equal(of({ 'log.retention.hours': '-1' })['retention.ms'], -1)
  const minutes = { 'log.retention.hours': '2', 'log.retention.minutes': '3' }
  t.equal(of(minutes)['retention.ms'], 180_000)
  t.equal(of({ ...minutes, 'log.retention.ms': '5' })['retention.ms'], 5)
  t.equal(of({ 'log.roll.hours': '1' })['segment.ms'], 3_600_000)
  t.equal(of({ 'log.flush.scheduler.interval.ms': '9' })['flush.ms'], 9)
})

t.test('the topic goes first', async (t) => {
  const overrides = new Map([
    ['retention.ms', '9223372036854775807'],
    ['cleanup.policy', 'compact,delete'],
    ['internal.segment.bytes', '1000'],
    ['from.a.newer.version', '1'],
  ])
  const config = topicConfigOf(overrides, brokerConfigOf({ 'log.retention.ms': '5' }))
  t.equal(config['retention.ms'], Number.MAX_SAFE_INTEGER)
  t.ok(isCompacted(config))
  t.equal(segmentBytesOf(config), 1000)
  t.throws(() => topicConfigOf(new Map([['retention.ms', 'x']]), brokerConfigOf()), {
    code: 'LMQ_CONFIG_INVALID',
  })
})

t.test('dynamic changes show in the one config object', async (t) => {
  const settings = new BrokerSettings(new Map([['fetch.max.bytes', '2048']]))
  const { config } = settings
  const told: string[][] = []
  const stop = settings.onChange((names) => told.push([...names]))
  t.same(
    [...settings.setDynamic({ clusterDefault: new Map([['log.retention.ms', '5']]) })],
    ['log.retention.ms'],
  )
  t.equal(topicConfigOf(none, config)['retention.ms'], 5)
  settings.setDynamic({ broker: new Map([['log.retention.ms', '6']]) })
  t.equal(config['log.retention.ms'], 6)
  settings.setDynamic({ broker: new Map([['log.retention.ms', 'unreadable']]) })
  t.equal(config['log.retention.ms'], 5)
  stop()
  settings.setDynamic({ clusterDefault: new Map() })
  t.equal(config['log.retention.ms'], null)
  t.equal(told.length, 3)
})
