// Obtains what the tests need from the ordinary package clients of this machine, and says what it could not get.
//
//   node test/tools/obtain.mjs [--json] [TOOL...]
//
// Tools are named in the table below. Everything but kcat lands in the cache folder (cache.mjs). A tool that is
// missing is never an error: its tests are skipped, and the reason is printed here and by the test run.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cached, definitionOf } from './cache.mjs'
import { obtainConsul } from './obtain-consul.mjs'
import { obtainGo } from './obtain-go.mjs'
import {
  obtainConfluentJavascript,
  obtainNodeRdkafka,
  obtainPlatformatic,
  obtainRunner,
} from './obtain-javascript.mjs'
import { obtainPython } from './obtain-python.mjs'
import { obtainRust } from './obtain-rust.mjs'
import { installDebian, mayInstallDebian, onPath, run } from './programs.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const compat = join(here, '..', 'compat')
const weekMs = 7 * 86_400_000
const forever = Number.POSITIVE_INFINITY

/** The reference: LMQ promises what this version of Apache Kafka does. Its own clients and tools are used for tests. */
const kafkaVersion = '4.3.1'

/** The oldest Node.js that package.json allows. */
const { engines } = JSON.parse(readFileSync(join(here, '..', '..', 'package.json'), 'utf8'))
const oldest = `${/\d+\.\d+/.exec(engines.node)}.0`
const thisNode = { path: process.execPath, version: process.versions.node }

const tools = {
  kcat: { skips: 'kcat', obtain: obtainKcat },
  python: { skips: 'confluent-kafka (Python)', obtain: () => obtainPython('python') },
  kafkaPython: { skips: 'kafka-python', obtain: () => obtainPython('kafkaPython') },
  aiokafka: { skips: 'aiokafka', obtain: () => obtainPython('aiokafka') },
  platformatic: {
    skips: '@platformatic/kafka',
    obtain: async () => obtainPlatformatic(await obtainNode(22)),
  },
  confluentJavascript: {
    skips: 'confluent-kafka-javascript, the tests of librdkafka',
    obtain: obtainConfluentJavascript,
  },
  nodeRdkafka: { skips: 'node-rdkafka and its e2e tests', obtain: obtainNodeRdkafka },
  go: { skips: 'franz-go (Go) and its tests', obtain: () => obtainGo('go') },
  kafkaGo: { skips: 'kafka-go (Go) and its tests', obtain: () => obtainGo('kafkaGo') },
  sarama: { skips: 'sarama (Go) and its tests', obtain: () => obtainGo('sarama') },
  rust: { skips: 'rust-rdkafka (Rust)', obtain: obtainRust },
  consul: { skips: 'clusters with Consul', obtain: obtainConsul },
  java: { skips: 'Java clients and Kafka tools', obtain: obtainJava },
  jest: { skips: 'the example for Jest', obtain: () => obtainRunner('jest', thisNode) },
  vitest: {
    skips: 'the example for Vitest on this Node.js',
    obtain: () => obtainRunner('vitest', thisNode),
  },
  vitestOnNode22: {
    skips: 'the example for Vitest on Node 22, which its newest versions need',
    obtain: async () => obtainRunner('vitest', await obtainNode(22)),
  },
  oldestNode: {
    skips: `unit tests and the package on Node ${oldest}`,
    obtain: () => obtainNode(oldest),
  },
  node22: { skips: 'unit tests on Node 22', obtain: () => obtainNode(22) },
  node24: { skips: 'unit tests on Node 24', obtain: () => obtainNode(24) },
}

export const toolNames = Object.keys(tools)

/**
 * @param names the tools that are wanted
 * @returns by tool name either its facts (path, version, ...) or `{ missing, skips }`: the reason, and what will not run
 */
export async function obtain(names = toolNames) {
  const entries = names.map(async (name) => {
    const { obtain: get, skips } = tools[name]
    try {
      return [name, await get()]
    } catch (error) {
      return [name, { missing: error.message, skips }]
    }
  })
  return Object.fromEntries(await Promise.all(entries))
}

async function obtainKcat() {
  const path = onPath('kcat') ?? (await installKcat())
  const { stdout } = await run(path, ['-V'])
  return { path, version: /Version (\S+)/.exec(stdout)?.[1] ?? 'unknown', about: stdout.trim() }
}

async function installKcat() {
  if (process.platform === 'darwin' && onPath('brew')) await run('brew', ['install', 'kcat'])
  else if (mayInstallDebian()) await installDebian('kcat')
  else throw new Error('kcat is not installed (apt-get install kcat, or brew install kcat)')
  const path = onPath('kcat')
  if (!path) throw new Error('kcat was installed but is not on the PATH')
  return path
}

async function obtainJava() {
  for (const program of ['java', 'javac', 'mvn']) {
    if (!onPath(program)) throw new Error(`${program} is not installed`)
  }
  const pom = join(compat, 'java', 'pom.xml')
  const text = readFileSync(pom, 'utf8').replaceAll('KAFKA_VERSION', kafkaVersion)
  const jars = await cached('kafka-jars', definitionOf(text), forever, async (folder) => {
    writeFileSync(join(folder, 'pom.xml'), text)
    const goal = ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib']
    await run('mvn', goal, { cwd: folder })
    return { lib: join(folder, 'lib') }
  })
  const sources = sourcesIn('java', '.java')
  const classpath = join(jars.lib, '*')
  const release = (await run('javac', ['-version'])).stdout
  const definition = definitionOf(
    text,
    release,
    ...sources.map((file) => readFileSync(file, 'utf8')),
  )
  const driver = await cached('java', definition, forever, async (folder) => {
    const classes = join(folder, 'classes')
    mkdirSync(classes)
    await run('javac', ['-nowarn', '-cp', classpath, '-d', classes, ...sources])
    return { classes }
  })
  return {
    path: onPath('java'),
    version: kafkaVersion,
    classpath: [driver.classes, classpath].join(delimiter),
  }
}

/**
 * The npm package `node` brings a Node.js binary; its install script picks the platform's.
 *
 * @param wanted a whole version, or the major one of which the newest is wanted
 */
async function obtainNode(wanted) {
  const renewAfterMs = typeof wanted === 'number' ? weekMs : forever
  return cached(`node${wanted}`, definitionOf('npm'), renewAfterMs, async (folder) => {
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ private: true, allowScripts: { node: true } }),
    )
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    await run(npm, ['install', '--no-fund', '--no-audit', `node@${wanted}`], { cwd: folder })
    const path = join(folder, 'node_modules', 'node', 'bin', 'node')
    return { path, version: (await run(path, ['--version'])).stdout.trim().slice(1) }
  })
}

function sourcesIn(folder, ending) {
  const path = join(compat, folder)
  const names = readdirSync(path).filter((name) => name.endsWith(ending))
  return names.sort().map((name) => join(path, name))
}

async function main() {
  const args = process.argv.slice(2)
  const names = args.filter((arg) => !arg.startsWith('--'))
  const unknown = names.find((name) => !tools[name])
  if (unknown) throw new Error(`unknown tool ${unknown}: one of ${toolNames.join(', ')}`)
  const found = await obtain(names.length > 0 ? names : toolNames)
  if (args.includes('--json')) return console.log(JSON.stringify(found))
  for (const line of describe(found)) console.log(line)
}

/** One line for each tool: its version, or why it is missing and what will not run. */
export function describe(found) {
  return Object.entries(found).map(([name, facts]) =>
    facts.missing
      ? `${name}: not here, so these do not run: ${facts.skips}. ${facts.missing}`
      : `${name}: ${facts.version}`,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
