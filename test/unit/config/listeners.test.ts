// Goal: listeners that clients can reach are planned, and every other one is refused with its key, value and reason.
import t from 'tap'
import { brokerConfigOf } from '../../../src/config/broker-config.ts'
import { addressText, planListeners } from '../../../src/config/listeners.ts'

const plan = (texts: Record<string, string>) => planListeners(brokerConfigOf(texts), 'box')

t.test('the default is the local machine', async (t) => {
  const { listeners, interBrokerListener, warnings } = plan({})
  t.same(listeners, [
    {
      name: 'PLAINTEXT',
      securityProtocol: 'PLAINTEXT',
      host: '127.0.0.1',
      port: 9092,
      advertisedHost: '127.0.0.1',
      advertisedPort: 9092,
    },
  ])
  t.equal(interBrokerListener, 'PLAINTEXT')
  t.same(warnings, [])
})

t.test('several listeners, a controller among them, IPv6 and port 0', async (t) => {
  const { listeners, interBrokerListener } = plan({
    listeners: 'IN://[::1]:0,OUT://:9092,CONTROLLER://:9093',
    'advertised.listeners': 'IN://[fe80::1]:0,OUT://kafka.example:19092,CONTROLLER://x:1',
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'IN:PLAINTEXT,out:plaintext,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'in',
  })
  t.same(
    listeners.map((one) => [one.name, one.host, one.port, one.advertisedHost, one.advertisedPort]),
    [
      ['IN', '::1', 0, 'fe80::1', undefined],
      ['OUT', undefined, 9092, 'kafka.example', 19092],
    ],
  )
  t.equal(interBrokerListener, 'IN')
  t.equal(addressText('::1', 1), '[::1]:1')
  t.equal(addressText('a', 1), 'a:1')
})

t.test(
  'open on every address without an advertised one: the machine name, and a warning',
  async (t) => {
    for (const host of ['', '0.0.0.0', '[::]']) {
      const { listeners, warnings } = plan({ listeners: `PLAINTEXT://${host}:9092` })
      t.equal(listeners[0]?.advertisedHost, 'box')
      t.equal(warnings.length, 1)
      t.match(warnings[0], /set advertised.listeners/)
    }
  },
)

t.test('told to clients although only this machine reaches it: a warning', async (t) => {
  const warningsOf = (listener: string, told: string) =>
    plan({ listeners: `PLAINTEXT://${listener}`, 'advertised.listeners': `PLAINTEXT://${told}` })
      .warnings
  for (const host of ['127.0.0.1', 'localhost', '[::1]']) {
    const [warning, ...others] = warningsOf(`${host}:9092`, '10.9.8.7:9092')
    t.match(warning, /clients are told PLAINTEXT:\/\/10.9.8.7:9092, but .* loopback/)
    t.same(others, [])
    t.same(warningsOf(`${host}:9092`, 'localhost:9092'), [])
  }
  t.same(warningsOf('0.0.0.0:9092', 'localhost:9092'), [], 'right for clients on this machine')
})

const refused: [string, Record<string, string>, RegExp][] = [
  ['no scheme', { listeners: 'localhost:9092' }, /write NAME:\/\/host:port/],
  ['no port', { listeners: 'PLAINTEXT://localhost' }, /write NAME/],
  ['port too large', { listeners: 'PLAINTEXT://localhost:70000' }, /0 to 65535/],
  ['unknown protocol', { listeners: 'FOO://localhost:1' }, /FOO has no security protocol/],
  ['TLS', { listeners: 'SSL://localhost:1' }, /SSL is not served yet/],
  ['same name', { listeners: 'PLAINTEXT://a:1,PLAINTEXT://a:2' }, /name of its own/],
  [
    'same port',
    {
      listeners: 'PLAINTEXT://a:1,B://a:1',
      'listener.security.protocol.map': 'B:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    },
    /port 1 is that of/,
  ],
  ['advertised wildcard', { 'advertised.listeners': 'PLAINTEXT://0.0.0.0:9092' }, /no address/],
  ['advertised empty host', { 'advertised.listeners': 'PLAINTEXT://:9092' }, /no address/],
  ['advertised port 0', { 'advertised.listeners': 'PLAINTEXT://a:0' }, /port 0/],
  ['advertised stranger', { 'advertised.listeners': 'OTHER://a:1' }, /no listener OTHER/],
  ['inter-broker stranger', { 'inter.broker.listener.name': 'X' }, /no such listener/],
  ['bad map', { 'listener.security.protocol.map': 'A:FOO' }, /NAME:PROTOCOL/],
  ['only controllers', { 'controller.listener.names': 'PLAINTEXT' }, /clients need a listener/],
]
for (const [name, texts, reason] of refused) {
  t.test(`refused: ${name}`, async (t) => {
    t.throws(() => plan(texts), { code: 'LMQ_CONFIG_INVALID', facts: { reason } })
  })
}
