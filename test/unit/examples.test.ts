// Goal: the examples that need no runner beyond what is installed here pass as they stand. Method: run each in a folder
// whose `lmq` is this source tree. Those for Jest and Vitest run in test/compat/examples.test.ts.
import { execFile } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { repositoryRoot } from '../tools/repository-root.ts'

t.setTimeout(120_000)

const root = repositoryRoot(import.meta.url)
const examples = join(root, 'examples')
const isSource = import.meta.url.endsWith('.ts')
const index = new URL(isSource ? '../../src/index.ts' : '../../src/index.js', import.meta.url)
const loader = isSource ? ['--import', 'tsx'] : []

/** By folder: the files that are run, with what each says when it has passed. */
const runnable: readonly (readonly [folder: string, file: string, passed: RegExp])[] = [
  // Node's reporter differs by version.
  ['node-test', 'orders.test.js', /(ok 1 -|✔) an order reaches the topic/],
  ['node-test', 'failover.test.js', /(ok 1 -|✔) orders outlive the death of a broker/],
  ['tap', 'orders.test.js', /(ok 1 -|✔) an order reaches the topic/],
]

for (const [name, test, passed] of runnable) {
  t.test(`${name}: ${test}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'lmq-example-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const lmq = join(folder, 'node_modules', 'lmq')
    mkdirSync(lmq, { recursive: true })
    const manifest = { name: 'lmq', type: 'module', exports: './index.js' }
    writeFileSync(join(lmq, 'package.json'), JSON.stringify(manifest))
    writeFileSync(join(lmq, 'index.js'), `export * from ${JSON.stringify(index.href)}\n`)
    for (const library of ['kafkajs', 'tap']) {
      symlinkSync(join(root, 'node_modules', library), join(folder, 'node_modules', library), 'dir')
    }
    for (const file of ['package.json', test]) {
      copyFileSync(join(examples, name, file), join(folder, file))
    }
    const words = [...loader, join(folder, test)]
    const out = await new Promise<string>((resolve) => {
      execFile(process.execPath, words, { cwd: root }, (error, stdout, stderr) => {
        resolve(`${error ? `failed: ${stderr}\n` : ''}${stdout}`)
      })
    })
    t.match(out, passed)
    t.notMatch(out, /failed|not ok/)
  })
}

t.test('every example says how to run it', async (t) => {
  const folders = readdirSync(examples, { withFileTypes: true }).filter((each) =>
    each.isDirectory(),
  )
  t.same(folders.map(({ name }) => name).sort(), ['jest', 'node-test', 'tap', 'vitest'])
  for (const { name } of folders) {
    t.match(readFileSync(join(examples, name, 'README.md'), 'utf8'), 'npm install && npm test')
    const manifest = JSON.parse(readFileSync(join(examples, name, 'package.json'), 'utf8'))
    t.match(manifest, { scripts: { test: String }, dependencies: { lmq: 'file:../..' } })
  }
})
