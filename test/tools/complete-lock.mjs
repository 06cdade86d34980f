// Completes package-lock.json with the platform packages that npm left out of it.
//
// npm drops an optional package from the lock when the registry at hand does not serve it, and `npm ci` then refuses
// the lock on every machine. The packages are optional and skipped where `os`, `cpu` or `libc` do not fit, so an entry
// with version and platform is enough. Run by hand after `npm install` changed the lock: `node test/tools/complete-lock.mjs`.
// With `--check` it writes nothing and fails when something is missing.
import { readFileSync, writeFileSync } from 'node:fs'

const path = new URL('../../package-lock.json', import.meta.url)

/** Names the optional dependencies that no entry of the lock satisfies, as [name, version, dependent's entry]. */
function missingOptional(lock) {
  const missing = []
  for (const [where, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (!resolves(lock, where, name)) missing.push([name, version, entry])
    }
  }
  return missing
}

/** Node's own look-up: the dependent's folder, then each folder above it. */
function resolves(lock, where, name) {
  const folders = where.split('/node_modules/')
  for (let depth = folders.length; depth > 0; depth--) {
    const at = folders.slice(0, depth).join('/node_modules/')
    if (at !== '' && lock.packages[`${at}/node_modules/${name}`]) return true
  }
  return lock.packages[`node_modules/${name}`] !== undefined
}

function platformOf(name) {
  const words = name.split(/[/-]/)
  const os = ['android', 'darwin', 'freebsd', 'linux', 'win32'].find((word) => words.includes(word))
  const cpu = ['arm64', 'arm', 'ia32', 'x64'].find((word) => words.includes(word))
  if (!os || !cpu) throw new Error(`no platform can be read off the name ${name}: add it by hand`)
  const libc = os === 'linux' ? [words.includes('musl') ? 'musl' : 'glibc'] : undefined
  return { os: [os], cpu: [cpu], ...(libc && { libc }) }
}

function main() {
  const lock = JSON.parse(readFileSync(path, 'utf8'))
  const missing = missingOptional(lock)
  if (missing.length === 0) return
  console.log(`package-lock.json lacks ${missing.map(([name]) => name).join(', ')}`)
  if (process.argv.includes('--check')) {
    process.exitCode = 1
    return
  }
  for (const [name, version, dependent] of missing) {
    const dev = dependent.dev ? { dev: true } : {}
    lock.packages[`node_modules/${name}`] = { version, ...dev, optional: true, ...platformOf(name) }
  }
  const [root, ...rest] = Object.entries(lock.packages)
  rest.sort(([a], [b]) => a.localeCompare(b, 'en'))
  lock.packages = Object.fromEntries([root, ...rest])
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
}

main()
