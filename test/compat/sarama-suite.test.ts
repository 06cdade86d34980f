// Goal: sarama's functional tests cannot tell LMQ from Kafka. Method: all five of their proxies lead to one broker, which tells
// clients the first one's address, so that what the tests do to the way to the broker happens.
import t from 'tap'
import { givenBootstrap, startTestBroker } from './harness/broker.ts'
import { freePorts } from './harness/free-ports.ts'
import { runGoSuite } from './harness/go-suite.ts'
import { type Tool, tool } from './harness/tools.ts'
import { Toxiproxy } from './harness/toxiproxy.ts'

const proxies = ['kafka1', 'kafka2', 'kafka3', 'kafka4', 'kafka5']

async function run(found: Tool, program: string): Promise<void> {
  const proxy = await Toxiproxy.start(program)
  t.teardown(() => proxy.stop())
  const [port = 0] = await freePorts(1)
  const upstream = givenBootstrap ?? `127.0.0.1:${port}`
  const addresses: string[] = []
  for (const name of proxies) addresses.push(await proxy.add(name, upstream))
  const settings = {
    'advertised.listeners': `PLAINTEXT://${addresses[0]}`,
    'auto.create.topics.enable': 'false', // as in their own runs
  }
  const broker = await startTestBroker({ settings, port })
  t.teardown(() => broker.stop())
  const env = {
    TOXIPROXY_ADDR: proxy.url,
    KAFKA_ADDRESS: addresses[0] ?? '',
    KAFKA_VERSION: '4.3.1',
  }
  const title = `sarama ${found.version}, functional tests`
  // Those that may run side by side wait most of their time.
  const flags = ['-test.parallel', '8']
  await runGoSuite(t, { found, name: 'sarama', title, env, flags })
}

const found = tool('sarama')
if (found?.toxiproxy) {
  t.setTimeout(0) // the runner limits the file
  await run(found, found.toxiproxy)
} else t.pass('nothing to run', { skip: "sarama's tests are missing" })
