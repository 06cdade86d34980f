// Goal: the examples for Jest and Vitest pass as people run them, and end by themselves. Method: the test script of each in a
// copy of it, with the packed LMQ installed and the runner in the newest version that its package.json takes; Vitest's newest
// needs a newer Node.js than LMQ does. The other examples need nothing beside this repository: test/unit/examples.test.ts.
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { repositoryRoot } from '../tools/repository-root.ts'
import { installPackage, link, whyNoPackage } from './harness/installed-package.ts'
import { runProgram } from './harness/program.ts'
import { type Tool, type ToolName, tool, whyMissing } from './harness/tools.ts'

t.setTimeout(300_000)

/** A runner whose example takes longer hangs: none takes ten seconds. */
const patienceMs = 90_000
const root = repositoryRoot(import.meta.url)

type Manifest = { readonly scripts: { readonly test: string } }

type Example = {
  readonly tool: ToolName
  readonly runner: string
  /** How the runner is told to print each test by its name. */
  readonly named: string
}

const examples: readonly Example[] = [
  { tool: 'jest', runner: 'jest', named: '--verbose' },
  { tool: 'vitest', runner: 'vitest', named: '--reporter=verbose' },
  { tool: 'vitestOnNode22', runner: 'vitest', named: '--reporter=verbose' },
]

/** What the runners say when something was left running. */
const leftRunning =
  /did not exit|failed to exit|open handle|timed out|forc\w+ exit|prevent\w+ .*exiting/i

t.test('examples with a runner of their own', { skip: whyNoPackage() }, async (t) => {
  const lmq = await installPackage(t)
  for (const example of examples) {
    const found = tool(example.tool)
    if (!found) t.pass(example.tool, { skip: whyMissing(example.tool) })
    else {
      await t.test(`${example.runner} ${found.version}`, (t) => passes(t, example, found, lmq))
    }
  }
})

async function passes(t: Test, { runner, named }: Example, found: Tool, lmq: string) {
  const folder = mkdtempSync(join(tmpdir(), 'lmq-example-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const names = copied(join(root, 'examples', runner), folder)
  const modules = join(found.folder ?? '', 'node_modules')
  for (const name of readdirSync(modules)) link(modules, folder, name)
  link(join(lmq, 'node_modules'), folder, 'lmq')
  link(join(root, 'node_modules'), folder, 'kafkajs')
  const temporary = join(folder, 'temporary')
  mkdirSync(temporary)

  const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
  const bin = join(folder, 'node_modules', '.bin')
  const PATH = [bin, dirname(found.path), process.env['PATH']].join(delimiter)
  const env = { PATH, TMPDIR: temporary, NO_COLOR: '1', FORCE_COLOR: undefined }
  // As npm would start it, but the process that is killed when it hangs is the runner itself.
  const { code, stdout, stderr } = await runProgram('sh', ['-c', `exec ${scripts.test} ${named}`], {
    env,
    cwd: folder,
    limitMs: patienceMs,
  })
  const printed = `${stdout}${stderr}`
  t.equal(code, 0, 'it ends by itself, and well')
  t.ok(names.length > 0, 'the example has tests')
  for (const name of names) t.match(printed, new RegExp(`✓ .*${name}`), name)
  t.match(printed, new RegExp(`Tests:? +${names.length} passed`), 'and no other tests')
  t.notMatch(printed, leftRunning, 'nothing was left running')
  const left = readdirSync(temporary).filter((name) => name.startsWith('lmq-'))
  t.same(left, [], 'nothing is left behind')
}

/** Copies an example. @returns the names of its tests */
function copied(from: string, to: string): string[] {
  const files = readdirSync(from).filter((name) => name.endsWith('.js') || name === 'package.json')
  for (const name of files) copyFileSync(join(from, name), join(to, name))
  const tests = files.filter((name) => name.endsWith('.test.js'))
  const sources = tests.map((name) => readFileSync(join(from, name), 'utf8')).join('\n')
  return [...sources.matchAll(/^test\('([^']+)'/gm)].map(([, name]) => name ?? '')
}
