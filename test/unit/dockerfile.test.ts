// Goal: every file, script, setting and path that the Dockerfile names exists. No Docker is needed.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadSettings } from '../../src/config/load-settings.ts'
import { repositoryRoot } from '../tools/repository-root.ts'

const root = repositoryRoot(import.meta.url)
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const instructions = parse(read('Dockerfile'))

type Instruction = { readonly stage: number; readonly name: string; readonly rest: string }

/** Joins continued lines, drops comments, numbers the stages. */
function parse(text: string): Instruction[] {
  const lines = text.replaceAll(/\\\n\s*/g, '').split('\n')
  let stage = -1
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [name = '', ...rest] = line.split(' ')
      if (name === 'FROM') stage++
      return { stage, name, rest: rest.join(' ') }
    })
}

const of = (name: string) => instructions.filter((each) => each.name === name)
const only = (name: string) => of(name).map((each) => each.rest)

function words(text: string): string[] {
  return text.startsWith('[') ? (JSON.parse(text) as string[]) : text.split(/\s+/)
}

const environment = Object.fromEntries(
  of('ENV').flatMap(({ rest }) => words(rest).map((each) => each.split(/=(.*)/s).slice(0, 2))),
) as Record<string, string>

t.test('copied files exist and are not ignored', (t) => {
  const allowed = read('.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1))
  const stages = only('FROM').map((rest) => / AS (\w+)/.exec(rest)?.[1])
  for (const { stage, rest } of of('COPY')) {
    const from = /--from=(\w+)/.exec(rest)?.[1]
    const sources = words(rest.replace(/--from=\w+\s+/, '')).slice(0, -1)
    if (from) {
      t.ok(stages.indexOf(from) >= 0 && stages.indexOf(from) < stage, `${from} is an earlier stage`)
      for (const source of sources) t.match(source, /^\/build\/(dist|node_modules)$/)
      continue
    }
    for (const source of sources) {
      t.ok(existsSync(join(root, source)), `${source} exists`)
      t.ok(allowed.includes(source), `${source} is in the build's context`)
    }
  }
  t.end()
})

t.test('commands exist', (t) => {
  const { scripts, bin } = JSON.parse(read('package.json')) as {
    scripts: Record<string, string>
    bin: Record<string, string>
  }
  for (const rest of only('RUN')) {
    for (const [, script = ''] of rest.matchAll(/npm run (\S+)/g)) t.ok(scripts[script], script)
  }
  const { compilerOptions } = JSON.parse(read('tsconfig.build.json')) as {
    compilerOptions: { outDir: string }
  }
  t.equal(compilerOptions.outDir, 'dist')
  const [program, entry] = words(only('ENTRYPOINT')[0] ?? '')
  t.equal(program, 'node')
  t.equal(entry, `/opt/lmq/${bin['lmq']}`)
  t.ok(existsSync(join(root, 'bin', 'lmq.ts')))
  t.same(words(only('CMD')[0] ?? ''), ['start'])
  t.match(read('src/cli/main.ts'), /start/)
  t.end()
})

t.test('settings are known and fit the rest', (t) => {
  const { NODE_ENV, ...settings } = environment
  t.equal(NODE_ENV, 'production')
  const loaded = loadSettings({ environment: settings, hostName: 'container' })
  t.same(loaded.warnings, [])
  t.same(loaded.dataDirs, only('VOLUME'))
  const ports = words(only('EXPOSE')[0] ?? '')
  t.same(ports, ['9092', settings['LMQ_HTTP_PORT']])
  t.match(settings['KAFKA_LISTENERS'], /:9092$/)
  t.end()
})

t.test('it runs as no root and says how it is', (t) => {
  t.same(only('USER'), ['node'])
  t.match(only('HEALTHCHECK')[0], /LMQ_HTTP_PORT.*\/healthz/)
  t.match(read('src/http/http-service.ts'), /'\/healthz'/)
  t.end()
})
