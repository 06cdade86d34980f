// A real Consul for the tests: the one that CONSUL_BIN names, else `consul` on the PATH, else, where apt is, the program out
// of an older Debian's package. That package is fetched from the mirror that this machine uses anyway, its signatures are
// checked by apt, and nothing is installed: it is only unpacked into the cache folder.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { cached, definitionOf } from './cache.mjs'
import { onPath, run } from './programs.mjs'

/** The last Debian with a Consul in its main component. */
const suite = 'bullseye'
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
const advice = 'put a consul program (1.8 or later) on the PATH, or name it in CONSUL_BIN'

export async function obtainConsul() {
  const path = process.env.CONSUL_BIN || onPath('consul') || (await fromPackage())
  const { stdout } = await run(path, ['version'])
  const version = /v(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1]
  if (!version) throw new Error(`${path} is no Consul; ${advice}`)
  return { path, version }
}

async function fromPackage() {
  if (!onPath('apt-get') || !onPath('dpkg') || !existsSync(keyring)) throw new Error(advice)
  const mirror = await mirrorOfThisMachine()
  const { path } = await cached(
    'consul',
    definitionOf(suite),
    Number.POSITIVE_INFINITY,
    async (folder) => ({ path: await unpack(folder, mirror) }),
  )
  return path
}

/** Where apt gets the main component of this machine's own suite. */
async function mirrorOfThisMachine() {
  const release = readFileSync('/etc/os-release', 'utf8')
  const own = /^VERSION_CODENAME=(\S+)$/m.exec(release)?.[1]
  const format = '$(RELEASE) $(COMPONENT) $(REPO_URI)'
  const args = ['indextargets', '--format', format, 'Created-By: Packages']
  const { stdout } = await run('apt-get', args)
  for (const line of stdout.split('\n')) {
    const [suiteName, component, address] = line.split(' ')
    if (suiteName === own && component === 'main' && address) return address
  }
  throw new Error(`apt has no main component of this Debian; ${advice}`)
}

async function unpack(folder, mirror) {
  const at = (...parts) => join(folder, ...parts)
  for (const name of ['lists/partial', 'cache/archives/partial', 'sources', 'package', 'root']) {
    mkdirSync(at(name), { recursive: true })
  }
  const source = {
    Types: 'deb',
    URIs: mirror,
    Suites: suite,
    Components: 'main',
    'Signed-By': keyring,
  }
  const text = Object.entries(source).map(([name, value]) => `${name}: ${value}\n`)
  writeFileSync(at('sources', 'older.sources'), text.join(''))
  const settings = {
    'Dir::Etc::sourcelist': '/dev/null',
    'Dir::Etc::sourceparts': at('sources'),
    'Dir::State::lists': at('lists'),
    'Dir::Cache': at('cache'),
    'APT::Sandbox::User': userInfo().username,
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  }
  const options = ['-q', ...Object.entries(settings).flatMap(([name, v]) => ['-o', `${name}=${v}`])]
  await run('apt-get', [...options, 'update'])
  await run('apt-get', [...options, 'download', 'consul'], { cwd: at('package') })
  const [file] = readdirSync(at('package')).filter((name) => name.endsWith('.deb'))
  if (!file) throw new Error(`the package mirror has no consul; ${advice}`)
  await run('dpkg', ['-x', at('package', file), at('root')])
  return at('root', 'usr', 'bin', 'consul')
}
