// Goal: settings come from the right source, and every name falls into the right class: used, known without meaning
// here, unknown, or wrong in a way that stops the start.
import t from 'tap'
import { loadSettings, type SettingSources } from '../../../src/config/load-settings.ts'
import { loadStartOptions, settingsOfFlags } from '../../../src/config/start-options.ts'

const file = (text: string) => ({ path: 'server.properties', text })
const load = (sources: SettingSources) => loadSettings(sources)

t.test('the later source goes before the earlier', async (t) => {
  const sources = {
    file: file('num.partitions=2\nlog.retention.hours=5\nmessage.max.bytes=1000\nbroker.rack=a'),
    environment: { KAFKA_NUM_PARTITIONS: '3', KAFKA_MESSAGE_MAX_BYTES: '2000', PATH: '/bin' },
    flags: new Map([['message.max.bytes', '3000']]),
    set: new Map([['broker.rack', 'b']]),
  }
  const { config, warnings, settings } = load(sources)
  t.equal(config['num.partitions'], 3)
  t.equal(config['message.max.bytes'], 3000)
  t.equal(config['log.retention.hours'], 5)
  t.equal(config['broker.rack'], 'b')
  t.same(warnings, [])
  t.ok(settings.isSet('num.partitions'))
  t.notOk(settings.isSet('log.dirs'))
})

t.test("Kafka's own files and compose files start as they are", async (t) => {
  const { config, listenersPlan, warnings } = load({
    file: file('process.roles=broker,controller\nnode.id=7\nlog.dirs=/tmp/kraft-combined-logs\n'),
    environment: {
      KAFKA_CONTROLLER_QUORUM_VOTERS: '7@localhost:9093',
      KAFKA_LISTENERS: 'PLAINTEXT://0.0.0.0:9092,CONTROLLER://:9093',
      KAFKA_ADVERTISED_LISTENERS: 'PLAINTEXT://localhost:9092',
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_HEAP_OPTS: '-Xmx1G',
      KAFKA_PORT: 'tcp://10.0.0.1:9092',
      KAFKA_PORT_9092_TCP_ADDR: '10.0.0.1',
      KAFKA_ZOOKEEPER_CONNECT: 'zookeeper:2181',
      CLUSTER_ID: '4L6g3nShT-eMCtK--X86sw',
      KAFKA_SSL_CLIENT_AUTH: 'perhaps',
    },
  })
  t.equal(config['node.id'], 7)
  t.equal(config['broker.id'], 7)
  t.equal(config['lmq.cluster.id'], '4L6g3nShT-eMCtK--X86sw')
  t.equal(config['ssl.client.auth'], 'none')
  t.equal(listenersPlan.listeners.length, 1)
  t.same(warnings, [
    'unknown settings, passed over: port, port.9092.tcp.addr',
    'known to Kafka but without meaning here, passed over: KAFKA_HEAP_OPTS, controller.listener.names, controller.quorum.voters, process.roles, zookeeper.connect',
    'these settings protect nothing here, every listener is PLAINTEXT and whoever reaches it may do everything: ssl.client.auth',
  ])
})

t.test(
  'protection that is not here is named, and stops nothing by its mere presence',
  async (t) => {
    const { warnings } = load({
      file: file(
        'authorizer.class.name=\nsuper.users=User:a\nsasl.enabled.mechanisms=PLAIN\nlistener.name.plaintext.ssl.keystore.type=PEM\nnum.io.threads=8\nlistener.name.out.plain.sasl.jaas.config=x',
      ),
    })
    t.same(warnings, [
      'known to Kafka but without meaning here, passed over: num.io.threads',
      'these settings protect nothing here, every listener is PLAINTEXT and whoever reaches it may do everything: listener.name.out.plain.sasl.jaas.config, listener.name.plaintext.ssl.keystore.type, sasl.enabled.mechanisms, super.users',
    ])
  },
)

t.test('variables name settings as in Kafka’s image', async (t) => {
  const { config, settings } = load({
    environment: {
      KAFKA_LOG_DIRS: '/a,/b',
      KAFKA_LISTENER_NAME_IN___SIDE_SSL__X: '1',
      LMQ_HTTP_PORT: '0',
      LMQ_BOOTSTRAP: 'localhost:9092',
      LMQ_BOOTSTRAP_CONSUL: 'localhost:8500',
      KAFKA_BROKER_ID: '-1',
    },
  })
  t.same(config['log.dirs'], ['/a', '/b'])
  t.equal(config['lmq.http.port'], 0)
  t.ok(settings.static.has('listener.name.in-side.ssl_x'))
  t.equal(config['node.id'], 1)
})

type Refused = [string, SettingSources, { code: string; facts?: object }]

