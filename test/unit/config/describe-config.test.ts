// Goal: DescribeConfigs says of every setting what Kafka 4.3.1 says.
// Method: described-by-kafka.txt was recorded from a real broker started with the texts below; each line is a name, its
// value, read-only, source, sensitive, and its synonyms as source:name=value. The same texts must give the same lines,
// but for what is listed as a development default or as having another default here.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { BrokerSettings } from '../../../src/config/broker-settings.ts'
import {
  ConfigSource,
  type DescribedSetting,
  describeBrokerDefaults,
  describeBrokerSettings,
  describeClientMetricsSettings,
  describeGroupSettings,
  describeTopicSettings,
} from '../../../src/config/describe-config.ts'
import { developmentDefaults } from '../../../src/config/development-defaults.ts'

const texts = {
  listeners: 'PLAINTEXT://127.0.0.1:19392,CONTROLLER://127.0.0.1:19393',
  'advertised.listeners': 'PLAINTEXT://127.0.0.1:19392',
  'broker.id': '1',
  'node.id': '1',
  'broker.rack': 'RACK1',
  'controller.listener.names': 'CONTROLLER',
  'controller.quorum.voters': '1@127.0.0.1:19393',
  'group.initial.rebalance.delay.ms': '0',
  'listener.security.protocol.map':
    'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL',
  'log.dirs': '/data',
  'offsets.topic.replication.factor': '1',
  'process.roles': 'broker,controller',
  'share.coordinator.state.topic.min.isr': '1',
  'share.coordinator.state.topic.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'transaction.state.log.replication.factor': '1',
}
const topicTexts = {
  'retention.ms': '9223372036854775807',
  'cleanup.policy': 'compact , delete',
  'min.cleanable.dirty.ratio': '1e-1',
  preallocate: 'FALSE',
}

const settingsOf = (given: Record<string, string>) =>
  new BrokerSettings(new Map(Object.entries(given)))

const lineOf = (one: DescribedSetting): string => {
  const synonyms = one.synonyms.map(({ source, name, value }) => `${source}:${name}=${value}`)
  const line = `${one.name} = ${one.value} ro=${one.readOnly} src=${one.configSource} sens=${one.isSensitive}`
  return `${line} syn=${synonyms.join(';')}`.trimEnd()
}

const recorded = readFileSync(new URL('described-by-kafka.txt', import.meta.url), 'utf8')
const [, topicPart = '', brokerPart = ''] = recorded.split(/\[topic\]\n|\[broker\]\n/)
const lines = (text: string) => text.split('\n').filter((line) => line !== '')
/** Settings with another default here: those of the list, and Kafka's folder. */
const differs = new Set([...developmentDefaults.map(({ name }) => name), 'log.dir'])
const comparable = (line: string): boolean =>
  !differs.has(line.split(' ')[0] ?? '') && !line.startsWith('lmq.')

t.test('a broker', async (t) => {
  const settings = settingsOf(texts)
  settings.setDynamic({ clusterDefault: new Map([['min.insync.replicas', '1']]) })
  const here = describeBrokerSettings(settings).map(lineOf)
  t.same(here.filter(comparable).sort(), lines(brokerPart).filter(comparable).sort())
  t.ok(describeBrokerSettings(settings).every(({ documentation }) => documentation.length > 10))
})

t.test('a topic', async (t) => {
  const settings = settingsOf(texts)
  settings.setDynamic({ clusterDefault: new Map([['min.insync.replicas', '1']]) })
  const overrides = new Map(Object.entries(topicTexts))
  t.same(describeTopicSettings(overrides, settings).map(lineOf).sort(), lines(topicPart).sort())
})

t.test('what is internal, secret or unknown', async (t) => {
  const settings = settingsOf({ 'ssl.key.password': 'hush-hush', 'plugin.token': 'hush-hush too' })
  const described = describeBrokerSettings(settings)
  t.notMatch(JSON.stringify(described), /hush-hush/)
  const unknown = described.find(({ name }) => name === 'plugin.token')
  t.match(unknown, { value: null, isSensitive: true, configType: 0 })
  const topic = describeTopicSettings(new Map([['internal.segment.bytes', '100']]), settings)
  t.notOk(topic.some(({ name }) => name.startsWith('internal.')))
})

t.test('dynamic changes go before what the file says', async (t) => {
  const settings = settingsOf({ 'log.retention.hours': '1', 'log.segment.bytes': '2000000' })
  const of = (name: string) =>
    describeTopicSettings(new Map(), settings).find((s) => s.name === name)
  t.match(of('retention.ms'), { value: '3600000', configSource: ConfigSource.DEFAULT })
  settings.setDynamic({
    clusterDefault: new Map([['log.retention.ms', '7']]),
    broker: new Map([['log.segment.bytes', '3000000']]),
  })
  t.match(of('retention.ms'), {
    value: '7',
    configSource: ConfigSource.DYNAMIC_DEFAULT_BROKER,
    synonyms: [
      { name: 'log.retention.ms', value: '7', source: 3 },
      { name: 'log.retention.hours', value: '1', source: 4 },
      { name: 'log.retention.hours', value: '168', source: 5 },
    ],
  })
  t.match(of('segment.bytes'), { value: '3000000', configSource: ConfigSource.DYNAMIC_BROKER })
  t.match(describeBrokerDefaults(settings), [
    { name: 'log.retention.ms', value: '7', configSource: 3, synonyms: [{ source: 3 }] },
  ])
})

t.test('groups and client metrics', async (t) => {
  const settings = settingsOf({ 'group.consumer.session.timeout.ms': '50000' })
  const group = describeGroupSettings(
    new Map([['share.isolation.level', 'read_committed']]),
    settings,
  )
  const of = (name: string) => group.find((setting) => setting.name === name)
  t.match(of('consumer.session.timeout.ms'), { value: '50000' })
  t.match(of('share.isolation.level'), { value: 'read_committed', configSource: 8 })
  t.match(describeClientMetricsSettings(new Map([['interval.ms', '5']])), [
    { name: 'interval.ms', value: '5', configSource: 7, configType: 3 },
  ])
})

t.test('rates of throttled replicas have no default to show', async (t) => {
  const settings = settingsOf({})
  const name = 'leader.replication.throttled.rate'
  settings.setDynamic({ broker: new Map([[name, '5']]) })
  const described = describeBrokerSettings(settings).find((one) => one.name === name)
  t.match(described, { value: '5' })
  t.same(described?.synonyms, [{ name, value: '5', source: ConfigSource.DYNAMIC_BROKER }])
})
