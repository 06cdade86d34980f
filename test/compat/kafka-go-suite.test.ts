// Goal: kafka-go's own tests cannot tell LMQ from Kafka. They want a broker that calls itself localhost.
import t from 'tap'
import { startTestBroker } from './harness/broker.ts'
import { runGoSuite } from './harness/go-suite.ts'
import { tool } from './harness/tools.ts'

const found = tool('kafkaGo')
if (found) {
  t.setTimeout(0) // the runner limits the file
  const broker = await startTestBroker({ settings: { listeners: 'PLAINTEXT://localhost:0' } })
  t.teardown(() => broker.stop())
  const port = broker.bootstrap.slice(broker.bootstrap.lastIndexOf(':') + 1)
  // Their own runs leave out the tests of net.Conn's rules, too.
  const env = {
    KAFKA_ADDRESS: `localhost:${port}`,
    KAFKA_SKIP_NETTEST: '1',
    KAFKA_VERSION: '4.3.1',
  }
  // They wait most of their time, each for topics of its own.
  const title = `kafka-go ${found.version}`
  await runGoSuite(t, { found, name: 'kafka-go', title, env, lanes: 6 })
} else t.pass('nothing to run', { skip: "kafka-go's tests are missing" })
