// What a client is told when it changes settings; sentences are Kafka 4.3.1's, seen on the wire.
import t from 'tap'
import { ConfigOperation } from '../../../src/cluster/config-commands.ts'
import { ResourceType } from '../../../src/cluster/metadata-image.ts'
import { errorName } from '../../../src/protocol/error-code.ts'
import { TestMachine, topic } from './machine-fixture.ts'

const { SET, DELETE, APPEND, SUBTRACT } = ConfigOperation
const { TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP } = ResourceType

function withTopic(): TestMachine {
  const machine = new TestMachine()
  machine.create([topic('ok')])
  return machine
}

t.test('of topics', async (t) => {
  const machine = withTopic()
  const inForce = () => Object.fromEntries(machine.image.configs(TOPIC, 'ok'))
  t.equal(machine.alter(TOPIC, 'ok', ['retention.ms', SET, '5']), 'NONE')
  t.equal(
    machine.alter(TOPIC, 'ok', ['retention.ms', APPEND, '5']),
    "INVALID_CONFIG Can't APPEND to key retention.ms because its type is not LIST.",
  )
  t.equal(
    machine.alter(TOPIC, 'ok', ['nope', SET, '5'], ['retention.ms', SET, '9']),
    'INVALID_CONFIG Unknown topic config name: nope',
  )
  t.strictSame(inForce(), { 'retention.ms': '5' }, 'all or nothing')
  t.equal(machine.alter(TOPIC, 'ok', ['nope', DELETE, null]), 'NONE')
  t.equal(
    machine.alter(TOPIC, 'ok', ['retention.ms', SET, null]),
    'INVALID_REQUEST Null value not supported for : retention.ms',
  )
  t.equal(
    machine.alter(TOPIC, 'ok', ['retention.ms', SET, '1'], ['retention.ms', DELETE, null]),
    'INVALID_REQUEST Error due to duplicate config keys',
  )
  t.equal(
    machine.alter(TOPIC, 'nope', ['retention.ms', SET, '1']),
    "UNKNOWN_TOPIC_OR_PARTITION The topic 'nope' does not exist.",
  )
  t.equal(
    machine.alter(TOPIC, '', ['retention.ms', SET, '1']),
    'INVALID_REQUEST Default topic resources are not allowed.',
  )
  t.equal(
    machine.alter(TOPIC, 'ok', ['retention.ms', 9, '1']),
    'INVALID_REQUEST Unknown operations type 9',
  )
  t.equal(machine.alter(TOPIC, 'ok', ['retention.ms', DELETE, null]), 'NONE')
  t.strictSame(inForce(), {})
})

t.test('lists start from the default, nothing comes twice', async (t) => {
  const machine = withTopic()
  const policy = () => machine.image.configs(TOPIC, 'ok').get('cleanup.policy')
  t.equal(machine.alter(TOPIC, 'ok', ['cleanup.policy', APPEND, 'compact']), 'NONE')
  t.equal(policy(), 'delete,compact')
  machine.alter(TOPIC, 'ok', ['cleanup.policy', APPEND, 'compact,delete'])
  t.equal(policy(), 'delete,compact')
  machine.alter(TOPIC, 'ok', ['cleanup.policy', SUBTRACT, 'delete'])
  t.equal(policy(), 'compact')
})

t.test('of brokers', async (t) => {
  const machine = new TestMachine()
  t.equal(
    machine.alter(BROKER, '1', ['node.id', SET, '5'], ['broker.id', SET, '5']),
    'INVALID_REQUEST Cannot update these configs dynamically: [node.id, broker.id]',
  )
  t.equal(
    machine.alter(BROKER, '2', ['log.retention.ms', SET, '5']),
    'INVALID_REQUEST Unexpected broker id, expected 1, but received 2',
  )
  t.equal(
    machine.alter(BROKER, 'x', ['log.retention.ms', SET, '5']),
    'INVALID_REQUEST Node id must be an integer, but it is: x',
  )
  t.equal(
    machine.alter(BROKER, '1', ['log.retention.ms', SET, 'abc']),
    'INVALID_REQUEST Invalid value abc for configuration log.retention.ms: Not a number of type LONG',
  )
  t.equal(
    machine.alter(BROKER, '1', ['log.retention.ms', APPEND, '1']),
    'INVALID_CONFIG Config value append is not allowed for config key: log.retention.ms',
  )
  t.equal(
    machine.alter(BROKER, '', ['ssl.keystore.location', SET, '/x']),
    'INVALID_REQUEST These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]',
  )
  t.equal(machine.alter(BROKER, '1', ['log.retention.ms', SET, '6']), 'NONE')
  t.equal(machine.alter(BROKER, '', ['log.retention.ms', SET, '7']), 'NONE')
  t.equal(machine.image.configs(BROKER, '1').get('log.retention.ms'), '6')
  t.equal(machine.image.configs(BROKER, '').get('log.retention.ms'), '7')
})

