// Goal: what `npm pack` ships works where it is installed: the program, the import, its types. Method: the packed files in
// a folder of their own, with the dependencies that package.json names and no others, and the example tests on top; on this
// Node.js and on the oldest that package.json allows.
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { repositoryRoot } from '../tools/repository-root.ts'
import { installPackage, link, whyNoPackage } from './harness/installed-package.ts'
import { tool, whyMissing } from './harness/tools.ts'

t.setTimeout(180_000)

const run = promisify(execFile)
const root = repositoryRoot(import.meta.url)
const skip = whyNoPackage()

t.test('an installed package', { skip }, async (t) => {
  const folder = await installPackage(t)
  const lmq = join(folder, 'node_modules', 'lmq')
  for (const name of ['kafkajs', 'tap']) link(join(root, 'node_modules'), folder, name)

  await worksOn(t, process.execPath, folder)
  await t.test('the oldest Node.js that package.json allows', async (t) => {
    const oldest = tool('oldestNode')
    if (oldest) await worksOn(t, oldest.path, folder)
    else t.pass('Node.js', { skip: whyMissing('oldestNode') })
  })

  await t.test('its types', async (t) => {
    const types = readFileSync(join(lmq, 'dist', 'src', 'index.d.ts'), 'utf8')
    for (const name of ['startBroker', 'startCluster', 'RunningBroker', 'BrokerStartOptions']) {
      t.match(types, name)
    }
  })
})

async function worksOn(t: Test, node: string, folder: string): Promise<void> {
  await t.test('the program', async (t) => {
    const lmq = join(folder, 'node_modules', 'lmq', 'dist', 'bin', 'lmq.js')
    const { stdout } = await run(node, [lmq, '--version'])
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    t.match(stdout, version)
  })

  await t.test('the import, by its name', async (t) => {
    const code = `
      import { startBroker, startCluster } from 'lmq'
      const broker = await startBroker()
      const cluster = await startCluster({ brokers: 2 })
      console.log(JSON.stringify([broker.bootstrap, cluster.bootstrap]))
      await Promise.all([broker.stop(), cluster.stop()])`
    const { stdout } = await run(node, ['--input-type=module', '-e', code], { cwd: folder })
    t.match(JSON.parse(stdout), [/:\d+$/, /:\d+,.*:\d+$/])
  })

  for (const [name, file] of [
    ['node-test', 'orders.test.js'],
    ['tap', 'orders.test.js'],
  ] as const) {
    await t.test(`the example for ${name}`, async (t) => {
      const own = join(folder, name)
      mkdirSync(own, { recursive: true })
      for (const one of ['package.json', file]) {
        copyFileSync(join(root, 'examples', name, one), join(own, one))
      }
      const { stdout } = await run(node, [join(own, file)], { cwd: own })
      t.match(stdout, /(ok 1 -|✔) an order reaches the topic/)
    })
  }
}
