// Says where a CPU profile's time went: self time by function, by file, and by the function of ours that it was for.
//
//   node --cpu-prof --cpu-prof-dir=DIR dist/bin/lmq.js start ...   (stop it with SIGTERM)
//   node --import tsx bench/profile.ts FILE.cpuprofile [ROWS]
import { readFileSync } from 'node:fs'

interface ProfileNode {
  readonly id: number
  readonly callFrame: { functionName: string; url: string; lineNumber: number }
  readonly children?: readonly number[]
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[]
}

const [path, rowsText = '40'] = process.argv.slice(2)
if (!path) {
  process.stderr.write('usage: profile.ts FILE.cpuprofile [ROWS]\n')
  process.exit(2)
}
const profile: CpuProfile = JSON.parse(readFileSync(path, 'utf8'))
const byId = new Map(profile.nodes.map((node) => [node.id, node]))
const parents = new Map<number, number>()
for (const node of profile.nodes)
  for (const child of node.children ?? []) parents.set(child, node.id)

const fileOf = ({ callFrame: { url } }: ProfileNode): string =>
  url.replace(/^.*\/(dist|src|node_modules)\//, '$1/').replace(/^dist\//, '') || '(native)'
const nameOf = (node: ProfileNode): string => {
  const { functionName, lineNumber } = node.callFrame
  const file = fileOf(node)
  return `${functionName || '(anonymous)'}  ${file === '(native)' ? '' : `${file}:${lineNumber + 1}`}`
}
const isOurs = (node: ProfileNode): boolean =>
  /\/(dist|src)\/(src|[a-z]+)\//.test(node.callFrame.url)

/** The nearest function of LMQ up the stack, the node itself included. */
function caller(node: ProfileNode): ProfileNode | undefined {
  let at: ProfileNode | undefined = node
  while (at && !isOurs(at)) at = byId.get(parents.get(at.id) ?? -1)
  return at
}

const byFunction = new Map<string, number>()
const byFile = new Map<string, number>()
const byCaller = new Map<string, number>()
const add = (sums: Map<string, number>, key: string, value: number): void => {
  sums.set(key, (sums.get(key) ?? 0) + value)
}
let busyUs = 0
let idleUs = 0
for (const [index, id] of profile.samples.entries()) {
  const node = byId.get(id)
  const us = profile.timeDeltas[index + 1] ?? 0
  if (!node) continue
  const { functionName } = node.callFrame
  if (functionName === '(idle)') {
    idleUs += us
    continue
  }
  busyUs += us
  add(byFunction, nameOf(node), us)
  add(byFile, fileOf(node), us)
  const ours = caller(node)
  add(byCaller, ours ? nameOf(ours) : functionName, us)
}

function show(title: string, sums: ReadonlyMap<string, number>): void {
  const rows = [...sums].sort((a, b) => b[1] - a[1]).slice(0, Number(rowsText))
  process.stdout.write(`\n${title}\n`)
  for (const [name, us] of rows) {
    const share = ((us / busyUs) * 100).toFixed(1)
    process.stdout.write(
      `${share.padStart(6)} %${(us / 1000).toFixed(0).padStart(8)} ms  ${name}\n`,
    )
  }
}

process.stdout.write(`busy ${(busyUs / 1e6).toFixed(2)} s, idle ${(idleUs / 1e6).toFixed(2)} s\n`)
show('self time by function', byFunction)
show('self time by the function of LMQ that it was for', byCaller)
show('self time by file', byFile)
