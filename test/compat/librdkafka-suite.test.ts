// Goal: librdkafka's own tests cannot tell LMQ from Kafka. Method: its program runs the tests of a checked-in list; a test that
// fails runs once more alone, because many of them have tight time limits that a busy machine breaks.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { startTestBroker } from './harness/broker.ts'
import { javaArgs } from './harness/java.ts'
import { runProgram } from './harness/program.ts'
import {
  checkSelection,
  checkSuite,
  noteOutcome,
  readSuiteList,
  type SuiteOutcome,
  wantedOf,
} from './harness/suite-list.ts'
import { type Tool, tool, whyMissing } from './harness/tools.ts'

const together = 5
const limitMs = 15 * 60_000
const states = { PASSED: 'pass', FAILED: 'fail', SKIPPED: 'skip' } as const

/** They call bin/kafka-topics.sh of an unpacked Kafka. */
const scripted = ['0052_msg_timestamps', '0077_compaction']

type Report = {
  tests: Record<string, { state: keyof typeof states; report: unknown[] }>
}

/** The tests that the program's table names for a run with -L and -K, in any scenario. */
async function selection(suite: string): Promise<string[]> {
  const source = await readFile(join(suite, 'test.c'), 'utf8')
  const table = /^struct test tests\[\] = \{$(.*?)^\};$/ms.exec(source)?.[1] ?? ''
  const names: string[] = []
  for (const [, name = '', rest = ''] of table.matchAll(/\b_TEST\(\s*(\w+),(.*?)(?=_TEST\(|$)/gs)) {
    if (!/\bTEST_F_(LOCAL|KNOWN_ISSUE|MANUAL)\b/.test(rest)) names.push(name)
  }
  return names
}

/** A folder with the one script that tests call, as in an unpacked Kafka. */
async function scriptsIn(folder: string, java: Tool): Promise<string> {
  const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`
  const tool = [java.path, ...javaArgs(java), 'org.apache.kafka.tools.TopicCommand']
  await mkdir(join(folder, 'bin'))
  const text = `#!/bin/sh\nexec ${tool.map(quoted).join(' ')} "$@"\n`
  await writeFile(join(folder, 'bin', 'kafka-topics.sh'), text, { mode: 0o755 })
  return folder
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
    ...(java && { KAFKA_PATH: await scriptsIn(folder, java), BROKERS: bootstrap }),
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
const java = tool('java')
if (found?.suite) {
  t.setTimeout(0) // the runner limits the file
  const broker = await startTestBroker({ settings: { 'num.partitions': '4' } })
  t.teardown(() => broker.stop())
  const selected = await selection(found.suite)
  const all = readSuiteList('librdkafka')
  const entries = java ? all : all.filter(({ name }) => !scripted.includes(name))
  const names = wantedOf(entries).map(({ name }) => name)
  const outcomes = await runTests(found, broker.bootstrap, names, together)
  for (const name of names) {
    if (outcomes.get(name)?.state === 'pass') continue
    const again = (await runTests(found, broker.bootstrap, [name], 1)).get(name)
    if (again) noteOutcome(outcomes, name, again)
  }
  const suite = { name: 'librdkafka', title: `librdkafka ${found.librdkafka}, quick set` }
  // tap ends the file, and with it the broker, soon after a test: there is none before all is done.
  await checkSuite(t, suite, entries, outcomes)
  await checkSelection(t, { name: 'librdkafka', version: found.librdkafka ?? '' }, selected)
  if (!java) t.pass(scripted.join(' '), { skip: whyMissing('java') })
} else t.pass('nothing to run', { skip: "librdkafka's tests are missing" })
