// The Go clients: each is a module of its own with a driver for the tests, and with the client's own tests as a program.
import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cached, definitionOf } from './cache.mjs'
import { onPath, run } from './programs.mjs'

const folderOf = (name) => join(dirname(fileURLToPath(import.meta.url)), '..', 'compat', 'go', name)
const weekMs = 7 * 86_400_000

const clients = {
  go: {
    sources: ['.'],
    modules: [
      'github.com/twmb/franz-go',
      'github.com/twmb/franz-go/pkg/kadm',
      'github.com/twmb/franz-go/pkg/kmsg',
    ],
    suite: 'github.com/twmb/franz-go/pkg/kgo',
  },
  kafkaGo: {
    sources: ['shared', 'kafka-go'],
    modules: ['github.com/segmentio/kafka-go'],
    suite: 'github.com/segmentio/kafka-go',
  },
  sarama: {
    sources: ['shared', 'sarama'],
    modules: ['github.com/IBM/sarama'],
    suite: 'github.com/IBM/sarama',
    tags: 'functional',
  },
}

/** @returns `{ path, version, suite, folder }`: the driver, its client's version, the program of the client's tests and where it runs */
export async function obtainGo(name) {
  if (!onPath('go')) throw new Error('go is not installed')
  const { sources, modules, suite, tags = '' } = clients[name]
  const files = sources.flatMap((source) => goFilesIn(folderOf(source)))
  const { stdout } = await run('go', ['version'])
  const texts = files.map((file) => readFileSync(file, 'utf8'))
  const definition = definitionOf(stdout, ...modules, suite, tags, ...texts)
  return cached(name, definition, weekMs, async (folder) => {
    for (const file of files) copyFileSync(file, join(folder, basename(file)))
    const env = { ...process.env, GOFLAGS: '-mod=mod', GOWORK: 'off' }
    const go = (...args) => run('go', args, { cwd: folder, env })
    await go('mod', 'init', 'lmq-compat')
    await go('get', ...modules.map((module) => `${module}@latest`))
    await go('mod', 'tidy')
    await go('build', '-buildvcs=false', '-o', 'driver', '.')
    await go('test', '-c', '-tags', tags, '-o', 'suite', suite)
    const { stdout: where } = await go('list', '-f', '{{.Dir}} {{.Module.Version}}', suite)
    const [suiteFolder, version] = where.trim().split(' ')
    return {
      path: join(folder, 'driver'),
      version: version.replace(/^v/, ''),
      suite: join(folder, 'suite'),
      folder: suiteFolder,
    }
  })
}

function goFilesIn(folder) {
  const names = readdirSync(folder).filter((name) => name.endsWith('.go'))
  return names.sort().map((name) => join(folder, name))
}
