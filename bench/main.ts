// The benchmark's command line: the same work against one broker, or against two in turns with ratios.
import { readFile, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { clusterMeasures } from './cluster-measures.ts'
import { type ManyResults, measureMany } from './many.ts'
import { chartPath, manyChart, manyMarkdown } from './many-report.ts'
import { type Measure, measures } from './measures.ts'
import {
  describeMachine,
  flushMode,
  loadGenerators,
  type Results,
  textTable,
  withBlock,
  withTable,
} from './report.ts'
import { type Outcome, take } from './run.ts'
import { openTarget, type Target } from './target.ts'
import { repositoryFolder } from './toolbox.ts'
import { touchMemory } from './touch.ts'

const usage = `usage: npm run bench -- [options]
  --bootstrap TARGET      lmq (default), kafka, kfake or host:port; the named ones are started here and stopped again
  --against TARGET        a second broker: both are measured in turns, with ratios
  --only NAME,NAME        measures to take; a name ending in * takes all that begin so
  --not NAME,NAME         measures to leave out
  --seconds N             about how long one run takes (default 3)
  --rounds N              runs of each measure per broker; the table shows medians (default 3)
  --pid N, --against-pid N            the brokers' processes, when given by address (default: who listens there)
  --start CMD, --against-start CMD    how to start another one, with {port} and {data} in it, for the start measure
  --touch-gb N            memory to touch through the page cache first (default 4, 0: none, also before the
                          measures that write most): in a virtual machine the first write to a page costs ten times a
                          later one
  --json FILE             also write the results to FILE
  --cluster               instead: three brokers on three Consul servers, as one cluster (--against kafka: beside three
                          brokers of Apache Kafka; 6 to 8 minutes)
  --failover              instead: three brokers on three Consul servers, and how long a producer waits after each kind of
                          fault (--only, --rounds)
  --many                  instead: what thousands of partitions and connections cost one broker (3 to 5 minutes)
  --most N                with --many: no point beyond so many partitions or connections
  --data FOLDER           with --many: where the data goes (default: memory, /dev/shm, where there is one)
  --readme FILE           no measuring: put the table of results FILE into README.md, between its bench markers
  --list                  show the measures' names
`

const { values: flags } = parseArgs({
  options: {
    bootstrap: { type: 'string', default: 'lmq' },
    against: { type: 'string' },
    only: { type: 'string' },
    not: { type: 'string' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    pid: { type: 'string' },
    'against-pid': { type: 'string' },
    start: { type: 'string' },
    'against-start': { type: 'string' },
    'touch-gb': { type: 'string', default: '4' },
    json: { type: 'string' },
    readme: { type: 'string' },
    failover: { type: 'boolean', default: false },
    cluster: { type: 'boolean', default: false },
    many: { type: 'boolean', default: false },
    most: { type: 'string', default: '50000' },
    data: { type: 'string' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<void> {
  if (flags.help) return void process.stdout.write(usage)
  if (flags.list) {
    const listed = flags.cluster ? clusterMeasures : measures
    for (const { name, title } of listed) process.stdout.write(`${name.padEnd(20)}${title}\n`)
    return
  }
  if (flags.readme) return writeReadme(flags.readme)
  if (flags.failover) return failover()
  if (flags.many) return many()
  const results = flags.cluster ? await measureCluster() : await measure()
  process.stdout.write(
    `\n${results.machine}; load average before: ${results.loadBefore}\n${results.flush}\n\n${textTable(results)}\n`,
  )
  if (flags.json) await writeFile(flags.json, `${JSON.stringify(results, null, 2)}\n`)
  const failed = results.outcomes.some(({ failures }) => failures.some((one) => one !== undefined))
  if (failed) process.exitCode = 1
  // What the tests' clusters would still wait for is none of a benchmark's business.
  if (flags.cluster) process.exit()
}

async function measure(): Promise<Results> {
  const pids = [pidOf(flags.pid), pidOf(flags['against-pid'])]
  const open: (() => Promise<Target>)[] = [() => openTarget(flags.bootstrap, flags.start, pids[0])]
  const { against } = flags
  if (against) open.push(() => openTarget(against, flags['against-start'], pids[1]))
  return { ...(await takeAll(measures, open)), flush: flushMode }
}

/** The clusters are loaded only when they are wanted: they bring the tests' harness with them. */
async function measureCluster(): Promise<Results> {
  const { clusterFlushMode, openCluster } = await import('./cluster.ts')
  const open = [flags.bootstrap, flags.against ?? []].flat().map((name) => () => openCluster(name))
  return { kind: 'cluster', ...(await takeAll(clusterMeasures, open)), flush: clusterFlushMode }
}

async function takeAll<T extends Target>(
  all: readonly Measure<T>[],
  open: readonly (() => Promise<T>)[],
): Promise<Omit<Results, 'flush'>> {
  const chosen = all.filter(({ name }) => isChosen(name))
  if (chosen.length === 0) throw new Error(`no such measure: --only ${flags.only} (see --list)`)
  const effort = {
    rounds: numberOf('rounds', flags.rounds, 1, 20),
    seconds: numberOf('seconds', flags.seconds, 0.5, 30),
  }
  const loadBefore = loadOneMinute()
  const touchGb = numberOf('touch-gb', flags['touch-gb'], 0, 16)
  await touchMemory(touchGb)

  const targets: T[] = []
  const outcomes: Outcome[] = []
  try {
    for (const each of open) targets.push(await each())
    for (const each of chosen) {
      process.stderr.write(`${each.title} ...\n`)
      const began = performance.now()
      outcomes.push(await take(each, targets, { ...effort, touches: touchGb > 0 }))
      process.stderr.write(`  ${Math.round((performance.now() - began) / 1_000)} s\n`)
    }
  } finally {
    for (const target of targets) await target.close()
  }
  return {
    takenAt: new Date().toISOString(),
    machine: describeMachine(),
    loadBefore,
    ...effort,
    load: loadGenerators,
    targets: targets.map(({ name, label }) => ({ name, label })),
    outcomes,
  }
}

async function many(): Promise<void> {
  const most = numberOf('most', flags.most, 50, 1_000_000)
  const results = await measureMany(most, flags.data, loadOneMinute())
  process.stdout.write(`${manyMarkdown(results)}\n`)
  if (flags.json) await writeFile(flags.json, `${JSON.stringify(results, null, 2)}\n`)
}

/** Loaded only when it is wanted: it brings the tests' clusters with it. */
async function failover(): Promise<void> {
  const { failoverTable } = await import('./failover.ts')
  const rounds = numberOf('rounds', flags.rounds, 1, 100)
  const table = await failoverTable(flags.only?.split(','), rounds, loadOneMinute())
  process.stdout.write(`${table}\n`)
  // What a test harness would still wait for is none of a benchmark's business.
  process.exit()
}

const loadOneMinute = (): number => Math.round((loadavg()[0] ?? 0) * 10) / 10

function isChosen(name: string): boolean {
  const listed = (list: string | undefined): boolean =>
    (list ?? '')
      .split(',')
      .some((each) => each === name || (each.endsWith('*') && name.startsWith(each.slice(0, -1))))
  return (flags.only === undefined || listed(flags.only)) && !listed(flags.not)
}

function numberOf(flag: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!(value >= min && value <= max))
    throw new Error(`--${flag} must be ${min} to ${max}: ${text}`)
  return value
}

const pidOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : numberOf('pid', text, 1, 2 ** 22)

async function writeReadme(resultsPath: string): Promise<void> {
  const results: Results | ManyResults = JSON.parse(await readFile(resultsPath, 'utf8'))
  const path = join(repositoryFolder, 'README.md')
  const page = await readFile(path, 'utf8')
  if ('kind' in results && results.kind === 'many') {
    await writeFile(join(repositoryFolder, chartPath), manyChart(results))
    await writeFile(path, withBlock(page, 'bench-many', manyMarkdown(results)))
  } else await writeFile(path, withTable(page, results as Results))
}

// What was started ends with the bench, also when that is told to end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(130))
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
