// Suites that other people wrote, run against LMQ: a checked-in list says which of their tests must pass.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { repositoryRoot } from '../../tools/repository-root.ts'

/** pass: in every run. long: in the long run. out: left out, with a reason. local: passes without any broker, so not counted. */
type Here = 'pass' | 'long' | 'out' | 'local'

export type SuiteEntry = {
  readonly here: Here
  /** How Apache Kafka did in the same suite. */
  readonly kafka: 'pass' | 'fail' | 'skip'
  readonly name: string
  readonly reason: string
}

/** How one test of a suite ended. */
export type SuiteOutcome = {
  readonly state: 'pass' | 'fail' | 'skip'
  readonly why?: string
  /** Why it ran more than once. */
  readonly before?: string
}

/** @param name of the file in test/compat/suites, without its ending */
export function readSuiteList(name: string): SuiteEntry[] {
  return linesOf(name)
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(entryOf)
}

/** Which version of the suite a list is of: the third word of its first line. */
export const listedVersion = (name: string): string =>
  /^# \S+ ([\d.]+): /.exec(linesOf(name)[0] ?? '')?.[1] ?? ''

function linesOf(name: string): string[] {
  const path = join(repositoryRoot(import.meta.url), 'test', 'compat', 'suites', `${name}.txt`)
  return readFileSync(path, 'utf8').split('\n')
}

function entryOf(line: string): SuiteEntry {
  const [, here, kafka, name = '', reason = ''] =
    /^(pass|long|out|local) +(pass|fail|skip) +(.*?)(?: \| (.*))?$/.exec(line) ?? []
  if (!here || !kafka) throw new Error(`not an entry of a suite's list: ${line}`)
  if ((here === 'out') !== (reason !== '')) throw new Error(`a reason is for what is out: ${line}`)
  return { here: here as Here, kafka: kafka as SuiteEntry['kafka'], name, reason }
}

/** Notes how a test ended; of one that failed when it ran before, why it did. */
export function noteOutcome(
  outcomes: Map<string, SuiteOutcome>,
  name: string,
  outcome: SuiteOutcome,
): void {
  const earlier = outcomes.get(name)
  const before =
    earlier?.before ?? (earlier?.state === 'fail' ? (earlier.why ?? 'no reason') : undefined)
  outcomes.set(name, before === undefined ? outcome : { ...outcome, before })
}

/** The entries that this run must pass. */
export function wantedOf(entries: readonly SuiteEntry[]): SuiteEntry[] {
  const long = process.env['LMQ_LONG'] === '1'
  return entries.filter(({ here }) => here === 'pass' || (long && here === 'long'))
}

/**
 * One test for each entry that must pass, and notes for the README's table of suites. What passed only when it ran once more is
 * named and counted.
 *
 * @param outcomes by the tests' names; what is not there did not run
 */
export async function checkSuite(
  t: Test,
  suite: { readonly name: string; readonly title: string },
  entries: readonly SuiteEntry[],
  outcomes: ReadonlyMap<string, SuiteOutcome>,
): Promise<void> {
  const wanted = wantedOf(entries)
  for (const { name } of wanted) {
    const { state, why } = outcomes.get(name) ?? { state: 'fail', why: 'it did not run' }
    await t.test(name, async (t) => {
      t.equal(state, 'pass', why ?? name)
    })
  }
  const passed = wanted.filter(({ name }) => outcomes.get(name)?.state === 'pass')
  const again = passed.filter(({ name }) => outcomes.get(name)?.before !== undefined)
  t.comment(`${passed.length} of ${wanted.length} passed, ${again.length} when run once more`)
  for (const { name } of again) t.comment(`${name} failed at first: ${outcomes.get(name)?.before}`)
  const counted = entries.filter(({ here }) => here !== 'local')
  note(suite, {
    passed: passed.length,
    again: again.length,
    wanted: wanted.length,
    listed: counted.filter(({ here }) => here !== 'out').length,
    tests: counted.length,
    kafka: counted.filter(({ kafka }) => kafka === 'pass').length,
  })
}

/**
 * One test: a list names all tests that its suite would run. A newer suite than the list's only says what is not in the list.
 *
 * @param offered names of the suite's tests
 */
export async function checkSelection(
  t: Test,
  { name, version }: { readonly name: string; readonly version: string },
  offered: readonly string[],
): Promise<void> {
  const listed = readSuiteList(name).map((entry) => entry.name)
  const unlisted = offered.filter((test) => !listed.includes(test))
  const gone = listed.filter((test) => !offered.includes(test))
  if (version !== listedVersion(name)) {
    const differences = `not in the list: ${unlisted.join(' ')}; only there: ${gone.join(' ')}`
    return void t.comment(
      `the list is of ${name} ${listedVersion(name)}, not ${version}; ${differences}`,
    )
  }
  await t.test('the list names what the suite selects', async (t) => {
    t.strictSame({ unlisted, gone }, { unlisted: [], gone: [] })
  })
}

function note({ name, title }: { readonly name: string; readonly title: string }, facts: object) {
  if (process.env['LMQ_TEST_BOOTSTRAP']) return
  const results =
    process.env['LMQ_TEST_RESULTS'] ?? join(repositoryRoot(import.meta.url), 'test-results')
  const folder = join(results, 'suites')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.json`), JSON.stringify({ title, ...facts }, null, 2))
}
