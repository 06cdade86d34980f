// Goal: node-rdkafka's own e2e tests cannot tell LMQ from Kafka. Method: mocha runs its files one by one, on topics made as its
// own script makes them; the tests of a checked-in list must pass.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { givenBootstrap, startTestBroker } from './harness/broker.ts'
import { startDriver } from './harness/client-drivers.ts'
import { runMochaFile } from './harness/mocha-file.ts'
import { checkSuite, readSuiteList, type SuiteOutcome, wantedOf } from './harness/suite-list.ts'
import { type Tool, tool } from './harness/tools.ts'

const topics = ['test', 'test2', 'test3', 'test4', 'test5', 'test6']

/** Its tests stand in the list as left out; without transactions its producers keep their process from ending. */
const leftOut = 'producer-transaction.spec.js'

/** Half of the time is this file's, most of it spent waiting, so it has a broker of its own beside the others'. */
const longest = 'both.spec.js'

const entries = readSuiteList('node-rdkafka')
const wanted = wantedOf(entries).map(({ name }) => name)
const outcomes = new Map<string, SuiteOutcome>()

/** The tests of several files share topics and run in order. */
async function runFiles(found: Tool, folder: string, files: readonly string[]): Promise<void> {
  const broker = await startTestBroker()
  const driver = startDriver('node-rdkafka', broker.bootstrap)
  try {
    const made = topics.map((name) => ({ name, partitions: 1, replicationFactor: 1 }))
    await driver?.call('createTopics', { topics: made })
    for (const name of files) {
      const file = join(folder, name)
      const env = { KAFKA_HOST: broker.bootstrap }
      const options = { node: found.path, mocha: found.mocha ?? '', file, env, wanted }
      for (const [test, outcome] of await runMochaFile(options)) outcomes.set(test, outcome)
    }
  } finally {
    await driver?.stop()
    await broker.stop()
  }
}

const found = tool('nodeRdkafka')
if (found?.mocha) {
  t.setTimeout(0) // the runner limits the file
  const folder = join(found.folder ?? '', 'node_modules', 'node-rdkafka', 'e2e')
  const files = readdirSync(folder).filter((name) => name.endsWith('.spec.js') && name !== leftOut)
  const others = files.filter((name) => name !== longest)
  if (givenBootstrap) await runFiles(found, folder, files)
  else await Promise.all([[longest], others].map((lane) => runFiles(found, folder, lane)))
  const suite = { name: 'node-rdkafka', title: `node-rdkafka ${found.version}, e2e` }
  await checkSuite(t, suite, entries, outcomes)
} else t.pass('nothing to run', { skip: "node-rdkafka's tests are missing" })
