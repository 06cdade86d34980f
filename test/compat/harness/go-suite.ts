// The Go clients' own tests: the test program that was compiled from a client's module runs the tests of a checked-in list.
import type { Test } from 'tap'
import { runProgram } from './program.ts'
import {
  checkSuite,
  noteOutcome,
  readSuiteList,
  type SuiteEntry,
  type SuiteOutcome,
  wantedOf,
} from './suite-list.ts'
import type { Tool } from './tools.ts'

const limitMs = 6 * 60_000

export type GoSuite = {
  readonly found: Tool
  /** The list's name in test/compat/suites. */
  readonly name: string
  readonly title: string
  readonly env: Readonly<Record<string, string>>
  /** Each test in a process of its own, so many at once, in the list's order; all in one process when left out. */
  readonly lanes?: number
  /** More flags for the test program. */
  readonly flags?: readonly string[]
}

/**
 * Runs the tests that must pass, then those that did not pass once more, each in a process of its own: many have tight
 * time limits that a busy machine breaks, and one that panics ends the whole process.
 */
export async function runGoSuite(t: Test, suite: GoSuite): Promise<void> {
  const entries = readSuiteList(suite.name)
  const wanted = wantedOf(entries)
  const outcomes = suite.lanes
    ? await runApart(suite, wanted, suite.lanes)
    : await runTests(suite, wanted)
  for (const entry of wanted) {
    if (outcomes.get(entry.name)?.state === 'pass') continue
    if (!outcomes.has(entry.name))
      outcomes.set(entry.name, { state: 'fail', why: 'it did not run' })
    for (const [name, outcome] of await runTests(suite, [entry]))
      noteOutcome(outcomes, name, outcome)
  }
  await checkSuite(t, suite, entries, outcomes)
}

async function runApart(suite: GoSuite, wanted: readonly SuiteEntry[], lanes: number) {
  const outcomes = new Map<string, SuiteOutcome>()
  const queue = [...wanted]
  const lane = async () => {
    for (let entry = queue.shift(); entry; entry = queue.shift())
      for (const [name, outcome] of await runTests(suite, [entry])) outcomes.set(name, outcome)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return outcomes
}

async function runTests({ found, env, flags = [] }: GoSuite, wanted: readonly SuiteEntry[]) {
  const pattern = wanted.map(({ name }) => patternOf(name)).join('|')
  const args = ['-test.v', '-test.timeout', `${limitMs}ms`, '-test.run', pattern, ...flags]
  const options = { env, limitMs: limitMs + 10_000, cwd: found.folder ?? '.' }
  const { stdout, stderr } = await runProgram(found.suite ?? '', args, options)
  return outcomesIn(`${stdout.toString()}\n${stderr}`)
}

/** A part of a test is named after a slash, and so is its pattern. */
const patternOf = (name: string) =>
  name
    .split('/')
    .map((part) => `^${part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`)
    .join('/')

/** What `go test -v` says of each test and of its parts. */
function outcomesIn(printed: string): Map<string, SuiteOutcome> {
  const outcomes = new Map<string, SuiteOutcome>()
  for (const [, state = '', name = ''] of printed.matchAll(/^ *--- (PASS|FAIL|SKIP): (\S+)/gm)) {
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
