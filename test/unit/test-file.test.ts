// Goal: a test file whose tests did not all run to their end never looks well. Method: small files that end in all the ways
// seen, run as the test run runs every file.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { repositoryRoot } from '../tools/repository-root.ts'

t.setTimeout(120_000)

type Result = {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly failures: readonly string[]
}
type RunFile = (job: object) => Promise<Result>

const module = join(repositoryRoot(import.meta.url), 'test', 'tools', 'test-file.mjs')
const { runFile } = (await import(pathToFileURL(module).href)) as { runFile: RunFile }

const tap = `import t from ${JSON.stringify(import.meta.resolve('tap'))}\n`
const one = "await t.test('one', async (t) => { t.pass('it is') })\n"
const two = "t.test('two', async (t) => { t.fail('never seen') })\n"

/** By what happens in it: the file, and what is said of it; nothing when it is well. */
const files: Record<string, readonly [text: string, said: RegExp | undefined]> = {
  'all is well': [tap + one, undefined],
  'all is skipped': [`${tap}t.pass('one', { skip: 'no client' })\n`, undefined],
  'it ends between two tests': [`${tap}${one}process.exit(0)\n${two}`, /ended from inside/],
  'it ends before the first test': [`${tap}process.exit(0)\n${two}`, /ended from inside/],
  'it ends after a process of its own came to its end': [
    `${tap}import { fork } from 'node:child_process'
if (process.argv[2] === undefined) {
  ${one}
  await new Promise((resolve) => fork(process.argv[1], ['child']).on('exit', resolve))
  process.exit(0)
}`,
    /ended from inside/,
  ],
  'it ends in a test': [
    `${tap}${one}t.test('two', async (t) => { t.pass(); await 1; process.exit(0) })`,
    /two > test unfinished/,
  ],
  'it ends in a test of a test': [
    `${tap}t.test('a', async (t) => {
  await t.test('b', async (t) => { t.pass(); await 1; process.exit(0) })
  t.fail('never seen')
})`,
    /a > b > test unfinished/,
  ],
  'it ends without a word': [
    `${tap}${one}t.test('two', async (t) => { t.pass(); process.reallyExit(0) })`,
    /ended with 0/,
  ],
  'it ends without a word before the first assertion': [
    `${tap}t.test('one', async () => { process.reallyExit(0) })`,
    /ended from inside/,
  ],
  'a plan is not reached': [
    `${tap}t.test('one', (t) => { t.plan(3); t.pass('first') })`,
    /one > test unfinished/,
  ],
  'a test waits for what never comes': [
    `${tap}t.test('one', async (t) => { t.pass(); await new Promise(() => {}) })\n${two}`,
    /one > test unfinished/,
  ],
  'the file waits for what never comes': [
    `${tap}${one}await new Promise(() => {})\n${two}`,
    /ended with 13/,
  ],
  'an assertion comes too late': [
    `${tap}t.test('one', (t) => { t.pass(); setTimeout(() => t.fail('late'), 20); t.end() })`,
    /after end\(\) was called/,
  ],
  'it holds no test': [tap, /no test in it/],
}

const folder = mkdtempSync(join(tmpdir(), 'lmq-test-file-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
mkdirSync(join(folder, 'results'))

for (const [at, [name, [text, said]]] of Object.entries(files).entries()) {
  t.test(name, async (t) => {
    const file = join(folder, `${at}.js`)
    writeFileSync(file, text)
    const { failed, failures, passed, skipped } = await runFile({
      node: process.execPath,
      file,
      cwd: folder,
      env: process.env,
      limitMs: 60_000,
      tapPath: join(folder, 'results', `${at}.tap`),
    })
    if (said) {
      t.ok(failed > 0, 'it failed')
      t.match(failures.join('\n'), said)
    } else {
      t.same([failed, failures], [0, []], 'it passed')
      t.equal(passed + skipped, 1)
    }
  })
}
