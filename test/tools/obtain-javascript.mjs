// Obtains what is JavaScript and comes from the npm registry: the clients @platformatic/kafka, confluent-kafka-javascript and
// node-rdkafka, and the runners of the examples. The last two clients wrap librdkafka, which each package carries as sources;
// it is built here, once, into the cache.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cached, definitionOf } from './cache.mjs'
import { environment, installDebian, mayInstallDebian, onPath, run } from './programs.mjs'

/**
 * These two also bring the suites whose lists are checked in (test/compat/suites), with the results that Kafka gave for the
 * same version: raise a version together with its list.
 */
const pinned = {
  'confluent-javascript': { name: '@confluentinc/kafka-javascript', version: '1.10.1' },
  'node-rdkafka': { name: 'node-rdkafka', version: '3.6.1' },
}

const examples = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'examples')
const weekMs = 7 * 86_400_000
const forever = Number.POSITIVE_INFINITY
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
const quiet = ['--no-fund', '--no-audit', '--loglevel=error']
const jobs = String(availableParallelism())

/** What librdkafka is built with beside a compiler: all codecs, TLS and SASL. By pkg-config's names, then Debian's. */
const libraries = ['libcurl', 'openssl', 'zlib', 'libzstd', 'libsasl2', 'RapidJSON']
const debianLibraries = [
  ...['libcurl4-openssl-dev', 'libssl-dev', 'zlib1g-dev', 'libzstd-dev', 'libsasl2-dev'],
  'rapidjson-dev',
]

/** @param node what obtaining Node.js 22 gave */
export async function obtainPlatformatic(node) {
  return cached('platformatic', definitionOf(node.version), weekMs, async (folder) => {
    await install(folder, ['@platformatic/kafka@2'], environmentWith(node))
    return { path: node.path, folder, version: versionIn(folder, '@platformatic/kafka') }
  })
}

/** @param runner a test runner, in the newest version that the example for it takes and the Node.js given can run */
export async function obtainRunner(runner, node) {
  const manifest = readFileSync(join(examples, runner, 'package.json'), 'utf8')
  const wanted = `${runner}@${JSON.parse(manifest).devDependencies[runner]}`
  return cached(runner, definitionOf(wanted, node.version), weekMs, async (folder) => {
    await install(folder, [wanted], environmentWith(node))
    const version = `${versionIn(folder, runner)} on Node ${node.version}`
    return { path: node.path, folder, version }
  })
}

/** In front on the PATH, so that npm takes a version of each package that this Node.js can run. */
function environmentWith(node) {
  const PATH = [dirname(node.path), process.env.PATH].join(delimiter)
  return { ...environment(), PATH }
}

/** `suite` is the folder with librdkafka's own tests and their program `test-runner`; without it they could not be built. */
export async function obtainConfluentJavascript() {
  return obtainNative('confluent-javascript', async (source) => {
    try {
      await run('make', [`-j${jobs}`, '-C', 'tests', 'test-runner'], { cwd: source })
      return { suite: join(source, 'tests') }
    } catch {
      return {}
    }
  })
}

/** Its e2e suite runs with `mocha`. */
export async function obtainNodeRdkafka() {
  return obtainNative('node-rdkafka', async (_source, folder) => {
    await install(folder, ['mocha@10'])
    return { mocha: join(folder, 'node_modules', 'mocha', 'bin', 'mocha.js') }
  })
}

async function obtainNative(tool, addTo) {
  for (const program of ['gcc', 'g++', 'make', 'pkg-config']) {
    if (!onPath(program)) throw new Error(`${program} is not installed`)
  }
  const { name, version } = pinned[tool]
  const definition = definitionOf(name, version, process.versions.modules)
  return cached(tool, definition, forever, async (folder) => {
    await needLibraries()
    await install(folder, [`${name}@${version}`])
    const wrapper = join(folder, 'node_modules', ...name.split('/'))
    const source = join(wrapper, 'deps', 'librdkafka')
    const prefix = join(folder, 'librdkafka')
    await buildLibrdkafka(source, prefix)
    const more = await addTo(source, folder)
    await buildWrapper(folder, name, prefix)
    const { librdkafka } = JSON.parse(readFileSync(join(wrapper, 'package.json'), 'utf8'))
    return { path: process.execPath, folder, version, librdkafka, ...more }
  })
}

async function needLibraries() {
  const have = () => run('pkg-config', ['--exists', ...libraries])
  try {
    await have()
  } catch {
    if (!mayInstallDebian()) throw new Error(`needs the headers of ${libraries.join(', ')}`)
    await installDebian(...debianLibraries)
    await have()
  }
}

/** A shared library with few optimizations and no debugging symbols: a third of the usual time. */
async function buildLibrdkafka(source, prefix) {
  await run(
    './configure',
    [
      ...[`--prefix=${prefix}`, '--disable-debug-symbols', '--disable-optimization'],
      ...['--CFLAGS=-O1', '--CXXFLAGS=-O1'],
    ],
    { cwd: source },
  )
  await run('make', [`-j${jobs}`, 'libs'], { cwd: source })
  await run('make', ['install-subdirs'], { cwd: source })
}

/** The package's own install step, told to link the library that was built. */
async function buildWrapper(folder, name, prefix) {
  const headers = join(dirname(process.execPath), '..')
  const library = join(prefix, 'lib')
  const include = join(prefix, 'include')
  const env = {
    ...environment(),
    BUILD_LIBRDKAFKA: '0',
    CKJS_LINKING: 'dynamic',
    CXXFLAGS: `-O1 -I${join(include, 'librdkafka')} -I${include}`,
    LDFLAGS: `-L${library} -Wl,-rpath,${library}`,
    JOBS: jobs,
    npm_config_build_from_source: 'true',
    ...(existsSync(join(headers, 'include', 'node', 'node.h')) && { npm_config_nodedir: headers }),
  }
  await run(npm, ['rebuild', ...quiet, name], { cwd: folder, env })
}

async function install(folder, packages, env = environment()) {
  const allowScripts = Object.fromEntries(Object.values(pinned).map(({ name }) => [name, true]))
  const file = join(folder, 'package.json')
  if (!existsSync(file)) writeFileSync(file, JSON.stringify({ private: true, allowScripts }))
  await run(npm, ['install', '--ignore-scripts', ...quiet, ...packages], { cwd: folder, env })
}

function versionIn(folder, name) {
  const file = join(folder, 'node_modules', ...name.split('/'), 'package.json')
  return JSON.parse(readFileSync(file, 'utf8')).version
}
