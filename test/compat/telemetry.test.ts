// Goal: what unmodified clients measure of themselves (KIP-714) stands on the broker's metrics page. Method: the subscription
// is made by Kafka's own ClientMetricsCommand where Java is present, librdkafka and Java's producer push as they are.
import { spawn } from 'node:child_process'
import t, { type Test } from 'tap'
import { alterConfigs } from '../../src/client/admin-configs.ts'
import { Client, parseBootstrap } from '../../src/client/client.ts'
import { type RunningBroker, startBroker } from '../../src/index.ts'
import { createNodeIo } from '../../src/io/node-io.ts'
import { javaArgs } from './harness/java.ts'
import { runOrThrow } from './harness/program.ts'
import { type Tool, tool, whyMissing } from './harness/tools.ts'
import { uniqueName, until } from './harness/waiting.ts'

const INTERVAL_MS = '500'

const python = tool('python')
const java = tool('java')

const producerScript = `
import sys
from confluent_kafka import Producer
producer = Producer({'bootstrap.servers': sys.argv[1], 'client.id': sys.argv[3]})
while True:
    producer.produce(sys.argv[2], b'x')
    producer.poll(0.05)
`

async function subscribe(broker: RunningBroker): Promise<void> {
  if (java) {
    const tool = 'org.apache.kafka.tools.ClientMetricsCommand'
    const wish = ['--alter', '--name', 'all', '--metrics', '*', '--interval', INTERVAL_MS]
    const args = [...javaArgs(java), tool, '--bootstrap-server', broker.bootstrap, ...wish]
    await runOrThrow(java.path, args)
    return
  }
  const client = new Client(createNodeIo(), { bootstrap: parseBootstrap(broker.bootstrap) })
  const settings = { metrics: '*', 'interval.ms': INTERVAL_MS }
  const changes = Object.entries(settings).map(([name, value]) => ({
    name,
    value,
    operation: 'set' as const,
  }))
  try {
    await alterConfigs(client, { type: 'client-metrics', name: 'all' }, changes)
  } finally {
    client.close()
  }
}

/** Runs a client that never ends until its metrics are seen. */
async function pushes(
  t: Test,
  broker: RunningBroker,
  { path }: Tool,
  args: readonly string[],
  sample: RegExp,
): Promise<void> {
  const child = spawn(path, args, { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('close', resolve))
  try {
    const value = await until(
      `${sample}`,
      async () => {
        const page = await (await fetch(`${broker.httpAddress}/metrics`)).text()
        return Number(sample.exec(page)?.[1] ?? 0)
      },
      (found) => found > 0,
    )
    t.ok(value > 0, `${value}`)
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}

t.test('clients push what they measure', async (t) => {
  const broker = await startBroker({ httpPort: 0 })
  t.teardown(() => broker.stop())
  await subscribe(broker)
  const { bootstrap } = broker

  const noPython = python ? false : whyMissing('python')
  await t.test('librdkafka (confluent-kafka for Python)', { skip: noPython }, async (t) => {
    const args = ['-c', producerScript, bootstrap, uniqueName(), 'pushing-librdkafka']
    const sample =
      /^kafka_client_producer_node_request_latency_avg\{[^}]*client_id="pushing-librdkafka"[^}]*\} (\S+)/m
    if (python) await pushes(t, broker, python, args, sample)
  })
  await t.test('Java', { skip: java ? false : whyMissing('java') }, async (t) => {
    const settings = [`bootstrap.servers=${bootstrap}`, 'client.id=pushing-java']
    const load = ['--num-records', '1000000', '--record-size', '10', '--throughput', '100']
    const tool = 'org.apache.kafka.tools.ProducerPerformance'
    const what = [tool, '--topic', uniqueName(), ...load, '--producer-props', ...settings]
    const sample =
      /^kafka_client_producer_connection_creation_total\{[^}]*client_id="pushing-java"[^}]*\} (\S+)/m
    if (java) await pushes(t, broker, java, [...javaArgs(java), ...what], sample)
  })
})
