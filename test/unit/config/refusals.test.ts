// Goal: changes are refused with Kafka 4.3.1's sentences, which were recorded from a real broker.
import t from 'tap'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import {
  changeList,
  refusalOfBrokerChange,
  refusalOfClientMetricsOverrides,
  refusalOfGroupOverrides,
  refusalOfTopicOverrides,
} from '../../../src/config/refusals.ts'

const broker = brokerConfigOf()
const one = (name: string, value: string) => new Map([[name, value]])

t.test('topics', async (t) => {
  const of = (name: string, value: string) => refusalOfTopicOverrides(one(name, value), broker)
  t.same(of('unknown.thing', '1'), {
    errorName: 'INVALID_CONFIG',
    reason: 'Unknown topic config name: unknown.thing',
  })
  t.match(of('segment.bytes', '14'), {
    reason: 'Invalid value 14 for configuration segment.bytes: Value must be at least 1048576',
  })
  t.equal(of('internal.segment.bytes', '100'), undefined)
  t.equal(of('leader.replication.throttled.replicas', '0:1,1:2'), undefined)
  t.match(of('leader.replication.throttled.replicas', 'a'), {
    reason:
      "Invalid value [a] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
  })
  t.match(of('remote.storage.enable', 'true'), { reason: /Tiered Storage functionality/ })
  t.match(of('min.compaction.lag.ms', 'x'.repeat(40_000)), { reason: /maximum value size/ })
  const lags = new Map([
    ['min.compaction.lag.ms', '6'],
    ['max.compaction.lag.ms', '5'],
  ])
  t.match(refusalOfTopicOverrides(lags, broker), {
    reason: 'conflict topic config setting min.compaction.lag.ms (6) > max.compaction.lag.ms (5)',
  })
})

t.test('brokers', async (t) => {
  const of = (name: string, value: string, resource: 'broker' | 'default' = 'broker') =>
    refusalOfBrokerChange(one(name, value), resource, broker)
  t.same(of('num.partitions', '5'), {
    errorName: 'INVALID_REQUEST',
    reason: 'Cannot update these configs dynamically: [num.partitions]',
  })
  t.match(of('sasl.jaas.config', 'x', 'default'), {
    reason:
      'Cannot update these configs at default cluster level, broker id must be specified: [sasl.jaas.config]',
  })
  t.match(of('log.retention.ms', 'x'), {
    reason: 'Invalid value x for configuration log.retention.ms: Not a number of type LONG',
  })
  t.match(of('log.retention.ms', '0'), { reason: /must be unlimited/ })
  t.match(of('background.threads', '100'), { reason: /greater than double the current value 10/ })
  t.match(of('background.threads', '2'), { reason: /at least half the current value 10/ })
  t.equal(of('message.max.bytes', '2000000', 'default'), undefined)
  t.equal(of('unknown.plugin', '1'), undefined)
  t.match(of('listeners', 'PLAINTEXT://:1'), { reason: /dynamically/ })
})

t.test('groups and client metrics', async (t) => {
  const of = (name: string, value: string) => refusalOfGroupOverrides(one(name, value), broker)
  t.match(of('consumer.session.timeout.ms', '1'), {
    reason:
      'consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms',
  })
  t.equal(of('consumer.session.timeout.ms', '50000'), undefined)
  t.match(of('consumer.heartbeat.interval.ms', '46000'), { reason: /less than or equal to/ })
  t.match(of('share.auto.offset.reset', 'x'), { reason: /by_duration/ })
  t.equal(of('share.auto.offset.reset', 'by_duration:PT1H'), undefined)
  t.match(of('unknown', 'x'), { reason: 'Unknown group config name: unknown' })
  const metrics = (name: string, value: string) =>
    refusalOfClientMetricsOverrides(one(name, value), (expression) => expression !== '(')
  t.match(metrics('interval.ms', '50'), { reason: /between 100 and 3600000/ })
  t.match(metrics('match', 'a=b'), { reason: 'Illegal client matching pattern: a=b' })
  t.match(metrics('match', 'client_id=('), {
    reason: 'Illegal client matching pattern: client_id=(',
  })
  t.match(metrics('match', 'client_id=b=c'), { reason: /Illegal/ })
  t.match(metrics('match', 'client_id='), { reason: /Illegal/ })
  t.equal(metrics('match', 'client_id=b'), undefined)
  t.match(metrics('unknown', 'b'), { errorName: 'INVALID_REQUEST' })
})

t.test('lists grow and shrink', async (t) => {
  t.equal(changeList('append', 'delete', 'compact,delete'), 'delete,compact')
  t.equal(changeList('append', null, 'a'), 'a')
  t.equal(changeList('subtract', 'delete, compact', 'delete'), 'compact')
  t.equal(changeList('subtract', '', 'delete'), '')
})