t.test('of groups, client metrics and things that are none', async (t) => {
  const machine = new TestMachine()
  t.equal(machine.alter(GROUP, 'g', ['consumer.session.timeout.ms', SET, '50000']), 'NONE')
  t.equal(
    machine.alter(GROUP, '', ['consumer.session.timeout.ms', SET, '50000']),
    'INVALID_REQUEST Default group resources are not allowed.',
  )
  t.equal(
    machine.alter(GROUP, 'g', ['nope', SET, '5']),
    'INVALID_CONFIG Unknown group config name: nope',
  )
  t.equal(machine.alter(CLIENT_METRICS, 'm', ['interval.ms', SET, '1000']), 'NONE')
  t.equal(
    machine.alter(CLIENT_METRICS, '', ['interval.ms', SET, '1000']),
    "INVALID_REQUEST Subscription name can't be empty",
  )
  t.equal(
    machine.alter(CLIENT_METRICS, 'm', ['metrics', APPEND, 'a']),
    "INVALID_CONFIG Can't APPEND to key metrics because its type is not LIST.",
  )
  t.equal(
    machine.alter(BROKER_LOGGER, '1', ['kafka', SET, 'INFO']),
    'INVALID_CONFIG Logger kafka does not exist!',
  )
  t.equal(machine.alter(99, 'x', ['a', SET, 'b']), 'INVALID_REQUEST Unknown resource type 99')
})

t.test('a resource that comes twice is not changed, the others are', async (t) => {
  const machine = withTopic()
  machine.create([topic('other')])
  const configs = [{ name: 'retention.ms', configOperation: SET, value: '5' }]
  const resource = (resourceName: string) => ({ resourceType: TOPIC, resourceName, configs })
  const outcomes = machine.run(
    machine.machine.incrementalAlterConfigs({
      resources: [resource('ok'), resource('ok'), resource('other')],
      validateOnly: false,
      brokerId: 1,
    }),
  )
  t.strictSame(
    outcomes.map(({ errorCode }) => errorName(errorCode)),
    ['INVALID_REQUEST', 'INVALID_REQUEST', 'NONE'],
  )
  t.equal(machine.image.configs(TOPIC, 'ok').size, 0)
  t.equal(machine.image.configs(TOPIC, 'other').size, 1)
})

t.test('the old AlterConfigs replaces the whole set', async (t) => {
  const machine = withTopic()
  const alter = (values: Record<string, string>, validateOnly = false) =>
    machine.run(
      machine.machine.alterConfigs({
        resources: [
          {
            resourceType: TOPIC,
            resourceName: 'ok',
            configs: Object.entries(values).map(([name, value]) => ({ name, value })),
          },
        ],
        validateOnly,
        brokerId: 1,
      }),
    )[0]?.errorCode
  alter({ 'retention.ms': '5', 'segment.ms': '7' })
  t.equal(alter({ 'retention.ms': '6', 'flush.ms': 'x' }), 40)
  alter({ 'flush.ms': '9' }, true)
  t.strictSame(Object.fromEntries(machine.image.configs(TOPIC, 'ok')), {
    'retention.ms': '5',
    'segment.ms': '7',
  })
  alter({ 'flush.ms': '9' })
  t.strictSame(Object.fromEntries(machine.image.configs(TOPIC, 'ok')), { 'flush.ms': '9' })
})