const refused: Refused[] = [
  [
    'a bad value of a used setting',
    { file: file('log.retention.ms=soon') },
    {
      code: 'LMQ_CONFIG_INVALID',
      facts: { key: 'log.retention.ms', value: 'soon', source: 'server.properties' },
    },
  ],
  [
    'an unknown lmq setting',
    { environment: { LMQ_HTTP_PROT: '1' } },
    { code: 'LMQ_CONFIG_UNKNOWN', facts: { key: 'lmq.http.prot', nearest: 'lmq.http.port' } },
  ],
  [
    'an unknown lmq setting in Kafka’s form',
    { environment: { KAFKA_LMQ_NOTHING: '1' } },
    { code: 'LMQ_CONFIG_UNKNOWN', facts: { key: 'lmq.nothing' } },
  ],
  [
    'an unknown --set name',
    { set: new Map([['nonsense', '1']]) },
    { code: 'LMQ_CONFIG_UNKNOWN', facts: { key: 'nonsense', value: '1' } },
  ],
  [
    'a slip of the pen',
    { file: file('log.retension.ms=5') },
    { code: 'LMQ_CONFIG_UNKNOWN', facts: { nearest: 'log.retention.ms' } },
  ],
  [
    'another spelling',
    { file: file('log_retention_ms=5') },
    { code: 'LMQ_CONFIG_UNKNOWN', facts: { nearest: 'log.retention.ms' } },
  ],
  [
    'several at once',
    { file: file('log.retention.ms=a\nnum.partitions=0') },
    { code: 'LMQ_CONFIG_INVALID', facts: { also: ['num.partitions=0'] } },
  ],
  [
    'two broker ids',
    { file: file('broker.id=1\nnode.id=2') },
    { code: 'LMQ_CONFIG_INVALID', facts: { key: 'broker.id' } },
  ],
  [
    'retention of nothing',
    { file: file('log.retention.ms=0') },
    { code: 'LMQ_CONFIG_INVALID', facts: { key: 'log.retention.ms' } },
  ],
  [
    'only a controller',
    { file: file('process.roles=controller') },
    { code: 'LMQ_CONFIG_INVALID', facts: { key: 'process.roles' } },
  ],
  [
    'a secret under a misspelled name, and does not tell it',
    { file: file('ssl.key.pasword=hush') },
    { code: 'LMQ_CONFIG_UNKNOWN', facts: { value: '(hidden)', nearest: 'ssl.key.password' } },
  ],
  [
    'an authorizer',
    {
      environment: {
        KAFKA_AUTHORIZER_CLASS_NAME: 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      },
    },
    { code: 'LMQ_CONFIG_INVALID', facts: { key: 'authorizer.class.name' } },
  ],
  ...['create.topic.policy', 'alter.config.policy', 'client.quota.callback'].map(
    (gate): Refused => {
      const key = gate.startsWith('client') ? `${gate}.class` : `${gate}.class.name`
      return [
        `a class that would refuse or limit: ${key}`,
        { file: file(`${key}=org.example.Gate`) },
        { code: 'LMQ_CONFIG_INVALID', facts: { key } },
      ]
    },
  ),
  [
    'a listener with TLS',
    { file: file('listeners=SSL://:9093\nssl.client.auth=required') },
    { code: 'LMQ_CONFIG_INVALID', facts: { key: 'listeners' } },
  ],
  [
    'TLS between brokers',
    { file: file('security.inter.broker.protocol=SSL') },
    { code: 'LMQ_CONFIG_INVALID', facts: { key: 'security.inter.broker.protocol' } },
  ],
  ['a broken file', { file: file('a=\\u1') }, { code: 'LMQ_CONFIG_INVALID' }],
]
for (const [name, sources, error] of refused) {
  t.test(`stops the start: ${name}`, async (t) => {
    t.throws(() => load(sources), error)
  })
}

t.test('flags are settings', async (t) => {
  const flags = settingsOfFlags({
    port: 0,
    dataDir: '/d',
    httpPort: -1,
    logJson: true,
    brokerId: 4,
  })
  const { config } = load({ flags, file: file('broker.id=9\nlog.dir=/e') })
  t.same(config.listeners, ['PLAINTEXT://127.0.0.1:0'])
  t.same(config['log.dirs'], ['/d'])
  t.equal(config['lmq.http.port'], -1)
  t.equal(config['lmq.log.format'], 'json')
  t.equal(config['node.id'], 4)
  const listenersOf = (host: string | undefined, port: number | undefined, text: string) =>
    settingsOfFlags({ host, port }, { file: file(`listeners=${text}`) }).get('listeners')
  t.equal(listenersOf(undefined, 5, 'PLAINTEXT://0.0.0.0:9'), 'PLAINTEXT://0.0.0.0:5')
  t.equal(listenersOf('::1', undefined, 'PLAINTEXT://0.0.0.0:9'), 'PLAINTEXT://[::1]:9')
  t.throws(() => listenersOf('a', undefined, 'X://b:1,Y://c:2'), { code: 'LMQ_CONFIG_INVALID' })
  const kraft = `listeners=PLAINTEXT://:9092,CONTROLLER://:9093
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER`
  const moved = settingsOfFlags({ port: 5 }, { file: file(kraft) })
  t.equal(moved.get('listeners'), 'PLAINTEXT://:5,CONTROLLER://:9093')
  t.equal(moved.get('advertised.listeners'), 'PLAINTEXT://localhost:5,CONTROLLER://localhost:9093')
  const behind = { KAFKA_ADVERTISED_LISTENERS: 'PLAINTEXT://outside:19092' }
  const kept = settingsOfFlags({ port: 5 }, { file: file(kraft), environment: behind })
  t.notOk(kept.has('advertised.listeners'))
})

t.test('where the data lies', async (t) => {
  const dirs = (options: Parameters<typeof loadStartOptions>[0], text = '') =>
    loadStartOptions(options, () => text).dataDirs
  t.same(dirs({}), [])
  t.same(dirs({ defaultDataDir: '/home' }), ['/home'])
  t.same(dirs({ defaultDataDir: '/home', dataDir: '/d' }), ['/d'])
  t.same(dirs({ defaultDataDir: '/home', configFile: 'f' }, 'log.dir=/e'), ['/e'])
  t.same(dirs({ configFile: 'f' }, 'log.dirs=/e,/f\nlog.dir=/g'), ['/e', '/f'])
  t.same(dirs({ defaultDataDir: '/home', ephemeral: true }), [])
  t.throws(
    () =>
      loadStartOptions({ configFile: 'gone' }, () => {
        throw new Error('ENOENT')
      }),
    { code: 'LMQ_CONFIG_INVALID', facts: { file: 'gone' } },
  )
})
