// Runs the tests: obtains clients, compiles, runs every file in a process of its own, ends with `N passed, M failed`.
//
//   node test/run.mjs [--all-nodes] [--long] [--quick] [--jobs=2] [--out=build] [--verbose] [PART...]
//
// PART is the beginning of a path below test/: `unit`, `compat/kcat`. None means all. --all-nodes runs the unit part on the
// other supported versions of Node.js too. --long and --quick set LMQ_LONG=1 and LMQ_QUICK=1 for the tests. Results land in
// test-results/: summary.json, one .tap for each file, and what the compat tests note for the matrix.
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, obtain, toolNames } from './tools/obtain.mjs'
import { countsOf, runFile } from './tools/test-file.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
/** A quick run leaves what a full one found. */
const results = join(root, 'test-results', process.argv.includes('--quick') ? 'quick' : '')
const minuteMs = 60_000

/** A file that takes longer is killed and counts as failed. The limits are for a machine that is busy with other work. */
const limits = { unit: 3, golden: 3, contract: 5, fuzz: 10, sim: 15, compat: 25, cluster: 25 }
const longFactor = 6
/** Long runs that take longer: tens of thousands of lives, thousands for each planted bug. */
const longest = { 'sim/cluster-life': 360, 'sim/planted': 360 }

/** Parts that the other supported versions of Node.js run too. */
const portable = ['unit', 'golden']
const readsSources = (file) => /^unit\/(house|dockerfile|readme|test-file)/.test(file)
const otherNodes = ['oldestNode', 'node22', 'node24']
/** What the compat and cluster parts use: clients, runners, and the oldest Node.js for the package. */
const forClients = toolNames.filter((name) => !['node22', 'node24'].includes(name))

function optionsOf(args) {
  const value = (name) => args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3)
  const flags = ['--all-nodes', '--long', '--quick', '--verbose']
  const unknown = args.find(
    (a) => a.startsWith('-') && !flags.includes(a) && !/^--(jobs|out)=/.test(a),
  )
  if (unknown) throw new Error(`unknown option ${unknown}`)
  return {
    allNodes: args.includes('--all-nodes'),
    long: args.includes('--long'),
    quick: args.includes('--quick'),
    verbose: args.includes('--verbose'),
    jobs: Number(value('jobs') ?? 2),
    out: value('out') ?? 'build',
    parts: args.filter((arg) => !arg.startsWith('-')),
  }
}

/** Test files as paths below test/, without the ending; those of the wanted parts. */
function testFiles(parts) {
  const all = readdirSync(join(root, 'test'), { recursive: true })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => path.slice(0, -'.ts'.length).replaceAll('\\', '/'))
    .sort()
  if (parts.length === 0) return all
  return all.filter((path) => parts.some((part) => path.startsWith(part)))
}

/** Long files first within a part, so that no lane ends with one; unit tests first of all. */
function ordered(files) {
  const parts = Object.keys(limits)
  const long = /compat\/(real-data|crash)|-suite|long/
  const rank = (file) => parts.indexOf(partOf(file)) * 2 + (long.test(file) ? 0 : 1)
  return files.toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
}

function limitMinutes(file, isLong) {
  const usual = limits[partOf(file)] ?? 5
  if (!isLong) return usual
  return longest[file.replace(/\.test$/, '')] ?? usual * longFactor
}

const partOf = (file) => file.slice(0, file.indexOf('/'))

function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', reject)
    child.on('close', resolve)
  })
}

/**
 * Compiles everything to the build folder and lays beside it what tests read: golden frames, scripts, sources of drivers.
 *
 * @returns whether the types are right; the compiler writes its output either way, so the tests tell more
 */
async function compile(out) {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const code = await run(process.execPath, [tsc, '-p', 'tsconfig.json', '--outDir', out])
  cpSync(join(root, 'test'), join(root, out, 'test'), {
    recursive: true,
    filter: (path) => !['.ts', '.mjs'].includes(extname(path)),
  })
  return code === 0
}

/** Clients meet the program that people start: compiled and bundled. */
async function buildProgram() {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const code = await run(npm, ['run', '--silent', 'build'])
  if (code !== 0) throw new Error('the program could not be built')
  return join(root, 'dist', 'bin', 'lmq.js')
}

