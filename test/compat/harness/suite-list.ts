// Suites that other people wrote, run against LMQ: a checked-in list says which of their tests must pass.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { repositoryRoot } from '../../tools/repository-root.ts'

/** pass: in every run. long: in the long run. out: left out, with a reason. */
type Here = 'pass' | 'long' | 'out'

export type SuiteEntry = {
  readonly here: Here
  /** How Apache Kafka did in the same suite. */
  readonly kafka: 'pass' | 'fail' | 'skip'
  readonly name: string
  readonly reason: string
}

/** How one test of a suite ended. */
export type SuiteOutcome = { readonly state: 'pass' | 'fail' | 'skip'; readonly why?: string }

/** @param name of the file in test/compat/suites, without its ending */
export function readSuiteList(name: string): SuiteEntry[] {
  const path = join(repositoryRoot(import.meta.url), 'test', 'compat', 'suites', `${name}.txt`)
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map(entryOf)
}

function entryOf(line: string): SuiteEntry {
  const [, here, kafka, name = '', reason = ''] =
    /^(pass|long|out) +(pass|fail|skip) +(.*?)(?: \| (.*))?$/.exec(line) ?? []
  if (!here || !kafka) throw new Error(`not an entry of a suite's list: ${line}`)
  if ((here === 'out') !== (reason !== '')) throw new Error(`a reason is for what is out: ${line}`)
  return { here: here as Here, kafka: kafka as SuiteEntry['kafka'], name, reason }
}

/** The entries that this run must pass. */
export function wantedOf(entries: readonly SuiteEntry[]): SuiteEntry[] {
  const long = process.env['LMQ_LONG'] === '1'
  return entries.filter(({ here }) => here === 'pass' || (long && here === 'long'))
}

/**
 * One test for each entry that must pass, and notes for the README's table of suites.
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
  const passed = wanted.filter(({ name }) => outcomes.get(name)?.state === 'pass').length
  note(suite, {
    passed,
    wanted: wanted.length,
    listed: entries.filter(({ here }) => here !== 'out').length,
    tests: entries.length,
    kafka: entries.filter(({ kafka }) => kafka === 'pass').length,
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
