// Goal: franz-go's own tests cannot tell LMQ from Kafka.
import t from 'tap'
import { startTestBroker } from './harness/broker.ts'
import { runGoSuite } from './harness/go-suite.ts'
import { tool } from './harness/tools.ts'

const found = tool('go')
if (found) {
  t.setTimeout(0) // the runner limits the file
  const broker = await startTestBroker()
  t.teardown(() => broker.stop())
  const env = { KGO_SEEDS: broker.bootstrap, KGO_TEST_RF: '1', KGO_TEST_RECORDS: '2000' }
  await runGoSuite(t, {
    found,
    name: 'franz-go',
    title: `franz-go ${found.version}, kgo`,
    env,
  })
} else t.pass('nothing to run', { skip: "franz-go's tests are missing" })