/** Runs jobs in lanes; a job is one file on one Node.js. */
async function runAll(jobs, lanes) {
  const done = []
  let next = 0
  const lane = async () => {
    while (next < jobs.length) {
      const job = jobs[next++]
      const result = await runFile(job)
      done.push({ name: job.name, ...result })
      report(job.name, result)
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return done
}

function report(name, result) {
  const mark = result.failed > 0 ? 'FAILED' : result.passed > 0 ? 'ok' : 'skipped'
  const skipped = result.skipped > 0 ? `, ${result.skipped} skipped` : ''
  const tests = `${result.passed} passed${result.failed > 0 ? `, ${result.failed} failed` : ''}${skipped}`
  console.log(`${mark.padEnd(7)} ${name} (${tests}, ${(result.elapsedMs / 1000).toFixed(1)} s)`)
  for (const failure of result.failures) console.log(indented(failure))
  if (process.argv.includes('--verbose'))
    for (const skip of result.skips) console.log(`        skipped: ${skip}`)
}

const indented = (text) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => `        ${line}`)
    .join('\n')

function jobsOf(files, options, tools, program) {
  const env = {
    ...process.env,
    TAP_TIMEOUT: '0',
    LMQ_TOOLS: join(results, 'tools.json'),
    LMQ_TEST_RESULTS: results,
    ...(program && { LMQ_PROGRAM: program }),
    ...(options.long && { LMQ_LONG: '1' }),
    ...(options.quick && { LMQ_QUICK: '1' }),
  }
  const jobOn = (node, label) => (file) => ({
    name: `test/${file}${label}`,
    node,
    file: join(root, options.out, 'test', `${file}.js`),
    cwd: root,
    env,
    limitMs: limitMinutes(file, options.long) * minuteMs,
    tapPath: join(results, `${`${file}${label}`.replaceAll(/[^\w.-]+/g, '-')}.tap`),
  })
  const jobs = ordered(files).map(jobOn(process.execPath, ''))
  if (!options.allNodes) return jobs
  for (const name of otherNodes.filter((name) => tools[name]?.path)) {
    const some = files.filter((file) => portable.includes(partOf(file)) && !readsSources(file))
    jobs.push(...some.map(jobOn(tools[name].path, ` on Node ${tools[name].version}`)))
  }
  return jobs
}

/** What did not run, by reason: a missing tool takes many tests with it. */
function didNotRun(tools, done) {
  const lines = describe(tools).filter((line) => line.includes('not here'))
  const reasons = new Map()
  for (const skip of done.flatMap((result) => result.skips)) {
    const reason = skip.slice(skip.lastIndexOf(': ') + 2)
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  for (const [reason, count] of reasons) lines.push(`${count} skipped: ${reason}`)
  return lines
}

async function main() {
  const options = optionsOf(process.argv.slice(2))
  const files = testFiles(options.parts)
  if (files.length === 0) throw new Error(`no test file begins with ${options.parts.join(' or ')}`)
  // What clients showed in an earlier run says nothing of this one.
  if (options.parts.length === 0) rmSync(join(results, 'matrix'), { recursive: true, force: true })
  mkdirSync(results, { recursive: true })
  const meetsClients = files.some((file) => ['compat', 'cluster'].includes(partOf(file)))
  const meetsKafka = options.long && files.includes('fuzz/damaged-requests.test')
  const wanted = [
    ...new Set([
      ...(meetsClients ? forClients : []),
      ...(meetsKafka ? ['java'] : []),
      ...(options.allNodes ? otherNodes : []),
    ]),
  ]
  const [tools, typesRight] = await Promise.all([
    wanted.length > 0 ? obtain(wanted) : {},
    compile(options.out),
  ])
  for (const line of describe(tools)) console.log(line)
  writeFileSync(join(results, 'tools.json'), JSON.stringify(tools))
  const program = meetsClients && typesRight ? await buildProgram() : undefined
  const done = await runAll(jobsOf(files, options, tools, program), options.jobs)
  const types = { passed: typesRight ? 1 : 0, failed: typesRight ? 0 : 1, skipped: 0 }
  const counts = countsOf([types, ...done])
  const lines = didNotRun(tools, done)
  if (lines.length > 0)
    console.log(`\nDid not run:\n${lines.map((line) => `  ${line}`).join('\n')}`)
  const failed = done.filter((result) => result.failed > 0).map((result) => result.name)
  if (!typesRight) failed.unshift('types')
  if (failed.length > 0) console.log(`\nFailed:\n${failed.map((name) => `  ${name}`).join('\n')}`)
  const line = closingLine(counts)
  writeFileSync(
    join(results, 'summary.json'),
    JSON.stringify({ ...counts, line, failed, lines }, null, 2),
  )
  console.log(`\n${line}`)
  process.exitCode = counts.failed > 0 || done.every((result) => result.passed === 0) ? 1 : 0
}

function closingLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

try {
  await main()
} catch (error) {
  console.error(error.message)
  console.log('\n0 passed, 1 failed')
  process.exitCode = 1
}
