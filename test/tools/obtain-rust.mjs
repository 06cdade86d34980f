// The Rust client: a program of the tests that cargo builds with the newest rust-rdkafka, which builds librdkafka from sources
// that it carries.
import { cpSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cached, definitionOf } from './cache.mjs'
import { environment, onPath, run } from './programs.mjs'

const source = join(dirname(fileURLToPath(import.meta.url)), '..', 'compat', 'rust')
const weekMs = 7 * 86_400_000
/** A minute and a half on a machine that has nothing else to do. */
const buildLimitMs = 20 * 60_000

/** @returns `{ path, version, librdkafka }`: the driver, and what is in it */
export async function obtainRust() {
  for (const program of ['cargo', 'gcc', 'make'])
    if (!onPath(program)) throw new Error(`${program} is not installed`)
  const { stdout } = await run('cargo', ['--version'])
  const sources = readdirSync(join(source, 'src')).map((name) => join(source, 'src', name))
  const texts = [join(source, 'Cargo.toml'), ...sources.sort()].map((file) =>
    readFileSync(file, 'utf8'),
  )
  return cached('rust', definitionOf(stdout, ...texts), weekMs, async (folder) => {
    cpSync(source, folder, { recursive: true })
    const env = { ...environment(), CARGO_TARGET_DIR: join(folder, 'target') }
    await run('cargo', ['build', '--quiet'], { cwd: folder, env, timeout: buildLimitMs })
    const path = join(folder, 'driver')
    renameSync(join(folder, 'target', 'debug', 'driver'), path)
    rmSync(join(folder, 'target'), { recursive: true })
    const lock = readFileSync(join(folder, 'Cargo.lock'), 'utf8')
    const versionOf = (name) => new RegExp(`name = "${name}"\nversion = "([^"]+)"`).exec(lock)?.[1]
    const librdkafka = versionOf('rdkafka-sys')?.split('+')[1]
    return { path, version: versionOf('rdkafka'), librdkafka }
  })
}
