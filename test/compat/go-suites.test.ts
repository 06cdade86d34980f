// Goal: the Go clients' own tests cannot tell LMQ from Kafka. Method: the client's test program, compiled from its module, runs
// the tests of a checked-in list, which must pass.
import t from 'tap'
import { startTestBroker } from './harness/broker.ts'
import { runProgram } from './harness/program.ts'
import {
  checkSuite,
  readSuiteList,
  type SuiteEntry,
  type SuiteOutcome,
  wantedOf,
} from './harness/suite-list.ts'
import { type Tool, tool } from './harness/tools.ts'

const limitMs = 5 * 60_000

/** What `go test -v` says of each test that is not part of another one. */
function outcomesIn(printed: string): Map<string, SuiteOutcome> {
  const outcomes = new Map<string, SuiteOutcome>()
  for (const [, state = '', name = ''] of printed.matchAll(/^--- (PASS|FAIL|SKIP): (\S+)/gm)) {
    const why = state === 'PASS' ? {} : { why: linesAbout(printed, name) }
    outcomes.set(name, { state: state.toLowerCase() as SuiteOutcome['state'], ...why })
  }
  return outcomes
}

/** The last of what the test's own file said after the test began. */
function linesAbout(printed: string, name: string): string {
  const from = printed.lastIndexOf(` ${name}\n`)
  const lines = printed.slice(Math.max(from, 0)).split('\n')
  return lines
    .filter((line) => /^\s+\w+_test\.go:\d+: |^\s*--- FAIL/.test(line))
    .join('\n')
    .slice(0, 2_000)
}

async function runTests(found: Tool, bootstrap: string, entries: readonly SuiteEntry[]) {
  const names = wantedOf(entries).map(({ name }) => name)
  const args = ['-test.v', '-test.timeout', `${limitMs}ms`, '-test.run', `^(${names.join('|')})$`]
  const env = { KGO_SEEDS: bootstrap, KGO_TEST_RF: '1', KGO_TEST_RECORDS: '2000' }
  const options = { env, limitMs, cwd: found.folder ?? '.' }
  const { stdout, stderr } = await runProgram(found.suite ?? '', args, options)
  return outcomesIn(`${stdout.toString()}\n${stderr}`)
}

const found = tool('go')
if (found) {
  t.setTimeout(0) // the runner limits the file
  const broker = await startTestBroker()
  t.teardown(() => broker.stop())
  const entries = readSuiteList('franz-go')
  const outcomes = await runTests(found, broker.bootstrap, entries)
  const suite = { name: 'franz-go', title: `franz-go ${found.version}, kgo` }
  await checkSuite(t, suite, entries, outcomes)
} else t.pass('nothing to run', { skip: "franz-go's tests are missing" })
