// Goal: librdkafka's own tests cannot tell LMQ from Kafka. Method: its program runs the tests of a checked-in list; a test that
// fails runs once more alone, because many of them have tight time limits that a busy machine breaks.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startTestBroker } from './harness/broker.ts'
import { runProgram } from './harness/program.ts'
import { checkSuite, readSuiteList, type SuiteOutcome, wantedOf } from './harness/suite-list.ts'
import { type Tool, tool } from './harness/tools.ts'

const together = 5
const limitMs = 15 * 60_000
const states = { PASSED: 'pass', FAILED: 'fail', SKIPPED: 'skip' } as const

type Report = {
  tests: Record<string, { state: keyof typeof states; report: unknown[] }>
}

/** Runs tests by their numbers; one number may stand for several tests. */
async function runTests(
  found: Tool,
  bootstrap: string,
  names: readonly string[],
  parallel: number,
): Promise<Map<string, SuiteOutcome>> {
  const folder = await mkdtemp(join(tmpdir(), 'lmq-librdkafka-'))
  const config = join(folder, 'test.conf')
  const report = join(folder, 'report.json')
  await writeFile(config, `metadata.broker.list=${bootstrap}\ntest.topic.random=true\n`)
  const env = {
    RDKAFKA_TEST_CONF: config,
    TEST_REPORT: report,
    TEST_LEVEL: '1',
    TEST_KAFKA_VERSION: '4.3.1',
    TESTS: [...new Set(names.map((name) => name.slice(0, 4)))].join(','),
    CI: undefined, // with it the program takes its longer mode
    LD_LIBRARY_PATH: join(found.folder ?? '', 'librdkafka', 'lib'),
  }
  const cwd = found.suite ?? ''
  const args = ['-L', '-K', '-Q', `-p${parallel}`]
  const result = await runProgram(join(cwd, 'test-runner'), args, { env, limitMs, cwd })
  try {
    const { tests } = JSON.parse(await readFile(report, 'utf8')) as Report
    const outcomes = Object.entries(tests).map(
      ([name, { state, report: lines }]) =>
        [name, { state: states[state] ?? 'fail', why: `${state} ${lines.join(' ')}` }] as const,
    )
    return new Map(outcomes)
  } catch {
    const last = `${result.stdout.toString().slice(-2000)}\n${result.stderr.slice(-2000)}`
    throw new Error(`librdkafka's tests ended with ${result.code}:\n${last}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const found = tool('confluentJavascript')
if (found?.suite) {
  t.setTimeout(0) // the runner limits the file
  const broker = await startTestBroker({ settings: { 'num.partitions': '4' } })
  t.teardown(() => broker.stop())
  const entries = readSuiteList('librdkafka')
  const names = wantedOf(entries).map(({ name }) => name)
  const outcomes = await runTests(found, broker.bootstrap, names, together)
  for (const name of names) {
    if (outcomes.get(name)?.state === 'pass') continue
    const again = (await runTests(found, broker.bootstrap, [name], 1)).get(name)
    if (again) outcomes.set(name, again)
  }
  const suite = { name: 'librdkafka', title: `librdkafka ${found.librdkafka}, quick set` }
  await checkSuite(t, suite, entries, outcomes)
} else t.pass('nothing to run', { skip: "librdkafka's tests are missing" })
