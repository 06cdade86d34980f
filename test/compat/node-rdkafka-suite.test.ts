// Goal: node-rdkafka's own e2e tests cannot tell LMQ from Kafka. Method: mocha runs its files one by one, on topics made as its
// own script makes them; the tests of a checked-in list must pass.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startTestBroker } from './harness/broker.ts'
import { startDriver } from './harness/client-drivers.ts'
import { runProgram } from './harness/program.ts'
import { checkSuite, readSuiteList, type SuiteOutcome, wantedOf } from './harness/suite-list.ts'
import { type Tool, tool } from './harness/tools.ts'

const limitMs = 4 * 60_000
const testLimitMs = 30_000
const topics = ['test', 'test2', 'test3', 'test4', 'test5', 'test6']

/** Its tests stand in the list as left out; without transactions its producers keep their process from ending. */
const leftOut = 'producer-transaction.spec.js'

/** A test that throws in a consumer's callback can keep the process from ending, so what is left out is not run. */
const leftOutTests = readSuiteList('node-rdkafka')
  .filter(({ here }) => here === 'out')
  .map(({ name }) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  .join('|')

type MochaTest = { fullTitle: string; err: { message?: string } }
type Report = { passes: MochaTest[]; failures: MochaTest[]; pending: MochaTest[] }

/** The tests of one file share topics and run in order. */
async function runFile(found: Tool, bootstrap: string, file: string): Promise<Report> {
  const { stdout, stderr, code } = await runProgram(
    found.path,
    [
      ...[found.mocha ?? '', '--exit', '--ui', 'bdd', '--reporter', 'json'],
      ...['--timeout', String(testLimitMs), '--invert', '--grep', leftOutTests, file],
    ],
    { env: { KAFKA_HOST: bootstrap }, limitMs },
  )
  const text = stdout.toString()
  try {
    return JSON.parse(text.slice(text.indexOf('{\n'))) as Report
  } catch {
    throw new Error(`${file} ended with ${code}:\n${text.slice(-2000)}\n${stderr.slice(-2000)}`)
  }
}

function note(outcomes: Map<string, SuiteOutcome>, { passes, failures, pending }: Report): void {
  for (const { fullTitle } of pending) outcomes.set(fullTitle.trim(), { state: 'skip' })
  for (const { fullTitle } of passes) outcomes.set(fullTitle.trim(), { state: 'pass' })
  for (const { fullTitle, err } of failures)
    outcomes.set(fullTitle.trim(), { state: 'fail', why: err.message ?? '' })
}

const found = tool('nodeRdkafka')
if (!process.env['LMQ_LONG']) {
  // In about every second run its client stays in disconnect() for ever; which of the two sides causes that is not known.
  t.pass('its own tests', { skip: "node-rdkafka's own tests run in the long run only" })
} else if (found?.mocha) {
  t.setTimeout(0) // the runner limits the file
  const broker = await startTestBroker()
  const driver = startDriver('node-rdkafka', broker.bootstrap)
  t.teardown(async () => {
    await driver?.stop()
    await broker.stop()
  })
  const wanted = topics.map((name) => ({ name, partitions: 1, replicationFactor: 1 }))
  await driver?.call('createTopics', { topics: wanted })
  const folder = join(found.folder ?? '', 'node_modules', 'node-rdkafka', 'e2e')
  const outcomes = new Map<string, SuiteOutcome>()
  const files = readdirSync(folder).filter((name) => name.endsWith('.spec.js') && name !== leftOut)
  const entries = readSuiteList('node-rdkafka')
  const isShort = () => wantedOf(entries).some(({ name }) => outcomes.get(name)?.state !== 'pass')
  const left: string[] = []
  for (const file of files) {
    const report = await runFile(found, broker.bootstrap, join(folder, file))
    note(outcomes, report)
    // A time limit of its own that passed in a hook leaves the rest of a file out.
    if (report.failures.length > 0) left.push(file)
  }
  // Its tests have short limits of their own, which a busy machine does not keep: a file gets a second try.
  if (isShort())
    for (const file of left) {
      const again = await runFile(found, broker.bootstrap, join(folder, file))
      note(outcomes, { ...again, failures: [] })
    }
  const suite = { name: 'node-rdkafka', title: `node-rdkafka ${found.version}, e2e` }
  await checkSuite(t, suite, entries, outcomes)
} else t.pass('nothing to run', { skip: "node-rdkafka's tests are missing" })
