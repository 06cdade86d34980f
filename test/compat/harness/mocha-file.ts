// One file of a mocha suite in processes of its own, watched while it runs: a process that hangs is killed and the tests that it
// had not come to run in the next one.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { repositoryRoot } from '../../tools/repository-root.ts'
import { noteOutcome, type SuiteOutcome } from './suite-list.ts'

const processLimitMs = 5 * 60_000
const testLimitMs = 30_000
/** What a test does before and after itself takes far less on a quiet machine. */
const hookLimitMs = 12_000
/** So often a file is run again for what failed: tests have short limits of their own, which a busy machine does not keep. */
const moreTries = 2

export type MochaFile = {
  /** The program of Node.js. */
  readonly node: string
  /** The script of mocha. */
  readonly mocha: string
  readonly file: string
  readonly env: Readonly<Record<string, string>>
  /** The titles of the tests to run, of all files. */
  readonly wanted: readonly string[]
}

type Run = {
  /** All tests of the file. */
  readonly titles: readonly string[]
  readonly outcomes: Map<string, SuiteOutcome>
  /** What the process printed beside its events. */
  readonly printed: string
}

/** @returns how the wanted tests of this file ended; those that no process came to are missing */
export async function runMochaFile(file: MochaFile): Promise<Map<string, SuiteOutcome>> {
  const outcomes = new Map<string, SuiteOutcome>()
  const isLeft = (name: string) => outcomes.get(name)?.state !== 'pass'
  for (let tries = 0, left = file.wanted; left.length > 0 && tries <= moreTries; ) {
    const run = await runOnce(file, left)
    if (run.titles.length === 0) throw new Error(`${file.file} did not begin:\n${run.printed}`)
    for (const [name, outcome] of run.outcomes) noteOutcome(outcomes, name, outcome)
    const next = run.titles.filter((name) => file.wanted.includes(name) && isLeft(name))
    if (next.length === left.length) tries += 1
    left = next
  }
  return outcomes
}

function runOnce({ node, mocha, file, env }: MochaFile, wanted: readonly string[]): Promise<Run> {
  const reporter = join(
    ...[repositoryRoot(import.meta.url), 'test', 'compat', 'javascript', 'mocha-events.cjs'],
  )
  const args = [mocha, '--exit', '--ui', 'bdd', '--reporter', reporter]
  const limits = ['--timeout', String(testLimitMs)]
  const child = spawn(node, [...args, ...limits, '--grep', exactly(wanted), file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: processLimitMs,
    killSignal: 'SIGKILL',
  })
  const outcomes = new Map<string, SuiteOutcome>()
  let titles: readonly string[] = []
  let printed = ''
  let hook: NodeJS.Timeout | undefined
  const note = (chunk: string) => {
    printed = `${printed}${chunk}\n`.slice(-4_000)
  }
  const take = (line: string) => {
    const event = eventIn(line)
    if (!event) return note(line)
    const [what, name, why] = event
    // A hook that hangs, or a process that does not end after the last test.
    clearTimeout(hook)
    if (what === 'hook' || what === 'end')
      hook = setTimeout(() => child.kill('SIGKILL'), hookLimitMs)
    if (what === 'begin' && Array.isArray(name)) titles = name
    if (what === 'pass' || what === 'skip') outcomes.set(String(name), { state: what })
    if (what === 'fail') outcomes.set(String(name), { state: 'fail', why: String(why) })
  }
  createInterface({ input: child.stdout }).on('line', take)
  child.stderr.on('data', (chunk: Buffer) => note(chunk.toString()))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(hook)
      resolve({ titles, outcomes, printed })
    })
  })
}

function eventIn(line: string): unknown[] | undefined {
  if (!line.startsWith('["')) return undefined
  try {
    return JSON.parse(line) as unknown[]
  } catch {
    return undefined
  }
}

const exactly = (names: readonly string[]) =>
  `^ *(${names.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')}) *$`
