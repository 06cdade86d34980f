// The Go clients: each is a module of its own with a driver for the tests, and with the client's own tests as a program.
import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cached, definitionOf } from './cache.mjs'
import { copyWithEdits, kafkaGoEdits, saramaEdits } from './go-suites.mjs'
import { environment, onPath, run } from './programs.mjs'

const folderOf = (name) => join(dirname(fileURLToPath(import.meta.url)), '..', 'compat', 'go', name)
const editor = join(dirname(fileURLToPath(import.meta.url)), 'go-suites.mjs')
const weekMs = 7 * 86_400_000

const clients = {
  go: {
    sources: ['shared', 'franz-go'],
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
    edits: kafkaGoEdits,
  },
  sarama: {
    sources: ['shared', 'sarama'],
    modules: ['github.com/IBM/sarama'],
    suite: 'github.com/IBM/sarama',
    tags: 'functional',
    edits: saramaEdits,
    breaks: 'github.com/Shopify/toxiproxy/v2',
  },
}

/**
 * @returns `{ path, version, suite, folder }`: the driver, its client's version, the program of the client's tests and where it
 *   runs; for sarama `toxiproxy`, too, with which its tests break connections
 */
export async function obtainGo(name) {
  if (!onPath('go')) throw new Error('go is not installed')
  const { sources, modules, suite, tags = '', edits, breaks } = clients[name]
  const files = sources.flatMap((source) => goFilesIn(folderOf(source)))
  const { stdout } = await run('go', ['version'])
  const texts = files.map((file) => readFileSync(file, 'utf8'))
  const editing = edits ? [readFileSync(editor, 'utf8')] : []
  const definition = definitionOf(
    stdout,
    ...modules,
    suite,
    tags,
    breaks ?? '',
    ...texts,
    ...editing,
  )
  return cached(name, definition, weekMs, async (folder) => {
    for (const file of files) copyFileSync(file, join(folder, basename(file)))
    const env = { ...environment(), GOFLAGS: '-mod=mod', GOWORK: 'off' }
    const go = (...args) => run('go', args, { cwd: folder, env })
    await go('mod', 'init', 'lmq-compat')
    await go('get', ...modules.map((module) => `${module}@latest`))
    await go('mod', 'tidy')
    await go('build', '-buildvcs=false', '-o', 'driver', '.')
    const { stdout: where } = await go('list', '-f', '{{.Dir}} {{.Module.Version}}', suite)
    const [source, version] = where.trim().split(' ')
    const suiteFolder = edits ? join(folder, 'sources') : source
    if (edits) await copyWithEdits(source, suiteFolder, edits.edit, edits.added)
    const test = ['test', '-c', '-tags', tags, '-o', join(folder, 'suite')]
    if (edits) await run('go', [...test, '.'], { cwd: suiteFolder, env })
    else await go(...test, suite)
    // After everything that is not to see it among the module's needs.
    if (breaks) {
      await go('get', `${breaks}@latest`)
      await go('build', '-o', 'toxiproxy', `${breaks}/cmd/server`)
    }
    return {
      path: join(folder, 'driver'),
      version: version.replace(/^v/, ''),
      suite: join(folder, 'suite'),
      folder: suiteFolder,
      ...(breaks && { toxiproxy: join(folder, 'toxiproxy') }),
    }
  })
}

function goFilesIn(folder) {
  const names = readdirSync(folder).filter((name) => name.endsWith('.go'))
  return names.sort().map((name) => join(folder, name))
}
